//! Bits from the reader, the lowest of each byte first (RFC 9649, section 3).

use std::io::Read;

use crate::error::{Error, Result};

/// Bytes that are held at a time.
const CHUNK: usize = 16 * 1024;
/// Zeros that stand in for what a data stream has too little of, until that is noticed.
const PAD: usize = 32;
/// Bytes that one step may take while nobody looks: two words, and some.
const STEP: usize = 24;

/// Enough of the data for some steps, and a place in it by the bit.
pub(crate) struct Bits<R> {
    reader: R,
    data: Box<[u8; CHUNK]>,
    /// Bytes of `data` that came from the reader; zeros follow once `ended`.
    end: usize,
    ended: bool,
    place: Place,
}

/// Where reading is: the next byte, and bits of those before it, at the bottom of a word.
#[derive(Clone, Copy, Default)]
struct Place {
    next: usize,
    word: u64,
    count: u32,
}

impl<R: Read> Bits<R> {
    pub(crate) fn new(reader: R) -> Self {
        let data = vec![0; CHUNK].try_into().expect("the size is right");
        Self { reader, data, end: 0, ended: false, place: Place::default() }
    }

    /// The next `count` bits, at most 32.
    pub(crate) fn take(&mut self, count: u32) -> Result<u32> {
        self.fill()?;
        let mut window = self.window();
        window.refill();
        let bits = window.take(count);
        window.done();
        self.check()?;
        Ok(bits)
    }

    pub(crate) fn flag(&mut self) -> Result<bool> {
        Ok(self.take(1)? == 1)
    }

    /// Sees to it that there is data for a step.
    ///
    /// # Errors
    /// [`Error::Truncated`] once more was read than there is.
    #[inline]
    pub(crate) fn fill(&mut self) -> Result<()> {
        if self.place.next >= self.stop() { self.read() } else { Ok(()) }
    }

    /// The first place from which no step may be made without looking. Past the end a word may still
    /// hold bits that are really there.
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
    /// [`Error::Truncated`] if more was read than there is.
    pub(crate) fn check(&self) -> Result<()> {
        if self.ended && self.place.next * 8 > self.end * 8 + self.place.count as usize {
            return Err(Error::Truncated);
        }
        Ok(())
    }

    /// What it comes from where the data makes no sense because it has ended.
    pub(crate) fn blame(&self, error: Error) -> Error {
        match error {
            Error::Corrupt(_) => self.check().err().unwrap_or(error),
            other => other,
        }
    }

    /// A reader of bits; what it took is gone once it is [`done`](Window::done).
    #[inline(always)]
    pub(crate) fn window(&mut self) -> Window<'_> {
        let stop = self.stop();
        let Place { next, word, count } = self.place;
        Window { data: &self.data, next, word, count, stop, home: &mut self.place }
    }

    /// The next bytes as they are, as many as there are up to the length of `out`; the place must
    /// be at the beginning of a byte.
    pub(crate) fn bytes(&mut self, out: &mut [u8]) -> Result<()> {
        for byte in out {
            *byte = self.take(8)? as u8;
        }
        Ok(())
    }
}

pub(crate) struct Window<'a> {
    data: &'a [u8; CHUNK],
    next: usize,
    word: u64,
    count: u32,
    stop: usize,
    home: &'a mut Place,
}

impl Window<'_> {
    #[inline(always)]
    pub(crate) fn done(self) {
        *self.home = Place { next: self.next, word: self.word, count: self.count };
    }

    /// Whether a step may be made.
    #[inline(always)]
    pub(crate) fn safe(&self) -> bool {
        self.next < self.stop
    }

    /// At least 56 bits in the word.
    #[inline(always)]
    pub(crate) fn refill(&mut self) {
        // Never masked in fact: the compiler needs to see that eight bytes are there.
        let at = self.next.min(CHUNK - 8);
        let bytes = self.data[at..at + 8].first_chunk::<8>().expect("eight bytes");
        self.word |= u64::from_le_bytes(*bytes) << (self.count & 63);
        self.next += ((63 - self.count) >> 3) as usize;
        self.count |= 56;
    }

    /// The bits, the next one lowest.
    #[inline(always)]
    pub(crate) fn word(&self) -> u64 {
        self.word
    }

    #[inline(always)]
    pub(crate) fn consume(&mut self, count: u32) {
        self.word >>= count & 63;
        self.count -= count & 63;
    }

    /// The next `count` bits, at most 32, which must be there.
    #[inline(always)]
    pub(crate) fn take(&mut self, count: u32) -> u32 {
        let bits = self.word & ((1 << count) - 1);
        self.consume(count);
        bits as u32
    }
}
