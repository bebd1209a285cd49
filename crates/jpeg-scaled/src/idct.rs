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
}

impl Corner {
    /// How many coefficients within the corner come before this one.
    #[inline(always)]
    pub(crate) fn rank(&self, index: u32) -> usize {
        (self.inside & ((1 << index) - 1)).count_ones() as usize
    }
}

pub(crate) static CORNERS: [Corner; 9] = [
    corner(1),
    corner(1),
    corner(2),
    corner(3),
    corner(4),
    corner(5),
    corner(6),
    corner(7),
    corner(8),
];

const fn corner(size: u8) -> Corner {
    let mut corner = Corner { last: 0, inside: 0 };
    let mut index = 0;
    while index < 64 {
        let (row, column) = ZIGZAG[index];
        if row < size && column < size {
            corner.last = index as u32;
            corner.inside |= 1 << index;
        }
        index += 1;
    }
    corner
}

/// The index of the coefficient in each row and column.
const INDEX: [[usize; 8]; 8] = {
    let mut table = [[0; 8]; 8];
    let mut index = 0;
    while index < 64 {
        let (row, column) = ZIGZAG[index];
        table[row as usize][column as usize] = index;
        index += 1;
    }
    table
};

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

/// One dimension of the transform.
#[inline(always)]
fn line<const N: usize>(input: [f32; N]) -> [f32; N] {
    let mut out = [0.0; N];
    match N {
        1 => out[0] = input[0],
        2 => {
            out[0] = input[0] + input[1];
            out[1] = input[0] - input[1];
        }
        3 => {
            let even = input[0] + input[2];
            out[0] = even + input[1];
            out[1] = input[0] - 2.0 * input[2];
            out[2] = even - input[1];
        }
        4 => {
            const COS_1: f32 = 0.923_879_5;
            const COS_3: f32 = 0.382_683_43;
            let (even_0, even_1) = (input[0] + input[2], input[0] - input[2]);
            let odd_0 = COS_1 * input[1] + COS_3 * input[3];
            let odd_1 = COS_3 * input[1] - COS_1 * input[3];
            out[0] = even_0 + odd_0;
            out[1] = even_1 + odd_1;
            out[2] = even_1 - odd_1;
            out[3] = even_0 - odd_0;
        }
        _ => unreachable!("larger sizes go by rows"),
    }
    out
}

/// Rounded, halves up as other decoders do, and held to 0..255. Adding 2^23 leaves the integer in the low bits of the number.
#[inline(always)]
fn level(value: f32) -> u8 {
    let value = value + (128.0 + 1.0 / 512.0);
    let value = if value > 0.0 { value } else { 0.0 };
    let value = if value < 255.0 { value } else { 255.0 };
    (value + 8_388_608.0).to_bits() as u8
}

/// Writes the samples of a block whose coefficients in the order of the file, times their
/// [`factors`], are `block`.
#[inline(always)]
pub(crate) fn transform<const N: usize>(block: &[f32; 64], out: &mut [u8], stride: usize) {
    if N > 4 {
        return transform_by_rows::<N>(block, out, stride);
    }
    let mut half = [[0.0; N]; N];
    for column in 0..N {
        let lines = line::<N>(std::array::from_fn(|row| block[INDEX[row][column]]));
        for (row, value) in lines.into_iter().enumerate() {
            half[row][column] = value;
        }
    }
    for (row, half) in half.into_iter().enumerate() {
        let samples = line::<N>(half).map(level);
        out[row * stride..row * stride + N].copy_from_slice(&samples);
    }
}

/// Two products of matrices, with whole rows at a time in the inner loops.
#[inline(never)]
fn transform_by_rows<const N: usize>(block: &[f32; 64], out: &mut [u8], stride: usize) {
    type Row = [f32; 8];
    #[inline(always)]
    fn add(sum: &mut Row, factor: f32, row: &Row) {
        for (sum, value) in sum.iter_mut().zip(row) {
            *sum += factor * value;
        }
    }
    let (cosines, across) = (&COSINES.0[N], &COSINES.1[N]);
    let mut rows = [[0.0; 8]; N];
    for (row, indices) in rows.iter_mut().zip(&INDEX) {
        for (value, &index) in row.iter_mut().zip(indices).take(N) {
            *value = block[index];
        }
    }
    let mut half = [[0.0; 8]; N];
    for y in 0..N.div_ceil(2) {
        let (mut even, mut odd) = (rows[0], [0.0; 8]);
        for v in 1..N {
            let sum = if v % 2 == 0 { &mut even } else { &mut odd };
            add(sum, cosines[y][v], &rows[v]);
        }
        for column in 0..8 {
            half[y][column] = even[column] + odd[column];
            half[N - 1 - y][column] = even[column] - odd[column];
        }
    }
    for (y, half) in half.iter().enumerate() {
        let mut sums = [half[0]; 8];
        for u in 1..N {
            add(&mut sums, half[u], &across[u]);
        }
        let samples = sums.map(level);
        out[y * stride..y * stride + N].copy_from_slice(&samples[..N]);
    }
}
