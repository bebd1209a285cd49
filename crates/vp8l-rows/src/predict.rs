//! The inverse predictor transform (RFC 9649, section 3.5.1): the sum of a difference and a prediction
//! from the left, top-left, top and top-right pixels, in one of 14 modes.

#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::{int16x8_t, uint8x8_t};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__m128i;

use pulp::{Arch, NullaryFnOnce};

const OPAQUE_BLACK: u32 = 0xFF00_0000;

/// Inverts the transform in a row; `modes` holds a mode for each block of `1 << bits` columns. `top` is
/// one pixel longer than the row: the top-right of the last pixel is the first of its own row.
pub(crate) fn undo(bits: u32, modes: &[u8], top: &mut [u32], pixels: &mut [u32], first: bool) {
    pixels[0] = add(pixels[0], if first { OPAQUE_BLACK } else { top[0] });
    top[pixels.len()] = pixels[0];
    match Arch::new() {
        #[cfg(target_arch = "x86_64")]
        Arch::V3(simd) => simd.vectorize(PredictRow { bits, modes, top, pixels, first, ops: simd }),
        #[cfg(target_arch = "aarch64")]
        Arch::Neon(simd) => simd.vectorize(PredictRow { bits, modes, top, pixels, first, ops: simd }),
        arch => arch.dispatch(PredictRow { bits, modes, top, pixels, first, ops: Scalar }),
    }
}

/// Inverts a row from its second pixel on.
struct PredictRow<'a, B> {
    bits: u32,
    modes: &'a [u8],
    top: &'a [u32],
    pixels: &'a mut [u32],
    first: bool,
    ops: B,
}

impl<B: PixelOps> NullaryFnOnce for PredictRow<'_, B> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { bits, modes, top, pixels, first, ops } = self;
        let width = pixels.len();
        if first {
            return undo_mode::<B, 1>(ops, top, pixels, 1, width);
        }
        let mut x = 1;
        for (block, &mode) in modes.iter().enumerate() {
            let end = width.min((block + 1) << bits);
            match mode {
                1 => undo_mode::<B, 1>(ops, top, pixels, x, end),
                2 => undo_mode::<B, 2>(ops, top, pixels, x, end),
                3 => undo_mode::<B, 3>(ops, top, pixels, x, end),
                4 => undo_mode::<B, 4>(ops, top, pixels, x, end),
                5 => undo_mode::<B, 5>(ops, top, pixels, x, end),
                6 => undo_mode::<B, 6>(ops, top, pixels, x, end),
                7 => undo_mode::<B, 7>(ops, top, pixels, x, end),
                8 => undo_mode::<B, 8>(ops, top, pixels, x, end),
                9 => undo_mode::<B, 9>(ops, top, pixels, x, end),
                10 => undo_mode::<B, 10>(ops, top, pixels, x, end),
                11 => undo_mode::<B, 11>(ops, top, pixels, x, end),
                12 => undo_mode::<B, 12>(ops, top, pixels, x, end),
                13 => undo_mode::<B, 13>(ops, top, pixels, x, end),
                _ => undo_mode::<B, 0>(ops, top, pixels, x, end),
            }
            x = end;
        }
    }
}

/// Inverts one mode in the columns `x..end`; `x` is at least 1.
#[inline(always)]
fn undo_mode<B: PixelOps, const MODE: u8>(ops: B, top: &[u32], pixels: &mut [u32], x: usize, end: usize) {
    // A block of one column may be the first pixel, which is already inverted.
    let count = end.saturating_sub(x);
    let mut left = ops.load(pixels[x - 1]);
    let (top_left, top_right) = (&top[x - 1..][..count], &top[x + 1..][..count]);
    let (top, pixels) = (&top[x..][..count], &mut pixels[x..][..count]);
    if matches!(MODE, 0 | 2 | 3 | 4 | 8 | 9) {
        // Independent of the left pixel, so the compiler vectorizes it.
        for at in 0..count {
            let predicted = match MODE {
                2 => top[at],
                3 => top_right[at],
                4 => top_left[at],
                8 => average2(top_left[at], top[at]),
                9 => average2(top[at], top_right[at]),
                _ => OPAQUE_BLACK,
            };
            pixels[at] = add(pixels[at], predicted);
        }
        return;
    }
    for at in 0..count {
        let (top_left, top, top_right) = (ops.load(top_left[at]), ops.load(top[at]), ops.load(top_right[at]));
        let predicted = match MODE {
            5 => ops.average2(ops.average2(left, top_right), top),
            6 => ops.average2(left, top_left),
            7 => ops.average2(left, top),
            10 => ops.average2(ops.average2(left, top_left), ops.average2(top, top_right)),
            11 => ops.select(left, top, top_left),
            12 => ops.clamp_add_subtract_full(left, top, top_left),
            13 => ops.clamp_add_subtract_half(ops.average2(left, top), top_left),
            _ => left,
        };
        left = ops.add(ops.load(pixels[at]), predicted);
        pixels[at] = ops.store(left);
    }
}

