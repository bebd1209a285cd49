//! The boolean entropy decoder (RFC 6386, section 7) and the literals that it reads (section 8).

use crate::error::{Error, Result};

/// Reads the bools of one partition.
///
/// Past the end it reads zeros, as the RFC requires, and records the overrun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BoolDecoder<'a> {
    /// Bytes not yet in `value`.
    bytes: &'a [u8],
    /// The next bits, the first highest, less the splits subtracted so far.
    value: u64,
    /// Bits of `value` that came from the data.
    bit_count: i32,
    /// 1 to 255; normalized to 128 and more before the next bool is read.
    range: u32,
    /// One more zero byte counts as data.
    padded: bool,
    overrun: bool,
}

impl<'a> BoolDecoder<'a> {
    /// Reads `bytes`, followed by a zero byte if `padded`.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the data starts with 255: the encoded value must be less than the initial
    /// range of 255, and decoders disagree on larger ones.
    pub(crate) fn new(bytes: &'a [u8], padded: bool) -> Result<Self> {
        if bytes.first() == Some(&255) {
            return Err(Error::Corrupt("the first byte of a partition is 255"));
        }
        // An empty partition is too short even if no bool is read.
        let overrun = bytes.is_empty() && !padded;
        Ok(Self { bytes, value: 0, bit_count: 0, range: 255, padded, overrun })
    }

    /// Returns true if a bool was read past the end: decoding one needs eight bits of data.
    pub(crate) fn overrun(&self) -> bool {
        self.overrun
    }

    #[inline(always)]
    fn refill(&mut self) {
        if let Some(next) = self.bytes.first_chunk::<8>() {
            self.value |= u64::from_be_bytes(*next) >> self.bit_count;
            let taken = (63 - self.bit_count) >> 3;
            self.bit_count += taken * 8;
            self.bytes = &self.bytes[taken as usize & 7..];
        } else if let Some((&next, rest)) = self.bytes.split_first() {
            self.value |= u64::from(next) << (56 - self.bit_count);
            self.bit_count += 8;
            self.bytes = rest;
        } else if self.padded {
            self.padded = false;
            self.bit_count += 8;
        } else {
            self.overrun = true;
            self.bit_count = 56;
        }
    }

    /// Normalizes the range to 128 and more; returns the shift in bits.
    #[inline(always)]
    fn normalise(&mut self) -> u32 {
        let shift = self.range.leading_zeros() & 7;
        self.value <<= shift;
        self.bit_count -= shift as i32;
        if self.bit_count < 8 {
            self.refill();
        }
        shift
    }

    /// A bool that is false in `probability` of 256 cases (section 7.3).
    #[inline(always)]
    pub(crate) fn read_bool(&mut self, probability: u8) -> bool {
        let shift = self.normalise();
        let probability = u32::from(probability);
        // The multiplication does not depend on the shift.
        let split = (((self.range * probability) << shift) + (256 - probability)) >> 8;
        let range = self.range << shift;
        let at = u64::from(split) << 56;
        let bit = self.value >= at;
        if bit {
            self.range = range - split;
            self.value -= at;
        } else {
            self.range = split;
        }
        bit
    }

    /// `magnitude` with the sign that follows, a bool with probability 128.
    #[inline(always)]
    pub(crate) fn read_sign(&mut self, magnitude: i32) -> i32 {
        let shift = self.normalise();
        let range = self.range << shift;
        let split = (range + 1) >> 1;
        let at = u64::from(split) << 56;
        // Signs are unpredictable, so avoid a branch.
        let mask = 0_u32.wrapping_sub(u32::from(self.value >= at));
        self.range = split ^ ((split ^ (range - split)) & mask);
        self.value -= at & (mask as i32 as i64 as u64);
        (magnitude ^ mask as i32).wrapping_sub(mask as i32)
    }

    /// A flag: a bool with probability 128.
    pub(crate) fn read_flag(&mut self) -> bool {
        self.read_bool(128)
    }

    /// An unsigned literal, L(n), its highest bit first.
    pub(crate) fn read_literal(&mut self, bits: u32) -> u32 {
        (0..bits).fold(0, |number, _| number << 1 | u32::from(self.read_flag()))
    }

    /// A literal followed by its sign.
    pub(crate) fn read_signed_literal(&mut self, bits: u32) -> i32 {
        let magnitude = self.read_literal(bits) as i32;
        if self.read_flag() { -magnitude } else { magnitude }
    }

    /// A flag, followed by a signed literal if it is set.
    pub(crate) fn read_optional(&mut self, bits: u32) -> Option<i32> {
        self.read_flag().then(|| self.read_signed_literal(bits))
    }
}
