//! The boolean decoder (RFC 6386, section 7): each bit has a probability of its own.

use crate::error::{Error, Result};

/// Reads bits of one partition.
///
/// Past the end there are zeros, as the format has it; that any were needed is remembered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bools<'a> {
    /// What is not in the window yet.
    bytes: &'a [u8],
    /// The next bits, the first at the top, less what was subtracted from them.
    window: u64,
    /// Bits of the window that come from the data.
    count: i32,
    /// 1 to 255; the window is brought to where it is 128 and more when the next bit is read.
    range: u32,
    /// A zero follows that counts as data.
    padded: bool,
    overrun: bool,
}

impl<'a> Bools<'a> {
    /// Reads `bytes`, and a zero after them if they are `padded`.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the data begins with 255. What is encoded is less than the range, which
    /// begins with that; otherwise each decoder would read something else.
    pub(crate) fn new(bytes: &'a [u8], padded: bool) -> Result<Self> {
        if bytes.first() == Some(&255) {
            return Err(Error::Corrupt("a partition that no encoder writes"));
        }
        // Nothing at all is too little even where no bit is asked for.
        let overrun = bytes.is_empty() && !padded;
        Ok(Self { bytes, window: 0, count: 0, range: 255, padded, overrun })
    }

    /// Whether more was read than there is: a bit is told from eight of the data.
    pub(crate) fn overrun(&self) -> bool {
        self.overrun
    }

    #[inline(always)]
    fn refill(&mut self) {
        if let Some(next) = self.bytes.first_chunk::<8>() {
            self.window |= u64::from_be_bytes(*next) >> self.count;
            let taken = (63 - self.count) >> 3;
            self.count += taken * 8;
            self.bytes = &self.bytes[taken as usize & 7..];
        } else if let Some((&next, rest)) = self.bytes.split_first() {
            self.window |= u64::from(next) << (56 - self.count);
            self.count += 8;
            self.bytes = rest;
        } else if self.padded {
            self.padded = false;
            self.count += 8;
        } else {
            self.overrun = true;
            self.count = 56;
        }
    }

    /// Brings the range back to 128 and more, and gives by how many bits.
    #[inline(always)]
    fn normalise(&mut self) -> u32 {
        let shift = self.range.leading_zeros() & 7;
        self.window <<= shift;
        self.count -= shift as i32;
        if self.count < 8 {
            self.refill();
        }
        shift
    }

    /// A bit that is 0 in `probability` of 256 cases.
    #[inline(always)]
    pub(crate) fn bit(&mut self, probability: u8) -> bool {
        let shift = self.normalise();
        let probability = u32::from(probability);
        // The multiplication need not wait for the shift.
        let split = (((self.range * probability) << shift) + (256 - probability)) >> 8;
        let range = self.range << shift;
        let at = u64::from(split) << 56;
        let bit = self.window >= at;
        if bit {
            self.range = range - split;
            self.window -= at;
        } else {
            self.range = split;
        }
        bit
    }

    /// The number, or its negative, if the next bit of even chances says so.
    #[inline(always)]
    pub(crate) fn signed(&mut self, magnitude: i32) -> i32 {
        let shift = self.normalise();
        let range = self.range << shift;
        let split = (range + 1) >> 1;
        let at = u64::from(split) << 56;
        // Nobody can foresee this bit, so it decides without a branch.
        let mask = 0_u32.wrapping_sub(u32::from(self.window >= at));
        self.range = split ^ ((split ^ (range - split)) & mask);
        self.window -= at & (mask as i32 as i64 as u64);
        (magnitude ^ mask as i32).wrapping_sub(mask as i32)
    }

    /// A bit of even chances.
    pub(crate) fn flag(&mut self) -> bool {
        self.bit(128)
    }

    /// An unsigned number, its highest bit first.
    pub(crate) fn number(&mut self, bits: u32) -> u32 {
        (0..bits).fold(0, |number, _| number << 1 | u32::from(self.flag()))
    }

    /// A number and its sign.
    pub(crate) fn signed_number(&mut self, bits: u32) -> i32 {
        let magnitude = self.number(bits) as i32;
        if self.flag() { -magnitude } else { magnitude }
    }

    /// A number and its sign, if there is one.
    pub(crate) fn optional(&mut self, bits: u32) -> Option<i32> {
        self.flag().then(|| self.signed_number(bits))
    }
}
