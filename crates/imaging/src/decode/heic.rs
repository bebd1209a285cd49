//! HEIC: HEVC pictures (ITU-T H.265) in HEIF, decoded by the crate `heic-decoder`. It returns whole pictures with four bytes
//! for each sample, so grids are decoded tile by tile, and the size of a picture is bounded.

use std::borrow::Cow;
use std::time::Instant;

use heic_decoder::HeifError;
use heic_decoder::bitreader::strip_emulation_prevention;
use heic_decoder::hevc::nal::{NAL_SPS, parse_nal_header};
use heic_decoder::hevc::params::{Sps, parse_sps};
use heic_decoder::isobmff::{HevcDecoderConfig, HevcNalArray, ResolvedImage};

use crate::decode::heif::{HeifFile, HeifImage};
use crate::decode::yuv::{AlphaCanvas, Coding, Range, YuvPicture, YuvPlane, YuvSink, levels, profile_of};
use crate::decode::{DecodeTarget, guarded};
use crate::picture::Decoded;
use crate::source::Source;
use crate::{Error, Rejection};

/// The most samples of a picture, with its planes of chroma: 24 megapixels at 4:2:0.
const MAX_SAMPLES: u64 = 36_500_000;

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
    let alpha = file.alpha()?;
    let nclx = file.nclx(&image);
    let (matrix, full_range) = match (nclx, pictures.sps.color_info) {
        (Some(nclx), _) => (nclx.matrix, nclx.full_range),
        (None, Some(info)) => (info.matrix_coefficients, info.full_range),
        (None, None) => (2, false),
    };
    let coding = Coding::new(matrix, full_range)?;
    let icc_profile = file.icc_profile(&image).map(<[u8]>::to_vec).or_else(|| profile_of(nclx));
    let range = match (full_range, pictures.sps.chroma_format_idc) {
        (true, _) => Range::Full,
        (false, 0) => Range::Expanded,
        (false, _) => Range::Limited,
    };
    let Some((alpha, is_premultiplied)) = alpha else {
        let mut sink = YuvSink::new(window, image.orientation, target, coding);
        pictures.decode(range, deadline, |picture, x, y| sink.put(picture, x, y))?;
        return Ok(Decoded { exif: file.exif(), ..sink.finish(icc_profile) });
    };
    let alpha_pictures = Pictures::of(&file, &alpha)?;
    if alpha.window(alpha_pictures.size, target)? != window || alpha.orientation != image.orientation {
        return Err(Rejection::Unsupported { feature: "alpha of another size or orientation".to_owned() });
    }
    let mut canvas = AlphaCanvas::new(window, is_premultiplied)?;
    pictures.decode(range, deadline, |picture, x, y| {
        canvas.put_colours(picture, coding, x, y);
        Ok(())
    })?;
    alpha_pictures.decode(Range::Full, deadline, |picture, x, y| {
        canvas.put_alpha(picture, x, y);
        Ok(())
    })?;
    Ok(Decoded { exif: file.exif(), ..canvas.finish(image.orientation, target, icc_profile) })
}

/// The HEVC pictures of an image.
struct Pictures<'a> {
    file: &'a HeifFile<'a>,
    image: &'a [u32],
    columns: u32,
    /// The parameters of the first picture, and its size.
    sps: Sps,
    size: (u32, u32),
}

impl<'a> Pictures<'a> {
    /// Checks the size of each picture.
    fn of(file: &'a HeifFile<'a>, image: &'a HeifImage) -> Result<Self, Rejection> {
        let columns = image.grid.map_or(1, |grid| grid.columns);
        let mut first: Option<(Sps, (u32, u32))> = None;
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
            let (sps, size) = parameters(&configuration(config)?)?;
            if first.as_ref().is_some_and(|(_, first)| *first != size) {
                return Err(Rejection::corrupt("tiles of different sizes"));
            }
            checked = Some(config);
            first.get_or_insert((sps, size));
        }
        let (sps, size) = first.ok_or_else(|| Rejection::corrupt("no picture"))?;
        Ok(Self { file, image: &image.tiles, columns, sps, size })
    }

    /// Decodes each picture and calls `put` with it and its position.
    fn decode(
        &self,
        range: Range,
        deadline: Option<Instant>,
        mut put: impl FnMut(&YuvPicture<'_>, u32, u32) -> Result<(), Rejection>,
    ) -> Result<(), Rejection> {
        for (index, &id) in (0..).zip(self.image) {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Rejection::DeadlineExceeded);
            }
            let config = self.file.property(id, b"hvcC").ok_or_else(|| Rejection::corrupt("no hvcC"))?;
            let hevc_config = configuration(config)?;
            let data = self.file.data(id).map(Cow::into_owned)?;
            let (sps, picture) =
                heic_decoder::decode_one_image(&ResolvedImage { hevc_config, data }).map_err(explain)?;
            let [left, _, top, _] = sps.conformance_window;
            let widths = [&picture.y, &picture.cb, &picture.cr].map(|plane| plane.width);
            let (luma, chroma) = (levels(sps.bit_depth_luma, range), levels(sps.bit_depth_chroma, range));
            let samples = [picture.y, picture.cb, picture.cr].map(heic_decoder::hevc::ctu::Plane::into_samples);
            let (across, down) = match sps.chroma_format_idc {
                1 => (2, 2),
                2 => (2, 1),
                _ => (1, 1),
            };
            let count = if sps.chroma_format_idc == 0 { 1 } else { 3 };
            let plane = |plane: usize| {
                let (across, down) = if plane == 0 { (1, 1) } else { (across, down) };
                let (samples, stride) = (&samples[plane], widths[plane]);
                let levels = if plane == 0 { &luma } else { &chroma };
                let (left, top) = ((left / across) as usize, (top / down) as usize);
                YuvPlane {
                    width: self.size.0.div_ceil(across),
                    height: self.size.1.div_ceil(down),
                    row: Box::new(move |y, x, out| {
                        let start = (top + y as usize) * stride + left + x as usize;
                        for (out, &sample) in out.iter_mut().zip(&samples[start..]) {
                            *out = levels[(sample.max(0) as usize).min(levels.len() - 1)];
                        }
                    }),
                }
            };
            let planes = (0..count).map(plane).collect();
            put(&YuvPicture { planes }, index % self.columns * self.size.0, index / self.columns * self.size.1)?;
        }
        Ok(())
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

/// The first sequence parameter set, which the decoder uses, and the size of the pictures without their padding.
fn parameters(config: &HevcDecoderConfig) -> Result<(Sps, (u32, u32)), Rejection> {
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
    Ok((sps, size.ok_or_else(|| Rejection::corrupt("the conformance window"))?))
}

fn explain(error: HeifError) -> Rejection {
    match error {
        HeifError::Truncated { .. } => Rejection::Truncated,
        HeifError::Unsupported(feature) => Rejection::Unsupported { feature: format!("an HEVC feature ({feature})") },
        HeifError::LimitExceeded(part) => Rejection::TooComplex { part: part.to_owned() },
        other => Rejection::corrupt(other),
    }
}
