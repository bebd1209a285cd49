//! The inverse transforms (RFC 6386, sections 14.3 and 14.4).

use crate::coefficients::Block;
use crate::simd::Simd;

/// √2 sin(π/8), in parts of 65,536 and less one, to fit 16 bits; then √2 cos(π/8) less one.
const SINE: i16 = (35_468 - 65_536) as i16;
const COSINE: i16 = 20_091;

/// The first coefficients of sixteen blocks, of those of the second order: the inverse
/// Walsh-Hadamard transform. `all` says whether there is more than the first.
#[inline(always)]
pub(crate) fn second_order(input: &Block, all: bool) -> [i16; 16] {
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

/// Adds a block's samples to the four by four from column `x` of four rows. Arithmetic wraps at 16
/// bits, which no sound picture comes to.
#[inline(always)]
pub(crate) fn add_block<S: Simd, const W: usize>(simd: S, block: &Block, rows: &mut [[u8; W]], x: usize) {
    let (low, high) = (block.first_chunk::<8>(), block.last_chunk::<8>());
    let (Some(&low), Some(&high)) = (low, high) else { return };
    let (low, high) = pass(simd, simd.words(low), simd.words(high));
    let (low, high) = turn(simd, low, high);
    let low = simd.add_words(low, simd.words([4, 4, 4, 4, 0, 0, 0, 0]));
    let (low, high) = pass(simd, low, high);
    let (low, high) = turn(simd, simd.eighth_words(low), simd.eighth_words(high));
    if let [a, b, c, d, ..] = rows {
        add_two(simd, a, b, x, low);
        add_two(simd, c, d, x, high);
    }
}

/// The same where only the first coefficient is not zero.
#[inline(always)]
pub(crate) fn add_first<S: Simd, const W: usize>(simd: S, first: i16, rows: &mut [[u8; W]], x: usize) {
    let level = simd.words([((i32::from(first) + 4) >> 3) as i16; 8]);
    if let [a, b, c, d, ..] = rows {
        add_two(simd, a, b, x, level);
        add_two(simd, c, d, x, level);
    }
}

/// The same where only the first three in the order of the data are not zero. Arithmetic does not
/// wrap, again as libwebp has it.
#[inline(always)]
pub(crate) fn add_few<const W: usize>(block: &Block, rows: &mut [[u8; W]], x: usize) {
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

/// Adds to four samples in each of two rows.
#[inline(always)]
fn add_two<S: Simd, const W: usize>(simd: S, a: &mut [u8; W], b: &mut [u8; W], x: usize, words: S::Words) {
    let (Some(a), Some(b)) = (a[x..].first_chunk_mut::<4>(), b[x..].first_chunk_mut::<4>()) else { return };
    let [a0, a1, a2, a3] = *a;
    let [b0, b1, b2, b3] = *b;
    let [a0, a1, a2, a3, b0, b1, b2, b3] = simd.add_to([a0, a1, a2, a3, b0, b1, b2, b3], words);
    *a = [a0, a1, a2, a3];
    *b = [b0, b1, b2, b3];
}

/// One dimension: of rows 0 and 1, and 2 and 3.
#[inline(always)]
fn pass<S: Simd>(simd: S, low: S::Words, high: S::Words) -> (S::Words, S::Words) {
    let (even, odd) = (simd.lows(low, high), simd.highs(low, high));
    let swapped = simd.swap_halves(even);
    let even = simd.lows(simd.add_words(even, swapped), simd.subtract_words(even, swapped));
    let sine = simd.add_words(simd.times(odd, SINE), odd);
    let cosine = simd.swap_halves(simd.add_words(simd.times(odd, COSINE), odd));
    let odd = simd.lows(simd.swap_halves(simd.add_words(sine, cosine)), simd.subtract_words(sine, cosine));
    (simd.add_words(even, odd), simd.swap_halves(simd.subtract_words(even, odd)))
}

/// Makes columns of rows.
#[inline(always)]
fn turn<S: Simd>(simd: S, low: S::Words, high: S::Words) -> (S::Words, S::Words) {
    let (a, b) = (simd.zip_words_low(low, high), simd.zip_words_high(low, high));
    (simd.zip_words_low(a, b), simd.zip_words_high(a, b))
}
