//! A JPEG decoder for thumbnails: it decodes only as far as a smaller picture needs.
//!
//! A picture at N/8 of its size needs only the N x N lowest coefficients of each 8 x 8 block. The
//! rest is passed over, several symbols at a time; progressive scans that only hold the rest are
//! not even read symbol by symbol. Samples come as planes, each component at its own resolution,
//! in the colour space of the file.
//!
//! Baseline, extended sequential and progressive files with Huffman coding and 8 bits a sample are
//! decoded, with any sampling factors, restart markers, and one or several scans. Arithmetic
//! coding, 12 bits, lossless and hierarchical files are refused with an [`Error::Unsupported`] that
//! names them.
//!
//! ```no_run
//! # fn main() -> Result<(), jpeg_scaled::Error> {
//! let file = std::fs::File::open("photograph.jpg")?;
//! let mut decoder = jpeg_scaled::Decoder::new(file, jpeg_scaled::Limits::default());
//! let header = decoder.read_header()?;
//! println!("{} x {}", header.width, header.height);
//! let quarter = decoder.decode(&[2, 2, 2, 2])?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod error;
mod header;
mod huffman;
mod idct;
mod input;
mod progressive;
mod scan;
mod sequential;

use std::io::Read;
use std::time::Instant;

pub use error::Error;

use error::Result;
use header::{Next, Tables};
use input::Input;
use scan::Canvas;

/// What a file may cost before it is refused.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Scans; encoders write some ten. Each costs a pass over all blocks.
    pub max_scans: u32,
    /// Bytes of planes and coefficients.
    pub max_memory: usize,
    /// Bytes of embedded colour profile.
    pub max_profile_bytes: usize,
    /// When to stop.
    pub deadline: Option<Instant>,
    /// Whether a progressive file's last scan of luminance may be passed over at 4/8 and less where
    /// the file is quantised so finely (some 6 levels a coefficient, root mean square) that what it adds is
    /// lost in any smaller picture. It is a third of such a file. Otherwise every sample is exact.
    pub approximate: bool,
}

impl Default for Limits {
    /// 100 scans, 512 MiB, 8 MiB of profile, no deadline, exact.
    fn default() -> Self {
        Self { max_scans: 100, max_memory: 512 << 20, max_profile_bytes: 8 << 20, deadline: None, approximate: false }
    }
}

/// What the samples of a file mean, component by component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    Grey,
    /// Full-range BT.601, as JFIF has it.
    YCbCr,
    Rgb,
    /// Four inks; inverted (0 is full cover) if [`Header::adobe`].
    Cmyk,
    /// YCbCr of the first three inks, or of their inverses if [`Header::adobe`], and the fourth.
    Ycck,
}

/// A component as the frame header has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Component {
    pub id: u8,
    /// Sampling factors, 1 to 4, relative to the largest of the frame.
    pub horizontal: u8,
    pub vertical: u8,
    table: u8,
}

/// What is known before the first scan.
#[derive(Clone, Debug)]
pub struct Header {
    /// In pixels, as stored: no orientation is applied.
    pub width: u32,
    pub height: u32,
    pub progressive: bool,
    pub colour: Colour,
    /// Whether there is a marker of Adobe's, which inverts inks.
    pub adobe: bool,
    pub components: Vec<Component>,
    /// The Exif block, a TIFF file.
    pub exif: Option<Vec<u8>>,
    /// The ICC profile, put together from its parts.
    pub profile: Option<Vec<u8>>,
}

/// A decoded component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plane {
    /// In samples, rounded up: the last column and row may lie partly outside of the picture.
    pub width: u32,
    pub height: u32,
    /// Eighths of a sample that the picture really covers.
    pub eighths_across: u32,
    pub eighths_down: u32,
    /// From the beginning of a row to that of the next, in samples; at least `width`.
    pub stride: usize,
    /// `stride * height` samples by rows. What is right of the picture has no meaning.
    pub samples: Vec<u8>,
}

/// A decoded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub planes: Vec<Plane>,
    /// Restart intervals that were damaged and left grey (where the file has restart markers;
    /// without them any damage is an error).
    pub damaged_intervals: u32,
}

/// Decodes one file.
pub struct Decoder<R> {
    input: Input<R>,
    limits: Limits,
    tables: Tables,
    first_scan: Option<header::Scan>,
}

impl<R: Read> Decoder<R> {
    /// A decoder of the file that `reader` gives from here on. It is read in pieces of 16 KiB; a
    /// buffer of one's own is not needed.
    pub fn new(reader: R, limits: Limits) -> Self {
        Self { input: Input::new(reader), limits, tables: Tables::new(), first_scan: None }
    }

    /// Reads up to the first scan. To be called once, before [`decode`](Self::decode).
    ///
    /// # Errors
    /// Every kind of [`Error`] but a passed deadline.
    pub fn read_header(&mut self) -> Result<Header> {
        if (self.input.byte()?, self.input.byte()?) != (0xFF, 0xD8) {
            return Err(Error::Corrupt("no JPEG signature"));
        }
        let Next::Scan(scan) = self.tables.read(&mut self.input, None, &self.limits)? else {
            return Err(Error::Corrupt("a file without a picture"));
        };
        self.first_scan = Some(scan);
        let colour = self.tables.colour();
        let profile = self.tables.take_profile();
        let frame = self.tables.frame.as_ref().ok_or(Error::Corrupt("a scan before the frame"))?;
        Ok(Header {
            width: frame.width,
            height: frame.height,
            progressive: frame.progressive,
            colour,
            adobe: self.tables.adobe.is_some(),
            components: frame.components.clone(),
            exif: self.tables.exif.take(),
            profile,
        })
    }

    /// Decodes the picture, each component at as many eighths of its own size, 1 to 8, as `scales`
    /// has for it.
    ///
    /// A sequential file is done when every component is complete, whatever follows, even nothing;
    /// a progressive one only at its end-of-image marker, as nothing else tells that no scan is
    /// missing.
    ///
    /// # Errors
    /// Every kind of [`Error`]; [`Error::Corrupt`] without a call of
    /// [`read_header`](Self::read_header) before.
    ///
    /// # Panics
    /// If a scale is not within 1 to 8 or there are fewer than components.
    pub fn decode(mut self, scales: &[u8]) -> Result<Picture> {
        let mut scan = self.first_scan.take().ok_or(Error::Corrupt("the header was not read"))?;
        let frame = self.tables.frame.as_ref().ok_or(Error::Corrupt("no frame"))?;
        let progressive = frame.progressive;
        let mut canvas = Canvas::new(frame, scales, &self.limits)?;
        let mut scans = 0;
        loop {
            scans += 1;
            if scans > self.limits.max_scans {
                return Err(Error::Limit("scans"));
            }
            let marker = if progressive {
                progressive::scan(&mut canvas, &mut self.input, &self.tables, &scan)?
            } else {
                sequential::scan(&mut canvas, &mut self.input, &self.tables, &scan)?
            };
            if !progressive && canvas.all_seen() {
                break;
            }
            match self.tables.read(&mut self.input, marker, &self.limits)? {
                Next::Scan(next) => scan = next,
                Next::EndOfImage if canvas.all_seen() => break,
                Next::EndOfImage => return Err(Error::Truncated),
            }
        }
        if progressive {
            canvas.finish()?;
        }
        Ok(canvas.into_picture())
    }
}
