//! HEIC: HEVC pictures (ITU-T H.265) in HEIF, decoded by the crate `heic-decoder`. It returns whole pictures with four bytes
//! for each sample, so grids are decoded tile by tile, and the size of a picture is bounded.

use std::borrow::Cow;

use heic_decoder::HeifError;
use heic_decoder::bitreader::strip_emulation_prevention;
use heic_decoder::hevc::nal::{NAL_SPS, parse_nal_header};
use heic_decoder::hevc::params::parse_sps;
use heic_decoder::isobmff::{HevcDecoderConfig, HevcNalArray, ResolvedImage};

use crate::Rejection;
use crate::decode::heif::{HeifFile, HeifImage, Nclx};
use crate::decode::tiles::PictureCodec;
use crate::decode::yuv::{Coding, Range, YuvPicture, YuvPlane, levels};

/// The most samples of a picture, with its planes of chroma: 24 megapixels at 4:2:0.
const MAX_SAMPLES: u64 = 36_500_000;

pub(crate) struct Hevc;

impl PictureCodec for Hevc {
    fn check(file: &HeifFile<'_>, image: &HeifImage) -> Result<(u32, u32), Rejection> {
        let mut first: Option<(u32, u32)> = None;
        let mut checked: Option<&[u8]> = None;
        for &id in &image.tiles {
            if &file.kind(id) != b"hvc1" {
                return Err(Rejection::Unsupported { feature: "a picture that is not HEVC".to_owned() });
            }
            let config = file.property(id, b"hvcC").ok_or_else(|| Rejection::corrupt("no hvcC"))?;
            // Tiles share their configuration.
            if checked.is_some_and(|checked| std::ptr::eq(checked, config)) {
                continue;
            }
            let size = picture_size(&configuration(config)?)?;
            if *first.get_or_insert(size) != size {
                return Err(Rejection::corrupt("tiles of different sizes"));
            }
            checked = Some(config);
        }
        first.ok_or_else(|| Rejection::corrupt("no picture"))
    }

