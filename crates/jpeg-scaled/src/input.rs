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

/// The next byte, and the unread bits of the bytes before it.
#[derive(Clone, Copy, Default)]
struct BitPosition {
    next: usize,
    bits: Bits,
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
        Ok(BitReader { data, at: 0, bits: self.place.bits })
    }

    /// Consumes what the reader of a block has read.
    #[inline(always)]
    pub(crate) fn advance(&mut self, (at, bits): BlockEnd) {
        self.place = BitPosition { next: self.place.next + at, bits };
    }

    /// Reads any number of blocks. `read` is called until it returns true, which means that there are no more; false means that
    /// there may be too few bytes for the next one. Its second argument is true when the end of the segment is near, after which
    /// there are zeros: it must then read the blocks of one MCU, so that its caller knows which MCU was the last one with data.
    ///
    /// # Errors
    /// Those of `read`, and [`Error::Truncated`] after an overrun.
    #[inline(always)]
    pub(crate) fn read_blocks(
        &mut self,
        input: &mut Input<'_>,
        mut read: impl FnMut(&mut BitStream<'_>, bool) -> Result<bool>,
    ) -> Result<()> {
        let mut padded = false;
        loop {
            let end = if padded { self.clean.len() } else { self.real.max(0) as usize };
            let rest = self.clean[..end].get(self.place.next..).unwrap_or_default();
            let end = self.place.next + rest.len();
            let mut stream = BitStream { rest, bits: self.place.bits };
            let result = read(&mut stream, padded);
            self.place = BitPosition { next: end - stream.rest.len(), bits: stream.bits };
            if result? {
                return Ok(());
            }
            if self.ended && !padded {
                padded = true;
            } else {
                self.fill(input)?;
            }
        }
    }

    /// Reads bytes, or appends zeros after the last ones.
    ///
    /// # Errors
    /// [`Error::Truncated`] after an overrun.
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
        (self.real - self.place.next as isize) * 8 + (self.place.bits.count & 63) as isize
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

/// Unread bits, in the high bits of a word, and their number, in the low six bits of `count`.
#[derive(Clone, Copy, Default)]
pub(crate) struct Bits {
    word: u64,
    count: u32,
}

impl Bits {
    /// Adds bits of the next eight bytes: there are then at least 56. Returns how many bytes are used.
    #[inline(always)]
    fn refill(&mut self, bytes: [u8; 8]) -> usize {
        let count = self.count & 63;
        self.word |= u64::from_be_bytes(bytes) >> count;
        self.count = count | 56;
        ((63 - count) >> 3) as usize
    }

    /// The next `COUNT` bits, without consuming them.
    #[inline(always)]
    pub(crate) fn peek<const COUNT: u32>(self) -> usize {
        (self.word >> (64 - COUNT)) as usize
    }

    /// Consumes as many bits as the low six bits of `count` say.
    #[inline(always)]
    pub(crate) fn consume(&mut self, count: u32) {
        self.word <<= count & 63;
        self.count = self.count.wrapping_sub(count);
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

    /// [`extend`](Self::extend) for 0 to 15 bits, without a branch.
    #[inline(always)]
    pub(crate) fn extend_any(&mut self, size: u32) -> i32 {
        let magnitude = (self.word >> 1 >> ((63 - size) & 63)) as i32;
        let negative = !(self.word as i64 >> 63) as i32;
        self.consume(size);
        magnitude - (negative & ((1 << size) - 1))
    }
}

/// Reads the bits of one block.
pub(crate) struct BitReader<'a> {
    data: &'a [u8; SPAN],
    at: usize,
    pub(crate) bits: Bits,
}

/// The bytes that a block has used, and the bits that are left of them.
pub(crate) type BlockEnd = (usize, Bits);

impl BitReader<'_> {
    /// After this, there are at least 56 bits.
    #[inline(always)]
    pub(crate) fn refill(&mut self) {
        let bytes = self.data[self.at & 511..].first_chunk::<8>().expect("eight bytes");
        self.at += self.bits.refill(*bytes);
    }

    #[inline(always)]
    pub(crate) fn end(self) -> BlockEnd {
        (self.at & 511, self.bits)
    }
}

/// Reads the bits of any number of blocks.
pub(crate) struct BitStream<'a> {
    /// The bytes not yet read.
    rest: &'a [u8],
    bits: Bits,
}

impl BitStream<'_> {
    /// A reader for the bits of the next block; `None` if there may be too few bytes for it.
    #[inline(always)]
    pub(crate) fn block(&self) -> Option<BitReader<'_>> {
        Some(BitReader { data: self.rest.first_chunk()?, at: 0, bits: self.bits })
    }

    /// Consumes what the reader of a block has read.
    #[inline(always)]
    pub(crate) fn advance(&mut self, (at, bits): BlockEnd) {
        self.rest = &self.rest[at..];
        self.bits = bits;
    }
}
