//! Operations on eight numbers.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__m256;

/// Numbers in a vector.
pub(crate) const LANES: usize = 8;

/// Transposes eight rows of eight.
pub(crate) trait Transpose: Copy {
    fn transpose(self, rows: [[f32; LANES]; LANES]) -> [[f32; LANES]; LANES];
}

/// For every processor.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

impl Transpose for Scalar {
    #[inline(always)]
    fn transpose(self, rows: [[f32; LANES]; LANES]) -> [[f32; LANES]; LANES] {
        std::array::from_fn(|column| rows.map(|row| row[column]))
    }
}

/// Compilers do not vectorize [`Scalar`].
#[cfg(target_arch = "x86_64")]
impl Transpose for pulp::x86::V3 {
    #[inline(always)]
    fn transpose(self, rows: [[f32; LANES]; LANES]) -> [[f32; LANES]; LANES] {
        let avx = self.avx;
        // No closures: they would not be compiled for AVX.
        let mut halves = [avx._mm256_setzero_ps(); LANES];
        for half in [0, 4] {
            let a: __m256 = pulp::cast(rows[half]);
            let b: __m256 = pulp::cast(rows[half + 1]);
            let c: __m256 = pulp::cast(rows[half + 2]);
            let d: __m256 = pulp::cast(rows[half + 3]);
            let (low, high) = (avx._mm256_unpacklo_ps(a, b), avx._mm256_unpackhi_ps(a, b));
            let (low_2, high_2) = (avx._mm256_unpacklo_ps(c, d), avx._mm256_unpackhi_ps(c, d));
            // Of four rows, columns 0 and 4, 1 and 5, 2 and 6, 3 and 7.
            halves[half] = avx._mm256_shuffle_ps::<0x44>(low, low_2);
            halves[half + 1] = avx._mm256_shuffle_ps::<0xEE>(low, low_2);
            halves[half + 2] = avx._mm256_shuffle_ps::<0x44>(high, high_2);
            halves[half + 3] = avx._mm256_shuffle_ps::<0xEE>(high, high_2);
        }
        let mut columns = [[0.0; LANES]; LANES];
        for column in 0..4 {
            let (upper, lower) = (halves[column], halves[column + 4]);
            columns[column] = pulp::cast(avx._mm256_permute2f128_ps::<0x20>(upper, lower));
            columns[column + 4] = pulp::cast(avx._mm256_permute2f128_ps::<0x31>(upper, lower));
        }
        columns
    }
}
