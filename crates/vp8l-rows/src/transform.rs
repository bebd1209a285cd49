//! What was done to the pixels before they were coded, undone row by row (RFC 9649, section 3.4 and
//! 3.8).

use std::io::Read;

use pulp::{Arch, NullaryFnOnce};

use crate::bits::Bits;
use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::pixels::{Pixels, tiles};

const OPAQUE_BLACK: u32 = 0xFF00_0000;

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
                    Self::Predictor { bits: tile_bits, tiles_across: size.0, modes, above: vec![0; width], row: 0 }
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
                        ..=4 => 2,
                        ..=16 => 1,
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
                Arch::new().dispatch(Predict { bits: *bits, modes, above, pixels, first: *row == 0 });
                above.copy_from_slice(pixels);
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

struct Predict<'a> {
    bits: u32,
    modes: &'a [u8],
    above: &'a [u32],
    pixels: &'a mut [u32],
    first: bool,
}

impl NullaryFnOnce for Predict<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { bits, modes, above, pixels, first } = self;
        pixels[0] = add(pixels[0], if first { OPAQUE_BLACK } else { above[0] });
        if first {
            for x in 1..pixels.len() {
                pixels[x] = add(pixels[x], pixels[x - 1]);
            }
            return;
        }
        let width = pixels.len();
        let mut x = 1;
        for (tile, &mode) in modes.iter().enumerate() {
            let end = width.min((tile + 1) << bits);
            predict_tile(mode, above, pixels, x, end);
            x = end;
        }
    }
}

/// Undoes one mode from column `x` on, at least 1, to `end`.
#[inline(always)]
fn predict_tile(mode: u8, above: &[u32], pixels: &mut [u32], mut x: usize, end: usize) {
    let width = pixels.len();
    macro_rules! each {
        (|$left:ident, $above:ident, $before:ident, $after:ident| $foretold:expr) => {{
            while x < end {
                let $left = pixels[x - 1];
                let $above = above[x];
                let $before = above[x - 1];
                // The last pixel of a row has the first of its own row there.
                let $after = if x + 1 < width { above[x + 1] } else { pixels[0] };
                let _ = ($left, $above, $before, $after);
                pixels[x] = add(pixels[x], $foretold);
                x += 1;
            }
        }};
    }
    match mode {
        1 => each!(|left, above, before, after| left),
        2 => each!(|left, above, before, after| above),
        3 => each!(|left, above, before, after| after),
        4 => each!(|left, above, before, after| before),
        5 => each!(|left, above, before, after| mean(mean(left, after), above)),
        6 => each!(|left, above, before, after| mean(left, before)),
        7 => each!(|left, above, before, after| mean(left, above)),
        8 => each!(|left, above, before, after| mean(before, above)),
        9 => each!(|left, above, before, after| mean(above, after)),
        10 => each!(|left, above, before, after| mean(mean(left, before), mean(above, after))),
        11 => each!(|left, above, before, after| select(left, above, before)),
        12 => each!(|left, above, before, after| gradient(left, above, before)),
        13 => each!(|left, above, before, after| half_gradient(mean(left, above), before)),
        _ => each!(|left, above, before, after| OPAQUE_BLACK),
    }
}

/// The sum of each of the four samples, without carry.
#[inline(always)]
fn add(a: u32, b: u32) -> u32 {
    (a & 0xFF00_FF00).wrapping_add(b & 0xFF00_FF00) & 0xFF00_FF00
        | (a & 0x00FF_00FF).wrapping_add(b & 0x00FF_00FF) & 0x00FF_00FF
}

/// The mean of each of the four samples, rounded down.
#[inline(always)]
fn mean(a: u32, b: u32) -> u32 {
    (a & b) + (((a ^ b) & 0xFEFE_FEFE) >> 1)
}

/// Left or above, whichever is nearer to left plus above less what is before above.
#[inline(always)]
fn select(left: u32, above: u32, before: u32) -> u32 {
    let (left_bytes, above_bytes, before_bytes) = (left.to_le_bytes(), above.to_le_bytes(), before.to_le_bytes());
    let (mut to_left, mut to_above) = (0, 0);
    for sample in 0..4 {
        to_left += above_bytes[sample].abs_diff(before_bytes[sample]) as u32;
        to_above += left_bytes[sample].abs_diff(before_bytes[sample]) as u32;
    }
    if to_left < to_above { left } else { above }
}

#[inline(always)]
fn gradient(left: u32, above: u32, before: u32) -> u32 {
    let (left, above, before) = (left.to_le_bytes(), above.to_le_bytes(), before.to_le_bytes());
    let mut out = [0; 4];
    for sample in 0..4 {
        let level = i16::from(left[sample]) + i16::from(above[sample]) - i16::from(before[sample]);
        out[sample] = level.clamp(0, 255) as u8;
    }
    u32::from_le_bytes(out)
}

#[inline(always)]
fn half_gradient(mean: u32, before: u32) -> u32 {
    let (mean, before) = (mean.to_le_bytes(), before.to_le_bytes());
    let mut out = [0; 4];
    for sample in 0..4 {
        let level = i16::from(mean[sample]) + (i16::from(mean[sample]) - i16::from(before[sample])) / 2;
        out[sample] = level.clamp(0, 255) as u8;
    }
    u32::from_le_bytes(out)
}
