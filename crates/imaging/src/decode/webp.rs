//! WebP: the container is read here, in order and in pieces. Pictures come by rows, lossless ones and
//! alpha from `vp8l-rows` as they are read, lossy ones from `vp8-rows` once they are there.

use std::io::{BufRead, Read};
use std::time::Instant;

use pulp::{Arch, NullaryFnOnce};

use crate::decode::{MAX_PROFILE, Wanted};
use crate::exif::Orientation;
use crate::picture::{Decoded, Model, Plane, premultiply};
use crate::reduce::{Factor, Reducer};
use crate::source::Source;
use crate::{Error, OVERSAMPLE, Rejection};

/// How many times the thumbnail's size is left of chrominance, which the encoder halves again.
const CHROMA_OVERSAMPLE: f64 = 1.4;

/// The most bytes of a file that are read; far more than a lossless picture of 16383 x 16383
/// pixels of noise would be allowed in by its pixels.
const MAX_FILE: u64 = 400 << 20;
/// Chunks of a file or a frame; honest ones have a dozen, or one a frame.
const MAX_CHUNKS: usize = 4096;
/// Bytes of Exif metadata that are looked at: the orientation stands at their beginning.
const MAX_EXIF: u64 = 64 << 10;
/// What an extended file's flags say of Exif metadata (RFC 9649, section 2.7).
const EXIF_FLAG: u8 = 0x08;
/// Memory that a lossless picture may take to decode; honest ones take a tenth at most.
const MAX_MEMORY: usize = 256 << 20;

pub(crate) fn decode(source: &mut Source<'_>, wanted: Wanted) -> Result<Decoded, Error> {
    let result = read_file(source, wanted);
    result.map_err(|rejection| source.blame(rejection))
}

/// What a container says, as far as it was read.
#[derive(Default)]
struct Parts {
    /// Canvas of an extended file, and whether it says that there is Exif metadata.
    extended: Option<((u32, u32), bool)>,
    exif: Option<Vec<u8>>,
    profile: Option<Vec<u8>>,
    alpha: Option<Vec<u8>>,
    picture: Option<Picture>,
    /// Place of the frame on its canvas.
    left: u32,
    top: u32,
}

/// The first picture, of which later ones are no matter.
enum Picture {
    /// Decoded as it came.
    Lossless { plane: Plane, model: Model, canvas: (u32, u32) },
    /// As it is in the file.
    Lossy { data: Vec<u8>, size: (u32, u32) },
}

impl Parts {
    fn canvas(&self, size: (u32, u32)) -> (u32, u32) {
        self.extended.map_or(size, |(canvas, _)| canvas)
    }

    /// Checks a picture's size and place before it is decoded; gives the size of its canvas.
    fn check_frame(&self, size: (u32, u32), wanted: Wanted) -> Result<(u32, u32), Rejection> {
        let canvas = self.canvas(size);
        wanted.check_size(canvas.0, canvas.1)?;
        wanted.check_size(size.0, size.1)?;
        if u64::from(self.left) + u64::from(size.0) > u64::from(canvas.0)
            || u64::from(self.top) + u64::from(size.1) > u64::from(canvas.1)
        {
            return Err(Rejection::corrupt("a frame outside of its canvas"));
        }
        Ok(canvas)
    }
}

/// The chunks of a file or a frame: how many bytes are left of it.
struct Chunks {
    left: u64,
    count: usize,
}

impl Chunks {
    fn of(left: u64) -> Self {
        Self { left, count: 0 }
    }

    /// Name and size of the next. A chunk that reaches past the end is an error, padding is not.
    fn next(&mut self, source: &mut Source<'_>) -> Result<Option<([u8; 4], u64)>, Rejection> {
        if self.left == 0 {
            return Ok(None);
        }
        self.count += 1;
        if self.count > MAX_CHUNKS {
            return Err(Rejection::TooComplex { part: "chunks".to_owned() });
        }
        self.left = self.left.checked_sub(8).ok_or(Rejection::Truncated)?;
        let [a, b, c, d, size @ ..] = bytes::<8>(source)?;
        let size = u64::from(u32::from_le_bytes(size));
        self.left = self.left.checked_sub(size).ok_or(Rejection::Truncated)?;
        Ok(Some(([a, b, c, d], size)))
    }

    /// Goes on to the next chunk from where so many bytes of this one, whose size is given too, are
    /// left.
    fn finish(&mut self, source: &mut Source<'_>, unread: u64, size: u64) -> Result<(), Rejection> {
        let padding = (size & 1).min(self.left);
        self.left -= padding;
        skip(source, unread + padding)
    }
}

