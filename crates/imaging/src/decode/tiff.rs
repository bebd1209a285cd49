//! TIFF, reduced strip by strip, or by rows of tiles. The file is in memory, because its parts may be in any order. The
//! crate `tiff` reads directories and strips; JPEG strips (TIFF Technical Note 2) are read by `jpeg-scaled`, which has
//! limits. Of several pages, the first is the image.

use std::io::Cursor;
use std::time::Instant;

use jpeg_scaled::{Colour, Limits as JpegLimits};
use tiff::decoder::{BufferLayoutPreference, ChunkType, Decoder, DecodingSampleType, Limits, TiffCodingUnit};
use tiff::tags::{ExtraSamples, SampleFormat, Tag};
use tiff::{ColorType, TiffError, TiffUnsupportedError};

use crate::decode::{DecodeTarget, MAX_PROFILE, enough_rows, guarded};
use crate::exif::{Orientation, TiffTags};
use crate::metadata::Metadata;
use crate::picture::{Decoded, Model, premultiply};
use crate::reduce::{Factor, Reducer};
use crate::source::Source;
use crate::{Error, OVERSAMPLE, Rejection};

/// Bytes of a decoded strip, or row of tiles. Pages of scanners are often one strip: this is an RGB page of 44
/// megapixels.
const MAX_STRIP: usize = 128 << 20;
/// Bytes of the value of a tag: the offsets of 128,000 strips.
const MAX_TAG: usize = 1 << 20;

const PHOTOMETRIC_INTERPRETATION: u16 = 262;
const PALETTE: u16 = 3;
const BLACK_IS_ZERO: u16 = 1;
const JPEG: u16 = 7;
const DNG_VERSION: Tag = Tag::Unknown(50_706);
/// The flag of `NewSubfileType` for a reduced version of another image of the file.
const REDUCED: u32 = 1;

type File<'a> = Decoder<Cursor<&'a [u8]>>;

pub(crate) fn decode(source: &mut Source<'_>, target: DecodeTarget) -> Result<Decoded, Error> {
    let mut file = source.read_whole()?;
    let deadline = source.deadline();
    Ok(guarded(|| decode_file(&mut file, target, deadline))?)
}

fn decode_file(file: &mut [u8], target: DecodeTarget, deadline: Option<Instant>) -> Result<Decoded, Rejection> {
    // `tiff` does not know palettes, whose samples are stored like those of gray images.
    let tags = TiffTags::new(file).filter(|tags| tags.find(PHOTOMETRIC_INTERPRETATION) == Some(PALETTE));
    let entry = tags.and_then(|tags| tags.with_value(PHOTOMETRIC_INTERPRETATION, BLACK_IS_ZERO));
    let is_palette = entry.is_some();
    if let Some((at, entry)) = entry {
        file[at..at + entry.len()].copy_from_slice(&entry);
    }
    let file: &[u8] = file;
    let mut metadata = Metadata::default();
    metadata.add_tiff(file);
    let mut limits = Limits::default();
    (limits.decoding_buffer_size, limits.ifd_value_size) = (MAX_STRIP, MAX_TAG);
    let mut decoder = Decoder::new(Cursor::new(file)).map_err(explain)?.with_limits(limits);
    let (width, height) = decoder.dimensions().map_err(explain)?;
    target.check_size(width, height)?;
    let kind = decoder.find_tag_unsigned::<u32>(Tag::NewSubfileType).map_err(explain)?.unwrap_or_default();
    let mut has = |tag| decoder.find_tag(tag).is_ok_and(|value| value.is_some());
    if has(DNG_VERSION) || kind & REDUCED != 0 && has(Tag::SubIfd) {
        return Err(Rejection::Unsupported { feature: "the RAW data of a camera".to_owned() });
    }

    let layout = Layout::read(&mut decoder, is_palette)?;
    let orientation = decoder.find_tag_unsigned::<u16>(Tag::Orientation).ok().flatten();
    let orientation = orientation.and_then(Orientation::from_tag).unwrap_or_default();
    let icc_profile = decoder.get_tag_u8_vec(Tag::IccProfile).ok().filter(|profile| profile.len() <= MAX_PROFILE);
    let factor = Factor::leaving(OVERSAMPLE, (width, height), target.stored_target((width, height), orientation));
    let mut reducer = Reducer::new(layout.channels, width, height, factor);
    let mut bands = Bands::new(&mut decoder, file, &layout, (width, height))?;
    let row_length = width as usize * layout.channels;
    let (mut last, mut pushed) = (vec![0; row_length], 0);
    let mut truncated = false;
    while pushed < height {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Rejection::DeadlineExceeded);
        }
        match bands.read(&mut decoder, pushed) {
            Ok(()) => {
                for row in bands.rows.chunks_exact_mut(row_length) {
                    layout.premultiply(row);
                    reducer.push(row);
                    last.copy_from_slice(row);
                    pushed += 1;
                }
            }
            // The rows that a truncated file lacks repeat the last one.
            Err(Rejection::Truncated) if enough_rows(pushed, height) => {
                truncated = true;
                (pushed..height).for_each(|_| reducer.push(&last));
                break;
            }
            Err(rejection) => return Err(rejection),
        }
    }
    let planes = vec![reducer.finish()];
    Ok(Decoded { width, height, orientation, icc_profile, model: layout.model, planes, truncated, metadata })
}

