//! The alpha plane of lossy images (RFC 9649, section 2.7.1.2).

use std::io::Read;

use crate::bits::BitSource;
use crate::error::{Error, Result};
use crate::{ImageRows, Limits};

/// The filtering method.
#[derive(Clone, Copy)]
enum Filter {
    None,
    Horizontal,
    Vertical,
    Gradient,
}

/// Decodes the payload of one `ALPH` chunk.
pub struct Alpha<'r> {
    bits: BitSource<'r>,
    /// Set if the alpha is compressed.
    rows: Option<ImageRows>,
    filter: Filter,
    width: usize,
    height: usize,
    rows_done: usize,
    row: Vec<u8>,
    above: Vec<u8>,
}

impl<'r> Alpha<'r> {
    /// Reads the header of the chunk. The size, in pixels, is that of the image's `VP8 ` chunk.
    ///
    /// # Errors
    /// Every kind of [`Error`].
    pub fn new(reader: impl Read + 'r, (width, height): (u32, u32), limits: Limits) -> Result<Self> {
        let size = (width as usize, height as usize);
        let mut bits = BitSource::new(reader);
        let method = bits.read_bits(2)?;
        let filter = match bits.read_bits(2)? {
            0 => Filter::None,
            1 => Filter::Horizontal,
            2 => Filter::Vertical,
            _ => Filter::Gradient,
        };
        // Preprocessing, which does not affect decoding, and reserved bits.
        bits.read_bits(4)?;
        let rows = match method {
            0 => None,
            1 => Some(ImageRows::new(&mut bits, size, &limits)?),
            _ => return Err(Error::Corrupt("unknown alpha compression method")),
        };
        let row = vec![0; size.0];
        Ok(Self { bits, rows, filter, width: size.0, height: size.1, rows_done: 0, above: row.clone(), row })
    }

    /// The next row, one sample a pixel (255 is opaque); `None` after the last.
    ///
    /// # Errors
    /// Every kind of [`Error`]; after an error, rows can no longer be read.
    pub fn next_row(&mut self) -> Result<Option<&[u8]>> {
        if self.rows_done == self.height {
            return Ok(None);
        }
        std::mem::swap(&mut self.row, &mut self.above);
        match &mut self.rows {
            None => self.bits.read_bytes(&mut self.row)?,
            Some(rows) => {
                let pixels = rows.next(&mut self.bits)?.ok_or(Error::Truncated)?;
                for (sample, pixel) in self.row.iter_mut().zip(pixels) {
                    *sample = (pixel >> 8) as u8;
                }
            }
        }
        let first = self.rows_done == 0;
        let (row, above) = (&mut self.row[..self.width], &self.above[..self.width]);
        match self.filter {
            Filter::None => {}
            Filter::Vertical if !first => {
                for (sample, above) in row.iter_mut().zip(above) {
                    *sample = sample.wrapping_add(*above);
                }
            }
            Filter::Gradient if !first => {
                let (mut left, mut before) = (above[0], above[0]);
                for (sample, &above) in row.iter_mut().zip(above) {
                    let predicted = i16::from(left) + i16::from(above) - i16::from(before);
                    *sample = sample.wrapping_add(predicted.clamp(0, 255) as u8);
                    (left, before) = (*sample, above);
                }
            }
            _ => {
                let mut left = if first { 0 } else { above[0] };
                for sample in row {
                    *sample = sample.wrapping_add(left);
                    left = *sample;
                }
            }
        }
        self.rows_done += 1;
        Ok(Some(&self.row))
    }
}