fn bytes<const COUNT: usize>(source: &mut impl Read) -> Result<[u8; COUNT], Rejection> {
    let mut bytes = [0; COUNT];
    source.read_exact(&mut bytes).map_err(|_| Rejection::Truncated)?;
    Ok(bytes)
}

fn skip(source: &mut Source<'_>, mut count: u64) -> Result<(), Rejection> {
    while count > 0 {
        let available = source.fill_buf().map_err(Rejection::corrupt)?.len() as u64;
        if available == 0 {
            return Err(Rejection::Truncated);
        }
        source.consume(available.min(count) as usize);
        count -= available.min(count);
    }
    Ok(())
}

/// Bytes that are held, no more of them than there are.
fn held(source: &mut impl Read, count: u64) -> Result<Vec<u8>, Rejection> {
    let mut held = Vec::new();
    source.take(count).read_to_end(&mut held).map_err(Rejection::corrupt)?;
    if (held.len() as u64) < count { Err(Rejection::Truncated) } else { Ok(held) }
}

fn read_file(source: &mut Source<'_>, wanted: Wanted) -> Result<Decoded, Rejection> {
    let [_, _, _, _, size @ .., _, _, _, _] = bytes::<12>(source)?;
    let size = u64::from(u32::from_le_bytes(size));
    if 8 + size > MAX_FILE {
        return Err(Rejection::TooComplex { part: "the file itself".to_owned() });
    }
    // Nothing after the container belongs to the picture.
    let mut chunks = Chunks::of(size.saturating_sub(4));
    let mut parts = Parts::default();
    while let Some((name, size)) = chunks.next(source)? {
        let mut payload = (&mut *source).take(size);
        match &name {
            b"VP8X" => {
                let bytes = bytes::<10>(&mut payload)?;
                let canvas = (1 + u24(&bytes[4..]), 1 + u24(&bytes[7..]));
                wanted.check_size(canvas.0, canvas.1)?;
                if parts.picture.is_none() {
                    parts.extended = Some((canvas, bytes[0] & EXIF_FLAG != 0));
                }
            }
            b"EXIF" => parts.exif = Some(held(&mut payload, size.min(MAX_EXIF))?),
            b"ICCP" if size <= MAX_PROFILE as u64 => parts.profile = Some(held(&mut payload, size)?),
            b"ANMF" if parts.picture.is_none() => {
                let bytes = bytes::<16>(&mut payload)?;
                parts.left = 2 * u24(&bytes[0..]);
                parts.top = 2 * u24(&bytes[3..]);
                let mut frame = Chunks::of(size - 16);
                while let Some((name, size)) = frame.next(source)? {
                    let mut payload = (&mut *source).take(size);
                    read_picture(&mut parts, &name, &mut payload, wanted)?;
                    let unread = payload.limit();
                    frame.finish(source, unread, size)?;
                }
                chunks.finish(source, 0, size)?;
                continue;
            }
            name => read_picture(&mut parts, name, &mut payload, wanted)?,
        }
        let unread = payload.limit();
        chunks.finish(source, unread, size)?;
    }
    finish(parts, wanted, source.deadline())
}

/// Takes a chunk if it is part of the first picture.
fn read_picture(
    parts: &mut Parts,
    name: &[u8; 4],
    payload: &mut std::io::Take<&mut Source<'_>>,
    wanted: Wanted,
) -> Result<(), Rejection> {
    if parts.picture.is_some() {
        return Ok(());
    }
    match name {
        b"ALPH" => parts.alpha = Some(held(payload, payload.limit())?),
        b"VP8L" => parts.picture = Some(lossless(parts, payload, wanted)?),
        b"VP8 " => {
            let mut data = bytes::<10>(payload)?.to_vec();
            let size = lossy_size(&data)?;
            parts.check_frame(size, wanted)?;
            data.append(&mut held(payload, payload.limit())?);
            parts.picture = Some(Picture::Lossy { data, size });
        }
        _ => {}
    }
    Ok(())
}

/// Averages a lossless picture while it is decoded.
fn lossless(parts: &Parts, payload: &mut std::io::Take<&mut Source<'_>>, wanted: Wanted) -> Result<Picture, Rejection> {
    let limits = vp8l_rows::Limits { max_memory: MAX_MEMORY, deadline: payload.get_ref().deadline() };
    let mut decoder = vp8l_rows::Decoder::new(payload, limits).map_err(explain_lossless)?;
    let vp8l_rows::Header { width, height, alpha } = decoder.header();
    let canvas = parts.check_frame((width, height), wanted)?;
    let alpha = alpha || parts.alpha.is_some() || (width, height) != canvas;
    let factor = match (&parts.exif, parts.extended) {
        // The orientation may still come: keep enough for either way up.
        (None, Some((_, true))) => {
            let [upright, turned] = [Orientation::Upright, Orientation::RotatedClockwise]
                .map(|orientation| factor(wanted, canvas, orientation));
            Factor { x: upright.x.min(turned.x), y: upright.y.min(turned.y) }
        }
        (exif, _) => factor(wanted, canvas, orientation(exif.as_deref())),
    };
    let model = if alpha { Model::Rgba } else { Model::Rgb };
    let mut board = Board::new(parts, (width, height), canvas, factor, alpha);
    while let Some(row) = decoder.next_row().map_err(explain_lossless)? {
        board.push(row);
    }
    Ok(Picture::Lossless { plane: board.finish(), model, canvas })
}