/// How samples become the rows of the reducer.
struct Layout {
    model: Model,
    channels: usize,
    /// Samples of a pixel in the file, of which the first `channels` are used.
    samples: usize,
    bits: u8,
    palette: Option<Vec<[u8; 3]>>,
    is_ycbcr: bool,
    has_straight_alpha: bool,
}

impl Layout {
    fn read(decoder: &mut File<'_>, is_palette: bool) -> Result<Self, Rejection> {
        let format = decoder.find_tag_unsigned_vec::<u16>(Tag::SampleFormat).map_err(explain)?.unwrap_or_default();
        if format.iter().any(|&format| format != SampleFormat::Uint.to_u16()) {
            return Err(Rejection::Unsupported { feature: "samples that are not unsigned integers".to_owned() });
        }
        let extra = decoder.find_tag_unsigned_vec::<u16>(Tag::ExtraSamples).map_err(explain)?.unwrap_or_default();
        let extra = extra.first().copied().and_then(ExtraSamples::from_u16);
        let associated = matches!(extra, Some(ExtraSamples::AssociatedAlpha));
        let has_alpha = associated || matches!(extra, Some(ExtraSamples::UnassociatedAlpha));
        let colour = decoder.colortype().map_err(explain)?;
        let (model, channels, samples, bits) = match colour {
            ColorType::Gray(bits) => (Model::Grey, 1, 1, bits),
            ColorType::Multiband { bit_depth, num_samples } if has_alpha && num_samples > 1 => {
                (Model::GreyAlpha, 2, usize::from(num_samples), bit_depth)
            }
            ColorType::Multiband { bit_depth, num_samples } => (Model::Grey, 1, usize::from(num_samples), bit_depth),
            ColorType::RGB(bits) | ColorType::YCbCr(bits) => (Model::Rgb, 3, 3, bits),
            ColorType::RGBA(bits) => (Model::Rgba, 4, 4, bits),
            ColorType::CMYK(bits) => (Model::Cmyk, 4, 4, bits),
            other => return Err(Rejection::Unsupported { feature: format!("the TIFF color type {other:?}") }),
        };
        if !matches!(bits, 1 | 2 | 4 | 8 | 16) || (bits < 8 && samples > 1) {
            return Err(Rejection::Unsupported { feature: format!("TIFF samples of {bits} bits") });
        }
        let layout = Self {
            model,
            channels,
            samples,
            bits,
            palette: None,
            is_ycbcr: matches!(colour, ColorType::YCbCr(_)),
            has_straight_alpha: matches!(model, Model::GreyAlpha | Model::Rgba) && !associated,
        };
        if !is_palette {
            return Ok(layout);
        }
        if model != Model::Grey || bits > 8 {
            return Err(Rejection::corrupt("a palette with these samples"));
        }
        // All reds, then all greens, then all blues.
        let map = decoder.get_tag_u16_vec(Tag::ColorMap).map_err(explain)?;
        let count = 1 << bits;
        if map.len() != 3 * count {
            return Err(Rejection::corrupt("the length of the palette"));
        }
        // Some programs write values of eight bits.
        let shift = if map.iter().any(|&level| level > 255) { 8 } else { 0 };
        let colour = |index| [0, 1, 2].map(|channel: usize| (map[channel * count + index] >> shift) as u8);
        let palette = Some((0..count).map(colour).collect());
        Ok(Self { model: Model::Rgb, channels: 3, palette, ..layout })
    }

