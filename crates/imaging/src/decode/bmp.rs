//! BMP, reduced row by row while reading: Windows bitmaps of all versions and those of OS/2, compressed or not. Microsoft's
//! documentation of `BITMAPINFOHEADER` and `BITMAPV5HEADER` names the fields.

use std::io::{ErrorKind, Read};

use crate::decode::{DecodeTarget, MAX_PROFILE, enough_rows};
use crate::exif::Orientation;
use crate::metadata::Metadata;
use crate::picture::{Decoded, Model, premultiply};
use crate::reduce::{Factor, Reducer};
use crate::source::Source;
use crate::{Error, OVERSAMPLE, Rejection};

/// The bytes before the header of the bitmap.
const FILE_HEADER: usize = 14;
/// The length of `BITMAPCOREHEADER`, that of OS/2 1.x.
const CORE_HEADER: u32 = 12;
/// The most bytes between the headers and the pixels, which nothing uses.
const MAX_GAP: u32 = 1 << 20;

pub(crate) fn decode(source: &mut Source<'_>, target: DecodeTarget) -> Result<Decoded, Error> {
    let result = decode_inner(source, target);
    result.map_err(|rejection| source.or_io_error(rejection))
}

/// How pixels are stored (`biCompression`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    /// Palette indexes of 1, 2, 4 or 8 bits.
    Indexes,
    /// Run lengths of palette indexes of 4 or 8 bits.
    RunLengths,
    /// Pixels of 2 or 4 bytes, with masks of red, green, blue and alpha.
    Masks([u32; 4]),
    /// Bytes of blue, green and red.
    Bytes,
}

struct Header {
    width: u32,
    height: u32,
    top_down: bool,
    bits: u32,
    coding: Coding,
    palette: Vec<[u8; 3]>,
    /// Position and length of the ICC profile in the file.
    profile: Option<(u64, usize)>,
}

/// Reads forward, counting.
struct Reader<'a, 'b> {
    source: &'a mut Source<'b>,
    position: u64,
}

impl Reader<'_, '_> {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), Rejection> {
        let result = self.source.read_exact(out);
        self.position += out.len() as u64;
        result.map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => Rejection::Truncated,
            _ => Rejection::corrupt(error),
        })
    }

    fn bytes(&mut self, count: usize) -> Result<Vec<u8>, Rejection> {
        let mut bytes = vec![0; count];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn pair(&mut self) -> Result<[u8; 2], Rejection> {
        let mut pair = [0; 2];
        self.fill(&mut pair)?;
        Ok(pair)
    }

    fn skip_to(&mut self, position: u64) -> Result<(), Rejection> {
        let count = position - self.position;
        let skipped = std::io::copy(&mut self.source.by_ref().take(count), &mut std::io::sink());
        self.position = position;
        match skipped {
            Ok(skipped) if skipped == count => Ok(()),
            Ok(_) => Err(Rejection::Truncated),
            Err(error) => Err(Rejection::corrupt(error)),
        }
    }
}

fn decode_inner(source: &mut Source<'_>, target: DecodeTarget) -> Result<Decoded, Rejection> {
    let mut reader = Reader { source, position: 0 };
    let header = read_header(&mut reader, target)?;
    let (width, height) = (header.width, header.height);
    let alpha = matches!(header.coding, Coding::Masks([.., alpha]) if alpha != 0);
    let (model, channels) = if alpha { (Model::Rgba, 4) } else { (Model::Rgb, 3) };
    // The usual order of rows is from the bottom up.
    let orientation = if header.top_down { Orientation::Upright } else { Orientation::MirroredVertically };
    let factor = Factor::leaving(OVERSAMPLE, (width, height), target.stored_target((width, height), orientation));
    let mut reducer = Reducer::new(channels, width, height, factor);
    let mut rows = Rows::new(&header);
    let mut row = Vec::with_capacity(width as usize * channels);
    let mut truncated = false;
    for y in 0..height {
        // The rows that a truncated file lacks repeat the last one.
        if !truncated {
            match rows.read(&mut reader) {
                Ok(()) => {
                    row.clear();
                    rows.write_colours(&mut row);
                    if alpha {
                        premultiply(&mut row, channels);
                    }
                }
                Err(Rejection::Truncated) if enough_rows(y, height) => truncated = true,
                Err(rejection) => return Err(rejection),
            }
        }
        reducer.push(&row);
    }
    let icc_profile = match header.profile {
        Some((position, length)) if position >= reader.position && !truncated => {
            reader.skip_to(position).and_then(|()| reader.bytes(length)).ok()
        }
        _ => None,
    };
    Ok(Decoded {
        width,
        height,
        orientation,
        icc_profile,
        model,
        planes: vec![reducer.finish()],
        truncated,
        metadata: Metadata::default(),
    })
}

