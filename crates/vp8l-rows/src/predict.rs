//! The predictor transform (RFC 9649, section 3.5.1): a pixel is what its neighbours to the left and in
//! the row above foretell, by one of 14 modes, and a difference.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__m128i;

use pulp::{Arch, NullaryFnOnce};

const OPAQUE_BLACK: u32 = 0xFF00_0000;

/// Undoes it in a row of pixels, of which `modes` has a mode for each tile of `1 << bits` columns.
/// `above` is one longer than the row: the last pixel finds the first of its own row there.
pub(crate) fn undo(bits: u32, modes: &[u8], above: &mut [u32], pixels: &mut [u32], first: bool) {
    pixels[0] = add(pixels[0], if first { OPAQUE_BLACK } else { above[0] });
    above[pixels.len()] = pixels[0];
    match Arch::new() {
        #[cfg(target_arch = "x86_64")]
        Arch::V3(simd) => simd.vectorize(Row { bits, modes, above, pixels, first, by: simd }),
        arch => arch.dispatch(Row { bits, modes, above, pixels, first, by: Plain }),
    }
}

/// A row from its second pixel on.
struct Row<'a, B> {
    bits: u32,
    modes: &'a [u8],
    above: &'a [u32],
    pixels: &'a mut [u32],
    first: bool,
    by: B,
}

impl<B: By> NullaryFnOnce for Row<'_, B> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { bits, modes, above, pixels, first, by } = self;
        let width = pixels.len();
        if first {
            return part::<B, 1>(by, above, pixels, 1, width);
        }
        let mut x = 1;
        for (tile, &mode) in modes.iter().enumerate() {
            let end = width.min((tile + 1) << bits);
            match mode {
                1 => part::<B, 1>(by, above, pixels, x, end),
                2 => part::<B, 2>(by, above, pixels, x, end),
                3 => part::<B, 3>(by, above, pixels, x, end),
                4 => part::<B, 4>(by, above, pixels, x, end),
                5 => part::<B, 5>(by, above, pixels, x, end),
                6 => part::<B, 6>(by, above, pixels, x, end),
                7 => part::<B, 7>(by, above, pixels, x, end),
                8 => part::<B, 8>(by, above, pixels, x, end),
                9 => part::<B, 9>(by, above, pixels, x, end),
                10 => part::<B, 10>(by, above, pixels, x, end),
                11 => part::<B, 11>(by, above, pixels, x, end),
                12 => part::<B, 12>(by, above, pixels, x, end),
                13 => part::<B, 13>(by, above, pixels, x, end),
                _ => part::<B, 0>(by, above, pixels, x, end),
            }
            x = end;
        }
    }
}

/// Undoes one mode from column `x` on, at least 1, to `end`.
#[inline(always)]
fn part<B: By, const MODE: u8>(by: B, above: &[u32], pixels: &mut [u32], x: usize, end: usize) {
    // A tile of one column may be the one that is done already.
    let count = end.saturating_sub(x);
    let mut left = by.load(pixels[x - 1]);
    let (before, after) = (&above[x - 1..][..count], &above[x + 1..][..count]);
    let (above, pixels) = (&above[x..][..count], &mut pixels[x..][..count]);
    if matches!(MODE, 0 | 2 | 3 | 4 | 8 | 9) {
        // Nothing depends on the pixel to the left: as many at once as the compiler likes.
        for at in 0..count {
            let foretold = match MODE {
                2 => above[at],
                3 => after[at],
                4 => before[at],
                8 => mean(before[at], above[at]),
                9 => mean(above[at], after[at]),
                _ => OPAQUE_BLACK,
            };
            pixels[at] = add(pixels[at], foretold);
        }
        return;
    }
    for at in 0..count {
        let (before, above, after) = (by.load(before[at]), by.load(above[at]), by.load(after[at]));
        let foretold = match MODE {
            5 => by.mean(by.mean(left, after), above),
            6 => by.mean(left, before),
            7 => by.mean(left, above),
            10 => by.mean(by.mean(left, before), by.mean(above, after)),
            11 => by.select(left, above, before),
            12 => by.gradient(left, above, before),
            13 => by.half_gradient(by.mean(left, above), before),
            _ => left,
        };
        left = by.add(by.load(pixels[at]), foretold);
        pixels[at] = by.store(left);
    }
}

