//! The scaled inverse DCT: `N` x `N` samples from the `N` x `N` lowest coefficients of a block.
//!
//! With F the dequantised coefficients of an 8 x 8 block, a sample of the scaled block is
//!
//! f(x, y) = 1/4 Σ C(u) C(v) F(u, v) cos((2x+1)uπ/2N) cos((2y+1)vπ/2N), u and v from 0 to N-1,
//!
//! with C(0) = 1/√2 and C = 1 otherwise (for N = 8, ITU-T T.81, section A.3.3), plus 128, rounded and
//! clamped to 0..255. Arithmetic is in single precision. The result equals exact arithmetic, except
//! within a few thousandths of the middle between two levels.
//!
//! Eight neighboring blocks are transformed at once, one in each lane, so that nothing moves between
//! lanes until the samples are written.
#![expect(clippy::needless_range_loop, reason = "the compiler vectorizes loops over lanes")]

#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::{float32x4_t, uint16x8_t};
use std::f64::consts::{FRAC_1_SQRT_2, PI};
use std::ops::{Add, Mul, Sub};
use std::sync::LazyLock;

use crate::zigzag::ZIGZAG;

/// Blocks transformed at once.
pub(crate) const LANES: usize = 8;

/// The coefficients of [`LANES`] neighboring blocks, by [`LowFrequencyBlock::slot`] and then by block.
pub(crate) type Group = [[i16; LANES]];

/// The coefficients that a scale uses, by their index in zigzag order.
pub(crate) struct LowFrequencyBlock {
    /// Index of the last one used.
    pub(crate) last: u8,
    /// Mask of those used.
    pub(crate) inside: u64,
    /// Slot of each in a group; the one after those of the scale for unused and invalid indices.
    slot: [u8; 128],
    /// The same, times [`LANES`], four times, so that sums of an index, a flag and a distance need no check.
    offset: [u16; 512],
    /// Those of the indices before.
    offset_before: [u16; 256],
}

impl LowFrequencyBlock {
    #[inline(always)]
    pub(crate) fn slot(&self, index: u32) -> usize {
        usize::from(self.slot[index as usize & 127])
    }

    /// The offset of the slot among the coefficients of a group, of the coefficient at an index and a distance of up to 15.
    #[inline(always)]
    pub(crate) fn offset(&self, index: u8, distance: u32) -> u16 {
        self.offset[(u32::from(index) + (distance & 15)) as usize]
    }

    /// That of the coefficient before an index.
    #[inline(always)]
    pub(crate) fn offset_before(&self, index: u8) -> u16 {
        self.offset_before[usize::from(index)]
    }
}

pub(crate) static LOW_FREQUENCY_BLOCKS: [LowFrequencyBlock; 9] = [
    low_frequency(1),
    low_frequency(1),
    low_frequency(2),
    low_frequency(3),
    low_frequency(4),
    low_frequency(5),
    low_frequency(6),
    low_frequency(7),
    low_frequency(8),
];

const fn low_frequency(size: u8) -> LowFrequencyBlock {
    let outside = size * size;
    let mut low_frequency = LowFrequencyBlock {
        last: 0,
        inside: 0,
        slot: [outside; 128],
        offset: [outside as u16 * LANES as u16; 512],
        offset_before: [outside as u16 * LANES as u16; 256],
    };
    let mut index = 0;
    while index < 64 {
        let (row, column) = ZIGZAG[index];
        if row < size && column < size {
            low_frequency.last = index as u8;
            low_frequency.slot[index] = column * size + row;
            let offset = (column * size + row) as u16 * LANES as u16;
            let mut flags = 0;
            while flags < 512 {
                low_frequency.offset[index + flags] = offset;
                flags += 128;
            }
            low_frequency.offset_before[index + 1] = offset;
            low_frequency.offset_before[index + 1 + 128] = offset;
            low_frequency.inside |= 1 << index;
        }
        index += 1;
    }
    low_frequency
}

