//! Bytes from the reader: single ones for markers, unstuffed runs for entropy-coded data.

use std::io::Read;

use crate::error::{Error, Result};

const CHUNK: usize = 16 * 1024;

/// A chunk of the file at a time.
pub(crate) struct Input<R> {
    reader: R,
    chunk: Vec<u8>,
    start: usize,
    end: usize,
}

impl<R: Read> Input<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, chunk: vec![0; CHUNK], start: 0, end: 0 }
    }

    /// What is left of the chunk, or the next one; empty only at the end of the file.
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

    /// The next `count` bytes, handed to `take` in pieces.
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

    /// The marker that ends a scan that is not decoded.
    pub(crate) fn skip_scan(&mut self) -> Result<u8> {
        loop {
            let code = self.marker()?;
            if !(0xD0..=0xD7).contains(&code) {
                return Ok(code);
            }
        }
    }

    /// The next marker, past whatever stands before it.
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

/// More bytes than any block takes: 64 symbols of at most 16 bits of code and 15 of value, as many
/// corrections, and a word.
const SPAN: usize = 512 + 8;

/// Entropy-coded data up to the next marker, without its stuffing, and a place in it by the bit.
pub(crate) struct Bits {
    clean: Vec<u8>,
    /// Bytes of `clean` that came from the file; zeros follow once `ended`. Negative where some of
    /// the zeros are in the word already.
    real: isize,
    /// The last byte taken from the file was 0xFF, and what it means is not known yet.
    half: bool,
    /// The data ends here: at a marker, or with the file if there is none.
    ended: bool,
    marker: Option<u8>,
    place: Place,
}

/// Where reading is: the next byte, and the bits already taken from those before it, at the top
/// of a word.
#[derive(Clone, Copy, Default)]
struct Place {
    next: usize,
    word: u64,
    count: u32,
}

impl Bits {
    pub(crate) fn new() -> Self {
        Self { clean: Vec::new(), real: 0, half: false, ended: false, marker: None, place: Place::default() }
    }

    /// Forgets what is left and begins anew after the marker that ended the data.
    pub(crate) fn restart(&mut self) {
        self.clean.clear();
        self.real = 0;
        self.half = false;
        self.ended = false;
        self.marker = None;
        self.place = Place::default();
    }

    /// A reader of the bits of one block.
    ///
    /// # Errors
    /// [`Error::Truncated`] or [`Error::Corrupt`] once more was read than there is.
    #[inline(always)]
    pub(crate) fn block<R: Read>(&mut self, input: &mut Input<R>) -> Result<Window<'_>> {
        if self.clean.len() - self.place.next < SPAN {
            self.fill(input)?;
        }
        let data = self.clean[self.place.next..].first_chunk().expect("there is a span");
        Ok(Window { data, at: 0, word: self.place.word, count: self.place.count, home: &mut self.place })
    }

    #[cold]
    #[inline(never)]
    fn fill<R: Read>(&mut self, input: &mut Input<R>) -> Result<()> {
        if self.overrun() {
            return Err(self.end_error());
        }
        // Bits in the word were taken from bytes before `next`, so those bytes can go.
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

    /// Takes one chunk of the file, or what there is of it before a marker.
    fn unstuff<R: Read>(&mut self, input: &mut Input<R>) -> Result<()> {
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
                    // Fill bytes may stand before a marker.
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

    /// Whether bits were read that the file does not have.
    pub(crate) fn overrun(&self) -> bool {
        self.ended && self.unread() < 0
    }

    /// Bits of the file that were unstuffed and not read.
    fn unread(&self) -> isize {
        (self.real - self.place.next as isize) * 8 + self.place.count as isize
    }

    /// What it means that the data ended too soon.
    pub(crate) fn end_error(&self) -> Error {
        match self.marker {
            None if self.ended => Error::Truncated,
            _ => Error::Corrupt("a scan has less data than blocks"),
        }
    }

    /// Goes to the marker that ends the data and gives it; `None` at the end of the file. The
    /// flag tells whether whole bytes of data were passed over.
    pub(crate) fn skip_to_marker<R: Read>(&mut self, input: &mut Input<R>) -> Result<(Option<u8>, bool)> {
        let mut passed = self.ended && self.unread() >= 8;
        while !self.ended {
            self.unstuff(input)?;
            if !self.ended {
                self.clean.clear();
                self.place = Place::default();
                passed = true;
            } else {
                self.real = self.clean.len() as isize;
                passed |= self.unread() >= 8;
            }
        }
        Ok((self.marker, passed))
    }
}

/// Reads bits of one block; what it took is gone once it is [`done`](Window::done).
pub(crate) struct Window<'a> {
    data: &'a [u8; SPAN],
    at: usize,
    word: u64,
    count: u32,
    home: &'a mut Place,
}

impl Window<'_> {
    /// Keeps the place for the next block.
    #[inline(always)]
    pub(crate) fn done(self) {
        *self.home = Place { next: self.home.next + self.at, word: self.word, count: self.count };
    }

    /// At least 56 bits in the word.
    #[inline(always)]
    pub(crate) fn refill(&mut self) {
        let bytes = self.data[self.at & 511..].first_chunk::<8>().expect("eight bytes");
        self.word |= u64::from_be_bytes(*bytes) >> (self.count & 63);
        self.at += ((63 - self.count) >> 3) as usize;
        self.count |= 56;
    }

    /// The next `COUNT` bits, which stay.
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

    /// The next `count` bits, 1 to 48, after a refill.
    #[inline(always)]
    pub(crate) fn take(&mut self, count: u32) -> u64 {
        let bits = self.word >> ((64 - count) & 63);
        self.consume(count);
        bits
    }

    /// A value of `size` bits, 1 to 15, as ITU-T T.81 F.2.2.1 extends it to a signed one.
    #[inline(always)]
    pub(crate) fn extend(&mut self, size: u32) -> i32 {
        let negative = self.word as i64 >= 0;
        let bits = self.take(size) as i32;
        bits - if negative { (1 << size) - 1 } else { 0 }
    }
}
