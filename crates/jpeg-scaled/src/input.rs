//! Buffered input: bytes of marker segments, and unstuffed entropy-coded segments.

use std::io::Read;

use crate::error::{Error, Result};
use crate::marker;

const CHUNK: usize = 16 * 1024;

/// The file, one chunk at a time.
pub(crate) struct Input<'r> {
    reader: Box<dyn Read + 'r>,
    chunk: Vec<u8>,
    start: usize,
    end: usize,
}

impl<'r> Input<'r> {
    pub(crate) fn new(reader: impl Read + 'r) -> Self {
        Self { reader: Box::new(reader), chunk: vec![0; CHUNK], start: 0, end: 0 }
    }

    /// The rest of the chunk, or the next one; empty at the end of the file.
    fn available(&mut self) -> Result<&[u8]> {
        if self.start == self.end {
            self.start = 0;
            self.end = loop {
                match self.reader.read(&mut self.chunk) {
                    Ok(count) => break count,
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        self.end = 0;
                        return Err(error.into());
                    }
                }
            };
        }
        Ok(&self.chunk[self.start..self.end])
    }

    /// The next byte; [`Error::Truncated`] at the end of the file.
    pub(crate) fn byte(&mut self) -> Result<u8> {
        let &first = self.available()?.first().ok_or(Error::Truncated)?;
        self.start += 1;
        Ok(first)
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    /// Passes the next `count` bytes to `take` in pieces.
    pub(crate) fn bytes(&mut self, mut count: usize, mut take: impl FnMut(&[u8])) -> Result<()> {
        while count > 0 {
            let available = self.available()?;
            if available.is_empty() {
                return Err(Error::Truncated);
            }
            let part = available.len().min(count);
            take(&available[..part]);
            self.start += part;
            count -= part;
        }
        Ok(())
    }

    /// Skips a scan without decoding it; returns the marker after it.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the file ends there: the scan may be incomplete.
    pub(crate) fn skip_scan(&mut self) -> Result<u8> {
        loop {
            let code = self.marker()?;
            if !marker::RST.contains(&code) {
                return Ok(code);
            }
        }
    }

    /// Skips to the next marker and returns it.
    pub(crate) fn marker(&mut self) -> Result<u8> {
        loop {
            let available = self.available()?;
            if available.is_empty() {
                return Err(Error::Truncated);
            }
            match memchr::memchr(0xFF, available) {
                None => self.start = self.end,
                Some(at) => {
                    self.start += at + 1;
                    let mut code = self.byte()?;
                    while code == 0xFF {
                        code = self.byte()?;
                    }
                    if code != 0 {
                        return Ok(code);
                    }
                }
            }
        }
    }
}

/// More bytes than a block can have: 64 symbols of at most 16 bits of code and 15 of value, 64 correction
/// bits, and a word.
const SPAN: usize = 512 + 8;

/// An entropy-coded segment (section B.1.1.5) without its stuffed bytes, and a position in bits.
pub(crate) struct EntropyCodedSegment {
    clean: Vec<u8>,
    /// Bytes of `clean` that came from the file; zeros follow once `ended`. Negative if some of the
    /// zeros are in the word already.
    real: isize,
    /// The last byte read was 0xFF, and the next one decides its meaning.
    half: bool,
    /// The segment has ended, at `marker` or at the end of the file.
    ended: bool,
    marker: Option<u8>,
    place: BitPosition,
}

/// The next byte, and the unread bits of the bytes before it, in the high bits of a word.
#[derive(Clone, Copy, Default)]
struct BitPosition {
    next: usize,
    word: u64,
    count: u32,
}

impl EntropyCodedSegment {
    pub(crate) fn new() -> Self {
        Self { clean: Vec::new(), real: 0, half: false, ended: false, marker: None, place: BitPosition::default() }
    }

    /// Drops the rest of the segment and starts the next one after the marker.
    pub(crate) fn restart(&mut self) {
        self.clean.clear();
        self.real = 0;
        self.half = false;
        self.ended = false;
        self.marker = None;
        self.place = BitPosition::default();
    }