/// The factor of each coefficient before the transform, by slot: the quantization step, the constants of
/// the formula, and [`aan_scale`].
pub(crate) fn factors(quantization: &[u16; 64], size: usize) -> [f32; 64] {
    let weight = |index: u8| -> f64 {
        let normal = if index == 0 { FRAC_1_SQRT_2 } else { 1.0 };
        normal * aan_scale(size, usize::from(index))
    };
    let mut factors = [0.0; 64];
    for (index, &(row, column)) in ZIGZAG.iter().enumerate() {
        if usize::from(row.max(column)) < size {
            let factor = f64::from(quantization[index]) / 4.0 * weight(row) * weight(column);
            factors[LOW_FREQUENCY_BLOCKS[size].slot(index as u32)] = factor as f32;
        }
    }
    factors
}

/// The factors of one dimension that the transforms of sizes 2 to 4 and 8 leave to the coefficients.
fn aan_scale(size: usize, index: usize) -> f64 {
    match (size, index) {
        (2, 1) | (4, 2) => FRAC_1_SQRT_2,
        (3, 1) => (PI / 6.0).cos(),
        (3, 2) => 0.5,
        (8, 1..) => (index as f64 * PI / 16.0).cos(),
        _ => 1.0,
    }
}

/// cos((2x+1)uπ/2N) by size, x and u.
static COSINES: LazyLock<[[[f32; 8]; 8]; 9]> = LazyLock::new(|| {
    let mut cosines = [[[0.0; 8]; 8]; 9];
    for size in 1..9 {
        for x in 0..size {
            for u in 0..size {
                cosines[size][x][u] = (((2 * x + 1) * u) as f64 * PI / (2 * size) as f64).cos() as f32;
            }
        }
    }
    cosines
});

/// One number for each block.
#[derive(Clone, Copy)]
pub(crate) struct Lanes([f32; LANES]);

impl Add for Lanes {
    type Output = Self;

    #[inline(always)]
    fn add(mut self, other: Self) -> Self {
        for lane in 0..LANES {
            self.0[lane] += other.0[lane];
        }
        self
    }
}

impl Sub for Lanes {
    type Output = Self;

    #[inline(always)]
    fn sub(mut self, other: Self) -> Self {
        for lane in 0..LANES {
            self.0[lane] -= other.0[lane];
        }
        self
    }
}

impl Mul<f32> for Lanes {
    type Output = Self;

    #[inline(always)]
    fn mul(mut self, factor: f32) -> Self {
        for lane in 0..LANES {
            self.0[lane] *= factor;
        }
        self
    }
}

impl Lanes {
    /// Rounds (halves up, as other decoders do) and clamps to 0..255. Adding 2^23 leaves the integer in
    /// the low eight bits and 4B in the high ones.
    #[inline(always)]
    fn levels(self) -> [u32; LANES] {
        let mut levels = [0; LANES];
        for lane in 0..LANES {
            let value = self.0[lane] + (128.0 + 1.0 / 512.0);
            let value = if value > 0.0 { value } else { 0.0 };
            let value = if value < 255.0 { value } else { 255.0 };
            levels[lane] = (value + 8_388_608.0).to_bits();
        }
        levels
    }
}

/// The transform in one dimension.
#[inline(always)]
fn line<const N: usize>(input: [Lanes; N]) -> [Lanes; N] {
    let mut out = input;
    match input[..] {
        [_] => {}
        [a, b] => out.copy_from_slice(&[a + b, a - b]),
        [a, b, c] => {
            let even = a + c;
            out.copy_from_slice(&[even + b, a - (c + c), even - b]);
        }
        [a, b, c, d] => {
            const COS_1: f32 = 0.923_879_5;
            const COS_3: f32 = 0.382_683_43;
            let (even_0, even_1) = (a + c, a - c);
            let odd_0 = b * COS_1 + d * COS_3;
            let odd_1 = b * COS_3 - d * COS_1;
            out.copy_from_slice(&[even_0 + odd_0, even_1 + odd_1, even_1 - odd_1, even_0 - odd_0]);
        }
        [a, b, c, d, e, f, g, h] => out.copy_from_slice(&eight([a, b, c, d, e, f, g, h])),
        _ => {
            let cosines = &COSINES[N];
            for x in 0..N.div_ceil(2) {
                let (mut even, mut odd) = (input[0], Lanes([0.0; LANES]));
                for u in 1..N {
                    let part = input[u] * cosines[x][u];
                    if u % 2 == 0 {
                        even = even + part;
                    } else {
                        odd = odd + part;
                    }
                }
                out[x] = even + odd;
                out[N - 1 - x] = even - odd;
            }
        }
    }
    out
}

