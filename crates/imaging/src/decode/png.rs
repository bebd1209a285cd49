//! PNG, reduced row by row during decompression.

use std::io::{BufRead, Read, Seek, SeekFrom};

use jpeg_scaled::XMP_SIGNATURE;
use png::{BitDepth, ColorType, DecodingError, Limits, Transformations};

use crate::decode::{DecodeTarget, MAX_PROFILE, enough_rows};
use crate::exif::Orientation;
use crate::metadata::{MAX_PART, Metadata};
use crate::picture::{Decoded, Model, premultiply};
use crate::reduce::{Factor, Reducer};
use crate::source::Source;
use crate::{Error, OVERSAMPLE, Rejection};

/// Rows between checks of the deadline, in addition to one for each read.
const ROWS_PER_CHECK: u32 = 64;

pub(crate) fn decode(source: &mut Source<'_>, target: DecodeTarget) -> Result<Decoded, Error> {
    let deadline = source.deadline();
    let result = decode_inner(source, target, deadline);
    let decoded = result.map_err(|rejection| source.or_io_error(rejection))?;
    // Errors after the last row are ignored, except those of reading.
    source.check_failure()?;
    Ok(decoded)
}

fn decode_inner(
    source: &mut Source<'_>,
    target: DecodeTarget,
    deadline: Option<std::time::Instant>,
) -> Result<Decoded, Rejection> {
    // The decoder holds whole chunks (profile, Exif) and one row.
    let limits = Limits { bytes: 4 * MAX_PROFILE };
    let mut chunks = ChunkReader::new(source);
    let mut decoder = png::Decoder::new_with_limits(&mut chunks, limits);
    decoder.set_transformations(Transformations::EXPAND);
    decoder.set_ignore_text_chunk(true);
    let header = decoder.read_header_info().map_err(explain)?;
    let (width, height) = (header.width, header.height);
    target.check_size(width, height)?;
    let mut reader = decoder.read_info().map_err(explain)?;

    // `png` 0.18 panics when it expands such a palette.
    if let Some(palette) = &reader.info().palette
        && (!palette.len().is_multiple_of(3) || palette.len() > 3 * 256)
    {
        return Err(Rejection::corrupt("invalid palette"));
    }

    let early_exif = reader.info().exif_metadata.as_deref().map(<[u8]>::to_vec);
    let factor = match &early_exif {
        Some(exif) => {
            let orientation = Orientation::from_exif(exif);
            let target = target.stored_target((width, height), orientation);
            Factor::leaving(OVERSAMPLE, (width, height), target)
        }
        // The orientation may follow the pixels: keep enough for both aspect ratios.
        None => {
            let [upright, turned] = [Orientation::Upright, Orientation::RotatedClockwise]
                .map(|orientation| target.stored_target((width, height), orientation))
                .map(|target| Factor::leaving(OVERSAMPLE, (width, height), target));
            Factor { x: upright.x.min(turned.x), y: upright.y.min(turned.y) }
        }
    };

    let (colour, depth) = reader.output_color_type();
    let (model, channels) = match colour {
        ColorType::Grayscale => (Model::Grey, 1),
        ColorType::GrayscaleAlpha => (Model::GreyAlpha, 2),
        ColorType::Rgb => (Model::Rgb, 3),
        ColorType::Rgba => (Model::Rgba, 4),
        ColorType::Indexed => return Err(Rejection::corrupt("a palette was not expanded")),
    };
    let deep = depth == BitDepth::Sixteen;
    let alpha = matches!(model, Model::GreyAlpha | Model::Rgba);
    let mut reducer = Reducer::new(channels, width, height, factor);
    let interlaced = reader.info().interlaced;
    if interlaced {
        reducer.expect_scattered();
    }
    let mut row = Vec::new();
    let lines: Box<dyn Iterator<Item = (u32, u32, u32)>> =
        if interlaced { Box::new(adam7_lines(width, height)) } else { Box::new((0..height).map(|y| (0, 1, y))) };
    let mut truncated = false;
    for (count, (x, step, y)) in (1_u32..).zip(lines) {
        // The rows that a truncated file lacks repeat the last one.
        if !truncated {
            match reader.next_interlaced_row() {
                Ok(Some(read)) => {
                    row.clear();
                    if deep {
                        row.extend(
                            read.data()
                                .as_chunks::<2>()
                                .0
                                .iter()
                                .map(|&bytes| ((u32::from(u16::from_be_bytes(bytes)) * 255 + 32_895) >> 16) as u8),
                        );
                    } else {
                        row.extend_from_slice(read.data());
                    }
                    if alpha {
                        premultiply(&mut row, channels);
                    }
                }
                Ok(None) => return Err(Rejection::corrupt("fewer rows than the passes have")),
                // Only in the last pass of an interlaced image are all rows above there.
                Err(DecodingError::IoError(error))
                    if error.kind() == std::io::ErrorKind::UnexpectedEof
                        && (!interlaced || y % 2 == 1)
                        && enough_rows(y, height) =>
                {
                    truncated = true;
                }
                Err(error) => return Err(explain(error)),
            }
        }
        if interlaced {
            reducer.scatter(y, x, step, &row);
        } else {
            reducer.push(&row);
        }
        if count.is_multiple_of(ROWS_PER_CHECK)
            && deadline.is_some_and(|deadline| std::time::Instant::now() >= deadline)
        {
            return Err(Rejection::DeadlineExceeded);
        }
    }
    // Metadata may follow. Nothing else after the last row matters.
    let _ = reader.finish();

    let info = reader.info();
    let exif = early_exif.or_else(|| info.exif_metadata.as_deref().map(<[u8]>::to_vec));
    let orientation = exif.as_deref().map(Orientation::from_exif).unwrap_or_default();
    let icc_profile = info.icc_profile.as_deref().filter(|profile| profile.len() <= MAX_PROFILE).map(<[u8]>::to_vec);
    drop(reader);
    let _ = chunks.read_rest();
    let metadata = chunks.metadata;
    let planes = vec![reducer.finish()];
    Ok(Decoded { width, height, orientation, icc_profile, model, planes, truncated, metadata })
}

