//! WebP. This module reads the container in order and in pieces; `vp8l-rows` decodes lossless images and
//! alpha by rows while reading, `vp8-rows` decodes lossy images by rows from memory.

use std::io::{BufRead, Read};
use std::time::Instant;

use pulp::{Arch, NullaryFnOnce};

use crate::decode::{DecodeTarget, MAX_PROFILE, enough_rows};
use crate::exif::Orientation;
use crate::metadata::{MAX_PART, Metadata};
use crate::picture::{Decoded, Matrix, Model, Plane, premultiply};
use crate::reduce::{Factor, Reducer};
use crate::source::Source;
use crate::{CHROMA_OVERSAMPLE, Error, OVERSAMPLE, Rejection};

/// The color space of lossy WebP (RFC 9649, section 2.5, and RFC 6386, section 9.2).
const LOSSY_COLOURS: Model = Model::Coded(Matrix::Bt601Limited);

/// The largest file in bytes; more than the largest lossless image within the pixel limit needs.
const MAX_FILE: u64 = 400 << 20;
/// The most chunks of a file or a frame; usual files have a dozen, or one for each frame.
const MAX_CHUNKS: usize = 4096;
/// The Exif flag of a `VP8X` chunk (RFC 9649, section 2.7).
const EXIF_FLAG: u8 = 0x08;
/// Memory limit of lossless decoding; valid images need at most a tenth.
const MAX_MEMORY: usize = 256 << 20;

pub(crate) fn decode(source: &mut Source<'_>, target: DecodeTarget) -> Result<Decoded, Error> {
    let result = read_file(source, target);
    let decoded = result.map_err(|rejection| source.or_io_error(rejection))?;
    // A missing end is ignored, but not errors of reading.
    source.check_failure()?;
    Ok(decoded)
}

/// The contents of the container read so far.
#[derive(Default)]
struct Container {
    /// Canvas size and Exif flag of the `VP8X` chunk.
    extended: Option<((u32, u32), bool)>,
    exif: Option<Vec<u8>>,
    metadata: Metadata,
    profile: Option<Vec<u8>>,
    alpha: Option<Vec<u8>>,
    pixels: Option<FramePixels>,
    /// Position of the frame on the canvas.
    left: u32,
    top: u32,
}

/// The image, or the first frame; later frames are ignored.
enum FramePixels {
    /// Decoded while reading.
    Lossless { plane: Plane, model: Model, canvas: (u32, u32), truncated: bool },
    /// The payload of the chunk.
    Lossy { data: Vec<u8>, size: (u32, u32) },
}

impl Container {
    fn canvas(&self, size: (u32, u32)) -> (u32, u32) {
        self.extended.map_or(size, |(canvas, _)| canvas)
    }

    /// Checks the size and position of a frame before decoding; returns the size of the canvas.
    fn check_frame(&self, size: (u32, u32), target: DecodeTarget) -> Result<(u32, u32), Rejection> {
        let canvas = self.canvas(size);
        target.check_size(canvas.0, canvas.1)?;
        target.check_size(size.0, size.1)?;
        if u64::from(self.left) + u64::from(size.0) > u64::from(canvas.0)
            || u64::from(self.top) + u64::from(size.1) > u64::from(canvas.1)
        {
            return Err(Rejection::corrupt("a frame outside of its canvas"));
        }
        Ok(canvas)
    }
}

/// Iterates over the chunks of a file or a frame with `left` bytes.
struct Chunks {
    left: u64,
    count: usize,
}

impl Chunks {
    fn of(left: u64) -> Self {
        Self { left, count: 0 }
    }

    /// Name and size of the next chunk. A chunk that exceeds its container is an error; missing padding is not.
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