/// The transform of Arai, Agui and Nakajima (AAN): five multiplications; the others are in [`factors`].
#[inline(always)]
fn eight(input: [Lanes; 8]) -> [Lanes; 8] {
    const SQRT_2: f32 = std::f32::consts::SQRT_2;
    // 2 cos(π/8), 2 (cos(π/8) - cos(3π/8)) and 2 (cos(π/8) + cos(3π/8)).
    const A: f32 = 1.847_759_1;
    const B: f32 = 1.082_392_2;
    const C: f32 = 2.613_125_9;
    let [a, b, c, d, e, f, g, h] = input;

    let (even_sum, even_difference) = (a + e, a - e);
    let inner_sum = c + g;
    let inner_difference = (c - g) * SQRT_2 - inner_sum;
    let even = [
        even_sum + inner_sum,
        even_difference + inner_difference,
        even_difference - inner_difference,
        even_sum - inner_sum,
    ];

    let (near_sum, near_difference) = (f + d, f - d);
    let (far_sum, far_difference) = (b + h, b - h);
    let odd_0 = far_sum + near_sum;
    let turned = (near_difference + far_difference) * A;
    let odd_1 = turned - near_difference * C - odd_0;
    let odd_2 = (far_sum - near_sum) * SQRT_2 - odd_1;
    let odd_3 = turned - far_difference * B - odd_2;
    [
        even[0] + odd_0,
        even[1] + odd_1,
        even[2] + odd_2,
        even[3] + odd_3,
        even[3] - odd_3,
        even[2] - odd_2,
        even[1] - odd_1,
        even[0] - odd_0,
    ]
}

/// Writes the samples of a group of blocks, `N` rows of `LANES * N` samples, `stride` apart.
#[inline(always)]
pub(crate) fn transform<const N: usize>(
    group: &Group,
    factors: &[f32; 64],
    out: &mut [u8],
    stride: usize,
    packer: impl Pack,
) {
    const NONE: Lanes = Lanes([0.0; LANES]);
    // By column of coefficients, then by row of samples.
    let mut half = [[NONE; N]; N];
    for (u, half) in half.iter_mut().enumerate() {
        let mut column = [NONE; N];
        for (v, values) in column.iter_mut().enumerate() {
            let slot = u * N + v;
            for lane in 0..LANES {
                values.0[lane] = f32::from(group[slot][lane]) * factors[slot];
            }
        }
        *half = line(column);
    }
    for y in 0..N {
        let mut across = [NONE; N];
        for (across, half) in across.iter_mut().zip(&half) {
            *across = half[y];
        }
        let samples = line(across);
        let (low, high) = samples.split_at(N.min(4));
        let row = &mut out[y * stride..][..LANES * N];
        let low = packer.pack(low);
        if N == 4 {
            for lane in 0..LANES {
                row[lane * 4..][..4].copy_from_slice(&low[lane].to_le_bytes());
            }
        } else if N > 4 {
            let high = packer.pack(high);
            // Words overlap into the next block, which is written after this one.
            for lane in 0..LANES {
                let bytes = (u64::from(high[lane]) << 32 | u64::from(low[lane])).to_le_bytes();
                write(row, lane * N, bytes, N);
            }
        } else {
            for (lane, word) in low.into_iter().enumerate() {
                write(row, lane * N, word.to_le_bytes(), N);
            }
        }
    }
}

/// Packs up to four neighboring samples of each block into a word, the first lowest.
pub(crate) trait Pack: Copy {
    fn pack(self, samples: &[Lanes]) -> [u32; LANES];
}

/// For every processor.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

impl Pack for Scalar {
    #[inline(always)]
    fn pack(self, samples: &[Lanes]) -> [u32; LANES] {
        let mut words = [0; LANES];
        if let Some(first) = samples.first() {
            let levels = first.levels();
            for lane in 0..LANES {
                words[lane] = levels[lane] & 255;
            }
        }
        if let Some(second) = samples.get(1) {
            add_levels::<8>(&mut words, second);
        }
        if let Some(third) = samples.get(2) {
            add_levels::<16>(&mut words, third);
        }
        if let Some(fourth) = samples.get(3) {
            add_levels::<24>(&mut words, fourth);
        }
        words
    }
}

