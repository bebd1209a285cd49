//! The inverse cosine transform of the low corner of a block: `N` x `N` samples from `N` x `N`
//! coefficients.
//!
//! With F the dequantised coefficients of an 8 x 8 block, a sample of the scaled block is
//!
//! f(x, y) = 1/4 Σ C(u) C(v) F(u, v) cos((2x+1)uπ/2N) cos((2y+1)vπ/2N), u and v from 0 to N-1,
//!
//! with C(0) = 1/√2 and C = 1 otherwise, plus 128, rounded and held to 0..255. Arithmetic is in
//! single precision, and the result is that of exact arithmetic but where this lies within a
//! thousandth of halfway between two levels.

use std::f64::consts::{FRAC_1_SQRT_2, PI};
use std::sync::LazyLock;

/// Row and column of each coefficient in the order of the file (ITU-T T.81, figure A.6).
pub(crate) const ZIGZAG: [(u8, u8); 64] = zigzag();

const fn zigzag() -> [(u8, u8); 64] {
    let mut order = [(0, 0); 64];
    let (mut row, mut column) = (0_u8, 0_u8);
    let mut index = 0;
    while index < 64 {
        order[index] = (row, column);
        let up = (row + column) % 2 == 0;
        if up && column == 7 || !up && row == 7 {
            if up {
                row += 1;
            } else {
                column += 1;
            }
        } else if up && row == 0 {
            column += 1;
        } else if !up && column == 0 {
            row += 1;
        } else if up {
            row -= 1;
            column += 1;
        } else {
            row += 1;
            column -= 1;
        }
        index += 1;
    }
    order
}

/// What a scale needs to know of the order of coefficients.
pub(crate) struct Corner {
    /// Index of the last coefficient within the corner.
    pub(crate) last: u32,
    /// Which coefficients are within the corner, a bit each.
    pub(crate) inside: u64,
    /// How many coefficients within the corner come before each.
    rank: [u8; 64],
    /// Where each is in a [`Block`].
    slot: [u8; 64],
}

/// Coefficients times their [`factors`], by columns: [`lanes`] places a column. The last place is
/// for those outside of the corner, which nobody reads.
pub(crate) type Block = [f32; 128];

/// Places a column of a block, and lanes that are computed at once.
const fn lanes(size: usize) -> usize {
    if size > 4 { 8 } else { 4 }
}

impl Corner {
    /// How many coefficients within the corner come before this one.
    #[inline(always)]
    pub(crate) fn rank(&self, index: u32) -> usize {
        usize::from(self.rank[index as usize & 63])
    }

    /// Where a coefficient is in a [`Block`].
    #[inline(always)]
    pub(crate) fn slot(&self, index: usize) -> usize {
        usize::from(self.slot[index & 63] & 127)
    }
}

pub(crate) static CORNERS: [Corner; 9] =
    [corner(1), corner(1), corner(2), corner(3), corner(4), corner(5), corner(6), corner(7), corner(8)];

const fn corner(size: u8) -> Corner {
    let mut corner = Corner { last: 0, inside: 0, rank: [0; 64], slot: [127; 64] };
    let mut index = 0;
    while index < 64 {
        let (row, column) = ZIGZAG[index];
        corner.rank[index] = corner.inside.count_ones() as u8;
        if row < size && column < size {
            corner.last = index as u32;
            corner.slot[index] = (column as usize * lanes(size as usize) + row as usize) as u8;
            corner.inside |= 1 << index;
        }
        index += 1;
    }
    corner
}

/// What each coefficient is multiplied by on its way into the transform, in the order of the file:
/// the quantiser, the constants of the formula and those that the transform of this size leaves
/// out. Zero outside of the corner.
pub(crate) fn factors(quantisers: &[u16; 64], size: usize) -> [f32; 64] {
    let weight = |index: u8| -> f64 {
        let normal = if index == 0 { FRAC_1_SQRT_2 } else { 1.0 };
        normal * left_out(size, usize::from(index))
    };
    let mut factors = [0.0; 64];
    for (index, &(row, column)) in ZIGZAG.iter().enumerate() {
        if usize::from(row.max(column)) < size {
            let factor = f64::from(quantisers[index]) / 4.0 * weight(row) * weight(column);
            factors[index] = factor as f32;
        }
    }
    factors
}

/// Factors of one dimension that the transforms of sizes 2 to 4 expect in the coefficients.
fn left_out(size: usize, index: usize) -> f64 {
    match (size, index) {
        (2, 1) | (4, 2) => FRAC_1_SQRT_2,
        (3, 1) => (PI / 6.0).cos(),
        (3, 2) => 0.5,
        _ => 1.0,
    }
}

type Matrix = [[f32; 8]; 8];

/// cos((2x+1)uπ/2N) by N, x and u, and by N, u and x, for the sizes that have no transform of their
/// own.
static COSINES: LazyLock<([Matrix; 9], [Matrix; 9])> = LazyLock::new(|| {
    let mut by_sample = [[[0.0; 8]; 8]; 9];
    let mut by_frequency = [[[0.0; 8]; 8]; 9];
    for size in 1..9 {
        for x in 0..size {
            for u in 0..size {
                let cosine = (((2 * x + 1) * u) as f64 * PI / (2 * size) as f64).cos() as f32;
                by_sample[size][x][u] = cosine;
                by_frequency[size][u][x] = cosine;
            }
        }
    }
    (by_sample, by_frequency)
});

