//! A row-by-row decoder of lossless WebP that never holds the whole image.
//!
//! [`Decoder`] reads the payload of a `VP8L` chunk (RFC 9649, section 3), [`Alpha`] that of an
//! `ALPH` chunk (section 2.7.1.2), both from any [`Read`] in pieces of 16 KiB. They hold the pixels that
//! backward references reach (at most 4 MiB), the prefix codes, and a row or two for each transform.
//!
//! ```no_run
//! # fn main() -> Result<(), vp8l_rows::Error> {
//! let chunk = std::fs::File::open("payload-of-a-chunk.vp8l")?;
//! let mut decoder = vp8l_rows::Decoder::new(chunk, vp8l_rows::Limits::default())?;
//! println!("{} x {}", decoder.header().width, decoder.header().height);
//! while let Some(row) = decoder.next_row()? {
//!     println!("{:?}", &row[..4]);
//! }
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod alpha;
mod bits;
mod budget;
mod entropy_image;
mod error;
mod predict;
mod prefix;
mod transform;

use std::io::Read;
use std::time::Instant;

use pulp::{Arch, NullaryFnOnce};

pub use alpha::Alpha;
pub use error::Error;

use bits::BitSource;
use budget::Budget;
use entropy_image::EntropyCodedImage;
use error::Result;
use transform::Transform;

/// The first byte of a payload (section 3.4).
const SIGNATURE: u32 = 0x2F;
/// Rows between checks of the deadline.
const ROWS_PER_CHECK: usize = 64;

/// Limits on memory and time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes allocated at any time.
    pub max_memory: usize,
    /// Decoding stops at this time with [`Error::Deadline`].
    pub deadline: Option<Instant>,
}

impl Default for Limits {
    /// 512 MiB, no deadline.
    fn default() -> Self {
        Self { max_memory: 512 << 20, deadline: None }
    }
}

/// The image header (RFC 9649, section 3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// In pixels, 1 to 16384.
    pub width: u32,
    pub height: u32,
    /// A hint that some pixels are not opaque; alpha is decoded either way.
    pub alpha_is_used: bool,
}

/// Decodes the payload of one `VP8L` chunk.
pub struct Decoder<'r> {
    bits: BitSource<'r>,
    header: Header,
    limits: Limits,
    /// Set when the first row is read.
    rows: Option<ImageRows>,
    out: Vec<u8>,
}

impl<'r> Decoder<'r> {
    /// Reads the header of the payload. `reader` is read in pieces of 16 KiB and needs no buffer.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Truncated`] or [`Error::Corrupt`].
    pub fn new(reader: impl Read + 'r, limits: Limits) -> Result<Self> {
        let mut bits = BitSource::new(reader);
        if bits.read_bits(8)? != SIGNATURE {
            return Err(Error::Corrupt("missing lossless signature"));
        }
        let header = Header {
            width: bits.read_bits(14)? + 1,
            height: bits.read_bits(14)? + 1,
            alpha_is_used: bits.read_flag()?,
        };
        if bits.read_bits(3)? != 0 {
            return Err(Error::Corrupt("unknown version"));
        }
        Ok(Self { bits, header, limits, rows: None, out: Vec::new() })
    }

    pub fn header(&self) -> Header {
        self.header
    }

    /// The next row in straight RGBA, four bytes a pixel; `None` after the last. Data after the last row
    /// is ignored.
    ///
    /// # Errors
    /// Every kind of [`Error`]; after an error, rows can no longer be read.
    pub fn next_row(&mut self) -> Result<Option<&[u8]>> {
        let size = (self.header.width as usize, self.header.height as usize);
        let rows = match &mut self.rows {
            Some(rows) => rows,
            none => none.insert(ImageRows::new(&mut self.bits, size, &self.limits)?),
        };
        let Some(pixels) = rows.next(&mut self.bits)? else {
            return Ok(None);
        };
        self.out.resize(size.0 * 4, 0);
        Arch::new().dispatch(ArgbToRgba { pixels, out: &mut self.out });
        Ok(Some(&self.out))
    }

    /// The last row that [`next_row`](Self::next_row) returned, also after an error; empty before the first.
    pub fn last_row(&self) -> &[u8] {
        &self.out
    }
}

/// An image and its transforms.
struct ImageRows {
    pixels: EntropyCodedImage,
    transforms: Vec<Transform>,
    /// Width before the inverse transforms.
    coded_width: usize,
    height: usize,
    row: Vec<u32>,
    rows_done: usize,
    budget: Budget,
}

impl ImageRows {
    fn new(bits: &mut BitSource<'_>, size: (usize, usize), limits: &Limits) -> Result<Self> {
        let mut budget = Budget::new(limits);
        let read = Transform::read_all(bits, size, &mut budget);
        let (transforms, coded_width) = read.map_err(|error| bits.end_or(error))?;
        let read = EntropyCodedImage::new(bits, (coded_width, size.1), true, &mut budget);
        let pixels = read.map_err(|error| bits.end_or(error))?;
        Ok(Self {
            pixels,
            transforms,
            coded_width,
            height: size.1,
            row: Vec::with_capacity(size.0),
            rows_done: 0,
            budget,
        })
    }

    /// The next row of ARGB pixels.
    fn next(&mut self, bits: &mut BitSource<'_>) -> Result<Option<&[u32]>> {
        if self.rows_done == self.height {
            return Ok(None);
        }
        if self.rows_done.is_multiple_of(ROWS_PER_CHECK) {
            self.budget.check_time()?;
        }
        self.row.resize(self.coded_width, 0);
        self.pixels.next_row(bits, &mut self.row).map_err(|error| bits.end_or(error))?;
        for transform in &mut self.transforms {
            transform.undo(&mut self.row);
        }
        self.rows_done += 1;
        Ok(Some(&self.row))
    }
}

/// Converts ARGB pixels to RGBA bytes. Compiled for every processor and for AVX2.
struct ArgbToRgba<'a> {
    pixels: &'a [u32],
    out: &'a mut [u8],
}

impl NullaryFnOnce for ArgbToRgba<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (pixel, out) in self.pixels.iter().zip(self.out.as_chunks_mut::<4>().0) {
            let swapped = pixel & 0xFF00_FF00 | pixel >> 16 & 255 | (pixel & 255) << 16;
            *out = swapped.to_le_bytes();
        }
    }
}