fn orientation(exif: Option<&[u8]>) -> Orientation {
    exif.map(Orientation::from_exif).unwrap_or_default()
}

fn factor(wanted: Wanted, canvas: (u32, u32), orientation: Orientation) -> Factor {
    Factor::leaving(OVERSAMPLE, canvas, wanted.stored_target(canvas, orientation))
}

/// Averages rows of a frame at its place on its canvas, which is transparent elsewhere.
struct Board {
    reducer: Reducer,
    alpha: bool,
    /// A row of the canvas; none where the frame covers it and alpha does not matter.
    line: Vec<u8>,
    /// Samples of `line` that are the frame's.
    place: std::ops::Range<usize>,
    /// Rows of the canvas below the frame.
    below: u32,
}

impl Board {
    fn new(parts: &Parts, size: (u32, u32), canvas: (u32, u32), factor: Factor, alpha: bool) -> Self {
        let kept = if alpha { 4 } else { 3 };
        let mut reducer = Reducer::keeping(kept, 4, canvas.0, canvas.1, factor);
        let line = vec![0; if alpha { canvas.0 as usize * 4 } else { 0 }];
        for _ in 0..parts.top {
            reducer.push(&line);
        }
        let left = parts.left as usize * 4;
        let place = left..left + size.0 as usize * 4;
        Self { reducer, alpha, line, place, below: canvas.1 - parts.top - size.1 }
    }

    /// Takes a row of the frame, straight RGBA.
    fn push(&mut self, row: &[u8]) {
        if !self.alpha {
            return self.reducer.push(row);
        }
        let place = &mut self.line[self.place.clone()];
        place.copy_from_slice(row);
        premultiply(place, 4);
        self.reducer.push(&self.line);
    }

    fn finish(mut self) -> Plane {
        self.line.fill(0);
        for _ in 0..self.below {
            self.reducer.push(&self.line);
        }
        self.reducer.finish()
    }
}

fn finish(mut parts: Parts, wanted: Wanted, deadline: Option<Instant>) -> Result<Decoded, Rejection> {
    let picture = parts.picture.take().ok_or(Rejection::Truncated)?;
    let orientation = orientation(parts.exif.as_deref());
    let (canvas, model, planes) = match picture {
        Picture::Lossless { plane, model, canvas } => (canvas, model, vec![plane]),
        Picture::Lossy { data, size } => {
            let canvas = parts.canvas(size);
            if parts.alpha.is_none() && size == canvas {
                let target = wanted.stored_target(canvas, orientation);
                (canvas, Model::VideoYCbCr, video_planes(&data, canvas, target, deadline)?)
            } else {
                let factor = factor(wanted, canvas, orientation);
                (canvas, Model::Rgba, vec![lossy_with_alpha(&parts, &data, size, canvas, factor, deadline)?])
            }
        }
    };
    Ok(Decoded { width: canvas.0, height: canvas.1, orientation, icc_profile: parts.profile, model, planes })
}