    fn premultiply(&self, row: &mut [u8]) {
        if self.has_straight_alpha {
            premultiply(row, self.channels);
        }
    }
}

/// Reads the strips, or rows of tiles, in order.
struct Bands<'a> {
    layout: &'a Layout,
    size: (u32, u32),
    /// The size of a strip or tile.
    chunk: (u32, u32),
    across: u32,
    jpeg: Option<JpegStrips<'a>>,
    /// Bytes of a strip or tile.
    bytes: Vec<u8>,
    /// The decoded rows, with the channels of the reducer.
    rows: Vec<u8>,
}

impl<'a> Bands<'a> {
    fn new(
        decoder: &mut File<'_>,
        file: &'a [u8],
        layout: &'a Layout,
        (width, height): (u32, u32),
    ) -> Result<Self, Rejection> {
        let chunk = decoder.chunk_dimensions();
        let is_tiled = decoder.get_chunk_type() == ChunkType::Tile;
        let chunk = if is_tiled { chunk } else { (width, chunk.1.min(height)) };
        if chunk.0 == 0 || chunk.1 == 0 {
            return Err(Rejection::corrupt("empty strips"));
        }
        let band = u64::from(width) * u64::from(chunk.1.min(height)) * layout.channels as u64;
        if band.max(u64::from(chunk.0) * u64::from(chunk.1) * layout.channels as u64) > MAX_STRIP as u64 {
            return Err(Rejection::TooComplex { part: format!("a strip of more than {} MiB", MAX_STRIP >> 20) });
        }
        let jpeg = JpegStrips::read(decoder, file, layout)?;
        if layout.is_ycbcr && jpeg.is_none() {
            return Err(Rejection::Unsupported { feature: "YCbCr without JPEG compression in a TIFF".to_owned() });
        }
        let across = width.div_ceil(chunk.0);
        Ok(Self { layout, size: (width, height), chunk, across, jpeg, bytes: Vec::new(), rows: Vec::new() })
    }

    /// Reads the band that starts at row `top`.
    fn read(&mut self, decoder: &mut File<'_>, top: u32) -> Result<(), Rejection> {
        let (width, height) = self.size;
        let (rows, stride) = (self.chunk.1.min(height - top), width as usize * self.layout.channels);
        self.rows.clear();
        self.rows.resize(rows as usize * stride, 0);
        for column in 0..self.across {
            let index = top / self.chunk.1 * self.across + column;
            let left = column * self.chunk.0;
            let (from, columns) = (left as usize * self.layout.channels, self.chunk.0.min(width - left));
            if let Some(jpeg) = &self.jpeg {
                let strip = jpeg.decode(index as usize, (columns, rows))?;
                for (y, row) in self.rows.chunks_exact_mut(stride).enumerate() {
                    strip.write_row(y, &mut row[from..from + columns as usize * self.layout.channels]);
                }
                continue;
            }
            let unit = TiffCodingUnit(index);
            let stored = decoder.image_coding_unit_layout(unit).map_err(explain)?;
            if stored.complete_len > MAX_STRIP {
                return Err(Rejection::TooComplex { part: format!("a strip of more than {} MiB", MAX_STRIP >> 20) });
            }
            self.bytes.resize(stored.complete_len, 0);
            decoder.read_coding_unit_bytes(unit, &mut self.bytes).map_err(explain)?;
            for (y, row) in self.rows.chunks_exact_mut(stride).enumerate() {
                let row = &mut row[from..from + columns as usize * self.layout.channels];
                write_row(self.layout, &stored, &self.bytes, y, row)?;
            }
        }
        Ok(())
    }
}