/// Operations on the four samples of a pixel.
trait PixelOps: Copy {
    type Pixel: Copy;

    fn load(self, pixel: u32) -> Self::Pixel;
    fn store(self, pixel: Self::Pixel) -> u32;

    /// The sum of each sample, modulo 256.
    fn add(self, a: Self::Pixel, b: Self::Pixel) -> Self::Pixel;

    /// `Average2`: the mean of each sample, rounded down.
    fn average2(self, a: Self::Pixel, b: Self::Pixel) -> Self::Pixel;

    /// `Select`: left or top, whichever is nearer to left + top - top-left; top if both are equally near.
    fn select(self, left: Self::Pixel, top: Self::Pixel, top_left: Self::Pixel) -> Self::Pixel;

    /// `ClampAddSubtractFull`: left + top - top-left, clamped.
    fn clamp_add_subtract_full(self, left: Self::Pixel, top: Self::Pixel, top_left: Self::Pixel) -> Self::Pixel;

    /// `ClampAddSubtractHalf`: mean + (mean - top-left) / 2, clamped.
    fn clamp_add_subtract_half(self, mean: Self::Pixel, top_left: Self::Pixel) -> Self::Pixel;
}

/// For every processor.
#[derive(Clone, Copy)]
struct Scalar;

impl PixelOps for Scalar {
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
    fn average2(self, a: u32, b: u32) -> u32 {
        average2(a, b)
    }

    #[inline(always)]
    fn select(self, left: u32, top: u32, top_left: u32) -> u32 {
        let samples = left.to_le_bytes().into_iter().zip(top.to_le_bytes()).zip(top_left.to_le_bytes());
        let (mut to_left, mut to_above) = (0, 0);
        for ((left, top), top_left) in samples {
            to_left += u32::from(top.abs_diff(top_left));
            to_above += u32::from(left.abs_diff(top_left));
        }
        if to_left < to_above { left } else { top }
    }

    #[inline(always)]
    fn clamp_add_subtract_full(self, left: u32, top: u32, top_left: u32) -> u32 {
        let (mut left, top, top_left) = (left.to_le_bytes(), top.to_le_bytes(), top_left.to_le_bytes());
        for sample in 0..4 {
            let level = i16::from(left[sample]) + i16::from(top[sample]) - i16::from(top_left[sample]);
            left[sample] = level.clamp(0, 255) as u8;
        }
        u32::from_le_bytes(left)
    }

    #[inline(always)]
    fn clamp_add_subtract_half(self, mean: u32, top_left: u32) -> u32 {
        let (mut mean, top_left) = (mean.to_le_bytes(), top_left.to_le_bytes());
        for sample in 0..4 {
            let level = i16::from(mean[sample]);
            // Rounded towards zero.
            mean[sample] = (level + (level - i16::from(top_left[sample])) / 2).clamp(0, 255) as u8;
        }
        u32::from_le_bytes(mean)
    }
}

/// Each pixel depends on the one before; SSE needs fewer instructions for that chain.
#[cfg(target_arch = "x86_64")]
impl PixelOps for pulp::x86::V3 {
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
    fn average2(self, a: __m128i, b: __m128i) -> __m128i {
        let sse = self.sse2;
        // `_mm_avg_epu8` rounds up.
        let odd = sse._mm_and_si128(sse._mm_xor_si128(a, b), sse._mm_set1_epi8(1));
        sse._mm_sub_epi8(sse._mm_avg_epu8(a, b), odd)
    }

    #[inline(always)]
    fn select(self, left: __m128i, top: __m128i, top_left: __m128i) -> __m128i {
        let sse = self.sse2;
        let (to_left, to_above) = (sse._mm_sad_epu8(top, top_left), sse._mm_sad_epu8(left, top_left));
        self.sse4_1._mm_blendv_epi8(top, left, sse._mm_cmpgt_epi32(to_above, to_left))
    }

    #[inline(always)]
    fn clamp_add_subtract_full(self, left: __m128i, top: __m128i, top_left: __m128i) -> __m128i {
        let sse = self.sse2;
        let wide = self.sse4_1;
        let rise = sse._mm_sub_epi16(wide._mm_cvtepu8_epi16(top), wide._mm_cvtepu8_epi16(top_left));
        let level = sse._mm_add_epi16(wide._mm_cvtepu8_epi16(left), rise);
        sse._mm_packus_epi16(level, level)
    }

