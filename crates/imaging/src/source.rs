//! The buffered reader of all decoders. It checks the deadline and records read errors, so that they are
//! not mistaken for errors of the image.

use std::io::{self, BufRead, Read};
use std::time::Instant;

use crate::{Error, Rejection};

const BUFFER: usize = 32 * 1024;

/// Bytes of a file that must be in memory; larger than the largest upload of any plan.
const MAX_WHOLE: u64 = 64 << 20;

pub(crate) struct Source<'a> {
    inner: &'a mut dyn Read,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    deadline: Option<Instant>,
    failure: Option<ReadFailure>,
}

enum ReadFailure {
    Io(io::Error),
    Deadline,
}

impl<'a> Source<'a> {
    pub(crate) fn new(inner: &'a mut dyn Read, deadline: Option<Instant>) -> Self {
        Self { inner, buffer: vec![0; BUFFER], start: 0, end: 0, deadline, failure: None }
    }

    /// The first `count` bytes (fewer if the file is shorter), without consuming them.
    pub(crate) fn peek(&mut self, count: usize) -> Result<&[u8], Error> {
        assert!(self.start == 0 && count <= BUFFER, "peek comes first");
        while self.end < count {
            match self.read_more() {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => return Err(self.or_io_error(Rejection::corrupt(error))),
            }
        }
        Ok(&self.buffer[..self.end.min(count)])
    }

    /// The error to report for a decoder's `rejection`: a recorded read error or the deadline, otherwise
    /// the rejection.
    pub(crate) fn or_io_error(&mut self, rejection: Rejection) -> Error {
        match self.failure.take() {
            Some(ReadFailure::Io(error)) => Error::Source(error),
            Some(ReadFailure::Deadline) => Rejection::DeadlineExceeded.into(),
            None => rejection.into(),
        }
    }

    /// Returns a recorded read error, or that the deadline has passed.
    pub(crate) fn check_failure(&mut self) -> Result<(), Error> {
        match self.failure {
            Some(_) => Err(self.or_io_error(Rejection::DeadlineExceeded)),
            None => Ok(()),
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(crate) fn check_deadline(&self) -> Result<(), Rejection> {
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(Rejection::DeadlineExceeded),
            _ => Ok(()),
        }
    }

    /// Reads the rest of the file.
    pub(crate) fn read_whole(&mut self) -> Result<Vec<u8>, Error> {
        let mut file = Vec::new();
        match self.by_ref().take(MAX_WHOLE + 1).read_to_end(&mut file) {
            Ok(length) if length as u64 > MAX_WHOLE => {
                Err(Rejection::TooComplex { part: format!("a file of more than {} MiB", MAX_WHOLE >> 20) }.into())
            }
            Ok(_) => Ok(file),
            Err(error) => Err(self.or_io_error(Rejection::corrupt(error))),
        }
    }

    /// Returns the bytes that are still in the buffer once more: at least the last 16 KiB that a reader got in one piece.
    pub(crate) fn unread(&mut self) {
        self.start = 0;
    }

    fn read_more(&mut self) -> io::Result<usize> {
        if self.check_deadline().is_err() {
            self.failure = Some(ReadFailure::Deadline);
            return Err(io::Error::other("the deadline has passed"));
        }
        loop {
            match self.inner.read(&mut self.buffer[self.end..]) {
                Ok(count) => {
                    self.end += count;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failure = Some(ReadFailure::Io(error));
                    return Err(io::Error::other("reading failed"));
                }
            }
        }
    }
}

impl BufRead for Source<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            self.read_more()?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, amount: usize) {
        self.start = (self.start + amount).min(self.end);
    }
}

impl Read for Source<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(out.len());
        out[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}