    /// Skips the `unread` bytes of a chunk of `size` bytes, and its padding.
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

/// Reads `count` bytes; allocates only what the source has.
fn read_exact_vec(source: &mut impl Read, count: u64) -> Result<Vec<u8>, Rejection> {
    let mut bytes = Vec::new();
    source.take(count).read_to_end(&mut bytes).map_err(Rejection::corrupt)?;
    if (bytes.len() as u64) < count { Err(Rejection::Truncated) } else { Ok(bytes) }
}

fn read_file(source: &mut Source<'_>, target: DecodeTarget) -> Result<Decoded, Rejection> {
    let [_, _, _, _, size @ .., _, _, _, _] = bytes::<12>(source)?;
    let size = u64::from(u32::from_le_bytes(size));
    if 8 + size > MAX_FILE {
        return Err(Rejection::TooComplex { part: "the file itself".to_owned() });
    }
    // Data after the container is ignored.
    let mut chunks = Chunks::of(size.saturating_sub(4));
    let mut container = Container::default();
    loop {
        match read_chunk(source, &mut chunks, &mut container, target) {
            Ok(true) => {}
            Ok(false) => break,
            // The image is there: what follows is optional, and may lack its end.
            Err(Rejection::Truncated | Rejection::TooComplex { .. }) if container.pixels.is_some() => break,
            Err(rejection) => return Err(rejection),
        }
    }
    finish(container, target, source.deadline())
}

/// Reads the next chunk of the file; returns false at the end.
fn read_chunk(
    source: &mut Source<'_>,
    chunks: &mut Chunks,
    container: &mut Container,
    target: DecodeTarget,
) -> Result<bool, Rejection> {
    let Some((name, size)) = chunks.next(source)? else { return Ok(false) };
    let mut payload = (&mut *source).take(size);
    match &name {
        b"VP8X" => {
            let bytes = bytes::<10>(&mut payload)?;
            let canvas = (1 + u24(&bytes[4..]), 1 + u24(&bytes[7..]));
            target.check_size(canvas.0, canvas.1)?;
            if container.pixels.is_none() {
                container.extended = Some((canvas, bytes[0] & EXIF_FLAG != 0));
            }
        }
        b"EXIF" => {
            let exif = read_exact_vec(&mut payload, size.min(MAX_PART as u64))?;
            container.metadata.add_exif(&exif);
            container.exif = Some(exif);
        }
        b"XMP " => {
            let mut xmp = Vec::new();
            (&mut payload).take(MAX_PART as u64).read_to_end(&mut xmp).map_err(Rejection::corrupt)?;
            container.metadata.add_xmp(&xmp);
        }
        b"ICCP" if size <= MAX_PROFILE as u64 => container.profile = Some(read_exact_vec(&mut payload, size)?),
        b"ANMF" if container.pixels.is_none() => {
            let bytes = bytes::<16>(&mut payload)?;
            container.left = 2 * u24(&bytes[0..]);
            container.top = 2 * u24(&bytes[3..]);
            let mut frame = Chunks::of(size - 16);
            while let Some((name, size)) = frame.next(source)? {
                let mut payload = (&mut *source).take(size);
                read_frame_chunk(container, &name, &mut payload, target)?;
                let unread = payload.limit();
                frame.finish(source, unread, size)?;
            }
            chunks.finish(source, 0, size)?;
            return Ok(true);
        }
        name => read_frame_chunk(container, name, &mut payload, target)?,
    }
    let unread = payload.limit();
    chunks.finish(source, unread, size)?;
    Ok(true)
}

/// Reads a chunk of the first frame; ignores others.
fn read_frame_chunk(
    container: &mut Container,
    name: &[u8; 4],
    payload: &mut std::io::Take<&mut Source<'_>>,
    target: DecodeTarget,
) -> Result<(), Rejection> {
    if container.pixels.is_some() {
        return Ok(());
    }
    match name {
        b"ALPH" => container.alpha = Some(read_exact_vec(payload, payload.limit())?),
        b"VP8L" => container.pixels = Some(lossless(container, payload, target)?),
        b"VP8 " => {
            let mut data = bytes::<10>(payload)?.to_vec();
            let size = lossy_size(&data)?;
            container.check_frame(size, target)?;
            // The decoder reports missing data.
            payload.read_to_end(&mut data).map_err(Rejection::corrupt)?;
            container.pixels = Some(FramePixels::Lossy { data, size });
        }
        _ => {}
    }
    Ok(())
}

/// Decodes and reduces a lossless image.
fn lossless(
    container: &Container,
    payload: &mut std::io::Take<&mut Source<'_>>,
    target: DecodeTarget,
) -> Result<FramePixels, Rejection> {
    let limits = vp8l_rows::Limits { max_memory: MAX_MEMORY, deadline: payload.get_ref().deadline() };
    let mut decoder = vp8l_rows::Decoder::new(payload, limits).map_err(explain_lossless)?;
    let vp8l_rows::Header { width, height, alpha_is_used } = decoder.header();
    let canvas = container.check_frame((width, height), target)?;
    let alpha = alpha_is_used || container.alpha.is_some() || (width, height) != canvas;
    let factor = match (&container.exif, container.extended) {
        // The orientation may follow: keep enough for both aspect ratios.
        (None, Some((_, true))) => {
            let [upright, turned] = [Orientation::Upright, Orientation::RotatedClockwise]
                .map(|orientation| factor(target, canvas, orientation));
            Factor { x: upright.x.min(turned.x), y: upright.y.min(turned.y) }
        }
        (exif, _) => factor(target, canvas, orientation(exif.as_deref())),
    };
    let model = if alpha { Model::Rgba } else { Model::Rgb };
    let mut compositor = CanvasCompositor::new(container, (width, height), canvas, factor, alpha);
    let mut truncated = false;
    for y in 0..height {
        match decoder.next_row() {
            Ok(Some(row)) => compositor.push(row),
            Ok(None) => break,
            Err(vp8l_rows::Error::Truncated) if enough_rows(y, height) => {
                (y..height).for_each(|_| compositor.push(decoder.last_row()));
                truncated = true;
                break;
            }
            Err(error) => return Err(explain_lossless(error)),
        }
    }
    Ok(FramePixels::Lossless { plane: compositor.finish(), model, canvas, truncated })
}

fn orientation(exif: Option<&[u8]>) -> Orientation {
    exif.map(Orientation::from_exif).unwrap_or_default()
}

fn factor(target: DecodeTarget, canvas: (u32, u32), orientation: Orientation) -> Factor {
    Factor::leaving(OVERSAMPLE, canvas, target.stored_target(canvas, orientation))
}

/// Reduces the rows of a frame on its canvas, which is transparent outside of the frame.
struct CanvasCompositor {
    reducer: Reducer,
    alpha: bool,
    /// A row of the canvas; empty without alpha, when the frame covers the canvas.
    line: Vec<u8>,
    /// The samples of the frame in `line`.
    place: std::ops::Range<usize>,
    /// Rows of the canvas below the frame.
    below: u32,
}

impl CanvasCompositor {
    fn new(container: &Container, size: (u32, u32), canvas: (u32, u32), factor: Factor, alpha: bool) -> Self {
        let kept = if alpha { 4 } else { 3 };
        let mut reducer = Reducer::keeping(kept, 4, canvas.0, canvas.1, factor);
        let line = vec![0; if alpha { canvas.0 as usize * 4 } else { 0 }];
        for _ in 0..container.top {
            reducer.push(&line);
        }
        let left = container.left as usize * 4;
        let place = left..left + size.0 as usize * 4;
        Self { reducer, alpha, line, place, below: canvas.1 - container.top - size.1 }
    }