/// With narrowing instructions, which saturate.
#[cfg(target_arch = "x86_64")]
impl Pack for pulp::x86::V3 {
    #[inline(always)]
    fn pack(self, samples: &[Lanes]) -> [u32; LANES] {
        // In each half, bytes are ordered by sample and then by block (four blocks).
        const BY_BLOCK: [u8; 32] = [
            0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,
        ];
        let (avx, avx2) = (self.avx, self.avx2);
        let (half, most) = (avx._mm256_set1_ps(128.0 + 1.0 / 512.0), avx._mm256_set1_ps(255.0));
        let mut whole = [avx._mm256_setzero_si256(); 4];
        for (whole, sample) in whole.iter_mut().zip(samples) {
            // Values too large for an integer would become negative.
            let level = avx._mm256_min_ps(avx._mm256_add_ps(pulp::cast(sample.0), half), most);
            *whole = avx._mm256_cvtps_epi32(level);
        }
        let low = avx2._mm256_packs_epi32(whole[0], whole[1]);
        let high = avx2._mm256_packs_epi32(whole[2], whole[3]);
        let bytes = avx2._mm256_packus_epi16(low, high);
        pulp::cast(avx2._mm256_shuffle_epi8(bytes, pulp::cast(BY_BLOCK)))
    }
}

/// With narrowing instructions, which saturate.
#[cfg(target_arch = "aarch64")]
impl Pack for pulp::aarch64::Neon {
    #[inline(always)]
    fn pack(self, samples: &[Lanes]) -> [u32; LANES] {
        let neon = self.neon;
        let half = neon.vdupq_n_f32(128.0 + 1.0 / 512.0);
        // The first eight bytes are the levels of the blocks.
        let mut bytes = [neon.vdupq_n_u8(0); 4];
        for (bytes, sample) in bytes.iter_mut().zip(samples) {
            let [low, high]: [float32x4_t; 2] = pulp::cast(sample.0);
            let low = neon.vqmovn_s32(neon.vcvtnq_s32_f32(neon.vaddq_f32(low, half)));
            let both = neon.vqmovn_high_s32(low, neon.vcvtnq_s32_f32(neon.vaddq_f32(high, half)));
            *bytes = neon.vcombine_u8(neon.vqmovun_s16(both), neon.vdup_n_u8(0));
        }
        let first: uint16x8_t = pulp::cast(neon.vzip1q_u8(bytes[0], bytes[1]));
        let second: uint16x8_t = pulp::cast(neon.vzip1q_u8(bytes[2], bytes[3]));
        pulp::cast([neon.vzip1q_u16(first, second), neon.vzip2q_u16(first, second)])
    }
}

#[inline(always)]
fn add_levels<const SHIFT: u32>(words: &mut [u32; LANES], samples: &Lanes) {
    let levels = samples.levels();
    for lane in 0..LANES {
        words[lane] |= levels[lane] << SHIFT;
    }
}

/// Writes the first `count` bytes, or all if there is room.
#[inline(always)]
fn write<const WIDTH: usize>(row: &mut [u8], at: usize, bytes: [u8; WIDTH], count: usize) {
    if let Some(place) = row.get_mut(at..at + WIDTH) {
        place.copy_from_slice(&bytes);
    } else {
        row[at..at + count].copy_from_slice(&bytes[..count]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_arch = "aarch64")]
    use pulp::aarch64::Neon as Vector;
    #[cfg(target_arch = "x86_64")]
    use pulp::x86::V3 as Vector;

    #[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
    #[test]
    fn scalar_and_simd_packing_are_equal() {
        let Some(simd) = Vector::try_new() else {
            return;
        };
        let hard = [-1e12, -129.0, -128.5, -0.6, -0.5, -0.002, 0.0, 0.499, 0.5, 1.5, 100.25, 126.5, 127.6, 300.0, 3e9];
        for start in 0..hard.len() {
            let sample =
                |index: usize| Lanes(std::array::from_fn(|lane| hard[(start + index * 5 + lane) % hard.len()]));
            let samples = [0, 1, 2, 3].map(sample);
            for count in 1..=4 {
                assert_eq!(simd.pack(&samples[..count])[..], Scalar.pack(&samples[..count])[..]);
            }
        }
    }
}
