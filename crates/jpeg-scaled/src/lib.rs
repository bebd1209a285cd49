//! A JPEG decoder (ITU-T T.81) for thumbnails: it decodes only what a smaller image needs.
//!
//! An image at N/8 of its size needs only the N x N lowest coefficients of each 8 x 8 block. The others
//! are skipped, several symbols at a time; progressive scans of other coefficients only are skipped
//! without decoding symbols. The result is one plane for each component, at the component's own
//! resolution, in the color space of the file.
//!
//! Baseline, extended sequential and progressive files with Huffman coding and 8 bits a sample are
//! supported, with any sampling factors, restart markers, and one or several scans. Arithmetic coding,
//! 12 bits, lossless and hierarchical files return an [`Error::Unsupported`] that names the feature.
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
pub mod marker;
mod progressive;
mod scan;
mod sequential;
pub mod typical;
mod zigzag;

use std::io::Read;
use std::time::Instant;

pub use error::Error;
pub use zigzag::ZIGZAG;

use error::Result;
use header::{DecoderTables, NextSegment};
use input::Input;
use scan::Canvas;

/// The beginning of an APP1 segment with Exif data.
pub const EXIF_SIGNATURE: &[u8] = b"Exif\0\0";

/// The beginning of an APP1 segment with an XMP packet.
pub const XMP_SIGNATURE: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";

/// Limits on a file.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Scans; encoders write about ten. Each is a pass over all blocks.
    pub max_scans: u32,
    /// Bytes of planes and coefficients.
    pub max_memory: usize,
    /// Bytes of embedded colour profile.
    pub max_profile_bytes: usize,
    /// Bytes of Exif data and XMP; segments beyond are ignored.
    pub max_metadata_bytes: usize,
    /// Decoding stops at this time with [`Error::Deadline`].
    pub deadline: Option<Instant>,
    /// Allows skipping the last luma refinement scan of a progressive file at 4/8 and less, if the
    /// quantization is so fine (root mean square of the steps at most 6) that the scan does not matter
    /// in a smaller image. It is a third of such a file. If false, every sample is exact.
    pub approximate: bool,
    /// Decodes also the scans of a progressive file that the scale does not need. Only this shows that a file without EOI
    /// is complete: if it ends in a scan that is not decoded, the error is [`Error::Truncated`]. Overrides `approximate`.
    pub every_scan: bool,
}

impl Default for Limits {
    /// 100 scans, 512 MiB, 8 MiB of profile, 1 MiB of metadata, no deadline, exact.
    fn default() -> Self {
        Self {
            max_scans: 100,
            max_memory: 512 << 20,
            max_profile_bytes: 8 << 20,
            max_metadata_bytes: 1 << 20,
            deadline: None,
            approximate: false,
            every_scan: false,
        }
    }
}

/// The color space of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    Grey,
    /// Full-range BT.601, as in JFIF.
    YCbCr,
    Rgb,
    /// Four inks, inverted: 0 is full coverage. Every program that writes such files inverts them, as Adobe does.
    Cmyk,
    /// YCbCr of the inverses of the first three inks, and the fourth, inverted.
    Ycck,
}

/// A component of the frame header (section B.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Component {
    pub id: u8,
    /// Sampling factors H and V, 1 to 4, relative to the largest of the frame.
    pub horizontal: u8,
    pub vertical: u8,
    table: u8,
}

/// The segments before the first scan.
#[derive(Clone, Debug)]
pub struct Header {
    /// In pixels, before orientation.
    pub width: u32,
    pub height: u32,
    pub progressive: bool,
    pub colour: Colour,
    pub components: Vec<Component>,
    /// The Exif data of each segment that has some, a TIFF file.
    pub exif: Vec<Vec<u8>>,
    /// The XMP packets. Extended ones, joined from their segments, come last.
    pub xmp: Vec<Vec<u8>>,
    /// The ICC profile, joined from its segments.
    pub profile: Option<Vec<u8>>,
}