    /// Adds a row of the frame in straight RGBA.
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

fn finish(mut container: Container, target: DecodeTarget, deadline: Option<Instant>) -> Result<Decoded, Rejection> {
    let pixels = container.pixels.take().ok_or(Rejection::Truncated)?;
    let orientation = orientation(container.exif.as_deref());
    let (canvas, model, (planes, truncated)) = match pixels {
        FramePixels::Lossless { plane, model, canvas, truncated } => (canvas, model, (vec![plane], truncated)),
        FramePixels::Lossy { data, size } => {
            let canvas = container.canvas(size);
            if container.alpha.is_none() && size == canvas {
                let target = target.stored_target(canvas, orientation);
                (canvas, LOSSY_COLOURS, limited_range_planes(&data, canvas, target, deadline)?)
            } else {
                let factor = factor(target, canvas, orientation);
                let (plane, truncated) = lossy_with_alpha(&container, &data, size, canvas, factor, deadline)?;
                (canvas, Model::Rgba, (vec![plane], truncated))
            }
        }
    };
    let (width, height) = canvas;
    let Container { profile: icc_profile, metadata, .. } = container;
    Ok(Decoded { width, height, orientation, icc_profile, model, planes, truncated, metadata })
}

/// Decodes and reduces a lossy image with alpha, or one smaller than its canvas. The flag is [`Decoded::truncated`].
fn lossy_with_alpha(
    container: &Container,
    chunk: &[u8],
    size: (u32, u32),
    canvas: (u32, u32),
    factor: Factor,
    deadline: Option<Instant>,
) -> Result<(Plane, bool), Rejection> {
    let mut decoder = vp8_rows::Decoder::new(chunk).map_err(explain_lossy)?;
    let limits = vp8l_rows::Limits { max_memory: MAX_MEMORY, deadline };
    let alpha = container.alpha.as_deref().map(|alpha| vp8l_rows::Alpha::new(alpha, size, limits));
    let mut alpha = alpha.transpose().map_err(explain_lossless)?;
    let mut compositor = CanvasCompositor::new(container, size, canvas, factor, true);
    let width = size.0 as usize;
    let mut pixels = vec![255; width * 4];
    let mut rows = 0;
    let mut emit = |y: &[u8], near: &Chroma, far: &Chroma| {
        if let Some(alpha) = &mut alpha {
            let samples = alpha.next_row().map_err(explain_lossless)?.ok_or(Rejection::Truncated)?;
            for (pixel, &sample) in pixels.as_chunks_mut::<4>().0.iter_mut().zip(samples) {
                pixel[3] = sample;
            }
        }
        Arch::new().dispatch(ToRgb { y, near, far, pixels: &mut pixels });
        compositor.push(&pixels);
        rows += 1;
        Ok::<(), Rejection>(())
    };
    // A row of chroma covers two rows of Y; each is interpolated with the next nearest row of chroma.
    let (mut above, mut lower): (Option<Chroma>, Vec<u8>) = (None, Vec::new());
    let mut end = None;
    loop {
        let band = match decoder.next_band() {
            Ok(Some(band)) => band,
            Ok(None) => break,
            Err(error) => {
                end = Some(error);
                break;
            }
        };
        let mut y = band.y.rows();
        for (u, v) in band.u.rows().zip(band.v.rows()) {
            let here = Chroma::new(u, v);
            if let Some(above) = &above {
                emit(&lower, above, &here)?;
            }
            emit(y.next().unwrap_or_default(), &here, above.as_ref().unwrap_or(&here))?;
            lower.clear();
            lower.extend_from_slice(y.next().unwrap_or_default());
            above = Some(here);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Rejection::DeadlineExceeded);
        }
    }
    if let Some(last) = above.filter(|_| !lower.is_empty()) {
        emit(&lower, &last, &last)?;
    }
    let truncated = end.is_some();
    if let Some(error) = end {
        check_missing_rows(error, rows, size.1)?;
        (rows..size.1).for_each(|_| compositor.push(&pixels));
    }
    Ok((compositor.finish(), truncated))
}

/// Returns the error of the decoder, unless it is the end of the data and enough rows are there.
fn check_missing_rows(error: vp8_rows::Error, rows: u32, height: u32) -> Result<(), Rejection> {
    match error {
        vp8_rows::Error::Truncated if enough_rows(rows, height) => Ok(()),
        error => Err(explain_lossy(error)),
    }
}

/// A row of chroma.
struct Chroma {
    u: Vec<u8>,
    v: Vec<u8>,
}

impl Chroma {
    fn new(u: &[u8], v: &[u8]) -> Self {
        Self { u: u.to_vec(), v: v.to_vec() }
    }
}

/// Converts a row of Y and its two nearest rows of chroma to RGB. Chroma is interpolated from the four
/// nearest samples with 9, 3, 3 and 1 sixteenths, like libwebp's fancy upsampling. Compiled for every
/// processor and for AVX2.
struct ToRgb<'a> {
    y: &'a [u8],
    near: &'a Chroma,
    far: &'a Chroma,
    /// RGBA; alpha is unchanged.
    pixels: &'a mut [u8],
}

