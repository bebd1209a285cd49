//! Alpha of lossy pictures (RFC 9649, section 2.7.1.2).

use std::io::Read;

use crate::bits::Bits;
use crate::error::{Error, Result};
use crate::{Limits, Rows};

/// How a row is foretold.
#[derive(Clone, Copy)]
enum Filter {
    None,
    Horizontal,
    Vertical,
    Gradient,
}

/// Decodes the payload of one `ALPH` chunk.
pub struct Alpha<R> {
    bits: Bits<R>,
    /// Where it is compressed.
    rows: Option<Rows>,
    filter: Filter,
    width: usize,
    height: usize,
    given: usize,
    row: Vec<u8>,
    above: Vec<u8>,
}

impl<R: Read> Alpha<R> {
    /// Reads what stands before the samples of a picture whose size, in pixels, is that of the `VP8 `
    /// chunk that it belongs to.
    ///
    /// # Errors
    /// Every kind of [`Error`].
    pub fn new(reader: R, (width, height): (u32, u32), limits: Limits) -> Result<Self> {
        let size = (width as usize, height as usize);
        let mut bits = Bits::new(reader);
        let method = bits.take(2)?;
        let filter = match bits.take(2)? {
            0 => Filter::None,
            1 => Filter::Horizontal,
            2 => Filter::Vertical,
            _ => Filter::Gradient,
        };
        // Whether levels were reduced, which changes nothing here, and bits to be ignored.
        bits.take(4)?;
        let rows = match method {
            0 => None,
            1 => Some(Rows::new(&mut bits, size, &limits)?),
            _ => return Err(Error::Corrupt("a compression of alpha that does not exist")),
        };
        let row = vec![0; size.0];
        Ok(Self { bits, rows, filter, width: size.0, height: size.1, given: 0, above: row.clone(), row })
    }

    /// The next row, a sample a pixel, 255 being opaque; `None` after the last.
    ///
    /// # Errors
    /// Every kind of [`Error`]; after one there is nothing more to be had.
    pub fn next_row(&mut self) -> Result<Option<&[u8]>> {
        if self.given == self.height {
            return Ok(None);
        }
        std::mem::swap(&mut self.row, &mut self.above);
        match &mut self.rows {
            None => self.bits.bytes(&mut self.row)?,
            Some(rows) => {
                let pixels = rows.next(&mut self.bits)?.ok_or(Error::Truncated)?;
                for (sample, pixel) in self.row.iter_mut().zip(pixels) {
                    *sample = (pixel >> 8) as u8;
                }
            }
        }
        let first = self.given == 0;
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
                    let foretold = i16::from(left) + i16::from(above) - i16::from(before);
                    *sample = sample.wrapping_add(foretold.clamp(0, 255) as u8);
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
        self.given += 1;
        Ok(Some(&self.row))
    }
}
