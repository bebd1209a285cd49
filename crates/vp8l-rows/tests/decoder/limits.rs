//! Limits on memory and time, and unusual readers.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use vp8l_rows::{Alpha, Decoder, Error, Limits};

use crate::support::streams;
use crate::support::*;

/// Returns one byte at a time, each after an interrupt.
struct Slow<'a> {
    data: &'a [u8],
    interrupted: bool,
}

impl Read for Slow<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = out.len().min(1);
        self.data.read(&mut out[..count])
    }
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("no network"))
    }
}

#[test]
fn reader_may_return_single_bytes() {
    let mut numbers = Numbers(6);
    for _ in 0..30 {
        let payload = streams::payload(&mut numbers, 60, 50);
        let mut decoder = Decoder::new(Slow { data: &payload, interrupted: false }, Limits::default()).unwrap();
        let mut pixels = Vec::new();
        while let Some(row) = decoder.next_row().unwrap() {
            pixels.extend_from_slice(row);
        }
        assert_eq!(pixels, ours(&payload).unwrap());
        assert!(decoder.next_row().unwrap().is_none(), "nothing after the last row");
    }
}

#[test]
fn reader_errors_are_not_format_errors() {
    let mut numbers = Numbers(7);
    let payload = streams::payload(&mut numbers, 300, 200);
    let mut decoder = Decoder::new((&payload[..60]).chain(Broken), Limits::default()).unwrap();
    assert!(matches!(decoder.next_row(), Err(Error::Io(_))));
    assert!(matches!(Decoder::new(Broken, Limits::default()), Err(Error::Io(_))));
    assert!(matches!(ours(&payload[..40]), Err(Error::Truncated)));
    assert!(matches!(ours(&[]), Err(Error::Truncated)));
    assert!(matches!(ours(&[0x2E; 20]), Err(Error::Corrupt(_))));
    assert!(matches!(ours(&[0x2F, 0, 0, 0, 0x20, 0, 0, 0, 0]), Err(Error::Corrupt(_))), "a later version");
}

/// A flat image of the largest size, in a few bytes.
fn flat() -> Vec<u8> {
    let mut out = streams::header(16_384, 16_384);
    out.put(0, 3);
    for _ in 0..5 {
        out.put(0b0001, 4);
    }
    out.put(0, 8);
    out.bytes
}

#[test]
fn largest_image_needs_little_memory() {
    let before = Instant::now();
    let limits = Limits { max_memory: 5 << 20, deadline: None };
    let payload = flat();
    let mut decoder = Decoder::new(&payload[..], limits).unwrap();
    let mut rows = 0;
    while let Some(row) = decoder.next_row().unwrap() {
        assert!(row.iter().step_by(997).all(|&sample| sample == 0));
        rows += 1;
    }
    assert_eq!(rows, 16_384);
    assert!(before.elapsed() < Duration::from_secs(20), "it takes {:?}", before.elapsed());
}

#[test]
fn memory_and_deadline_limits_apply() {
    let refused = ours_within(&flat(), Limits { max_memory: 1 << 20, deadline: None });
    assert!(matches!(refused, Err(Error::Limit("pixels"))));
    let late = Limits { deadline: Some(Instant::now()), ..Limits::default() };
    assert!(matches!(ours_within(&flat(), late), Err(Error::Deadline)));
    let late = Limits { deadline: Some(Instant::now() + Duration::from_millis(20)), ..Limits::default() };
    assert!(matches!(ours_within(&flat(), late), Err(Error::Deadline)));

    // Codes of thousands of groups.
    let mut numbers = Numbers(8);
    let mut refused = 0;
    for _ in 0..200 {
        let payload = streams::payload(&mut numbers, 70, 50);
        let limits = Limits { max_memory: 25_000, deadline: None };
        match ours_within(&payload, limits) {
            Ok(pixels) => assert_eq!(pixels, ours(&payload).unwrap()),
            Err(Error::Limit(_)) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!((10..190).contains(&refused), "{refused} of 200");
    let alpha = Alpha::new(&[0_u8; 9][..], (3, 3), Limits { max_memory: 0, deadline: None });
    assert!(alpha.is_ok(), "what is not compressed costs nothing");
}
