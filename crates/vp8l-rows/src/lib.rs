//! A decoder of lossless WebP that gives rows and never holds the picture.
//!
//! [`Decoder`] reads the payload of a `VP8L` chunk (RFC 9649, section 3), [`Alpha`] that of an
//! `ALPH` chunk (section 2.7.1.2), both from any [`Read`] in pieces of 16 KiB. What is held is what
//! copies may reach, 4 MiB at most, the codes, and a row or two for each transform.
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
mod error;
mod pixels;
mod predict;
mod prefix;
mod transform;

use std::io::Read;
use std::time::Instant;

use pulp::{Arch, NullaryFnOnce};

pub use alpha::Alpha;
pub use error::Error;

use bits::Bits;
use budget::Budget;
use error::Result;
use pixels::Pixels;
use transform::Transform;

/// The first byte of a payload.
const SIGNATURE: u32 = 0x2F;
/// How often, in rows, the deadline is looked at.
const ROWS_PER_CHECK: usize = 64;

/// What a picture may cost before it is refused.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes that are held at a time.
    pub max_memory: usize,
    /// When to stop.
    pub deadline: Option<Instant>,
}

impl Default for Limits {
    /// 512 MiB, no deadline.
    fn default() -> Self {
        Self { max_memory: 512 << 20, deadline: None }
    }
}

/// What stands before the picture (RFC 9649, section 3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// In pixels, 1 to 16384.
    pub width: u32,
    pub height: u32,
    /// Whether the file says that not all pixels are opaque; alpha is decoded either way.
    pub alpha: bool,
}

/// Decodes the payload of one `VP8L` chunk.
pub struct Decoder<R> {
    bits: Bits<R>,
    header: Header,
    limits: Limits,
    /// From the first row on.
    rows: Option<Rows>,
    out: Vec<u8>,
}

impl<R: Read> Decoder<R> {
    /// Reads the header of the payload that `reader` gives from here on. It is read in pieces of
    /// 16 KiB; a buffer of one's own is not needed.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Truncated`] or [`Error::Corrupt`].
    pub fn new(reader: R, limits: Limits) -> Result<Self> {
        let mut bits = Bits::new(reader);
        if bits.take(8)? != SIGNATURE {
            return Err(Error::Corrupt("no lossless signature"));
        }
        let header = Header { width: bits.take(14)? + 1, height: bits.take(14)? + 1, alpha: bits.flag()? };
        if bits.take(3)? != 0 {
            return Err(Error::Corrupt("a version of the format that does not exist"));
        }
        Ok(Self { bits, header, limits, rows: None, out: Vec::new() })
    }

    pub fn header(&self) -> Header {
        self.header
    }

    /// The next row, four samples a pixel: red, green, blue, alpha, not premultiplied. `None` after
    /// the last, whatever follows it in the payload.
    ///
    /// # Errors
    /// Every kind of [`Error`]; after one there is nothing more to be had.
    pub fn next_row(&mut self) -> Result<Option<&[u8]>> {
        let size = (self.header.width as usize, self.header.height as usize);
        let rows = match &mut self.rows {
            Some(rows) => rows,
            none => none.insert(Rows::new(&mut self.bits, size, &self.limits)?),
        };
        let Some(pixels) = rows.next(&mut self.bits)? else {
            return Ok(None);
        };
        self.out.resize(size.0 * 4, 0);
        Arch::new().dispatch(InOrder { pixels, out: &mut self.out });
        Ok(Some(&self.out))
    }
}

/// A picture with its transforms.
struct Rows {
    pixels: Pixels,
    transforms: Vec<Transform>,
    /// Width that is decoded, before transforms.
    coded_width: usize,
    height: usize,
    row: Vec<u32>,
    given: usize,
    budget: Budget,
}

impl Rows {
    fn new<R: Read>(bits: &mut Bits<R>, size: (usize, usize), limits: &Limits) -> Result<Self> {
        let mut budget = Budget::new(limits);
        let read = Transform::read_all(bits, size, &mut budget);
        let (transforms, coded_width) = read.map_err(|error| bits.blame(error))?;
        let read = Pixels::new(bits, (coded_width, size.1), true, &mut budget);
        let pixels = read.map_err(|error| bits.blame(error))?;
        Ok(Self { pixels, transforms, coded_width, height: size.1, row: Vec::with_capacity(size.0), given: 0, budget })
    }

    /// The next row, as numbers: alpha highest, then red, green and blue.
    fn next<R: Read>(&mut self, bits: &mut Bits<R>) -> Result<Option<&[u32]>> {
        if self.given == self.height {
            return Ok(None);
        }
        if self.given.is_multiple_of(ROWS_PER_CHECK) {
            self.budget.check_time()?;
        }
        self.row.resize(self.coded_width, 0);
        self.pixels.next_row(bits, &mut self.row).map_err(|error| bits.blame(error))?;
        for transform in &mut self.transforms {
            transform.undo(&mut self.row);
        }
        self.given += 1;
        Ok(Some(&self.row))
    }
}

/// Pixels as bytes. Compiled for any processor and for AVX2.
struct InOrder<'a> {
    pixels: &'a [u32],
    out: &'a mut [u8],
}

impl NullaryFnOnce for InOrder<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (pixel, out) in self.pixels.iter().zip(self.out.as_chunks_mut::<4>().0) {
            let swapped = pixel & 0xFF00_FF00 | pixel >> 16 & 255 | (pixel & 255) << 16;
            *out = swapped.to_le_bytes();
        }
    }
}
