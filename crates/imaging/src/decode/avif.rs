//! AVIF: AV1 pictures in HEIF, decoded by the crate `re_rav1d`, a port of dav1d to Rust. It returns whole pictures, so
//! grids are decoded tile by tile, and the size of a picture is bounded.

use re_rav1d::dav1d::pixel::{MatrixCoefficients, YUVRange};
use re_rav1d::dav1d::{Decoder, Error as Av1Error, Picture, PixelLayout, PlanarImageComponent, Settings};

use crate::Rejection;
use crate::decode::heif::{HeifFile, HeifImage, Nclx};
use crate::decode::tiles::PictureCodec;
use crate::decode::yuv::{Coding, Range, YuvPicture, YuvPlane, levels};

/// The most pixels of a picture.
const MAX_PICTURE: u64 = 26_000_000;

pub(crate) struct Av1;

impl PictureCodec for Av1 {
    /// The size is the one that the container states.
    fn check(file: &HeifFile<'_>, image: &HeifImage) -> Result<(u32, u32), Rejection> {
        let mut size = None;
        for &id in &image.tiles {
            if &file.kind(id) != b"av01" {
                return Err(Rejection::Unsupported { feature: "a picture that is not AV1".to_owned() });
            }
            let tile = file.size(id)?;
            if *size.get_or_insert(tile) != tile {
                return Err(Rejection::corrupt("tiles of different sizes"));
            }
        }
        let (width, height) = size.ok_or_else(|| Rejection::corrupt("no picture"))?;
        if u64::from(width) * u64::from(height) > MAX_PICTURE {
            let part = format!(
                "a picture of {width} x {height} pixels in one piece, of which at most {MAX_PICTURE} are decoded"
            );
            return Err(Rejection::TooComplex { part });
        }
        Ok((width, height))
    }

    fn decode(
        file: &HeifFile<'_>,
        id: u32,
        size: (u32, u32),
        nclx: Option<Nclx>,
        put: impl FnOnce(&YuvPicture<'_>, Coding) -> Result<(), Rejection>,
    ) -> Result<(), Rejection> {
        let picture = decode_picture(file.data(id)?.into_owned(), size)?;
        if (picture.width(), picture.height()) != size {
            return Err(Rejection::corrupt("a picture of another size than the container states"));
        }
        let (matrix, full_range) = match nclx {
            Some(nclx) => (nclx.matrix, nclx.full_range),
            None => (matrix_of(&picture), picture.color_range() == YUVRange::Full),
        };
        let planes: &[PlanarImageComponent] = match picture.pixel_layout() {
            PixelLayout::I400 => &[PlanarImageComponent::Y],
            _ => &[PlanarImageComponent::Y, PlanarImageComponent::U, PlanarImageComponent::V],
        };
        let levels = levels(picture.bit_depth() as u32, Range::new(full_range, planes.len()));
        let planes = planes.iter().map(|&component| plane(&picture, component, &levels)).collect();
        put(&YuvPicture { planes }, Coding::new(matrix, full_range)?)
    }
}

fn decode_picture(data: Vec<u8>, (width, height): (u32, u32)) -> Result<Picture, Rejection> {
    if data.is_empty() {
        return Err(Rejection::Truncated);
    }
    let mut settings = Settings::new();
    settings.set_n_threads(1);
    settings.set_max_frame_delay(1);
    settings.set_all_layers(false);
    // Checked before memory is allocated.
    settings.set_frame_size_limit(width * height);
    let mut decoder = Decoder::with_settings(&settings).map_err(explain)?;
    let mut sent = decoder.send_data(data, None, None, None);
    // The last picture has all layers.
    let mut last = None;
    loop {
        let is_waiting = match sent {
            Ok(()) => false,
            Err(Av1Error::Again) => true,
            Err(error) => return Err(explain(error)),
        };
        match decoder.get_picture() {
            Ok(picture) => last = Some(picture),
            Err(Av1Error::Again) if !is_waiting => break,
            Err(Av1Error::Again) => {}
            Err(error) => return Err(explain(error)),
        }
        sent = decoder.send_pending_data();
    }
    last.ok_or(Rejection::Truncated)
}

fn plane<'a>(picture: &Picture, component: PlanarImageComponent, levels: &'a [u8]) -> YuvPlane<'a> {
    let (across, down) = match (component, picture.pixel_layout()) {
        (PlanarImageComponent::Y, _) => (1, 1),
        (_, PixelLayout::I420) => (2, 2),
        (_, PixelLayout::I422) => (2, 1),
        _ => (1, 1),
    };
    let (samples, stride) = (picture.plane(component), picture.stride(component) as usize);
    let is_deep = picture.bit_depth() > 8;
    YuvPlane {
        width: picture.width().div_ceil(across),
        height: picture.height().div_ceil(down),
        row: Box::new(move |y, x, out| {
            let row = &samples[y as usize * stride..];
            if is_deep {
                for (out, &sample) in out.iter_mut().zip(&row.as_chunks::<2>().0[x as usize..]) {
                    *out = levels[usize::from(u16::from_ne_bytes(sample)).min(levels.len() - 1)];
                }
            } else {
                for (out, &sample) in out.iter_mut().zip(&row[x as usize..]) {
                    *out = levels[usize::from(sample)];
                }
            }
        }),
    }
}

/// ITU-T H.273, table 4.
fn matrix_of(picture: &Picture) -> u16 {
    match picture.matrix_coefficients() {
        MatrixCoefficients::Identity => 0,
        MatrixCoefficients::BT709 => 1,
        MatrixCoefficients::BT2020NonConstantLuminance => 9,
        MatrixCoefficients::BT470BG | MatrixCoefficients::ST170M => 6,
        MatrixCoefficients::Unspecified => 2,
        _ => u16::MAX,
    }
}

fn explain(error: Av1Error) -> Rejection {
    match error {
        Av1Error::UnsupportedBitstream => Rejection::Unsupported { feature: "a feature of AV1".to_owned() },
        other => Rejection::corrupt(other),
    }
}
