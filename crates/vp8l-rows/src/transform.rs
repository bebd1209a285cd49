//! The inverse transforms, row by row (RFC 9649, section 3.5).

use pulp::{Arch, NullaryFnOnce};

use crate::bits::BitSource;
use crate::budget::Budget;
use crate::entropy_image::{EntropyCodedImage, blocks};
use crate::error::{Error, Result};
use crate::predict::{self, add};

/// Transform types (section 3.5); the remaining one is color indexing.
const PREDICTOR_TRANSFORM: u32 = 0;
const COLOR_TRANSFORM: u32 = 1;
const SUBTRACT_GREEN_TRANSFORM: u32 = 2;

/// An inverse transform and its state.
pub(crate) enum Transform {
    /// Each pixel is a difference from its prediction, by the mode of its block (section 3.5.1).
    Predictor { bits: u32, blocks_across: usize, modes: Vec<u8>, top: Vec<u32>, row: usize },
    /// Red and blue are differences from fractions of green and red, by the factors of their block
    /// (section 3.5.2).
    CrossColor { bits: u32, blocks_across: usize, factors: Vec<u32>, row: usize },
    /// Red and blue are differences from green (section 3.5.3).
    SubtractGreen,
    /// Green is a color table index, or `1 << bits` indices of as many pixels (section 3.5.4).
    ColorIndexing { bits: u32, colours: Box<[u32; 256]>, width: usize },
}

impl Transform {
    /// Reads the transforms of an image of this size. Returns them in the order in which they are
    /// inverted, and the width of the entropy-coded image.
    pub(crate) fn read_all(
        bits: &mut BitSource<'_>,
        (mut width, height): (usize, usize),
        budget: &mut Budget,
    ) -> Result<(Vec<Self>, usize)> {
        let mut all = Vec::new();
        let mut seen = 0_u32;
        while bits.read_flag()? {
            let kind = bits.read_bits(2)?;
            if seen & 1 << kind != 0 {
                return Err(Error::Corrupt("a repeated transform"));
            }
            seen |= 1 << kind;
            all.push(match kind {
                PREDICTOR_TRANSFORM => {
                    let size_bits = 2 + bits.read_bits(3)?;
                    let size = (blocks(width, size_bits), blocks(height, size_bits));
                    let modes = EntropyCodedImage::all(bits, size, budget, |pixel| (pixel >> 8 & 15) as u8)?;
                    Self::Predictor { bits: size_bits, blocks_across: size.0, modes, top: vec![0; width + 1], row: 0 }
                }
                COLOR_TRANSFORM => {
                    let size_bits = 2 + bits.read_bits(3)?;
                    let size = (blocks(width, size_bits), blocks(height, size_bits));
                    let factors = EntropyCodedImage::all(bits, size, budget, |pixel| pixel)?;
                    Self::CrossColor { bits: size_bits, blocks_across: size.0, factors, row: 0 }
                }
                SUBTRACT_GREEN_TRANSFORM => Self::SubtractGreen,
                _ => {
                    let count = bits.read_bits(8)? as usize + 1;
                    let stored = EntropyCodedImage::all(bits, (count, 1), budget, |pixel| pixel)?;
                    // Indices past the color table are transparent black.
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
                    let transform = Self::ColorIndexing { bits: bundle, colours, width };
                    width = width.div_ceil(1 << bundle);
                    transform
                }
            });
        }
        all.reverse();
        Ok((all, width))
    }

    /// Inverts the transform in the next row, which may become wider.
    pub(crate) fn undo(&mut self, pixels: &mut Vec<u32>) {
        match self {
            Self::Predictor { bits, blocks_across, modes, top, row } => {
                let modes = &modes[(*row >> *bits) * *blocks_across..][..*blocks_across];
                predict::undo(*bits, modes, top, pixels, *row == 0);
                top[..pixels.len()].copy_from_slice(pixels);
                *row += 1;
            }
            Self::CrossColor { bits, blocks_across, factors, row } => {
                let factors = &factors[(*row >> *bits) * *blocks_across..][..*blocks_across];
                Arch::new().dispatch(InverseCrossColor { bits: *bits, factors, pixels });
                *row += 1;
            }
            Self::SubtractGreen => Arch::new().dispatch(AddGreen { pixels }),
            Self::ColorIndexing { bits, colours, width } => look_up(pixels, *bits, colours, *width),
        }
    }
}

/// Replaces indices by colors, from the end, because the row grows in place.
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

struct InverseCrossColor<'a> {
    bits: u32,
    factors: &'a [u32],
    pixels: &'a mut [u32],
}

impl NullaryFnOnce for InverseCrossColor<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (block, &factors) in self.pixels.chunks_mut(1 << self.bits).zip(self.factors) {
            let green_to_red = i32::from(factors as i8);
            let green_to_blue = i32::from((factors >> 8) as i8);
            let red_to_blue = i32::from((factors >> 16) as i8);
            for pixel in block {
                let green = i32::from((*pixel >> 8) as i8);
                let red = (*pixel >> 16) as i32 + ((green_to_red * green) >> 5);
                let blue = *pixel as i32 + ((green_to_blue * green) >> 5) + ((red_to_blue * i32::from(red as i8)) >> 5);
                *pixel = *pixel & 0xFF00_FF00 | (red as u32 & 255) << 16 | blue as u32 & 255;
            }
        }
    }
}