/// A decoded component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plane {
    /// In samples, rounded up: the last column and row may be partly outside of the image.
    pub width: u32,
    pub height: u32,
    /// The size of the image in eighths of a sample.
    pub eighths_across: u32,
    pub eighths_down: u32,
    /// Samples from a row to the next; at least `width`.
    pub stride: usize,
    /// `stride * height` samples by rows. Samples beyond `width` are padding.
    pub samples: Vec<u8>,
}

/// A decoded image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub planes: Vec<Plane>,
    /// Damaged restart intervals, which are left gray. Without restart markers any damage is an error.
    pub damaged_intervals: u32,
    /// Rows of the image, from the top, that are completely in the file; fewer than its height if the data of the last scan
    /// ends too soon. The samples after them repeat the last of them.
    pub complete_rows: u32,
}

/// Decodes one file.
pub struct Decoder<'r> {
    input: Input<'r>,
    limits: Limits,
    tables: DecoderTables,
    first_scan: Option<header::Scan>,
}

impl<'r> Decoder<'r> {
    /// Creates a decoder. `reader` is read in pieces of 16 KiB and needs no buffer.
    pub fn new(reader: impl Read + 'r, limits: Limits) -> Self {
        Self { input: Input::new(reader), limits, tables: DecoderTables::new(), first_scan: None }
    }

    /// Reads up to the first scan. Must be called once before [`decode`](Self::decode).
    ///
    /// # Errors
    /// Every kind of [`Error`] except [`Error::Deadline`].
    pub fn read_header(&mut self) -> Result<Header> {
        if (self.input.byte()?, self.input.byte()?) != (0xFF, marker::SOI) {
            return Err(Error::Corrupt("missing JPEG signature"));
        }
        let NextSegment::Scan(scan) = self.tables.read(&mut self.input, None, &self.limits)? else {
            return Err(Error::Corrupt("a file without a scan"));
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
            components: frame.components.clone(),
            exif: std::mem::take(&mut self.tables.exif),
            xmp: self.tables.take_xmp(),
            profile,
        })
    }

    /// Decodes the image. `scales` holds the scale of each component in eighths of its size, 1 to 8.
    ///
    /// A sequential file ends when every component is complete; the data after that is ignored. A progressive file ends at
    /// its EOI marker, or at the end of the file if all bits of all coefficients are known. The data of the last scan may
    /// end too soon: see [`Image::complete_rows`].
    ///
    /// # Errors
    /// Every kind of [`Error`]; [`Error::Corrupt`] if [`read_header`](Self::read_header) was not called.
    ///
    /// # Panics
    /// If a scale is not within 1 to 8, or there are fewer scales than components.
    pub fn decode(mut self, scales: &[u8]) -> Result<Image> {
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
            let end = if progressive {
                progressive::scan(&mut canvas, &mut self.input, &self.tables, &scan)?
            } else {
                sequential::scan(&mut canvas, &mut self.input, &self.tables, &scan)?
            };
            let complete = if progressive { canvas.all_bits_known() } else { canvas.all_seen() };
            if complete && (!progressive || matches!(end.marker, None | Some(marker::EOI))) {
                break;
            }
            if end.truncated {
                return Err(match end.marker {
                    None | Some(marker::EOI) => Error::Truncated,
                    Some(_) => Error::Corrupt("a scan has less data than blocks"),
                });
            }
            match self.tables.read(&mut self.input, end.marker, &self.limits) {
                Ok(NextSegment::Scan(next)) => scan = next,
                Ok(NextSegment::EndOfImage) if canvas.all_seen() => break,
                Ok(NextSegment::EndOfImage) => return Err(Error::Truncated),
                // The file ends within or before a segment.
                Err(Error::Truncated) if complete => break,
                Err(error) => return Err(error),
            }
        }
        if canvas.complete_rows == 0 {
            return Err(Error::Truncated);
        }
        if progressive {
            canvas.finish()?;
        }
        Ok(canvas.into_image())
    }
}
