//! WebP: lossy pictures without alpha by rows, the others through libwebp, which scales while it
//! decodes; the container is read here.
//!
//! libwebp is the one C library on this path, and sees nothing but the bitstream of one still
//! picture whose size has been checked: no container with chunks of its own choosing, no animation.

use std::io::Read;
use std::time::Instant;

use crate::decode::{MAX_PROFILE, Wanted};
use crate::exif::Orientation;
use crate::picture::{Decoded, Model, Plane, Samples, premultiply};
use crate::reduce::{Factor, Reducer};
use crate::source::Source;
use crate::{Error, OVERSAMPLE, Rejection};

/// How many times the thumbnail's size is left of chrominance, which the encoder halves again.
const CHROMA_OVERSAMPLE: f64 = 1.4;

/// The most bytes of a file that are held; far more than a lossless picture of 16383 x 16383
/// pixels of noise would be allowed in by its pixels.
const MAX_FILE: u64 = 400 << 20;
/// Chunks of a file or a frame; honest ones have a dozen, or one a frame.
const MAX_CHUNKS: usize = 4096;
/// Bytes that hold the size of the picture.
const START: u64 = 64;

pub(crate) fn decode(source: &mut Source<'_>, wanted: Wanted) -> Result<Decoded, Error> {
    let mut file = Vec::new();
    read(source, START, &mut file)?;
    let size = announced_size(&file)?;
    check_start(&file, wanted)?;
    // Nothing after the container belongs to the picture.
    read(source, size.saturating_sub(START), &mut file)?;
    source.check_deadline()?;
    Ok(decode_file(file, wanted, source.deadline())?)
}

fn read(source: &mut Source<'_>, count: u64, file: &mut Vec<u8>) -> Result<(), Error> {
    match (&mut *source).take(count).read_to_end(file) {
        Ok(_) => Ok(()),
        Err(error) => Err(source.blame(Rejection::corrupt(error))),
    }
}

/// Bytes of the whole file, by its first ones.
fn announced_size(start: &[u8]) -> Result<u64, Rejection> {
    let bytes = start.get(4..8).and_then(|bytes| bytes.first_chunk()).ok_or(Rejection::Truncated)?;
    let size = 8 + u64::from(u32::from_le_bytes(*bytes));
    if size > MAX_FILE {
        return Err(Rejection::TooComplex { part: "the file itself".to_owned() });
    }
    Ok(size)
}

/// Looks at the size that the first chunk gives, before the rest is read.
fn check_start(start: &[u8], wanted: Wanted) -> Result<(), Rejection> {
    let (Some(name), Some(data)) = (start.get(12..16), start.get(20..)) else {
        return Ok(());
    };
    let size = match name {
        b"VP8X" => data.first_chunk::<10>().map(|bytes| (1 + u24(&bytes[4..]), 1 + u24(&bytes[7..]))),
        b"VP8 " | b"VP8L" => bitstream_size((name, data)).ok().map(|(width, height, _)| (width, height)),
        _ => None,
    };
    size.map_or(Ok(()), |(width, height)| wanted.check_size(width, height))
}

/// What a container says before anything is decoded.
struct Parts<'a> {
    /// Canvas of an extended file; without one the picture's own size counts.
    canvas: Option<(u32, u32)>,
    exif: Option<&'a [u8]>,
    profile: Option<&'a [u8]>,
    alpha: Option<&'a [u8]>,
    /// Chunk name and payload of the bitstream.
    picture: (&'a [u8], &'a [u8]),
    left: u32,
    top: u32,
}

fn decode_file(file: Vec<u8>, wanted: Wanted, deadline: Option<Instant>) -> Result<Decoded, Rejection> {
    let parts = read_container(&file)?;
    let (width, height, bitstream_alpha) = bitstream_size(parts.picture)?;
    let canvas = parts.canvas.unwrap_or((width, height));
    wanted.check_size(canvas.0, canvas.1)?;
    wanted.check_size(width, height)?;
    if u64::from(parts.left) + u64::from(width) > u64::from(canvas.0)
        || u64::from(parts.top) + u64::from(height) > u64::from(canvas.1)
    {
        return Err(Rejection::corrupt("a frame outside of its canvas"));
    }
    let covers = (width, height) == canvas;
    let alpha = bitstream_alpha || parts.alpha.is_some() || !covers;

    let orientation = parts.exif.map(Orientation::from_exif).unwrap_or_default();
    let target = wanted.stored_target(canvas, orientation);
    let factor = Factor::leaving(OVERSAMPLE, canvas, target);
    let scaled = (width.div_ceil(factor.x), height.div_ceil(factor.y));
    let icc_profile = parts.profile.filter(|profile| profile.len() <= MAX_PROFILE).map(<[u8]>::to_vec);
    let decoded =
        |model, planes| Decoded { width: canvas.0, height: canvas.1, orientation, icc_profile, model, planes };
    if !alpha && parts.picture.0 == b"VP8 " {
        let planes = video_planes(parts.picture.1, canvas, target, deadline)?;
        return Ok(decoded(Model::VideoYCbCr, planes));
    }
    let still = still_file(&parts, width, height);
    let mut decoder =
        webpx::Decoder::new(&still).map_err(explain)?.config(webpx::DecoderConfig::new().limits(webpx::Limits::none()));
    if scaled != (width, height) {
        decoder = decoder.scale(scaled.0, scaled.1);
    }
    let (mut data, channels) = if alpha {
        (decoder.decode_rgba_raw().map_err(explain)?.0, 4)
    } else {
        (decoder.decode_rgb_raw().map_err(explain)?.0, 3)
    };
    if alpha {
        premultiply(&mut data, 4);
    }
    let mut plane = Plane {
        width: scaled.0,
        height: scaled.1,
        stride: scaled.0 as usize * channels,
        view_width: f64::from(scaled.0),
        view_height: f64::from(scaled.1),
        spread: (0.0, 0.0),
        samples: Samples { channels, data },
    };
    if !covers {
        plane = on_canvas(&plane, &parts, canvas, factor);
    }
    Ok(decoded(if alpha { Model::Rgba } else { Model::Rgb }, vec![plane]))
}

