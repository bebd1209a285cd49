//! Operations on vectors.

#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::{int16x8_t, int32x4_t, uint8x8_t};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m128i, __m256, __m256i};

/// Numbers in a vector.
pub(crate) const LANES: usize = 8;

/// Transposes eight rows of eight.
pub(crate) trait Transpose: Copy {
    fn transpose(self, rows: [[f32; LANES]; LANES]) -> [[f32; LANES]; LANES];
}

/// Columns that [`MultiplyAdd`] takes at once.
pub(crate) const WIDE: usize = 32;
/// Eight columns each.
const PARTS: usize = WIDE / LANES;

/// Sums of products of samples and weights. The types are the processor's vectors: compilers pass arrays that are cast to them
/// through memory.
pub(crate) trait MultiplyAdd: Copy {
    /// The samples of two rows.
    type RowPair: Copy;
    /// A sum for each column.
    type Sums: Copy;

    fn pair(self, upper: [u8; WIDE], lower: [u8; WIDE]) -> Self::RowPair;
    fn zeros(self) -> Self::Sums;
    /// Adds the samples of the upper row times the first weight, and those of the lower row times the second.
    fn multiply_add(self, sums: Self::Sums, pair: &Self::RowPair, weights: [i16; 2]) -> Self::Sums;
    fn columns(self, sums: Self::Sums) -> [i32; WIDE];
}

/// For every processor.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

impl MultiplyAdd for Scalar {
    type RowPair = [[i16; WIDE]; 2];
    type Sums = [i32; WIDE];

    #[inline(always)]
    fn pair(self, upper: [u8; WIDE], lower: [u8; WIDE]) -> Self::RowPair {
        [upper.map(i16::from), lower.map(i16::from)]
    }

    #[inline(always)]
    fn zeros(self) -> Self::Sums {
        [0; WIDE]
    }

    #[inline(always)]
    fn multiply_add(self, mut sums: Self::Sums, [upper, lower]: &Self::RowPair, weights: [i16; 2]) -> Self::Sums {
        for column in 0..WIDE {
            sums[column] += i32::from(upper[column]) * i32::from(weights[0]);
            sums[column] += i32::from(lower[column]) * i32::from(weights[1]);
        }
        sums
    }

    #[inline(always)]
    fn columns(self, sums: Self::Sums) -> [i32; WIDE] {
        sums
    }
}

/// The rows are interleaved.
#[cfg(target_arch = "x86_64")]
impl MultiplyAdd for pulp::x86::V3 {
    type RowPair = [__m256i; PARTS];
    type Sums = [__m256i; PARTS];

    #[inline(always)]
    fn pair(self, upper: [u8; WIDE], lower: [u8; WIDE]) -> Self::RowPair {
        let upper: [__m128i; 2] = pulp::cast(upper);
        let lower: [__m128i; 2] = pulp::cast(lower);
        let mut pair = self.zeros();
        for half in 0..2 {
            let low = self.sse2._mm_unpacklo_epi8(upper[half], lower[half]);
            let high = self.sse2._mm_unpackhi_epi8(upper[half], lower[half]);
            pair[2 * half] = self.avx2._mm256_cvtepu8_epi16(low);
            pair[2 * half + 1] = self.avx2._mm256_cvtepu8_epi16(high);
        }
        pair
    }

    #[inline(always)]
    fn zeros(self) -> Self::Sums {
        [self.avx._mm256_setzero_si256(); PARTS]
    }

    #[inline(always)]
    fn multiply_add(self, mut sums: Self::Sums, pair: &Self::RowPair, weights: [i16; 2]) -> Self::Sums {
        let weights = self.avx._mm256_set1_epi32(pulp::cast(weights));
        for (sums, &samples) in sums.iter_mut().zip(pair) {
            *sums = self.avx2._mm256_add_epi32(*sums, self.avx2._mm256_madd_epi16(samples, weights));
        }
        sums
    }

    #[inline(always)]
    fn columns(self, sums: Self::Sums) -> [i32; WIDE] {
        pulp::cast(sums)
    }
}

/// As for every processor, but compilers do not vectorize that.
#[cfg(target_arch = "aarch64")]
impl MultiplyAdd for pulp::aarch64::Neon {
    type RowPair = [[int16x8_t; 2]; PARTS];
    type Sums = [[int32x4_t; 2]; PARTS];

    #[inline(always)]
    fn pair(self, upper: [u8; WIDE], lower: [u8; WIDE]) -> Self::RowPair {
        let neon = self.neon;
        let (upper, lower): ([uint8x8_t; PARTS], [uint8x8_t; PARTS]) = (pulp::cast(upper), pulp::cast(lower));
        let mut pair = [[neon.vdupq_n_s16(0); 2]; PARTS];
        for part in 0..PARTS {
            pair[part][0] = neon.vreinterpretq_s16_u16(neon.vmovl_u8(upper[part]));
            pair[part][1] = neon.vreinterpretq_s16_u16(neon.vmovl_u8(lower[part]));
        }
        pair
    }

    #[inline(always)]
    fn zeros(self) -> Self::Sums {
        [[self.neon.vdupq_n_s32(0); 2]; PARTS]
    }

    #[inline(always)]
    fn multiply_add(self, mut sums: Self::Sums, pair: &Self::RowPair, [first, second]: [i16; 2]) -> Self::Sums {
        let neon = self.neon;
        for ([low, high], &[upper, lower]) in sums.iter_mut().zip(pair) {
            *low = neon.vmlal_n_s16(*low, neon.vget_low_s16(upper), first);
            *high = neon.vmlal_high_n_s16(*high, upper, first);
            *low = neon.vmlal_n_s16(*low, neon.vget_low_s16(lower), second);
            *high = neon.vmlal_high_n_s16(*high, lower, second);
        }
        sums
    }

    #[inline(always)]
    fn columns(self, sums: Self::Sums) -> [i32; WIDE] {
        pulp::cast(sums)
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