    /// A reader for the bits of one block.
    ///
    /// # Errors
    /// [`Error::Truncated`] after an overrun.
    #[inline(always)]
    pub(crate) fn block(&mut self, input: &mut Input<'_>) -> Result<BitReader<'_>> {
        if self.clean.len() - self.place.next < SPAN {
            self.fill(input)?;
        }
        let data = self.clean[self.place.next..].first_chunk().expect("there is a span");
        Ok(BitReader { data, at: 0, word: self.place.word, count: self.place.count, home: &mut self.place })
    }

    #[cold]
    #[inline(never)]
    fn fill(&mut self, input: &mut Input<'_>) -> Result<()> {
        if self.overrun() {
            return Err(Error::Truncated);
        }
        // The bytes before `next` are in the word already.
        self.clean.copy_within(self.place.next.., 0);
        self.clean.truncate(self.clean.len() - self.place.next);
        self.real -= self.place.next as isize;
        self.place.next = 0;
        while self.clean.len() < SPAN && !self.ended {
            self.unstuff(input)?;
            self.real = self.clean.len() as isize;
        }
        if self.ended {
            self.clean.resize(self.clean.len() + SPAN * 2, 0);
        }
        Ok(())
    }

    /// Reads one chunk of the file, or the part of it before a marker.
    fn unstuff(&mut self, input: &mut Input<'_>) -> Result<()> {
        let available = input.available()?;
        if available.is_empty() {
            self.ended = true;
            return Ok(());
        }
        let mut rest = available;
        while let [first, tail @ ..] = rest {
            if self.half {
                match first {
                    0 => {
                        self.clean.push(0xFF);
                        self.half = false;
                    }
                    // Fill bytes may precede a marker (section B.1.1.2).
                    0xFF => {}
                    &code => {
                        self.half = false;
                        self.ended = true;
                        self.marker = Some(code);
                        rest = tail;
                        break;
                    }
                }
                rest = tail;
                continue;
            }
            let plain = memchr::memchr(0xFF, rest).unwrap_or(rest.len());
            self.clean.extend_from_slice(&rest[..plain]);
            rest = &rest[plain..];
            if !rest.is_empty() {
                self.half = true;
                rest = &rest[1..];
            }
        }
        let left = rest.len();
        input.start = input.end - left;
        Ok(())
    }

    /// Returns true if bits past the end of the segment were read.
    pub(crate) fn overrun(&self) -> bool {
        self.ended && self.unread() < 0
    }

    /// Unstuffed bits not yet read.
    fn unread(&self) -> isize {
        (self.real - self.place.next as isize) * 8 + self.place.count as isize
    }

    /// Returns true if at most one block of data is left.
    pub(crate) fn is_near_end(&self) -> bool {
        self.ended && self.unread() < 8 * SPAN as isize
    }

    /// Skips to the marker that ends the segment and returns it; `None` at the end of the file. Some cameras write bytes
    /// after the last block, which are skipped.
    pub(crate) fn skip_to_marker(&mut self, input: &mut Input<'_>) -> Result<Option<u8>> {
        while !self.ended {
            self.unstuff(input)?;
            if !self.ended {
                self.clean.clear();
                self.place = BitPosition::default();
            }
        }
        Ok(self.marker)
    }
}

/// Reads the bits of one block; [`commit`](Self::commit) consumes them.
pub(crate) struct BitReader<'a> {
    data: &'a [u8; SPAN],
    at: usize,
    word: u64,
    count: u32,
    home: &'a mut BitPosition,
}

impl BitReader<'_> {
    /// Saves the position for the next block.
    #[inline(always)]
    pub(crate) fn commit(self) {
        *self.home = BitPosition { next: self.home.next + self.at, word: self.word, count: self.count };
    }

    /// Fills the word with at least 56 bits.
    #[inline(always)]
    pub(crate) fn refill(&mut self) {
        let bytes = self.data[self.at & 511..].first_chunk::<8>().expect("eight bytes");
        self.word |= u64::from_be_bytes(*bytes) >> (self.count & 63);
        self.at += ((63 - self.count) >> 3) as usize;
        self.count |= 56;
    }

    /// The next `COUNT` bits, without consuming them.
    #[inline(always)]
    pub(crate) fn peek<const COUNT: u32>(&self) -> usize {
        (self.word >> (64 - COUNT)) as usize
    }

    /// At most 63 bits.
    #[inline(always)]
    pub(crate) fn consume(&mut self, count: u32) {
        self.word <<= count & 63;
        self.count -= count & 63;
    }

    /// RECEIVE (section F.2.2.4): the next `count` bits, 1 to 48, after a refill.
    #[inline(always)]
    pub(crate) fn receive(&mut self, count: u32) -> u64 {
        let bits = self.word >> ((64 - count) & 63);
        self.consume(count);
        bits
    }

    /// RECEIVE and EXTEND (section F.2.2.1): a signed value of `size` bits, 1 to 15.
    #[inline(always)]
    pub(crate) fn extend(&mut self, size: u32) -> i32 {
        let negative = self.word as i64 >= 0;
        let bits = self.receive(size) as i32;
        bits - if negative { (1 << size) - 1 } else { 0 }
    }
}