/// A lossy picture with alpha, or without but smaller than its canvas, made smaller as its rows come.
fn lossy_with_alpha(
    parts: &Parts,
    picture: &[u8],
    size: (u32, u32),
    canvas: (u32, u32),
    factor: Factor,
    deadline: Option<Instant>,
) -> Result<Plane, Rejection> {
    let mut decoder = vp8_rows::Decoder::new(picture).map_err(explain_lossy)?;
    let limits = vp8l_rows::Limits { max_memory: MAX_MEMORY, deadline };
    let alpha = parts.alpha.as_deref().map(|alpha| vp8l_rows::Alpha::new(alpha, size, limits));
    let mut alpha = alpha.transpose().map_err(explain_lossless)?;
    let mut board = Board::new(parts, size, canvas, factor, true);
    let width = size.0 as usize;
    let mut pixels = vec![255; width * 4];
    let mut emit = |luminance: &[u8], near: &Chroma, far: &Chroma| {
        if let Some(alpha) = &mut alpha {
            let samples = alpha.next_row().map_err(explain_lossless)?.ok_or(Rejection::Truncated)?;
            for (pixel, &sample) in pixels.as_chunks_mut::<4>().0.iter_mut().zip(samples) {
                pixel[3] = sample;
            }
        }
        Arch::new().dispatch(ToRgb { luminance, near, far, pixels: &mut pixels });
        board.push(&pixels);
        Ok::<(), Rejection>(())
    };
    // A row of chrominance is for two of luminance, each of which also takes from the row of
    // chrominance that is nearest to it of the others.
    let (mut above, mut lower): (Option<Chroma>, Vec<u8>) = (None, Vec::new());
    while let Some(band) = decoder.next_band().map_err(explain_lossy)? {
        let mut luminance = band.luminance.rows();
        for (blue, red) in band.blue.rows().zip(band.red.rows()) {
            let here = Chroma::new(blue, red);
            if let Some(above) = &above {
                emit(&lower, above, &here)?;
            }
            emit(luminance.next().unwrap_or_default(), &here, above.as_ref().unwrap_or(&here))?;
            lower.clear();
            lower.extend_from_slice(luminance.next().unwrap_or_default());
            above = Some(here);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Rejection::TookTooLong);
        }
    }
    if let Some(last) = above.filter(|_| !lower.is_empty()) {
        emit(&lower, &last, &last)?;
    }
    Ok(board.finish())
}

/// A row of chrominance.
struct Chroma {
    blue: Vec<u8>,
    red: Vec<u8>,
}

impl Chroma {
    fn new(blue: &[u8], red: &[u8]) -> Self {
        Self { blue: blue.to_vec(), red: red.to_vec() }
    }
}

/// The colours of a row of luminance from the row of chrominance that covers it and the one nearest
/// to that: nine, three, three and one sixteenth of the four nearest samples, as libwebp has it where
/// it is not told to hurry. Compiled for any processor and for AVX2.
struct ToRgb<'a> {
    luminance: &'a [u8],
    near: &'a Chroma,
    far: &'a Chroma,
    /// Four samples each, of which the last is left as it is.
    pixels: &'a mut [u8],
}

impl NullaryFnOnce for ToRgb<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { luminance, near, far, pixels } = self;
        let (mut blue, mut red) = (Vec::new(), Vec::new());
        spread(&near.blue, &far.blue, &mut blue);
        spread(&near.red, &far.red, &mut red);
        let chroma = blue.iter().zip(&red);
        for ((pixel, &y), (&cb, &cr)) in pixels.as_chunks_mut::<4>().0.iter_mut().zip(luminance).zip(chroma) {
            // ITU-R BT.601 with the levels of video, in parts of 65,536.
            let y = (i32::from(y) - 16) * 76_309 + 32_768;
            let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
            let level = |value: i32| (value >> 16).clamp(0, 255) as u8;
            pixel[0] = level(y + 104_597 * cr);
            pixel[1] = level(y - 25_675 * cb - 53_279 * cr);
            pixel[2] = level(y + 132_201 * cb);
        }
    }
}

/// Two samples for each of `near`.
#[inline(always)]
fn spread(near: &[u8], far: &[u8], out: &mut Vec<u8>) {
    let mixed = |at: usize| 3 * u16::from(near[at]) + u16::from(far[at]);
    out.resize(near.len() * 2, 0);
    let mut before = mixed(0);
    let mut here = before;
    for (at, pair) in out.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        let after = if at + 1 < near.len() { mixed(at + 1) } else { here };
        *pair = [(3 * here + before + 8) >> 4, (3 * here + after + 8) >> 4].map(|sample| sample as u8);
        (before, here) = (here, after);
    }
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

fn u24(bytes: &[u8]) -> u32 {
    u32::from(bytes[0]) | u32::from(bytes[1]) << 8 | u32::from(bytes[2]) << 16
}

/// Width and height, from the first bytes of a lossy bitstream (RFC 6386, section 9.1).
fn lossy_size(data: &[u8]) -> Result<(u32, u32), Rejection> {
    if data[3..6] != [0x9D, 0x01, 0x2A] {
        return Err(Rejection::corrupt("no key frame"));
    }
    let side = |at: usize| u32::from(u16::from_le_bytes([data[at], data[at + 1]]) & 0x3FFF);
    Ok((side(6), side(8)))
}

fn explain_lossless(error: vp8l_rows::Error) -> Rejection {
    match error {
        vp8l_rows::Error::Truncated => Rejection::Truncated,
        vp8l_rows::Error::Limit(part) => Rejection::TooComplex { part: part.to_owned() },
        vp8l_rows::Error::Deadline => Rejection::TookTooLong,
        other => Rejection::corrupt(other),
    }
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