/// A lossy picture in its own planes, made smaller as its rows come.
fn video_planes(
    picture: &[u8],
    (width, height): (u32, u32),
    target: (u32, u32),
    deadline: Option<Instant>,
) -> Result<Vec<Plane>, Rejection> {
    let mut decoder = vp8_rows::Decoder::new(picture).map_err(explain_lossy)?;
    let half = (width.div_ceil(2), height.div_ceil(2));
    let factors =
        [Factor::leaving(OVERSAMPLE, (width, height), target), Factor::leaving(CHROMA_OVERSAMPLE, half, target)];
    let [mut luminance, mut blue, mut red] = [
        Reducer::new(1, width, height, factors[0]),
        Reducer::new(1, half.0, half.1, factors[1]),
        Reducer::new(1, half.0, half.1, factors[1]),
    ];
    while let Some(band) = decoder.next_band().map_err(explain_lossy)? {
        band.luminance.rows().for_each(|row| luminance.push(row));
        band.blue.rows().for_each(|row| blue.push(row));
        band.red.rows().for_each(|row| red.push(row));
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Rejection::TookTooLong);
        }
    }
    let colour = |reducer: Reducer| {
        let (x, y) = (f64::from(factors[1].x), f64::from(factors[1].y));
        Plane {
            view_width: f64::from(width) / 2.0 / x,
            view_height: f64::from(height) / 2.0 / y,
            spread: (1.0 / x, 1.0 / y),
            ..reducer.finish()
        }
    };
    Ok(vec![luminance.finish(), colour(blue), colour(red)])
}

fn explain_lossy(error: vp8_rows::Error) -> Rejection {
    match error {
        vp8_rows::Error::Truncated => Rejection::Truncated,
        vp8_rows::Error::Corrupt(detail) => Rejection::corrupt(detail),
        vp8_rows::Error::Unsupported(feature) => Rejection::Unsupported { feature: feature.to_owned() },
    }
}

/// A frame smaller than its canvas, at its place to the nearest pixel of the reduced size.
fn on_canvas(frame: &Plane, parts: &Parts<'_>, canvas: (u32, u32), factor: Factor) -> Plane {
    let width = canvas.0.div_ceil(factor.x).max(frame.width);
    let height = canvas.1.div_ceil(factor.y).max(frame.height);
    let left = (parts.left / factor.x).min(width - frame.width) as usize;
    let top = (parts.top / factor.y).min(height - frame.height) as usize;
    let mut data = vec![0; width as usize * height as usize * 4];
    let frame_row = frame.width as usize * 4;
    for (y, row) in frame.samples.data.chunks_exact(frame_row).enumerate() {
        let at = ((top + y) * width as usize + left) * 4;
        data[at..at + frame_row].copy_from_slice(row);
    }
    Plane {
        width,
        height,
        stride: width as usize * 4,
        view_width: f64::from(width),
        view_height: f64::from(height),
        spread: (0.0, 0.0),
        samples: Samples { channels: 4, data },
    }
}

/// The chunks of a RIFF body. A chunk that reaches past the end is an error, padding is not.
fn chunks(mut body: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8]), Rejection>> {
    let mut count = 0;
    std::iter::from_fn(move || {
        if body.is_empty() {
            return None;
        }
        count += 1;
        if count > MAX_CHUNKS {
            body = &[];
            return Some(Err(Rejection::TooComplex { part: "chunks".to_owned() }));
        }
        let Some((name, rest)) = body.split_at_checked(4) else {
            body = &[];
            return Some(Err(Rejection::Truncated));
        };
        let Some(&size) = rest.first_chunk::<4>() else {
            body = &[];
            return Some(Err(Rejection::Truncated));
        };
        let size = u32::from_le_bytes(size) as usize;
        let Some(payload) = rest[4..].get(..size) else {
            body = &[];
            return Some(Err(Rejection::Truncated));
        };
        body = rest.get(4 + size + (size & 1)..).unwrap_or_default();
        Some(Ok((name, payload)))
    })
}