fn read_header(reader: &mut Reader<'_, '_>, target: DecodeTarget) -> Result<Header, Rejection> {
    let start = reader.bytes(FILE_HEADER + 4)?;
    let pixels = u64::from(u32_at(&start, 10));
    let length = u32_at(&start, FILE_HEADER);
    if !(CORE_HEADER..=1024).contains(&length) {
        return Err(Rejection::corrupt("the length of the header"));
    }
    // Its fields have the offsets of the documentation then. OS/2 2.x may leave out the last ones.
    let mut fields = length.to_le_bytes().to_vec();
    fields.extend(reader.bytes(length as usize - 4)?);
    let is_core = length == CORE_HEADER;
    fields.resize(fields.len().max(124), 0);
    let (width, height, bits) = if is_core {
        (i32::from(u16_at(&fields, 4)), i32::from(u16_at(&fields, 6)), u16_at(&fields, 10))
    } else {
        (u32_at(&fields, 4).cast_signed(), u32_at(&fields, 8).cast_signed(), u16_at(&fields, 14))
    };
    let (compression, used) = if is_core { (0, 0) } else { (u32_at(&fields, 16), u32_at(&fields, 32)) };
    if width < 0 {
        return Err(Rejection::corrupt("a negative width"));
    }
    let (width, top_down, height) = (width.unsigned_abs(), height < 0, height.unsigned_abs());
    target.check_size(width, height)?;

    let bits = u32::from(bits);
    let coding = match (compression, bits) {
        (0, 1 | 2 | 4 | 8) => Coding::Indexes,
        (1, 8) | (2, 4) => Coding::RunLengths,
        (0, 24) => Coding::Bytes,
        (0, 16) => Coding::Masks([0x7C00, 0x03E0, 0x001F, 0]),
        (0, 32) => Coding::Masks([0x00FF_0000, 0x0000_FF00, 0x0000_00FF, 0]),
        (3 | 6, 16 | 32) => {
            // Behind the oldest header, the masks follow it.
            if length == 40 {
                let count = if compression == 6 { 16 } else { 12 };
                let masks = reader.bytes(count)?;
                fields[40..40 + count].copy_from_slice(&masks);
            }
            let alpha = if length >= 56 || compression == 6 { u32_at(&fields, 52) } else { 0 };
            Coding::Masks([u32_at(&fields, 40), u32_at(&fields, 44), u32_at(&fields, 48), alpha])
        }
        (4, _) => return Err(Rejection::Unsupported { feature: "a JPEG in a BMP".to_owned() }),
        (5, _) => return Err(Rejection::Unsupported { feature: "a PNG in a BMP".to_owned() }),
        _ => {
            let feature = format!("BMP compression {compression} with {bits} bits for each pixel");
            return Err(Rejection::Unsupported { feature });
        }
    };
    if top_down && coding == Coding::RunLengths {
        return Err(Rejection::corrupt("run lengths from the top down"));
    }

    let mut palette = Vec::new();
    if bits <= 8 {
        let entry = if is_core { 3 } else { 4 };
        let most = 1 << bits;
        let count = if used == 0 { most } else { used.min(256) };
        // Some programs write fewer colors than they say.
        let room = pixels.checked_sub(reader.position).map_or(u64::MAX, |room| room / entry);
        let count = u64::from(count).min(room) as usize;
        let bytes = reader.bytes(count * entry as usize)?;
        palette = bytes.chunks_exact(entry as usize).map(|colour| [colour[2], colour[1], colour[0]]).collect();
        // Indexes beyond the palette are black.
        palette.resize(256, [0; 3]);
    }
    let profile = (length >= 124 && u32_at(&fields, 56) == u32::from_be_bytes(*b"MBED"))
        .then(|| (FILE_HEADER as u64 + u64::from(u32_at(&fields, 112)), u32_at(&fields, 116) as usize))
        .filter(|&(_, length)| length <= MAX_PROFILE);
    if pixels > reader.position {
        if pixels - reader.position > u64::from(MAX_GAP) {
            return Err(Rejection::TooComplex { part: "the gap before the pixels".to_owned() });
        }
        reader.skip_to(pixels)?;
    }
    Ok(Header { width, height, top_down, bits, coding, palette, profile })
}

/// The rows of the pixels, in the order of the file.
struct Rows<'a> {
    header: &'a Header,
    /// A row as it is stored, or one palette index in each byte.
    row: Vec<u8>,
    /// For run lengths: the column in `row`, and the rows and columns to skip.
    column: usize,
    skip: Option<(u8, u8)>,
    ended: bool,
}

