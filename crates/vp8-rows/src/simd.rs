//! Operations on 16 samples or eight 16-bit numbers: scalar, with AVX2, and with NEON.

#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::{int16x8_t, uint8x16_t};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__m128i;

use pulp::NullaryFnOnce;

/// The operations of the transform and the loop filter.
pub(crate) trait Simd: Copy {
    /// 16 bytes, unsigned (samples) or signed (differences).
    type Bytes: Copy;
    /// Eight 16-bit numbers with wrapping arithmetic.
    type Words: Copy;

    /// Calls a function compiled for these instructions.
    fn run<F: NullaryFnOnce>(self, call: F) -> F::Output;

    fn bytes(self, bytes: [u8; 16]) -> Self::Bytes;
    fn array(self, bytes: Self::Bytes) -> [u8; 16];
    /// Unsigned, saturating.
    fn abs_diff(self, a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;
    fn double(self, a: Self::Bytes) -> Self::Bytes;
    fn half(self, a: Self::Bytes) -> Self::Bytes;
    fn add_samples(self, a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;
    fn max(self, a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;
    /// All bits set where `a <= b` (unsigned).
    fn le_mask(self, a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;
    fn and(self, a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;
    /// `a & !b`.
    fn and_not(self, a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;
    /// Unsigned: the mean of two, rounded up, and (a + 2b + c) / 4, rounded to the nearest.
    fn mean(self, a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;
    fn mean_of_three(self, a: Self::Bytes, b: Self::Bytes, c: Self::Bytes) -> Self::Bytes;
    /// Moves each byte one lane down; the last becomes 0.
    fn shift_lanes(self, a: Self::Bytes) -> Self::Bytes;
    /// Converts samples to signed bytes (minus 128), and back.
    fn shift_sign(self, a: Self::Bytes) -> Self::Bytes;
    /// Signed, saturating.
    fn add(self, a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;
    fn subtract(self, a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;
    /// Signed: a / 8, rounded down.
    fn shift_right_3(self, a: Self::Bytes) -> Self::Bytes;
    /// Signed, of numbers from -16 to 15: a / 2, rounded up.
    fn round_half(self, a: Self::Bytes) -> Self::Bytes;
    /// Signed: (9a + 63) / 128, (18a + 63) / 128 and (27a + 63) / 128, rounded down.
    fn scaled_by_9_18_27(self, a: Self::Bytes) -> [Self::Bytes; 3];
    /// Interleaves the first or last eight bytes.
    fn interleave_low(self, a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;
    fn interleave_high(self, a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;

    fn words(self, words: [i16; 8]) -> Self::Words;
    fn add_words(self, a: Self::Words, b: Self::Words) -> Self::Words;
    fn subtract_words(self, a: Self::Words, b: Self::Words) -> Self::Words;
    /// The high half of the product.
    fn mul_high(self, a: Self::Words, factor: i16) -> Self::Words;
    fn shift_right_3_words(self, a: Self::Words) -> Self::Words;
    fn interleave_words_low(self, a: Self::Words, b: Self::Words) -> Self::Words;
    fn interleave_words_high(self, a: Self::Words, b: Self::Words) -> Self::Words;
    /// The low halves of both, or their high halves.
    fn low_halves(self, a: Self::Words, b: Self::Words) -> Self::Words;
    fn high_halves(self, a: Self::Words, b: Self::Words) -> Self::Words;
    fn swap_halves(self, a: Self::Words) -> Self::Words;
    /// Adds words to samples, saturating.
    fn add_to(self, samples: [u8; 8], a: Self::Words) -> [u8; 8];
}

/// For every processor.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

#[inline(always)]
fn each<T: Copy, U: Copy + Default, const N: usize>(a: [T; N], b: [T; N], combine: impl Fn(T, T) -> U) -> [U; N] {
    let mut out = [U::default(); N];
    for lane in 0..N {
        out[lane] = combine(a[lane], b[lane]);
    }
    out
}

impl Simd for Scalar {
    type Bytes = [u8; 16];
    type Words = [i16; 8];

    #[inline(never)]
    fn run<F: NullaryFnOnce>(self, call: F) -> F::Output {
        call.call()
    }

    fn bytes(self, bytes: [u8; 16]) -> [u8; 16] {
        bytes
    }

    fn array(self, bytes: [u8; 16]) -> [u8; 16] {
        bytes
    }

    fn abs_diff(self, a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
        each(a, b, u8::abs_diff)
    }

    fn double(self, a: [u8; 16]) -> [u8; 16] {
        each(a, a, u8::saturating_add)
    }

    fn half(self, a: [u8; 16]) -> [u8; 16] {
        a.map(|a| a >> 1)
    }

    fn add_samples(self, a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
        each(a, b, u8::saturating_add)
    }

    fn max(self, a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
        each(a, b, u8::max)
    }

    fn le_mask(self, a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
        each(a, b, |a, b| if a <= b { 255 } else { 0 })
    }

    fn and(self, a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
        each(a, b, |a, b| a & b)
    }

    fn and_not(self, a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
        each(a, b, |a, b| a & !b)
    }

    fn mean(self, a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
        each(a, b, |a, b| ((u16::from(a) + u16::from(b) + 1) >> 1) as u8)
    }

    fn mean_of_three(self, a: [u8; 16], b: [u8; 16], c: [u8; 16]) -> [u8; 16] {
        let outer = each(a, c, |a, c| u16::from(a) + u16::from(c));
        each(outer, b.map(u16::from), |outer, b| ((outer + 2 * b + 2) >> 2) as u8)
    }

    fn shift_lanes(self, a: [u8; 16]) -> [u8; 16] {
        (u128::from_le_bytes(a) >> 8).to_le_bytes()
    }

    fn shift_sign(self, a: [u8; 16]) -> [u8; 16] {
        a.map(|a| a ^ 0x80)
    }

    fn add(self, a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
        each(a, b, |a, b| (a as i8).saturating_add(b as i8) as u8)
    }

    fn subtract(self, a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
        each(a, b, |a, b| (a as i8).saturating_sub(b as i8) as u8)
    }

    fn shift_right_3(self, a: [u8; 16]) -> [u8; 16] {
        a.map(|a| (a as i8 >> 3) as u8)
    }

    fn round_half(self, a: [u8; 16]) -> [u8; 16] {
        a.map(|a| ((a as i8 + 1) >> 1) as u8)
    }

    fn scaled_by_9_18_27(self, a: [u8; 16]) -> [[u8; 16]; 3] {
        let part = |factor: i16| a.map(|a| ((i16::from(a as i8) * factor + 63) >> 7) as u8);
        [part(9), part(18), part(27)]
    }

    fn interleave_low(self, a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
        std::array::from_fn(|lane| if lane % 2 == 0 { a[lane / 2] } else { b[lane / 2] })
    }

    fn interleave_high(self, a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
        std::array::from_fn(|lane| if lane % 2 == 0 { a[8 + lane / 2] } else { b[8 + lane / 2] })
    }

    fn words(self, words: [i16; 8]) -> [i16; 8] {
        words
    }

    fn add_words(self, a: [i16; 8], b: [i16; 8]) -> [i16; 8] {
        each(a, b, i16::wrapping_add)
    }

    fn subtract_words(self, a: [i16; 8], b: [i16; 8]) -> [i16; 8] {
        each(a, b, i16::wrapping_sub)
    }

    fn mul_high(self, a: [i16; 8], factor: i16) -> [i16; 8] {
        a.map(|a| ((i32::from(a) * i32::from(factor)) >> 16) as i16)
    }

    fn shift_right_3_words(self, a: [i16; 8]) -> [i16; 8] {
        a.map(|a| a >> 3)
    }

    fn interleave_words_low(self, a: [i16; 8], b: [i16; 8]) -> [i16; 8] {
        [a[0], b[0], a[1], b[1], a[2], b[2], a[3], b[3]]
    }

    fn interleave_words_high(self, a: [i16; 8], b: [i16; 8]) -> [i16; 8] {
        [a[4], b[4], a[5], b[5], a[6], b[6], a[7], b[7]]
    }

    fn low_halves(self, a: [i16; 8], b: [i16; 8]) -> [i16; 8] {
        [a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]]
    }

    fn high_halves(self, a: [i16; 8], b: [i16; 8]) -> [i16; 8] {
        [a[4], a[5], a[6], a[7], b[4], b[5], b[6], b[7]]
    }

    fn swap_halves(self, a: [i16; 8]) -> [i16; 8] {
        [a[4], a[5], a[6], a[7], a[0], a[1], a[2], a[3]]
    }

    fn add_to(self, samples: [u8; 8], a: [i16; 8]) -> [u8; 8] {
        each(samples.map(i16::from), a, |sample, a| sample.saturating_add(a).clamp(0, 255) as u8)
    }
}

#[cfg(target_arch = "x86_64")]
impl Simd for pulp::x86::V3 {
    type Bytes = __m128i;
    type Words = __m128i;

    #[inline(always)]
    fn run<F: NullaryFnOnce>(self, call: F) -> F::Output {
        self.vectorize(call)
    }

    #[inline(always)]
    fn bytes(self, bytes: [u8; 16]) -> __m128i {
        pulp::cast(bytes)
    }

    #[inline(always)]
    fn array(self, bytes: __m128i) -> [u8; 16] {
        pulp::cast(bytes)
    }

    #[inline(always)]
    fn abs_diff(self, a: __m128i, b: __m128i) -> __m128i {
        let sse2 = self.sse2;
        sse2._mm_or_si128(sse2._mm_subs_epu8(a, b), sse2._mm_subs_epu8(b, a))
    }

    #[inline(always)]
    fn double(self, a: __m128i) -> __m128i {
        self.sse2._mm_adds_epu8(a, a)
    }

    #[inline(always)]
    fn half(self, a: __m128i) -> __m128i {
        // A 16-bit shift; the mask clears the bits that come from the upper byte.
        let shifted = self.sse2._mm_srli_epi16::<1>(a);
        self.sse2._mm_and_si128(shifted, self.sse2._mm_set1_epi8(0x7F))
    }

    #[inline(always)]
    fn add_samples(self, a: __m128i, b: __m128i) -> __m128i {
        self.sse2._mm_adds_epu8(a, b)
    }

    #[inline(always)]
    fn max(self, a: __m128i, b: __m128i) -> __m128i {
        self.sse2._mm_max_epu8(a, b)
    }

    #[inline(always)]
    fn le_mask(self, a: __m128i, b: __m128i) -> __m128i {
        self.sse2._mm_cmpeq_epi8(self.sse2._mm_subs_epu8(a, b), self.sse2._mm_setzero_si128())
    }

    #[inline(always)]
    fn and(self, a: __m128i, b: __m128i) -> __m128i {
        self.sse2._mm_and_si128(a, b)
    }

    #[inline(always)]
    fn and_not(self, a: __m128i, b: __m128i) -> __m128i {
        self.sse2._mm_andnot_si128(b, a)
    }

    #[inline(always)]
    fn mean(self, a: __m128i, b: __m128i) -> __m128i {
        self.sse2._mm_avg_epu8(a, b)
    }

    #[inline(always)]
    fn mean_of_three(self, a: __m128i, b: __m128i, c: __m128i) -> __m128i {
        // The mean of the outer two, rounded down.
        let sse2 = self.sse2;
        let odd = sse2._mm_and_si128(sse2._mm_xor_si128(a, c), sse2._mm_set1_epi8(1));
        sse2._mm_avg_epu8(sse2._mm_sub_epi8(sse2._mm_avg_epu8(a, c), odd), b)
    }

    #[inline(always)]
    fn shift_lanes(self, a: __m128i) -> __m128i {
        self.sse2._mm_srli_si128::<1>(a)
    }

    #[inline(always)]
    fn shift_sign(self, a: __m128i) -> __m128i {
        self.sse2._mm_xor_si128(a, self.sse2._mm_set1_epi8(-128))
    }

    #[inline(always)]
    fn add(self, a: __m128i, b: __m128i) -> __m128i {
        self.sse2._mm_adds_epi8(a, b)
    }

    #[inline(always)]
    fn subtract(self, a: __m128i, b: __m128i) -> __m128i {
        self.sse2._mm_subs_epi8(a, b)
    }

    #[inline(always)]
    fn shift_right_3(self, a: __m128i) -> __m128i {
        // An unsigned shift, so 16 too much.
        let sse2 = self.sse2;
        let shifted = sse2._mm_srli_epi16::<3>(self.shift_sign(a));
        sse2._mm_sub_epi8(sse2._mm_and_si128(shifted, sse2._mm_set1_epi8(0x1F)), sse2._mm_set1_epi8(16))
    }

    #[inline(always)]
    fn round_half(self, a: __m128i) -> __m128i {
        self.shift_sign(self.sse2._mm_avg_epu8(self.shift_sign(a), self.sse2._mm_set1_epi8(-128)))
    }

    #[inline(always)]
    fn scaled_by_9_18_27(self, a: __m128i) -> [__m128i; 3] {
        let (avx, avx2) = (self.avx, self.avx2);
        let nine = avx2._mm256_mullo_epi16(avx2._mm256_cvtepi8_epi16(a), avx._mm256_set1_epi16(9));
        let rounded = avx2._mm256_add_epi16(nine, avx._mm256_set1_epi16(63));
        let rounded_2 = avx2._mm256_add_epi16(rounded, nine);
        let rounded_3 = avx2._mm256_add_epi16(rounded_2, nine);
        let mut out = [a; 3];
        for (out, sum) in out.iter_mut().zip([rounded, rounded_2, rounded_3]) {
            let part = avx2._mm256_srai_epi16::<7>(sum);
            *out =
                self.sse2._mm_packs_epi16(avx._mm256_castsi256_si128(part), avx2._mm256_extracti128_si256::<1>(part));
        }
        out
    }

    #[inline(always)]
    fn interleave_low(self, a: __m128i, b: __m128i) -> __m128i {
        self.sse2._mm_unpacklo_epi8(a, b)
    }

    #[inline(always)]
    fn interleave_high(self, a: __m128i, b: __m128i) -> __m128i {
        self.sse2._mm_unpackhi_epi8(a, b)
    }

    #[inline(always)]
    fn words(self, words: [i16; 8]) -> __m128i {
        pulp::cast(words)
    }

    #[inline(always)]
    fn add_words(self, a: __m128i, b: __m128i) -> __m128i {
        self.sse2._mm_add_epi16(a, b)
    }

    #[inline(always)]
    fn subtract_words(self, a: __m128i, b: __m128i) -> __m128i {
        self.sse2._mm_sub_epi16(a, b)
    }

    #[inline(always)]
    fn mul_high(self, a: __m128i, factor: i16) -> __m128i {
        self.sse2._mm_mulhi_epi16(a, self.sse2._mm_set1_epi16(factor))
    }

    #[inline(always)]
    fn shift_right_3_words(self, a: __m128i) -> __m128i {
        self.sse2._mm_srai_epi16::<3>(a)
    }

    #[inline(always)]
    fn interleave_words_low(self, a: __m128i, b: __m128i) -> __m128i {
        self.sse2._mm_unpacklo_epi16(a, b)
    }

    #[inline(always)]
    fn interleave_words_high(self, a: __m128i, b: __m128i) -> __m128i {
        self.sse2._mm_unpackhi_epi16(a, b)
    }

    #[inline(always)]
    fn low_halves(self, a: __m128i, b: __m128i) -> __m128i {
        self.sse2._mm_unpacklo_epi64(a, b)
    }

    #[inline(always)]
    fn high_halves(self, a: __m128i, b: __m128i) -> __m128i {
        self.sse2._mm_unpackhi_epi64(a, b)
    }

    #[inline(always)]
    fn swap_halves(self, a: __m128i) -> __m128i {
        self.sse2._mm_shuffle_epi32::<0x4E>(a)
    }

    #[inline(always)]
    fn add_to(self, samples: [u8; 8], a: __m128i) -> [u8; 8] {
        let sse2 = self.sse2;
        let samples: __m128i = pulp::cast([u64::from_le_bytes(samples), 0]);
        let wide = sse2._mm_unpacklo_epi8(samples, sse2._mm_setzero_si128());
        let sums = sse2._mm_adds_epi16(wide, a);
        let [low, _]: [u64; 2] = pulp::cast(sse2._mm_packus_epi16(sums, sums));
        low.to_le_bytes()
    }
}

#[cfg(target_arch = "aarch64")]
impl Simd for pulp::aarch64::Neon {
    type Bytes = uint8x16_t;
    type Words = int16x8_t;

    #[inline(always)]
    fn run<F: NullaryFnOnce>(self, call: F) -> F::Output {
        self.vectorize(call)
    }

    #[inline(always)]
    fn bytes(self, bytes: [u8; 16]) -> uint8x16_t {
        pulp::cast(bytes)
    }

    #[inline(always)]
    fn array(self, bytes: uint8x16_t) -> [u8; 16] {
        pulp::cast(bytes)
    }

    #[inline(always)]
    fn abs_diff(self, a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        self.neon.vabdq_u8(a, b)
    }

    #[inline(always)]
    fn double(self, a: uint8x16_t) -> uint8x16_t {
        self.neon.vqaddq_u8(a, a)
    }

    #[inline(always)]
    fn half(self, a: uint8x16_t) -> uint8x16_t {
        self.neon.vshrq_n_u8::<1>(a)
    }

    #[inline(always)]
    fn add_samples(self, a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        self.neon.vqaddq_u8(a, b)
    }

    #[inline(always)]
    fn max(self, a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        self.neon.vmaxq_u8(a, b)
    }

    #[inline(always)]
    fn le_mask(self, a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        self.neon.vcleq_u8(a, b)
    }

    #[inline(always)]
    fn and(self, a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        self.neon.vandq_u8(a, b)
    }

    #[inline(always)]
    fn and_not(self, a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        self.neon.vbicq_u8(a, b)
    }

    #[inline(always)]
    fn mean(self, a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        self.neon.vrhaddq_u8(a, b)
    }

    #[inline(always)]
    fn mean_of_three(self, a: uint8x16_t, b: uint8x16_t, c: uint8x16_t) -> uint8x16_t {
        self.neon.vrhaddq_u8(self.neon.vhaddq_u8(a, c), b)
    }

    #[inline(always)]
    fn shift_lanes(self, a: uint8x16_t) -> uint8x16_t {
        self.neon.vextq_u8::<1>(a, self.neon.vdupq_n_u8(0))
    }

    #[inline(always)]
    fn shift_sign(self, a: uint8x16_t) -> uint8x16_t {
        self.neon.veorq_u8(a, self.neon.vdupq_n_u8(0x80))
    }

    #[inline(always)]
    fn add(self, a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        pulp::cast(self.neon.vqaddq_s8(pulp::cast(a), pulp::cast(b)))
    }

    #[inline(always)]
    fn subtract(self, a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        pulp::cast(self.neon.vqsubq_s8(pulp::cast(a), pulp::cast(b)))
    }

    #[inline(always)]
    fn shift_right_3(self, a: uint8x16_t) -> uint8x16_t {
        pulp::cast(self.neon.vshrq_n_s8::<3>(pulp::cast(a)))
    }

    #[inline(always)]
    fn round_half(self, a: uint8x16_t) -> uint8x16_t {
        pulp::cast(self.neon.vrshrq_n_s8::<1>(pulp::cast(a)))
    }

    #[inline(always)]
    fn scaled_by_9_18_27(self, a: uint8x16_t) -> [uint8x16_t; 3] {
        let neon = self.neon;
        let a = pulp::cast(a);
        let nine = [neon.vmovl_s8(neon.vget_low_s8(a)), neon.vmovl_high_s8(a)].map(|half| neon.vmulq_n_s16(half, 9));
        let mut sums = nine.map(|half| neon.vaddq_s16(half, neon.vdupq_n_s16(63)));
        let mut out = [pulp::cast(a); 3];
        for out in &mut out {
            let [low, high] = sums.map(|half| neon.vshrn_n_s16::<7>(half));
            *out = pulp::cast(neon.vcombine_s8(low, high));
            sums = [neon.vaddq_s16(sums[0], nine[0]), neon.vaddq_s16(sums[1], nine[1])];
        }
        out
    }

    #[inline(always)]
    fn interleave_low(self, a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        self.neon.vzip1q_u8(a, b)
    }

    #[inline(always)]
    fn interleave_high(self, a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        self.neon.vzip2q_u8(a, b)
    }

    #[inline(always)]
    fn words(self, words: [i16; 8]) -> int16x8_t {
        pulp::cast(words)
    }

    #[inline(always)]
    fn add_words(self, a: int16x8_t, b: int16x8_t) -> int16x8_t {
        self.neon.vaddq_s16(a, b)
    }

    #[inline(always)]
    fn subtract_words(self, a: int16x8_t, b: int16x8_t) -> int16x8_t {
        self.neon.vsubq_s16(a, b)
    }

    #[inline(always)]
    fn mul_high(self, a: int16x8_t, factor: i16) -> int16x8_t {
        let neon = self.neon;
        let low = neon.vmull_n_s16(neon.vget_low_s16(a), factor);
        let high = neon.vmull_high_n_s16(a, factor);
        neon.vuzp2q_s16(pulp::cast(low), pulp::cast(high))
    }

    #[inline(always)]
    fn shift_right_3_words(self, a: int16x8_t) -> int16x8_t {
        self.neon.vshrq_n_s16::<3>(a)
    }

    #[inline(always)]
    fn interleave_words_low(self, a: int16x8_t, b: int16x8_t) -> int16x8_t {
        self.neon.vzip1q_s16(a, b)
    }

    #[inline(always)]
    fn interleave_words_high(self, a: int16x8_t, b: int16x8_t) -> int16x8_t {
        self.neon.vzip2q_s16(a, b)
    }

    #[inline(always)]
    fn low_halves(self, a: int16x8_t, b: int16x8_t) -> int16x8_t {
        pulp::cast(self.neon.vzip1q_s64(pulp::cast(a), pulp::cast(b)))
    }

    #[inline(always)]
    fn high_halves(self, a: int16x8_t, b: int16x8_t) -> int16x8_t {
        pulp::cast(self.neon.vzip2q_s64(pulp::cast(a), pulp::cast(b)))
    }

    #[inline(always)]
    fn swap_halves(self, a: int16x8_t) -> int16x8_t {
        self.neon.vextq_s16::<4>(a, a)
    }

    #[inline(always)]
    fn add_to(self, samples: [u8; 8], a: int16x8_t) -> [u8; 8] {
        let neon = self.neon;
        let wide = pulp::cast(neon.vmovl_u8(pulp::cast(samples)));
        pulp::cast(neon.vqmovun_s16(neon.vqaddq_s16(wide, a)))
    }
}