impl NullaryFnOnce for ToRgb<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { y, near, far, pixels } = self;
        let (mut u, mut v) = (Vec::new(), Vec::new());
        spread(&near.u, &far.u, &mut u);
        spread(&near.v, &far.v, &mut v);
        let chroma = u.iter().zip(&v);
        for ((pixel, &y), (&cb, &cr)) in pixels.as_chunks_mut::<4>().0.iter_mut().zip(y).zip(chroma) {
            // Limited-range ITU-R BT.601, in 16-bit fixed point.
            let y = (i32::from(y) - 16) * 76_309 + 32_768;
            let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
            let level = |value: i32| (value >> 16).clamp(0, 255) as u8;
            pixel[0] = level(y + 104_597 * cr);
            pixel[1] = level(y - 25_675 * cb - 53_279 * cr);
            pixel[2] = level(y + 132_201 * cb);
        }
    }
}

/// Interpolates two samples for each one of `near`.
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

/// Decodes and reduces a lossy image in its own planes. The flag is [`Decoded::truncated`].
fn limited_range_planes(
    chunk: &[u8],
    (width, height): (u32, u32),
    target: (u32, u32),
    deadline: Option<Instant>,
) -> Result<(Vec<Plane>, bool), Rejection> {
    let mut decoder = vp8_rows::Decoder::new(chunk).map_err(explain_lossy)?;
    let half = (width.div_ceil(2), height.div_ceil(2));
    let factors =
        [Factor::leaving(OVERSAMPLE, (width, height), target), Factor::leaving(CHROMA_OVERSAMPLE, half, target)];
    let [mut y, mut u, mut v] = [
        Reducer::new(1, width, height, factors[0]),
        Reducer::new(1, half.0, half.1, factors[1]),
        Reducer::new(1, half.0, half.1, factors[1]),
    ];
    let mut rows = 0;
    // The last row of each plane, kept where the rows may end.
    let mut last = [const { Vec::new() }; 3];
    let mut truncated = false;
    while rows < height {
        let band = match decoder.next_band() {
            Ok(Some(band)) => band,
            Ok(None) => break,
            Err(error) => {
                check_missing_rows(error, rows, height)?;
                (rows..height).for_each(|_| y.push(&last[0]));
                (rows.div_ceil(2)..half.1).for_each(|_| {
                    u.push(&last[1]);
                    v.push(&last[2]);
                });
                truncated = true;
                break;
            }
        };
        band.y.rows().for_each(|row| y.push(row));
        band.u.rows().for_each(|row| u.push(row));
        band.v.rows().for_each(|row| v.push(row));
        rows = band.first_row + band.y.rows().len() as u32;
        if enough_rows(rows, height) {
            last = [band.y, band.u, band.v].map(|plane| plane.rows().last().unwrap_or_default().to_vec());
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Rejection::DeadlineExceeded);
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
    Ok((vec![y.finish(), colour(u), colour(v)], truncated))
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

/// Width and height of a key frame (RFC 6386, section 9.1).
fn lossy_size(data: &[u8]) -> Result<(u32, u32), Rejection> {
    if data[3..6] != [0x9D, 0x01, 0x2A] {
        return Err(Rejection::corrupt("not a key frame"));
    }
    let side = |at: usize| u32::from(u16::from_le_bytes([data[at], data[at + 1]]) & 0x3FFF);
    Ok((side(6), side(8)))
}

fn explain_lossless(error: vp8l_rows::Error) -> Rejection {
    match error {
        vp8l_rows::Error::Truncated => Rejection::Truncated,
        vp8l_rows::Error::Limit(part) => Rejection::TooComplex { part: part.to_owned() },
        vp8l_rows::Error::Deadline => Rejection::DeadlineExceeded,
        other => Rejection::corrupt(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadline_is_checked_between_rows() {
        let config = webpx::EncoderConfig::new();
        let file = config.encode_rgb(&[90; 40 * 50 * 3], 40, 50, webpx::Unstoppable).expect("libwebp encodes it");
        let planes = |deadline| limited_range_planes(&file[20..], (40, 50), (10, 12), deadline);
        assert_eq!(planes(None).expect("a picture").0.len(), 3);
        assert!(matches!(planes(Some(Instant::now())), Err(Rejection::DeadlineExceeded)));
    }
}