fn read_container(file: &[u8]) -> Result<Parts<'_>, Rejection> {
    let size =
        file.get(4..8).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes).ok_or(Rejection::Truncated)?
            as usize;
    let body = file.get(12..8_usize.saturating_add(size).max(12)).ok_or(Rejection::Truncated)?;
    let mut parts =
        Parts { canvas: None, exif: None, profile: None, alpha: None, picture: (b"", b""), left: 0, top: 0 };
    for chunk in chunks(body) {
        let (name, payload) = chunk?;
        let found = !parts.picture.0.is_empty();
        match name {
            b"VP8X" => {
                let bytes = payload.get(..10).ok_or(Rejection::Truncated)?;
                parts.canvas = Some((1 + u24(&bytes[4..]), 1 + u24(&bytes[7..])));
            }
            b"EXIF" => parts.exif = Some(payload),
            b"ICCP" => parts.profile = Some(payload),
            b"ALPH" if !found => parts.alpha = Some(payload),
            b"VP8 " | b"VP8L" if !found => parts.picture = (name, payload),
            b"ANMF" if !found => {
                let bytes = payload.get(..16).ok_or(Rejection::Truncated)?;
                parts.left = 2 * u24(&bytes[0..]);
                parts.top = 2 * u24(&bytes[3..]);
                for chunk in chunks(&payload[16..]) {
                    match chunk? {
                        (b"ALPH", alpha) => parts.alpha = Some(alpha),
                        (name @ (b"VP8 " | b"VP8L"), picture) => parts.picture = (name, picture),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    if parts.picture.0.is_empty() {
        return Err(Rejection::Truncated);
    }
    Ok(parts)
}

fn u24(bytes: &[u8]) -> u32 {
    u32::from(bytes[0]) | u32::from(bytes[1]) << 8 | u32::from(bytes[2]) << 16
}

/// Width, height and whether there is alpha, from the first bytes of a bitstream (RFC 9649,
/// sections 2.5, 2.6 and 3.4).
fn bitstream_size((name, data): (&[u8], &[u8])) -> Result<(u32, u32, bool), Rejection> {
    if name == b"VP8L" {
        let bytes = data.get(..5).ok_or(Rejection::Truncated)?;
        if bytes[0] != 0x2F {
            return Err(Rejection::corrupt("no lossless signature"));
        }
        let bits = u32::from_le_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]);
        let alpha = bits >> 28 & 1 == 1;
        return Ok((1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), alpha));
    }
    let bytes = data.get(..10).ok_or(Rejection::Truncated)?;
    if bytes[3..6] != [0x9D, 0x01, 0x2A] {
        return Err(Rejection::corrupt("no key frame"));
    }
    let side = |at: usize| u32::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]) & 0x3FFF);
    Ok((side(6), side(8), false))
}

/// A file with one still picture and nothing else: what libwebp gets to see.
fn still_file(parts: &Parts<'_>, width: u32, height: u32) -> Vec<u8> {
    let (name, picture) = parts.picture;
    let mut body = b"WEBP".to_vec();
    let mut chunk = |name: &[u8], payload: &[u8]| {
        body.extend_from_slice(name);
        body.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        body.extend_from_slice(payload);
        if payload.len() % 2 == 1 {
            body.push(0);
        }
    };
    if let (Some(alpha), b"VP8 ") = (parts.alpha, name) {
        let mut header = [0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        header[4..7].copy_from_slice(&(width - 1).to_le_bytes()[..3]);
        header[7..10].copy_from_slice(&(height - 1).to_le_bytes()[..3]);
        chunk(b"VP8X", &header);
        chunk(b"ALPH", alpha);
    }
    chunk(name, picture);
    let mut file = b"RIFF".to_vec();
    file.extend_from_slice(&(body.len() as u32).to_le_bytes());
    file.append(&mut body);
    file
}

fn explain(error: impl std::fmt::Display) -> Rejection {
    Rejection::corrupt(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadline_is_looked_at_between_rows() {
        let config = webpx::EncoderConfig::new();
        let file = config.encode_rgb(&[90; 40 * 50 * 3], 40, 50, webpx::Unstoppable).expect("libwebp encodes it");
        let planes = |deadline| video_planes(&file[20..], (40, 50), (10, 12), deadline);
        assert_eq!(planes(None).expect("a picture").len(), 3);
        assert!(matches!(planes(Some(Instant::now())), Err(Rejection::TookTooLong)));
    }
}
