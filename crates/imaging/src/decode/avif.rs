//! AVIF: AV1 pictures in HEIF, decoded by the crate `re_rav1d`, a port of dav1d to Rust. It returns whole pictures, so
//! grids are decoded tile by tile, and the size of a picture is bounded.

use std::time::Instant;

use re_rav1d::dav1d::pixel::{MatrixCoefficients, YUVRange};
use re_rav1d::dav1d::{Decoder, Error as Av1Error, Picture, PixelLayout, PlanarImageComponent, Settings};

use crate::decode::heif::{HeifFile, HeifImage, Nclx};
use crate::decode::yuv::{AlphaCanvas, Coding, Range, YuvPicture, YuvPlane, YuvSink, levels, profile_of};
use crate::decode::{DecodeTarget, guarded};
use crate::picture::Decoded;
use crate::source::Source;
use crate::{Error, Rejection};

/// The most pixels of a picture.
const MAX_PICTURE: u64 = 26_000_000;

pub(crate) fn decode(source: &mut Source<'_>, target: DecodeTarget) -> Result<Decoded, Error> {
    let file = source.read_whole()?;
    let deadline = source.deadline();
    Ok(guarded(|| decode_file(&file, target, deadline))?)
}

fn decode_file(file: &[u8], target: DecodeTarget, deadline: Option<Instant>) -> Result<Decoded, Rejection> {
    let file = HeifFile::read(file)?;
    let image = file.primary()?;
    let pictures = Pictures::of(&file, &image)?;
    let window = image.window(pictures.size, target)?;
    let nclx = file.nclx(&image);
    let icc_profile = file.icc_profile(&image).map(<[u8]>::to_vec).or_else(|| profile_of(nclx));
    let Some((alpha, is_premultiplied)) = file.alpha()? else {
        let mut sink = None;
        pictures.decode(nclx, deadline, |picture, coding, x, y| {
            let begin = || YuvSink::new(window, image.orientation, target, coding);
            sink.get_or_insert_with(begin).put(picture, x, y)
        })?;
        let sink = sink.ok_or_else(|| Rejection::corrupt("no picture"))?;
        return Ok(Decoded { exif: file.exif(), ..sink.finish(icc_profile) });
    };
    let alpha_pictures = Pictures::of(&file, &alpha)?;
    if alpha.window(alpha_pictures.size, target)? != window || alpha.orientation != image.orientation {
        return Err(Rejection::Unsupported { feature: "alpha of another size or orientation".to_owned() });
    }
    let mut canvas = AlphaCanvas::new(window, is_premultiplied)?;
    pictures.decode(nclx, deadline, |picture, coding, x, y| {
        canvas.put_colours(picture, coding, x, y);
        Ok(())
    })?;
    let full_range = Nclx { primaries: 2, transfer: 2, matrix: 2, full_range: true };
    alpha_pictures.decode(Some(full_range), deadline, |picture, _, x, y| {
        canvas.put_alpha(picture, x, y);
        Ok(())
    })?;
    Ok(Decoded { exif: file.exif(), ..canvas.finish(image.orientation, target, icc_profile) })
}

/// The AV1 pictures of an image.
struct Pictures<'a> {
    file: &'a HeifFile<'a>,
    image: &'a HeifImage,
    size: (u32, u32),
}

impl<'a> Pictures<'a> {
    /// Checks the size of each picture, as the container states it.
    fn of(file: &'a HeifFile<'a>, image: &'a HeifImage) -> Result<Self, Rejection> {
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
        let size = size.ok_or_else(|| Rejection::corrupt("no picture"))?;
        if u64::from(size.0) * u64::from(size.1) > MAX_PICTURE {
            let part = format!(
                "a picture of {} x {} pixels in one piece, of which at most {MAX_PICTURE} are decoded",
                size.0, size.1
            );
            return Err(Rejection::TooComplex { part });
        }
        Ok(Self { file, image, size })
    }

    /// Decodes each picture and calls `put` with it, its coding and its position.
    fn decode(
        &self,
        nclx: Option<Nclx>,
        deadline: Option<Instant>,
        mut put: impl FnMut(&YuvPicture<'_>, Coding, u32, u32) -> Result<(), Rejection>,
    ) -> Result<(), Rejection> {
        let columns = self.image.grid.map_or(1, |grid| grid.columns);
        for (index, &id) in (0..).zip(&self.image.tiles) {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Rejection::DeadlineExceeded);
            }
            let picture = self.decode_one(self.file.data(id)?.into_owned())?;
            if (picture.width(), picture.height()) != self.size {
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
            let range = match (full_range, planes.len()) {
                (true, _) => Range::Full,
                (false, 1) => Range::Expanded,
                (false, _) => Range::Limited,
            };
            let levels = levels(picture.bit_depth() as u32, range);
            let planes = planes.iter().map(|&component| plane(&picture, component, &levels)).collect();
            let (x, y) = (index % columns * self.size.0, index / columns * self.size.1);
            put(&YuvPicture { planes }, Coding::new(matrix, full_range)?, x, y)?;
        }
        Ok(())
    }

    fn decode_one(&self, data: Vec<u8>) -> Result<Picture, Rejection> {
        if data.is_empty() {
            return Err(Rejection::Truncated);
        }
        let mut settings = Settings::new();
        settings.set_n_threads(1);
        settings.set_max_frame_delay(1);
        settings.set_all_layers(false);
        // Checked before memory is allocated.
        settings.set_frame_size_limit(self.size.0 * self.size.1);
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
