//! What was done to the pixels before they were coded, undone row by row (RFC 9649, section
//! 3.5).

use std::io::Read;

use pulp::{Arch, NullaryFnOnce};

use crate::bits::Bits;
use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::pixels::{Pixels, tiles};
use crate::predict::{self, add};

/// A transform, as it is undone.
pub(crate) enum Transform {
    /// Each pixel is a difference from what its neighbours foretell, by the mode of its tile.
    Predictor { bits: u32, tiles_across: usize, modes: Vec<u8>, above: Vec<u32>, row: usize },
    /// Red and blue are differences from parts of green and red, by the factors of their tile.
    Colour { bits: u32, tiles_across: usize, factors: Vec<u32>, row: usize },
    /// Red and blue are differences from green.
    SubtractGreen,
    /// Green is an index, or `8 >> bits` indices for as many pixels.
    Palette { bits: u32, colours: Box<[u32; 256]>, width: usize },
}

impl Transform {
    /// Reads the transforms of a picture of that size, in the order in which they are undone, and the
    /// width that is left of it to be decoded.
    pub(crate) fn read_all<R: Read>(
        bits: &mut Bits<R>,
        (mut width, height): (usize, usize),
        budget: &mut Budget,
    ) -> Result<(Vec<Self>, usize)> {
        let mut all = Vec::new();
        let mut seen = 0_u32;
        while bits.flag()? {
            let kind = bits.take(2)?;
            if seen & 1 << kind != 0 {
                return Err(Error::Corrupt("a transform that comes twice"));
            }
            seen |= 1 << kind;
            all.push(match kind {
                0 => {
                    let tile_bits = 2 + bits.take(3)?;
                    let size = (tiles(width, tile_bits), tiles(height, tile_bits));
                    let modes = Pixels::all(bits, size, budget, |pixel| (pixel >> 8 & 15) as u8)?;
                    Self::Predictor { bits: tile_bits, tiles_across: size.0, modes, above: vec![0; width + 1], row: 0 }
                }
                1 => {
                    let tile_bits = 2 + bits.take(3)?;
                    let size = (tiles(width, tile_bits), tiles(height, tile_bits));
                    let factors = Pixels::all(bits, size, budget, |pixel| pixel)?;
                    Self::Colour { bits: tile_bits, tiles_across: size.0, factors, row: 0 }
                }
                2 => Self::SubtractGreen,
                _ => {
                    let count = bits.take(8)? as usize + 1;
                    let stored = Pixels::all(bits, (count, 1), budget, |pixel| pixel)?;
                    // Indices past the last colour are transparent black.
                    let mut colours = Box::new([0; 256]);
                    let mut colour = 0;
                    for (place, difference) in colours.iter_mut().zip(stored) {
                        colour = add(colour, difference);
                        *place = colour;
                    }
                    let bundle = match count {
                        ..=2 => 3,
                        3..=4 => 2,
                        5..=16 => 1,
                        _ => 0,
                    };
                    let transform = Self::Palette { bits: bundle, colours, width };
                    width = width.div_ceil(1 << bundle);
                    transform
                }
            });
        }
        all.reverse();
        Ok((all, width))
    }

    /// Undoes it in the next row, which becomes as wide as the picture was before.
    pub(crate) fn undo(&mut self, pixels: &mut Vec<u32>) {
        match self {
            Self::Predictor { bits, tiles_across, modes, above, row } => {
                let modes = &modes[(*row >> *bits) * *tiles_across..][..*tiles_across];
                predict::undo(*bits, modes, above, pixels, *row == 0);
                above[..pixels.len()].copy_from_slice(pixels);
                *row += 1;
            }
            Self::Colour { bits, tiles_across, factors, row } => {
                let factors = &factors[(*row >> *bits) * *tiles_across..][..*tiles_across];
                Arch::new().dispatch(Colour { bits: *bits, factors, pixels });
                *row += 1;
            }
            Self::SubtractGreen => Arch::new().dispatch(AddGreen { pixels }),
            Self::Palette { bits, colours, width } => look_up(pixels, *bits, colours, *width),
        }
    }
}

/// Indices become colours, from the back, as there are more of them.
fn look_up(pixels: &mut Vec<u32>, bits: u32, colours: &[u32; 256], width: usize) {
    if bits == 0 {
        for pixel in pixels {
            *pixel = colours[(*pixel >> 8 & 255) as usize];
        }
        return;
    }
    pixels.resize(width, 0);
    let (each, size) = (1_usize << bits, 8 >> bits);
    let most = (1 << size) - 1;
    for bundle in (0..width.div_ceil(each)).rev() {
        let mut indices = pixels[bundle] >> 8 & 255;
        let end = width.min((bundle + 1) * each);
        for pixel in &mut pixels[bundle * each..end] {
            *pixel = colours[(indices & most) as usize];
            indices >>= size;
        }
    }
}

struct AddGreen<'a> {
    pixels: &'a mut [u32],
}

impl NullaryFnOnce for AddGreen<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for pixel in self.pixels {
            let green = *pixel >> 8 & 255;
            let others = (*pixel & 0x00FF_00FF) + (green << 16 | green);
            *pixel = *pixel & 0xFF00_FF00 | others & 0x00FF_00FF;
        }
    }
}

struct Colour<'a> {
    bits: u32,
    factors: &'a [u32],
    pixels: &'a mut [u32],
}

impl NullaryFnOnce for Colour<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (tile, &factors) in self.pixels.chunks_mut(1 << self.bits).zip(self.factors) {
            let green_to_red = i32::from(factors as i8);
            let green_to_blue = i32::from((factors >> 8) as i8);
            let red_to_blue = i32::from((factors >> 16) as i8);
            for pixel in tile {
                let green = i32::from((*pixel >> 8) as i8);
                let red = (*pixel >> 16) as i32 + ((green_to_red * green) >> 5);
                let blue = *pixel as i32 + ((green_to_blue * green) >> 5) + ((red_to_blue * i32::from(red as i8)) >> 5);
                *pixel = *pixel & 0xFF00_FF00 | (red as u32 & 255) << 16 | blue as u32 & 255;
            }
        }
    }
}