/// Four numbers that are computed with at once.
type Four = [f32; 4];

#[inline(always)]
fn add(a: Four, b: Four) -> Four {
    std::array::from_fn(|lane| a[lane] + b[lane])
}

#[inline(always)]
fn subtract(a: Four, b: Four) -> Four {
    std::array::from_fn(|lane| a[lane] - b[lane])
}

#[inline(always)]
fn scaled(a: Four, factor: f32) -> Four {
    a.map(|value| value * factor)
}

/// One dimension of the transform, of four lines.
#[inline(always)]
fn lines<const N: usize>(input: [Four; 4]) -> [Four; 4] {
    let [a, b, c, d] = input;
    match N {
        1 => [a; 4],
        2 => [add(a, b), subtract(a, b), [0.0; 4], [0.0; 4]],
        3 => {
            let even = add(a, c);
            [add(even, b), subtract(a, add(c, c)), subtract(even, b), [0.0; 4]]
        }
        _ => {
            const COS_1: f32 = 0.923_879_5;
            const COS_3: f32 = 0.382_683_43;
            let (even_0, even_1) = (add(a, c), subtract(a, c));
            let odd_0 = add(scaled(b, COS_1), scaled(d, COS_3));
            let odd_1 = subtract(scaled(b, COS_3), scaled(d, COS_1));
            [add(even_0, odd_0), add(even_1, odd_1), subtract(even_1, odd_1), subtract(even_0, odd_0)]
        }
    }
}

/// Rounded, halves up as other decoders do, and held to 0..255. Adding 2^23 leaves the integer in
/// the low bits of the number.
#[inline(always)]
fn level(value: f32) -> u8 {
    let value = value + (128.0 + 1.0 / 512.0);
    let value = if value > 0.0 { value } else { 0.0 };
    let value = if value < 255.0 { value } else { 255.0 };
    (value + 8_388_608.0).to_bits() as u8
}

/// Makes a block ready for the coefficients of the next one.
#[inline(always)]
pub(crate) fn clear<const N: usize>(block: &mut Block) {
    block[..N * lanes(N)].fill(0.0);
}

/// Writes the samples of a block of which only the first coefficient is not zero.
#[inline(always)]
pub(crate) fn flat<const N: usize>(first: f32, out: &mut [u8], stride: usize) {
    let samples = [level(first); N];
    for row in 0..N {
        out[row * stride..row * stride + N].copy_from_slice(&samples);
    }
}

/// Writes the samples of a block.
#[inline(always)]
pub(crate) fn transform<const N: usize>(block: &Block, out: &mut [u8], stride: usize) {
    if N > 4 {
        return transform_large::<N>(block, out, stride);
    }
    let columns: [Four; 4] =
        std::array::from_fn(
            |column| {
                if column < N { std::array::from_fn(|row| block[column * 4 + row]) } else { [0.0; 4] }
            },
        );
    let half = lines::<N>(columns);
    let turned = std::array::from_fn(|row| std::array::from_fn(|column| half[column][row]));
    let rows = lines::<N>(turned);
    for (row, values) in rows.into_iter().enumerate().take(N) {
        let samples = values.map(level);
        out[row * stride..row * stride + N].copy_from_slice(&samples[..N]);
    }
}

/// Two products of matrices, with eight numbers at a time in the inner loops.
#[inline(always)]
fn transform_large<const N: usize>(block: &Block, out: &mut [u8], stride: usize) {
    type Eight = [f32; 8];
    #[inline(always)]
    fn add(sum: &mut Eight, factor: f32, values: &Eight) {
        for (sum, value) in sum.iter_mut().zip(values) {
            *sum += factor * value;
        }
    }
    let (cosines, down) = (&COSINES.0[N], &COSINES.1[N]);
    let columns: [Eight; N] = std::array::from_fn(|column| std::array::from_fn(|row| block[column * 8 + row]));
    // By column of samples, all frequencies down it.
    let mut half = [[0.0; 8]; N];
    for x in 0..N.div_ceil(2) {
        let (mut even, mut odd) = (columns[0], [0.0; 8]);
        for u in 1..N {
            let sum = if u % 2 == 0 { &mut even } else { &mut odd };
            add(sum, cosines[x][u], &columns[u]);
        }
        for row in 0..8 {
            half[x][row] = even[row] + odd[row];
            half[N - 1 - x][row] = even[row] - odd[row];
        }
    }
    let mut rows = [[0; 8]; 8];
    for (x, half) in half.iter().enumerate() {
        let mut sums = [half[0]; 8];
        for v in 1..N {
            add(&mut sums, half[v], &down[v]);
        }
        for (row, value) in rows.iter_mut().zip(sums.map(level)) {
            row[x] = value;
        }
    }
    for (y, row) in rows.iter().enumerate().take(N) {
        out[y * stride..y * stride + N].copy_from_slice(&row[..N]);
    }
}
