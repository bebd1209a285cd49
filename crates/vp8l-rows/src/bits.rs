//! Reads bits, the lowest of each byte first (RFC 9649, section 3.2).

use std::io::Read;

use crate::error::{Error, Result};

/// Size of the buffer in bytes.
const CHUNK: usize = 16 * 1024;
/// Zero bytes after the end of the data; reading them is detected later as an overrun.
const PAD: usize = 32;
/// More bytes than a step reads without a check: two words, and some.
const STEP: usize = 24;

/// A buffered reader with a position in bits.
pub(crate) struct BitSource<'r> {
    reader: Box<dyn Read + 'r>,
    data: Box<[u8; CHUNK]>,
    /// Bytes of `data` from the reader; zeros follow once `ended`.
    end: usize,
    ended: bool,
    place: BitPosition,
}

/// The next byte, and the unread bits of the bytes before it, in the low bits of a word.
#[derive(Clone, Copy, Default)]
struct BitPosition {
    next: usize,
    word: u64,
    count: u32,
}

impl<'r> BitSource<'r> {
    pub(crate) fn new(reader: impl Read + 'r) -> Self {
        let data = vec![0; CHUNK].try_into().expect("the size is right");
        Self { reader: Box::new(reader), data, end: 0, ended: false, place: BitPosition::default() }
    }

    /// The next `count` bits, at most 32.
    pub(crate) fn read_bits(&mut self, count: u32) -> Result<u32> {
        self.ensure_step()?;
        let mut reader = self.reader();
        reader.refill();
        let bits = reader.read_bits(count);
        reader.commit();
        self.check_overrun()?;
        Ok(bits)
    }

    pub(crate) fn read_flag(&mut self) -> Result<bool> {
        Ok(self.read_bits(1)? == 1)
    }

    /// Refills the buffer if it does not hold enough data for a step.
    ///
    /// # Errors
    /// [`Error::Truncated`] after an overrun.
    #[inline]
    pub(crate) fn ensure_step(&mut self) -> Result<()> {
        if self.place.next >= self.stop() { self.read() } else { Ok(()) }
    }

    /// The first position at which a step needs a check. Past the end of the data the word may still hold
    /// unread bits of it.
    fn stop(&self) -> usize {
        if self.ended { self.end + 9 } else { self.end.saturating_sub(STEP) }
    }

    #[cold]
    #[inline(never)]
    fn read(&mut self) -> Result<()> {
        if self.ended {
            return Err(Error::Truncated);
        }
        self.data.copy_within(self.place.next..self.end, 0);
        self.end -= self.place.next;
        self.place.next = 0;
        while self.end < 2 * STEP {
            match self.reader.read(&mut self.data[self.end..CHUNK - PAD]) {
                Ok(0) => {
                    self.ended = true;
                    self.data[self.end..self.end + PAD].fill(0);
                    break;
                }
                Ok(count) => self.end += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// # Errors
    /// [`Error::Truncated`] if bits past the end of the data were read.
    pub(crate) fn check_overrun(&self) -> Result<()> {
        if self.ended && self.place.next * 8 > self.end * 8 + self.place.count as usize {
            return Err(Error::Truncated);
        }
        Ok(())
    }

    /// Replaces a format error by [`Error::Truncated`] if the input has ended.
    pub(crate) fn end_or(&self, error: Error) -> Error {
        match error {
            Error::Corrupt(_) => self.check_overrun().err().unwrap_or(error),
            other => other,
        }
    }

    /// A reader at the current position, which [`commit`](BitReader::commit) then updates.
    #[inline(always)]
    pub(crate) fn reader(&mut self) -> BitReader<'_> {
        let stop = self.stop();
        let BitPosition { next, word, count } = self.place;
        BitReader { data: &self.data, next, word, count, stop, home: &mut self.place }
    }

    /// Fills `out` with the next bytes.
    pub(crate) fn read_bytes(&mut self, out: &mut [u8]) -> Result<()> {
        for byte in out {
            *byte = self.read_bits(8)? as u8;
        }
        Ok(())
    }
}

pub(crate) struct BitReader<'a> {
    data: &'a [u8; CHUNK],
    next: usize,
    word: u64,
    count: u32,
    stop: usize,
    home: &'a mut BitPosition,
}

impl BitReader<'_> {
    #[inline(always)]
    pub(crate) fn commit(self) {
        *self.home = BitPosition { next: self.next, word: self.word, count: self.count };
    }

    /// Returns true if the buffer holds enough data for a step.
    #[inline(always)]
    pub(crate) fn has_step(&self) -> bool {
        self.next < self.stop
    }

    /// Fills the word with at least 56 bits.
    #[inline(always)]
    pub(crate) fn refill(&mut self) {
        // Always in range; `min` lets the compiler omit the bounds check.
        let at = self.next.min(CHUNK - 8);
        let bytes = self.data[at..at + 8].first_chunk::<8>().expect("eight bytes");
        self.word |= u64::from_le_bytes(*bytes) << (self.count & 63);
        self.next += ((63 - self.count) >> 3) as usize;
        self.count |= 56;
    }

    /// The next bits, the first lowest; they are not consumed.
    #[inline(always)]
    pub(crate) fn peek(&self) -> u64 {
        self.word
    }

    #[inline(always)]
    pub(crate) fn consume(&mut self, count: u32) {
        self.word >>= count & 63;
        self.count -= count & 63;
    }

    /// The next `count` bits, at most 32, which must be in the word.
    #[inline(always)]
    pub(crate) fn read_bits(&mut self, count: u32) -> u32 {
        let bits = self.word & ((1 << count) - 1);
        self.consume(count);
        bits as u32
    }
}