    #[inline(always)]
    fn clamp_add_subtract_half(self, mean: __m128i, top_left: __m128i) -> __m128i {
        let sse = self.sse2;
        let level = self.sse4_1._mm_cvtepu8_epi16(mean);
        let top_left = self.sse4_1._mm_cvtepu8_epi16(top_left);
        let distance = sse._mm_sub_epi16(level, top_left);
        // Rounded towards zero: adds 1 to negative differences.
        let below = sse._mm_cmpgt_epi16(top_left, level);
        let half = sse._mm_srai_epi16::<1>(sse._mm_sub_epi16(distance, below));
        let level = sse._mm_add_epi16(level, half);
        sse._mm_packus_epi16(level, level)
    }
}

/// The samples are the low four lanes; the others are 0.
#[cfg(target_arch = "aarch64")]
impl PixelOps for pulp::aarch64::Neon {
    type Pixel = uint8x8_t;

    #[inline(always)]
    fn load(self, pixel: u32) -> uint8x8_t {
        self.neon.vcreate_u8(u64::from(pixel))
    }

    #[inline(always)]
    fn store(self, pixel: uint8x8_t) -> u32 {
        self.neon.vget_lane_u32::<0>(pulp::cast(pixel))
    }

    #[inline(always)]
    fn add(self, a: uint8x8_t, b: uint8x8_t) -> uint8x8_t {
        self.neon.vadd_u8(a, b)
    }

    #[inline(always)]
    fn average2(self, a: uint8x8_t, b: uint8x8_t) -> uint8x8_t {
        self.neon.vhadd_u8(a, b)
    }

    #[inline(always)]
    fn select(self, left: uint8x8_t, top: uint8x8_t, top_left: uint8x8_t) -> uint8x8_t {
        let neon = self.neon;
        let to_left = neon.vpaddl_u16(neon.vpaddl_u8(neon.vabd_u8(top, top_left)));
        let to_above = neon.vpaddl_u16(neon.vpaddl_u8(neon.vabd_u8(left, top_left)));
        neon.vbsl_u8(pulp::cast(neon.vcgt_u32(to_above, to_left)), left, top)
    }

    #[inline(always)]
    fn clamp_add_subtract_full(self, left: uint8x8_t, top: uint8x8_t, top_left: uint8x8_t) -> uint8x8_t {
        let neon = self.neon;
        let level = neon.vaddw_u8(neon.vsubl_u8(top, top_left), left);
        neon.vqmovun_s16(pulp::cast(level))
    }

    #[inline(always)]
    fn clamp_add_subtract_half(self, mean: uint8x8_t, top_left: uint8x8_t) -> uint8x8_t {
        let neon = self.neon;
        let distance: int16x8_t = pulp::cast(neon.vsubl_u8(mean, top_left));
        // Rounded towards zero: adds 1 to negative differences.
        let below = neon.vshrq_n_s16::<15>(distance);
        let half = neon.vshrq_n_s16::<1>(neon.vsubq_s16(distance, below));
        let level = neon.vaddw_u8(pulp::cast(half), mean);
        neon.vqmovun_s16(pulp::cast(level))
    }
}

/// The sum of each of the four samples, modulo 256.
#[inline(always)]
pub(crate) fn add(a: u32, b: u32) -> u32 {
    (a & 0xFF00_FF00).wrapping_add(b & 0xFF00_FF00) & 0xFF00_FF00
        | (a & 0x00FF_00FF).wrapping_add(b & 0x00FF_00FF) & 0x00FF_00FF
}

/// The mean of each of the four samples, rounded down.
#[inline(always)]
fn average2(a: u32, b: u32) -> u32 {
    (a & b) + (((a ^ b) & 0xFEFE_FEFE) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalar_and_simd_predictions_are_equal() {
        let mut state = 1_u32;
        let mut row = |length: usize| -> Vec<u32> {
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                // Close values, or random ones.
                if state & 1 == 0 { state } else { state & 0x0303_0303 | 0x7F00_FE80 }
            };
            (0..length).map(|_| next()).collect()
        };
        for mode in 0..=15_u8 {
            for width in [1, 2, 7, 64, 301] {
                for first in [false, true] {
                    let (top, coded) = (row(width + 1), row(width));
                    let modes = vec![mode; width.div_ceil(4)];
                    let (mut ours, mut plain, mut own) = (coded.clone(), coded, top.clone());
                    undo(2, &modes, &mut own, &mut ours, first);
                    let mut own = top.clone();
                    plain[0] = add(plain[0], if first { OPAQUE_BLACK } else { top[0] });
                    own[width] = plain[0];
                    PredictRow { bits: 2, modes: &modes, top: &own, pixels: &mut plain, first, ops: Scalar }.call();
                    assert_eq!(ours, plain, "mode {mode}, {width} pixels");
                }
            }
        }
    }
}