/// The four samples of a pixel at once.
trait By: Copy {
    type Pixel: Copy;

    fn load(self, pixel: u32) -> Self::Pixel;
    fn store(self, pixel: Self::Pixel) -> u32;

    /// The sum of each sample, without carry.
    fn add(self, a: Self::Pixel, b: Self::Pixel) -> Self::Pixel;

    /// The mean of each sample, rounded down.
    fn mean(self, a: Self::Pixel, b: Self::Pixel) -> Self::Pixel;

    /// Left or above, whichever is nearer to left plus above less what is before above; above if
    /// both are as near.
    fn select(self, left: Self::Pixel, above: Self::Pixel, before: Self::Pixel) -> Self::Pixel;

    /// Left plus above less what is before above, held to the levels there are.
    fn gradient(self, left: Self::Pixel, above: Self::Pixel, before: Self::Pixel) -> Self::Pixel;

    /// The mean plus half of its distance from what is before, held to the levels there are.
    fn half_gradient(self, mean: Self::Pixel, before: Self::Pixel) -> Self::Pixel;
}

/// For any processor.
#[derive(Clone, Copy)]
struct Plain;

impl By for Plain {
    type Pixel = u32;

    #[inline(always)]
    fn load(self, pixel: u32) -> u32 {
        pixel
    }

    #[inline(always)]
    fn store(self, pixel: u32) -> u32 {
        pixel
    }

    #[inline(always)]
    fn add(self, a: u32, b: u32) -> u32 {
        add(a, b)
    }

    #[inline(always)]
    fn mean(self, a: u32, b: u32) -> u32 {
        mean(a, b)
    }

    #[inline(always)]
    fn select(self, left: u32, above: u32, before: u32) -> u32 {
        let samples = left.to_le_bytes().into_iter().zip(above.to_le_bytes()).zip(before.to_le_bytes());
        let (mut to_left, mut to_above) = (0, 0);
        for ((left, above), before) in samples {
            to_left += u32::from(above.abs_diff(before));
            to_above += u32::from(left.abs_diff(before));
        }
        if to_left < to_above { left } else { above }
    }

    #[inline(always)]
    fn gradient(self, left: u32, above: u32, before: u32) -> u32 {
        let (mut left, above, before) = (left.to_le_bytes(), above.to_le_bytes(), before.to_le_bytes());
        for sample in 0..4 {
            let level = i16::from(left[sample]) + i16::from(above[sample]) - i16::from(before[sample]);
            left[sample] = level.clamp(0, 255) as u8;
        }
        u32::from_le_bytes(left)
    }

    #[inline(always)]
    fn half_gradient(self, mean: u32, before: u32) -> u32 {
        let (mut mean, before) = (mean.to_le_bytes(), before.to_le_bytes());
        for sample in 0..4 {
            let level = i16::from(mean[sample]);
            // Halves are rounded towards zero.
            mean[sample] = (level + (level - i16::from(before[sample])) / 2).clamp(0, 255) as u8;
        }
        u32::from_le_bytes(mean)
    }
}

/// The processor's own instructions: each pixel waits for the one before, and these are fewer.
#[cfg(target_arch = "x86_64")]
impl By for pulp::x86::V3 {
    type Pixel = __m128i;

    #[inline(always)]
    fn load(self, pixel: u32) -> __m128i {
        self.sse2._mm_cvtsi32_si128(pixel as i32)
    }

