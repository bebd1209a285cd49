//! A row-by-row decoder of lossy WebP, a single key frame of VP8 (RFC 6386). It returns rows as soon
//! as they are final, so its memory grows with the width of the image, not with its size.
//!
//! Samples are bit for bit those of the RFC and of libwebp. The input is the payload of a `VP8 `
//! chunk (RFC 9649, section 2.5); the container and alpha are not read.
//!
//! ```no_run
//! # fn main() -> Result<(), vp8_rows::Error> {
//! # let chunk = [];
//! let mut decoder = vp8_rows::Decoder::new(&chunk)?;
//! println!("{} x {}", decoder.width(), decoder.height());
//! while let Some(band) = decoder.next_band()? {
//!     for row in band.y.rows() {
//!         println!("{} samples", row.len());
//!     }
//! }
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod bool_decoder;
mod coefficients;
mod error;
mod filter;
mod frame;
mod header;
mod modes;
mod predict;
mod simd;
mod tables;
mod transform;

use pulp::Arch;

pub use error::Error;

use error::Result;
use frame::FrameDecoder;

/// Decodes one frame.
pub struct Decoder<'a> {
    frame: FrameDecoder<'a>,
    arch: Arch,
}

/// Rows that follow those of the last band.
#[derive(Clone, Copy, Debug)]
pub struct Band<'a> {
    /// Index of the first row of Y; even.
    pub first_row: u32,
    /// `width` samples a row, 16 to 235 for black to white (ITU-R BT.601).
    pub y: Rows<'a>,
    /// Half as many samples a row, and half as many rows, rounded up: 16 to 240 around 128. Each sample
    /// is at the center of the four Y samples that it covers.
    pub u: Rows<'a>,
    pub v: Rows<'a>,
}

/// Consecutive rows of one plane.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    samples: &'a [u8],
    stride: usize,
    width: usize,
}

impl<'a> Rows<'a> {
    /// From top to bottom.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let width = self.width;
        self.samples.chunks(self.stride).map(move |row| &row[..width])
    }
}

impl<'a> Decoder<'a> {
    /// Reads the frame header of a chunk's payload.
    ///
    /// # Errors
    /// Every kind of [`Error`]. Allocates some 80 bytes for each pixel of a row.
    pub fn new(chunk: &'a [u8]) -> Result<Self> {
        Ok(Self { frame: FrameDecoder::new(chunk)?, arch: Arch::new() })
    }

    /// In pixels, 1 to 16,383.
    pub fn width(&self) -> u32 {
        self.frame.width() as u32
    }

    /// In pixels, 1 to 16,383.
    pub fn height(&self) -> u32 {
        self.frame.height() as u32
    }

    /// The next rows, usually 8 to 24; `None` after the last.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the data ends before these rows do. Any other bits decode.
    pub fn next_band(&mut self) -> Result<Option<Band<'_>>> {
        if !self.frame.decode_row(self.arch)? {
            return Ok(None);
        }
        Ok(Some(self.frame.band()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planes(chunk: &[u8], arch: Arch) -> Result<[Vec<u8>; 3]> {
        let mut decoder = Decoder { arch, ..Decoder::new(chunk)? };
        let mut planes = [const { Vec::new() }; 3];
        while let Some(band) = decoder.next_band()? {
            for (plane, rows) in planes.iter_mut().zip([band.y, band.u, band.v]) {
                rows.rows().for_each(|row| plane.extend_from_slice(row));
            }
        }
        Ok(planes)
    }

    #[test]
    fn scalar_and_simd_samples_are_equal() {
        let mut state = 1_u64;
        let mut byte = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        let mut decoded = 0;
        for index in 0..300_u32 {
            // Random bits decode; the first partition has 500 bytes here.
            let mut chunk = vec![0x90, 0x3E, 0, 0x9D, 0x01, 0x2A, 1 + (index % 60) as u8, 0, 1 + (index / 5) as u8, 0];
            chunk.extend((0..30_000).map(|_| byte()));
            for size in chunk[510..531].as_chunks_mut::<3>().0 {
                *size = [0xA0, 0x0F, 0];
            }
            let plain = planes(&chunk, Arch::Scalar);
            assert_eq!(plain, planes(&chunk, Arch::new()));
            decoded += u32::from(plain.is_ok());
        }
        assert!(decoded > 100, "{decoded}");
    }
}