/// Writes row `y` of a strip or tile with eight bits for each sample.
fn write_row(
    layout: &Layout,
    stored: &BufferLayoutPreference,
    bytes: &[u8],
    y: usize,
    out: &mut [u8],
) -> Result<(), Rejection> {
    let missing = || Rejection::corrupt("the layout of a strip");
    let stride = stored.row_stride.ok_or_else(missing)?.get();
    let plane_stride = stored.plane_stride.map_or(0, |stride| stride.get());
    let (channels, samples) = (layout.channels, if stored.planes > 1 { 1 } else { layout.samples });
    let plane = |plane: usize| bytes.get(plane * plane_stride + y * stride..).ok_or_else(missing);
    if layout.bits < 8 {
        let (row, bits) = (plane(0)?, usize::from(layout.bits));
        let mask = (1_u8 << bits) - 1;
        for (x, out) in out.chunks_exact_mut(channels).enumerate() {
            let byte = *row.get(x * bits / 8).ok_or_else(missing)?;
            let value = byte >> (8 - bits - x * bits % 8) & mask;
            match &layout.palette {
                Some(palette) => out.copy_from_slice(&palette[usize::from(value)]),
                None => out[0] = value * (255 / mask),
            }
        }
        return Ok(());
    }
    if let Some(palette) = &layout.palette {
        for (out, &index) in out.chunks_exact_mut(channels).zip(plane(0)?) {
            out.copy_from_slice(&palette[usize::from(index)]);
        }
        return Ok(());
    }
    let width = out.len() / channels;
    for channel in 0..channels {
        let (row, at) = if stored.planes > 1 { (plane(channel)?, 0) } else { (plane(0)?, channel) };
        let out = out.iter_mut().skip(channel).step_by(channels);
        match stored.sample_type {
            Some(DecodingSampleType::U8) => {
                let row = row.get(..width * samples).ok_or_else(missing)?;
                out.zip(row.iter().skip(at).step_by(samples)).for_each(|(out, &sample)| *out = sample);
            }
            Some(DecodingSampleType::U16) => {
                let row = row.get(..width * samples * 2).ok_or_else(missing)?.as_chunks::<2>().0;
                for (out, &sample) in out.zip(row.iter().skip(at).step_by(samples)) {
                    *out = ((u32::from(u16::from_ne_bytes(sample)) * 255 + 32_895) >> 16) as u8;
                }
            }
            _ => return Err(Rejection::corrupt("the samples of a strip")),
        }
    }
    Ok(())
}

/// The strips or tiles of a JPEG-compressed image.
struct JpegStrips<'a> {
    file: &'a [u8],
    /// The tables that all strips share, without EOI.
    tables: Vec<u8>,
    offsets: Vec<u64>,
    lengths: Vec<u64>,
    is_ycbcr: bool,
    channels: usize,
}

impl<'a> JpegStrips<'a> {
    fn read(decoder: &mut File<'_>, file: &'a [u8], layout: &Layout) -> Result<Option<Self>, Rejection> {
        if decoder.find_tag_unsigned::<u16>(Tag::Compression).map_err(explain)? != Some(JPEG) {
            return Ok(None);
        }
        let planar = decoder.find_tag_unsigned::<u16>(Tag::PlanarConfiguration).map_err(explain)?.unwrap_or(1);
        if layout.bits != 8 || layout.palette.is_some() || layout.samples != layout.channels || planar != 1 {
            return Err(Rejection::Unsupported { feature: "a TIFF with this kind of JPEG compression".to_owned() });
        }
        let is_tiled = decoder.get_chunk_type() == ChunkType::Tile;
        let (offsets, lengths) =
            if is_tiled { (Tag::TileOffsets, Tag::TileByteCounts) } else { (Tag::StripOffsets, Tag::StripByteCounts) };
        let mut tables = decoder.get_tag_u8_vec(Tag::JPEGTables).unwrap_or_default();
        if tables.ends_with(&[0xFF, 0xD9]) {
            tables.truncate(tables.len() - 2);
        }
        Ok(Some(Self {
            file,
            tables,
            offsets: decoder.get_tag_u64_vec(offsets).map_err(explain)?,
            lengths: decoder.get_tag_u64_vec(lengths).map_err(explain)?,
            is_ycbcr: layout.is_ycbcr,
            channels: layout.channels,
        }))
    }