/// Passes to `png` the chunks that matter. Broken ancillary chunks, later frames of an animation and the suggested palette
/// of an RGB image cannot reject an image then, and alpha values beyond the palette are cut off, as libpng does.
struct ChunkReader<'a, 'b> {
    source: &'a mut Source<'b>,
    /// Bytes to pass before those of the source, from `start`.
    part: Vec<u8>,
    start: usize,
    /// Bytes of the source to pass.
    left: u64,
    indexed: bool,
    palette_colours: usize,
    ended: bool,
    metadata: Metadata,
}

/// The keywords of metadata: XMP (Adobe's XMP specification, part 3, section 1.1.5), and the profiles that ImageMagick writes
/// as hexadecimal digits.
const KEYWORDS: [&[u8]; 4] =
    [XMP_KEYWORD, b"Raw profile type exif\0", b"Raw profile type APP1\0", b"Raw profile type xmp\0"];
const XMP_KEYWORD: &[u8] = b"XML:com.adobe.xmp\0";
/// Bytes of the longest keyword.
const KEYWORD: usize = 22;
/// Bytes of text that are read.
const MAX_TEXT: usize = 2 * MAX_PART;

/// Adds the metadata of a chunk of text (PNG specification, section 11.3.3).
fn add_text(metadata: &mut Metadata, name: &[u8; 4], data: &[u8]) {
    let Some((keyword, rest)) = split_text(data) else { return };
    let inflate = |compressed: &[u8]| {
        let mut text = Vec::new();
        // Of damaged data, the beginning.
        let _ = flate2::read::ZlibDecoder::new(compressed).take(MAX_TEXT as u64).read_to_end(&mut text);
        text
    };
    let text = match (name, rest) {
        (b"tEXt", text) => text.to_vec(),
        // The method of compression, of which there is one.
        (b"zTXt", [_, compressed @ ..]) => inflate(compressed),
        (b"iTXt", [is_compressed, _, rest @ ..]) => {
            // The language, and the keyword in that language.
            let text = split_text(rest).and_then(|(_, rest)| split_text(rest)).map_or(&[][..], |(_, text)| text);
            if *is_compressed == 1 { inflate(text) } else { text.to_vec() }
        }
        _ => return,
    };
    if XMP_KEYWORD.starts_with(keyword) {
        return metadata.add_xmp(&text);
    }
    let profile = raw_profile(&text);
    if let Some(xmp) = profile.strip_prefix(XMP_SIGNATURE) {
        metadata.add_xmp(xmp);
    } else if profile.starts_with(b"<") {
        metadata.add_xmp(&profile);
    } else {
        metadata.add_exif(&profile);
    }
}

/// Splits at the first zero byte.
fn split_text(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = data.iter().position(|&byte| byte == 0)?;
    Some((&data[..end], &data[end + 1..]))
}

/// The bytes of a profile of ImageMagick: after a line break, lines with its name, its length and the digits.
fn raw_profile(text: &[u8]) -> Vec<u8> {
    let digits = text.splitn(4, |&byte| byte == b'\n').nth(3).unwrap_or_default();
    let digits: Vec<u8> = digits.iter().filter_map(|&digit| Some(char::from(digit).to_digit(16)? as u8)).collect();
    digits.as_chunks::<2>().0.iter().map(|&[high, low]| high << 4 | low).collect()
}

/// The color type of palette images (PNG specification, section 11.2.1).
const INDEXED: u8 = 3;

impl<'a, 'b> ChunkReader<'a, 'b> {
    fn new(source: &'a mut Source<'b>) -> Self {
        // The signature is passed.
        Self {
            source,
            part: Vec::new(),
            start: 0,
            left: 8,
            indexed: false,
            palette_colours: 0,
            ended: false,
            metadata: Metadata::default(),
        }
    }