impl<'a> Rows<'a> {
    fn new(header: &'a Header) -> Self {
        let length = match header.coding {
            Coding::RunLengths => header.width as usize,
            _ => (u64::from(header.width) * u64::from(header.bits)).div_ceil(32) as usize * 4,
        };
        Self { header, row: vec![0; length], column: 0, skip: None, ended: false }
    }

    fn read(&mut self, reader: &mut Reader<'_, '_>) -> Result<(), Rejection> {
        if self.header.coding == Coding::RunLengths { self.read_runs(reader) } else { reader.fill(&mut self.row) }
    }

    /// Reads to the end of a row. Pixels that are skipped have the index 0.
    fn read_runs(&mut self, reader: &mut Reader<'_, '_>) -> Result<(), Rejection> {
        self.row.fill(0);
        if self.ended || self.takes_a_skipped_row() {
            return Ok(());
        }
        let four_bits = self.header.bits == 4;
        loop {
            match reader.pair()? {
                [0, 0] => {
                    self.column = 0;
                    return Ok(());
                }
                [0, 1] => {
                    self.ended = true;
                    return Ok(());
                }
                [0, 2] => {
                    let [across, down] = reader.pair()?;
                    self.skip = Some((across, down));
                    if self.takes_a_skipped_row() {
                        return Ok(());
                    }
                }
                [0, count] => {
                    let count = usize::from(count);
                    let bytes = if four_bits { count.div_ceil(2) } else { count };
                    // Padded to 16 bits.
                    let indexes = reader.bytes(bytes.next_multiple_of(2))?;
                    for at in 0..count {
                        self.put(if four_bits { nibble(indexes[at / 2], at) } else { indexes[at] });
                    }
                }
                [count, index] => {
                    for at in 0..usize::from(count) {
                        self.put(if four_bits { nibble(index, at) } else { index });
                    }
                }
            }
        }
    }

    /// Returns true if a row was skipped. Without more rows to skip, moves to the right.
    fn takes_a_skipped_row(&mut self) -> bool {
        match self.skip.take() {
            Some((across, 0)) => {
                self.column += usize::from(across);
                false
            }
            Some((across, down)) => {
                self.skip = Some((across, down - 1));
                true
            }
            None => false,
        }
    }

    /// Pixels beyond the row are dropped.
    fn put(&mut self, index: u8) {
        if let Some(pixel) = self.row.get_mut(self.column) {
            *pixel = index;
        }
        self.column += 1;
    }

    /// Appends the row's colors, straight.
    fn write_colours(&self, out: &mut Vec<u8>) {
        let Header { width, bits, palette, .. } = self.header;
        let width = *width as usize;
        match self.header.coding {
            Coding::Bytes => {
                out.extend(self.row.as_chunks::<3>().0[..width].iter().flat_map(|&[b, g, r]| [r, g, b]));
            }
            Coding::RunLengths => out.extend(self.row.iter().flat_map(|&index| palette[usize::from(index)])),
            Coding::Indexes if *bits == 8 => {
                out.extend(self.row[..width].iter().flat_map(|&index| palette[usize::from(index)]));
            }
            Coding::Indexes => {
                let (bits, mask) = (*bits as usize, (1_u8 << bits) - 1);
                let index = |x: usize| self.row[x * bits / 8] >> (8 - bits - x * bits % 8) & mask;
                out.extend((0..width).flat_map(|x| palette[usize::from(index(x))]));
            }
            Coding::Masks(masks) => {
                let channels = masks.map(Channel::new);
                let channels = if masks[3] == 0 { &channels[..3] } else { &channels };
                let pixel = |bytes: &[u8]| match *bytes {
                    [a, b] => u32::from(u16::from_le_bytes([a, b])),
                    [a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
                    _ => 0,
                };
                for bytes in self.row.chunks_exact(*bits as usize / 8).take(width) {
                    let pixel = pixel(bytes);
                    out.extend(channels.iter().map(|channel| channel.level(pixel)));
                }
            }
        }
    }
}

/// The bits of a color in a pixel.
struct Channel {
    mask: u32,
    shift: u32,
    most: u64,
}

impl Channel {
    fn new(mask: u32) -> Self {
        let shift = mask.trailing_zeros().min(31);
        Self { mask, shift, most: u64::from(mask >> shift).max(1) }
    }

    fn level(&self, pixel: u32) -> u8 {
        let value = u64::from((pixel & self.mask) >> self.shift);
        ((value * 255 + self.most / 2) / self.most) as u8
    }
}

/// Two palette indexes a byte, the first in the upper half.
fn nibble(byte: u8, at: usize) -> u8 {
    if at.is_multiple_of(2) { byte >> 4 } else { byte & 15 }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