    #[inline(always)]
    fn store(self, pixel: __m128i) -> u32 {
        self.sse2._mm_cvtsi128_si32(pixel) as u32
    }

    #[inline(always)]
    fn add(self, a: __m128i, b: __m128i) -> __m128i {
        self.sse2._mm_add_epi8(a, b)
    }

    #[inline(always)]
    fn mean(self, a: __m128i, b: __m128i) -> __m128i {
        let sse = self.sse2;
        // The instruction rounds up.
        let odd = sse._mm_and_si128(sse._mm_xor_si128(a, b), sse._mm_set1_epi8(1));
        sse._mm_sub_epi8(sse._mm_avg_epu8(a, b), odd)
    }

    #[inline(always)]
    fn select(self, left: __m128i, above: __m128i, before: __m128i) -> __m128i {
        let sse = self.sse2;
        let (to_left, to_above) = (sse._mm_sad_epu8(above, before), sse._mm_sad_epu8(left, before));
        self.sse4_1._mm_blendv_epi8(above, left, sse._mm_cmpgt_epi32(to_above, to_left))
    }

    #[inline(always)]
    fn gradient(self, left: __m128i, above: __m128i, before: __m128i) -> __m128i {
        let sse = self.sse2;
        let wide = self.sse4_1;
        let rise = sse._mm_sub_epi16(wide._mm_cvtepu8_epi16(above), wide._mm_cvtepu8_epi16(before));
        let level = sse._mm_add_epi16(wide._mm_cvtepu8_epi16(left), rise);
        sse._mm_packus_epi16(level, level)
    }

    #[inline(always)]
    fn half_gradient(self, mean: __m128i, before: __m128i) -> __m128i {
        let sse = self.sse2;
        let level = self.sse4_1._mm_cvtepu8_epi16(mean);
        let before = self.sse4_1._mm_cvtepu8_epi16(before);
        let distance = sse._mm_sub_epi16(level, before);
        // Halves are rounded towards zero: one is added to what is below it.
        let below = sse._mm_cmpgt_epi16(before, level);
        let half = sse._mm_srai_epi16::<1>(sse._mm_sub_epi16(distance, below));
        let level = sse._mm_add_epi16(level, half);
        sse._mm_packus_epi16(level, level)
    }
}

/// The sum of each of the four samples, without carry.
#[inline(always)]
pub(crate) fn add(a: u32, b: u32) -> u32 {
    (a & 0xFF00_FF00).wrapping_add(b & 0xFF00_FF00) & 0xFF00_FF00
        | (a & 0x00FF_00FF).wrapping_add(b & 0x00FF_00FF) & 0x00FF_00FF
}

/// The mean of each of the four samples, rounded down.
#[inline(always)]
fn mean(a: u32, b: u32) -> u32 {
    (a & b) + (((a ^ b) & 0xFEFE_FEFE) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_processor_foretells_the_same() {
        let mut state = 1_u32;
        let mut row = |length: usize| -> Vec<u32> {
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                // Near each other, or anything.
                if state & 1 == 0 { state } else { state & 0x0303_0303 | 0x7F00_FE80 }
            };
            (0..length).map(|_| next()).collect()
        };
        for mode in 0..=15_u8 {
            for width in [1, 2, 7, 64, 301] {
                for first in [false, true] {
                    let (above, coded) = (row(width + 1), row(width));
                    let modes = vec![mode; width.div_ceil(4)];
                    let (mut ours, mut plain, mut own) = (coded.clone(), coded, above.clone());
                    undo(2, &modes, &mut own, &mut ours, first);
                    let mut own = above.clone();
                    plain[0] = add(plain[0], if first { OPAQUE_BLACK } else { above[0] });
                    own[width] = plain[0];
                    Row { bits: 2, modes: &modes, above: &own, pixels: &mut plain, first, by: Plain }.call();
                    assert_eq!(ours, plain, "mode {mode}, {width} pixels");
                }
            }
        }
    }
}
