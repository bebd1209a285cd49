//! Operations on vectors.

#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::{int16x8_t, int32x4_t};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m128i, __m256};

/// Numbers in a vector.
pub(crate) const LANES: usize = 8;

/// Transposes eight rows of eight.
pub(crate) trait Transpose: Copy {
    fn transpose(self, rows: [[f32; LANES]; LANES]) -> [[f32; LANES]; LANES];
}

/// Columns of a [`RowPair`].
pub(crate) const WIDE: usize = 32;

/// The samples of two rows, for [`MultiplyAdd`]: in each part eight columns of both rows.
#[derive(Clone, Copy, Default)]
pub(crate) struct RowPair([[i16; 2 * LANES]; WIDE / LANES]);

/// Sums of products of samples and weights.
pub(crate) trait MultiplyAdd: Copy {
    fn pair(self, upper: [u8; WIDE], lower: [u8; WIDE]) -> RowPair;
    /// Adds the samples of the upper row times the first weight, and those of the lower row times the second.
    fn multiply_add(
        self,
        sums: [[i32; LANES]; WIDE / LANES],
        pair: &RowPair,
        weights: [i16; 2],
    ) -> [[i32; LANES]; WIDE / LANES];
}

/// For every processor.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

/// The upper row precedes the lower one.
impl MultiplyAdd for Scalar {
    #[inline(always)]
    fn pair(self, upper: [u8; WIDE], lower: [u8; WIDE]) -> RowPair {
        let mut pair = RowPair::default();
        for (part, out) in pair.0.iter_mut().enumerate() {
            for lane in 0..LANES {
                out[lane] = upper[part * LANES + lane].into();
                out[LANES + lane] = lower[part * LANES + lane].into();
            }
        }
        pair
    }

    #[inline(always)]
    fn multiply_add(
        self,
        mut sums: [[i32; LANES]; WIDE / LANES],
        pair: &RowPair,
        weights: [i16; 2],
    ) -> [[i32; LANES]; WIDE / LANES] {
        for (sums, samples) in sums.iter_mut().zip(&pair.0) {
            for lane in 0..LANES {
                sums[lane] += i32::from(samples[lane]) * i32::from(weights[0]);
                sums[lane] += i32::from(samples[LANES + lane]) * i32::from(weights[1]);
            }
        }
        sums
    }
}

/// The rows are interleaved.
#[cfg(target_arch = "x86_64")]
impl MultiplyAdd for pulp::x86::V3 {
    #[inline(always)]
    fn pair(self, upper: [u8; WIDE], lower: [u8; WIDE]) -> RowPair {
        let upper: [__m128i; 2] = pulp::cast(upper);
        let lower: [__m128i; 2] = pulp::cast(lower);
        let mut pair = RowPair::default();
        for half in 0..2 {
            let low = self.sse2._mm_unpacklo_epi8(upper[half], lower[half]);
            let high = self.sse2._mm_unpackhi_epi8(upper[half], lower[half]);
            pair.0[2 * half] = pulp::cast(self.avx2._mm256_cvtepu8_epi16(low));
            pair.0[2 * half + 1] = pulp::cast(self.avx2._mm256_cvtepu8_epi16(high));
        }
        pair
    }

    #[inline(always)]
    fn multiply_add(
        self,
        mut sums: [[i32; LANES]; WIDE / LANES],
        pair: &RowPair,
        weights: [i16; 2],
    ) -> [[i32; LANES]; WIDE / LANES] {
        let weights = self.avx._mm256_set1_epi32(pulp::cast(weights));
        for (sums, &samples) in sums.iter_mut().zip(&pair.0) {
            let products = self.avx2._mm256_madd_epi16(pulp::cast(samples), weights);
            *sums = pulp::cast(self.avx2._mm256_add_epi32(pulp::cast(*sums), products));
        }
        sums
    }
}

/// As for every processor, but compilers do not vectorize that.
#[cfg(target_arch = "aarch64")]
impl MultiplyAdd for pulp::aarch64::Neon {
    #[inline(always)]
    fn pair(self, upper: [u8; WIDE], lower: [u8; WIDE]) -> RowPair {
        Scalar.pair(upper, lower)
    }

    #[inline(always)]
    fn multiply_add(
        self,
        mut sums: [[i32; LANES]; WIDE / LANES],
        pair: &RowPair,
        [first, second]: [i16; 2],
    ) -> [[i32; LANES]; WIDE / LANES] {
        let neon = self.neon;
        for (sums, &samples) in sums.iter_mut().zip(&pair.0) {
            let [upper, lower]: [int16x8_t; 2] = pulp::cast(samples);
            let [mut low, mut high]: [int32x4_t; 2] = pulp::cast(*sums);
            low = neon.vmlal_n_s16(low, neon.vget_low_s16(upper), first);
            high = neon.vmlal_high_n_s16(high, upper, first);
            low = neon.vmlal_n_s16(low, neon.vget_low_s16(lower), second);
            high = neon.vmlal_high_n_s16(high, lower, second);
            *sums = pulp::cast([low, high]);
        }
        sums
    }
}

impl Transpose for Scalar {
    #[inline(always)]
    fn transpose(self, rows: [[f32; LANES]; LANES]) -> [[f32; LANES]; LANES] {
        std::array::from_fn(|column| rows.map(|row| row[column]))
    }
}

#[cfg(target_arch = "aarch64")]
impl Transpose for pulp::aarch64::Neon {
    #[inline(always)]
    fn transpose(self, rows: [[f32; LANES]; LANES]) -> [[f32; LANES]; LANES] {
        Scalar.transpose(rows)
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