    fn decode(&self, index: usize, (columns, rows): (u32, u32)) -> Result<JpegStrip, Rejection> {
        let (Some(&offset), Some(&length)) = (self.offsets.get(index), self.lengths.get(index)) else {
            return Err(Rejection::corrupt("fewer strips than the image has"));
        };
        let start = usize::try_from(offset).ok().and_then(|offset| self.file.get(offset..));
        let stored = start.ok_or(Rejection::Truncated)?;
        let stored = &stored[..stored.len().min(usize::try_from(length).unwrap_or(usize::MAX))];
        // The tables begin with SOI, and so does the strip.
        let strip = if self.tables.is_empty() { stored } else { stored.strip_prefix(&[0xFF, 0xD8]).unwrap_or(stored) };
        let limits = JpegLimits { max_memory: MAX_STRIP, max_profile_bytes: MAX_PROFILE, ..JpegLimits::default() };
        let mut decoder = jpeg_scaled::Decoder::new(std::io::Read::chain(&self.tables[..], strip), limits);
        let header = decoder.read_header().map_err(super::jpeg::explain)?;
        if header.width < columns || header.height < rows || header.components.len() != self.channels {
            return Err(Rejection::corrupt("a strip with another size or other components"));
        }
        let picture = decoder.decode(&vec![8; self.channels]).map_err(super::jpeg::explain)?;
        if picture.complete_rows < rows || picture.damaged_intervals > 0 {
            return Err(Rejection::Truncated);
        }
        // The JPEG inside may say for itself what its components are, with a marker of Adobe.
        let is_ycbcr = self.is_ycbcr && header.colour != Colour::Rgb;
        let shares = header.components.iter().map(|component| {
            let share = |factor: u8, most: fn(&jpeg_scaled::Component) -> u8| {
                usize::from(header.components.iter().map(most).max().unwrap_or(1) / factor.max(1)).max(1)
            };
            (share(component.horizontal, |c| c.horizontal), share(component.vertical, |c| c.vertical))
        });
        let shares = shares.collect();
        Ok(JpegStrip { planes: picture.planes, shares, is_ycbcr })
    }
}

/// A decoded strip.
struct JpegStrip {
    planes: Vec<jpeg_scaled::Plane>,
    /// Pixels for each sample of a plane.
    shares: Vec<(usize, usize)>,
    is_ycbcr: bool,
}

impl JpegStrip {
    fn write_row(&self, y: usize, out: &mut [u8]) {
        let channels = self.planes.len();
        for (channel, (plane, &(across, down))) in self.planes.iter().zip(&self.shares).enumerate() {
            let row = &plane.samples[(y / down).min(plane.height as usize - 1) * plane.stride..];
            for (x, pixel) in out.chunks_exact_mut(channels).enumerate() {
                pixel[channel] = row[(x / across).min(plane.width as usize - 1)];
            }
        }
        if self.is_ycbcr {
            for pixel in out.as_chunks_mut::<3>().0 {
                *pixel = crate::colour::ycbcr_pixel_to_rgb(*pixel);
            }
        }
    }
}

fn explain(error: TiffError) -> Rejection {
    match error {
        TiffError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Rejection::Truncated,
        TiffError::LimitsExceeded => Rejection::TooComplex { part: "a strip or tag of the TIFF".to_owned() },
        TiffError::UnsupportedError(TiffUnsupportedError::UnsupportedCompressionMethod(method)) => {
            Rejection::Unsupported { feature: format!("the TIFF compression {method:?}") }
        }
        TiffError::UnsupportedError(error) => Rejection::Unsupported { feature: format!("a TIFF feature ({error})") },
        other => Rejection::corrupt(other),
    }
}