    /// Reads the start of the next chunk that is passed; nothing at the end of the file.
    fn advance(&mut self) -> std::io::Result<()> {
        self.part.clear();
        self.start = 0;
        while self.take(8)? {
            let length = u32::from_be_bytes([self.part[0], self.part[1], self.part[2], self.part[3]]) as usize;
            let name = [self.part[4], self.part[5], self.part[6], self.part[7]];
            // The data and the checksum.
            self.left = length as u64 + 4;
            match &name {
                b"IHDR" if length == 13 => {
                    self.left = 0;
                    self.indexed = self.take(13 + 4)? && self.part[8 + 9] == INDEXED;
                }
                b"PLTE" if self.indexed => self.palette_colours = length / 3,
                b"tRNS" if self.indexed && length > self.palette_colours && length <= 256 + 1 => {
                    self.left = 0;
                    if self.take(length + 4)? {
                        self.part.truncate(8 + self.palette_colours);
                        self.part[..4].copy_from_slice(&(self.palette_colours as u32).to_be_bytes());
                        let checksum = crc32fast::hash(&self.part[4..]);
                        self.part.extend_from_slice(&checksum.to_be_bytes());
                    }
                }
                b"eXIf" if length <= MAX_PART => {
                    self.left = 0;
                    if self.take(length + 4)? {
                        self.metadata.add_exif(&self.part[8..8 + length]);
                    }
                }
                b"tRNS" | b"iCCP" | b"eXIf" => {}
                b"iTXt" | b"zTXt" | b"tEXt" => self.read_text(&name, length)?,
                b"IEND" => self.ended = true,
                b"PLTE" => self.skip()?,
                // Bit 5 of the first letter is set in the names of ancillary chunks.
                [first, ..] if first & 0x20 != 0 => self.skip()?,
                _ => {}
            }
            if !self.part.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Reads a chunk of text of `length` bytes, if it has metadata, and drops it.
    fn read_text(&mut self, name: &[u8; 4], length: usize) -> std::io::Result<()> {
        self.take_data(KEYWORD)?;
        if KEYWORDS.iter().any(|keyword| self.part[8..].starts_with(keyword)) {
            self.take_data(MAX_TEXT)?;
            let data = &self.part[8..];
            add_text(&mut self.metadata, name, &data[..data.len().min(length)]);
        }
        self.skip()
    }

    /// Reads the chunks that `png` has not read.
    fn read_rest(&mut self) -> std::io::Result<()> {
        while !self.ended {
            self.skip()?;
            self.advance()?;
            if self.part.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Drops the chunk.
    fn skip(&mut self) -> std::io::Result<()> {
        self.part.clear();
        while self.left > 0 {
            let count = (self.source.fill_buf()?.len() as u64).min(self.left);
            if count == 0 {
                self.left = 0;
            }
            self.source.consume(count as usize);
            self.left -= count;
        }
        Ok(())
    }

    /// Adds up to `count` bytes of the chunk to the part.
    fn take_data(&mut self, count: usize) -> std::io::Result<()> {
        let before = self.part.len();
        self.take(self.left.min(count as u64) as usize)?;
        self.left -= (self.part.len() - before) as u64;
        Ok(())
    }

    /// Adds `count` bytes to the part; returns false if the file ends before that.
    fn take(&mut self, count: usize) -> std::io::Result<bool> {
        Ok((&mut *self.source).take(count as u64).read_to_end(&mut self.part)? == count)
    }
}

impl BufRead for ChunkReader<'_, '_> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.start == self.part.len() && self.left == 0 {
            self.advance()?;
        }
        if self.start < self.part.len() {
            return Ok(&self.part[self.start..]);
        }
        let available = self.source.fill_buf()?;
        let count = self.left.min(available.len() as u64) as usize;
        Ok(&available[..count])
    }

    fn consume(&mut self, amount: usize) {
        if self.start < self.part.len() {
            self.start += amount;
        } else {
            self.source.consume(amount);
            self.left -= amount as u64;
        }
    }
}

impl Read for ChunkReader<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(out.len());
        out[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// `png` requires this bound but does not seek.
impl Seek for ChunkReader<'_, '_> {
    fn seek(&mut self, _: SeekFrom) -> std::io::Result<u64> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

/// First column, distance between columns, and row of every line of an interlaced image, in the
/// order they are stored (PNG specification, section 8.2). Passes without pixels have no lines.
fn adam7_lines(width: u32, height: u32) -> impl Iterator<Item = (u32, u32, u32)> {
    const PASSES: [(u32, u32, u32, u32); 7] =
        [(0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4), (0, 2, 2, 4), (1, 2, 0, 2), (0, 1, 1, 2)];
    PASSES
        .into_iter()
        .filter(move |&(x, ..)| x < width)
        .flat_map(move |(x, x_step, y, y_step)| (y..height).step_by(y_step as usize).map(move |y| (x, x_step, y)))
}

fn explain(error: DecodingError) -> Rejection {
    match error {
        DecodingError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Rejection::Truncated,
        DecodingError::LimitsExceeded => Rejection::TooComplex { part: "a chunk beside the pixels".to_owned() },
        other => Rejection::corrupt(other),
    }
}
