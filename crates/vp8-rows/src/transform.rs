//! The inverse transforms (RFC 6386, sections 14.3 and 14.4).

use crate::simd::Simd;

/// Dequantized coefficients by rows.
pub(crate) type Block = [i16; 16];

/// √2 sin(π/8) - 1 and √2 cos(π/8) - 1, in units of 1/65,536 (section 14.4), so that both fit 16 bits.
const SINE: i16 = (35_468 - 65_536) as i16;
const COSINE: i16 = 20_091;

/// The inverse Walsh-Hadamard transform of Y2 (section 14.3): the DC coefficients of the 16 Y blocks.
/// `all` is false if only the DC of Y2 is non-zero.
#[inline(always)]
pub(crate) fn inverse_wht(input: &Block, all: bool) -> [i16; 16] {
    if !all {
        return [((i32::from(input[0]) + 3) >> 3) as i16; 16];
    }
    let mut half = [0; 16];
    for column in 0..4 {
        let [a, b, c, d] = [0, 4, 8, 12].map(|row| i32::from(input[row + column]));
        let out = butterfly(a, b, c, d);
        for row in 0..4 {
            half[row * 4 + column] = out[row];
        }
    }
    let mut out = [0; 16];
    for row in 0..4 {
        let line = &half[row * 4..][..4];
        for (out, value) in out[row * 4..].iter_mut().zip(butterfly(line[0] + 3, line[1], line[2], line[3])) {
            *out = (value >> 3) as i16;
        }
    }
    out
}

#[inline(always)]
fn butterfly(a: i32, b: i32, c: i32, d: i32) -> [i32; 4] {
    let (outer, inner) = (a + d, b + c);
    let (outer_2, inner_2) = (a - d, b - c);
    [outer + inner, outer_2 + inner_2, outer - inner, outer_2 - inner_2]
}

/// Adds the inverse DCT of a block (sections 14.4 and 14.5) to the 4 x 4 samples from column `x` of
/// `rows`. Arithmetic wraps at 16 bits, which valid coefficients do not reach.
#[inline(always)]
pub(crate) fn add_idct<S: Simd, const W: usize>(simd: S, block: &Block, rows: &mut [[u8; W]], x: usize) {
    let (low, high) = (block.first_chunk::<8>(), block.last_chunk::<8>());
    let (Some(&low), Some(&high)) = (low, high) else { return };
    let (low, high) = idct_pass(simd, simd.words(low), simd.words(high));
    let (low, high) = transpose(simd, low, high);
    let low = simd.add_words(low, simd.words([4, 4, 4, 4, 0, 0, 0, 0]));
    let (low, high) = idct_pass(simd, low, high);
    let (low, high) = transpose(simd, simd.shift_right_3_words(low), simd.shift_right_3_words(high));
    if let [a, b, c, d, ..] = rows {
        add_two(simd, a, b, x, low);
        add_two(simd, c, d, x, high);
    }
}

/// [`add_idct`] of a block whose AC coefficients are zero.
#[inline(always)]
pub(crate) fn add_dc<S: Simd, const W: usize>(simd: S, first: i16, rows: &mut [[u8; W]], x: usize) {
    let level = simd.words([((i32::from(first) + 4) >> 3) as i16; 8]);
    if let [a, b, c, d, ..] = rows {
        add_two(simd, a, b, x, level);
        add_two(simd, c, d, x, level);
    }
}

/// [`add_idct`] of a block with at most the first three coefficients in zigzag order. As in libwebp,
/// arithmetic does not wrap.
#[inline(always)]
pub(crate) fn add_low_coeffs<const W: usize>(block: &Block, rows: &mut [[u8; W]], x: usize) {
    let [first, right, _, _, below, ..] = block.map(i32::from);
    let parts = |value: i32| {
        let (sine, cosine) = ((value * 35_468) >> 16, value + ((value * 20_091) >> 16));
        [cosine, sine, -sine, -cosine]
    };
    let across = parts(right);
    for (row, part) in rows.iter_mut().zip(parts(below)) {
        let Some(samples) = row[x..].first_chunk_mut::<4>() else { return };
        for column in 0..4 {
            let sum = i32::from(samples[column]) + ((first + 4 + part + across[column]) >> 3);
            samples[column] = sum.clamp(0, 255) as u8;
        }
    }
}

/// Adds `words` to four samples in each of two rows.
#[inline(always)]
fn add_two<S: Simd, const W: usize>(simd: S, a: &mut [u8; W], b: &mut [u8; W], x: usize, words: S::Words) {
    let (Some(a), Some(b)) = (a[x..].first_chunk_mut::<4>(), b[x..].first_chunk_mut::<4>()) else { return };
    let [a0, a1, a2, a3] = *a;
    let [b0, b1, b2, b3] = *b;
    let [a0, a1, a2, a3, b0, b1, b2, b3] = simd.add_to([a0, a1, a2, a3, b0, b1, b2, b3], words);
    *a = [a0, a1, a2, a3];
    *b = [b0, b1, b2, b3];
}

/// The DCT in one dimension; `low` holds rows 0 and 1, `high` rows 2 and 3.
#[inline(always)]
fn idct_pass<S: Simd>(simd: S, low: S::Words, high: S::Words) -> (S::Words, S::Words) {
    let (even, odd) = (simd.low_halves(low, high), simd.high_halves(low, high));
    let swapped = simd.swap_halves(even);
    let even = simd.low_halves(simd.add_words(even, swapped), simd.subtract_words(even, swapped));
    let sine = simd.add_words(simd.mul_high(odd, SINE), odd);
    let cosine = simd.swap_halves(simd.add_words(simd.mul_high(odd, COSINE), odd));
    let odd = simd.low_halves(simd.swap_halves(simd.add_words(sine, cosine)), simd.subtract_words(sine, cosine));
    (simd.add_words(even, odd), simd.swap_halves(simd.subtract_words(even, odd)))
}

/// Transposes a 4 x 4 block.
#[inline(always)]
fn transpose<S: Simd>(simd: S, low: S::Words, high: S::Words) -> (S::Words, S::Words) {
    let (a, b) = (simd.interleave_words_low(low, high), simd.interleave_words_high(low, high));
    (simd.interleave_words_low(a, b), simd.interleave_words_high(a, b))
}