    fn decode(
        file: &HeifFile<'_>,
        id: u32,
        size: (u32, u32),
        nclx: Option<Nclx>,
        put: impl FnOnce(&YuvPicture<'_>, Coding) -> Result<(), Rejection>,
    ) -> Result<(), Rejection> {
        let config = file.property(id, b"hvcC").ok_or_else(|| Rejection::corrupt("no hvcC"))?;
        let hevc_config = configuration(config)?;
        let data = file.data(id).map(Cow::into_owned)?;
        let (sps, picture) = heic_decoder::decode_one_image(&ResolvedImage { hevc_config, data }).map_err(explain)?;
        let (matrix, full_range) = match (nclx, sps.color_info) {
            (Some(nclx), _) => (nclx.matrix, nclx.full_range),
            (None, Some(info)) => (info.matrix_coefficients, info.full_range),
            (None, None) => (2, false),
        };
        let (count, (across, down)) = match sps.chroma_format_idc {
            0 => (1, (1, 1)),
            1 => (3, (2, 2)),
            2 => (3, (2, 1)),
            _ => (3, (1, 1)),
        };
        let range = Range::new(full_range, count);
        let [left, _, top, _] = sps.conformance_window;
        let widths = [&picture.y, &picture.cb, &picture.cr].map(|plane| plane.width);
        let (luma, chroma) = (levels(sps.bit_depth_luma, range), levels(sps.bit_depth_chroma, range));
        let samples = [picture.y, picture.cb, picture.cr].map(heic_decoder::hevc::ctu::Plane::into_samples);
        let plane = |plane: usize| {
            let (across, down) = if plane == 0 { (1, 1) } else { (across, down) };
            let (samples, stride) = (&samples[plane], widths[plane]);
            let levels = if plane == 0 { &luma } else { &chroma };
            let (left, top) = ((left / across) as usize, (top / down) as usize);
            YuvPlane {
                width: size.0.div_ceil(across),
                height: size.1.div_ceil(down),
                row: Box::new(move |y, x, out| {
                    let start = (top + y as usize) * stride + left + x as usize;
                    for (out, &sample) in out.iter_mut().zip(&samples[start..]) {
                        *out = levels[(sample.max(0) as usize).min(levels.len() - 1)];
                    }
                }),
            }
        };
        let planes = (0..count).map(plane).collect();
        put(&YuvPicture { planes }, Coding::new(matrix, full_range)?)
    }
}

/// `hvcC` (ISO/IEC 14496-15, section 8.3.2.1): the parameter sets, and the bytes of a length.
fn configuration(body: &[u8]) -> Result<HevcDecoderConfig, Rejection> {
    let invalid = || Rejection::corrupt("hvcC");
    let (&length, mut rest) = body.get(21).zip(body.get(22..)).ok_or_else(invalid)?;
    let mut take = |count: usize| {
        let (taken, left) = rest.split_at_checked(count)?;
        rest = left;
        Some(taken)
    };
    let arrays = take(1).ok_or_else(invalid)?[0];
    let mut config = HevcDecoderConfig { length_size_minus_one: length & 3, ..HevcDecoderConfig::default() };
    for _ in 0..arrays {
        let &[kind, high, low] = take(3).ok_or_else(invalid)? else { return Err(invalid()) };
        let mut nalus = Vec::new();
        for _ in 0..u16::from_be_bytes([high, low]) {
            let &[high, low] = take(2).ok_or_else(invalid)? else { return Err(invalid()) };
            nalus.push(take(u16::from_be_bytes([high, low]).into()).ok_or_else(invalid)?.to_vec());
        }
        config.arrays.push(HevcNalArray { nal_unit_type: kind & 0x3F, nalus });
    }
    Ok(config)
}

/// The size of the pictures without their padding, by the first sequence parameter set, which the decoder uses.
fn picture_size(config: &HevcDecoderConfig) -> Result<(u32, u32), Rejection> {
    let mut sets = config.nalus_of_type(NAL_SPS).filter_map(|nal| parse_nal_header(nal).ok());
    let (_, set) = sets
        .find(|(header, _)| header.nal_unit_type == NAL_SPS && header.nuh_layer_id == 0)
        .ok_or_else(|| Rejection::corrupt("no sequence parameter set"))?;
    let sps = parse_sps(&strip_emulation_prevention(set)).map_err(explain)?;
    let (width, height) = (sps.pic_width_in_luma_samples, sps.pic_height_in_luma_samples);
    let luma = u64::from(width) * u64::from(height);
    let samples = match sps.chroma_format_idc {
        0 => luma,
        1 => luma + luma / 2,
        2 => luma * 2,
        _ => luma * 3,
    };
    if samples > MAX_SAMPLES {
        let part = format!(
            "a picture of {width} x {height} pixels in one piece, with {samples} samples of which at most {MAX_SAMPLES} \
             are decoded"
        );
        return Err(Rejection::TooComplex { part });
    }
    if !(8..=16).contains(&sps.bit_depth_luma) || !(8..=16).contains(&sps.bit_depth_chroma) {
        return Err(Rejection::corrupt("the bits of a sample"));
    }
    let [left, right, top, bottom] = sps.conformance_window;
    let side =
        |side: u32, before: u32, after: u32| side.checked_sub(before)?.checked_sub(after).filter(|&side| side > 0);
    let size = side(width, left, right).zip(side(height, top, bottom));
    size.ok_or_else(|| Rejection::corrupt("the conformance window"))
}

fn explain(error: HeifError) -> Rejection {
    match error {
        HeifError::Truncated { .. } => Rejection::Truncated,
        HeifError::Unsupported(feature) => Rejection::Unsupported { feature: format!("an HEVC feature ({feature})") },
        HeifError::LimitExceeded(part) => Rejection::TooComplex { part: part.to_owned() },
        other => Rejection::corrupt(other),
    }
}
