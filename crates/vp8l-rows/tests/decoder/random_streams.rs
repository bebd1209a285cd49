//! Random valid and damaged streams, compared with libwebp.

use vp8l_rows::Error;

use crate::support::streams::{self, Code, Writer};
use crate::support::*;

#[test]
fn random_streams_match_libwebp() {
    let mut numbers = Numbers(1);
    let mut bytes = 0;
    for index in 0..600 {
        let width = 1 + numbers.below(if index % 10 == 0 { 300 } else { 70 }) as usize;
        let height = 1 + numbers.below(50) as usize;
        let payload = streams::payload(&mut numbers, width, height);
        bytes += payload.len();
        let theirs = theirs_of(&payload).unwrap_or_else(|| panic!("libwebp refuses stream {index}"));
        let ours = ours(&payload).unwrap_or_else(|error| panic!("stream {index}: {error}"));
        assert_same(&ours, &theirs, width as u32, &format!("stream {index}, {width} x {height}"));
    }
    assert!(bytes > 100_000, "they are not all trivial: {bytes} bytes");
}

#[test]
fn largest_distances_match_libwebp() {
    let mut numbers = Numbers(2);
    // Widths that divide the length of the ring, and others.
    for (width, height) in [(1300, 900), (1024, 1200), (16_384, 100), (7, 16_384), (1100, 980)] {
        let payload = streams::far(&mut numbers, width, height);
        let theirs = theirs_of(&payload).expect("libwebp takes it");
        assert_same(&ours(&payload).unwrap(), &theirs, width as u32, &format!("{width} x {height}"));
    }
}

#[test]
fn distance_map_matches_libwebp() {
    let mut numbers = Numbers(3);
    for width in [1, 2, 5, 8, 9, 40] {
        for code in 0..120_u32 {
            let mut out = streams::header(width, 200 / width + 10);
            out.put(0, 3);
            let all: Vec<u32> = (0..256).collect();
            let with_lengths: Vec<u32> = (0..280).collect();
            let distances: Vec<u32> = (0..40).collect();
            let green = Code::random(&mut numbers, &with_lengths, 280, 9);
            let rest = Code::random(&mut numbers, &all, 256, 9);
            let distances = Code::random(&mut numbers, &distances, 40, 8);
            for code in [&green, &rest, &rest, &rest, &distances] {
                code.put_lengths(&mut out, &mut numbers);
            }
            let total = width * (200 / width + 10);
            for done in 0..total - 20 {
                green.put(&mut out, (done * 7 % 256) as u32);
                for _ in 0..3 {
                    rest.put(&mut out, numbers.below(256) as u32);
                }
            }
            // A backward reference of 20 pixels.
            for (table, first, value) in [(&green, 256, 20), (&distances, 0, code + 1)] {
                let (symbol, bits, extra) = streams::prefixed(value);
                table.put(&mut out, first + symbol);
                out.put(extra, bits);
            }
            match theirs_of(&out.bytes) {
                Some(theirs) => {
                    let ours = ours(&out.bytes).unwrap_or_else(|error| panic!("distance code {code}: {error}"));
                    assert_same(&ours, &theirs, width as u32, &format!("distance code {code}, width {width}"));
                }
                None => assert!(ours(&out.bytes).is_err(), "distance code {code}, width {width}"),
            }
        }
    }
}

#[test]
fn truncated_streams_match_libwebp() {
    let mut numbers = Numbers(4);
    let mut cuts = 0;
    for _ in 0..60 {
        let (width, height) = (1 + numbers.below(24) as usize, 1 + numbers.below(20) as usize);
        let payload = streams::payload(&mut numbers, width, height);
        for end in 0..payload.len().min(700) {
            let ours = ours(&payload[..end]);
            if let Err(error) = &ours {
                assert!(matches!(error, Error::Truncated), "{end} of {} bytes: {error}", payload.len());
            }
            let ours = ours.ok();
            // libwebp reads zeros up to the eighth byte of shorter data.
            if end >= 8 || ours.is_some() {
                assert_eq!(ours, theirs_of(&payload[..end]), "{end} of {} bytes", payload.len());
            }
            cuts += usize::from(ours.is_none());
        }
    }
    assert!(cuts > 10_000, "{cuts} refusals");
}

#[test]
fn damaged_streams_match_libwebp() {
    let mut numbers = Numbers(5);
    let (mut taken, mut refused) = (0, 0);
    for index in 0..1500 {
        let (width, height) = (1 + numbers.below(40) as usize, 1 + numbers.below(30) as usize);
        let mut payload = streams::payload(&mut numbers, width, height);
        let early = numbers.once_in(2);
        for _ in 0..1 + numbers.below(3) {
            // The size is not damaged.
            let end = if early { payload.len().min(60) } else { payload.len() } - 5;
            payload[5 + numbers.below(end as u64) as usize] ^= 1 << numbers.below(8);
        }
        let ours = ours(&payload).ok();
        *(if ours.is_some() { &mut taken } else { &mut refused }) += 1;
        assert!(ours == theirs_of(&payload), "stream {index}");
    }
    assert!(taken > 50 && refused > 100, "{taken} and {refused}");
}

/// A payload of five codes, the first written by `put`.
fn with_codes(put: impl Fn(&mut Writer)) -> Vec<u8> {
    let mut out = streams::header(3, 2);
    out.put(0, 3);
    put(&mut out);
    for _ in 0..4 {
        out.put(0b0001, 4);
    }
    (0..8).for_each(|_| out.put(0, 8));
    out.bytes
}

#[test]
fn invalid_prefix_codes_are_rejected() {
    // The first of the five codes by its lengths: the code of them, for 17, 18, 0, 1, 2, how many
    // are told, and them, each one bit.
    let coded = |code: &[u32], told: u32, lengths: &[u32]| {
        with_codes(|out| {
            out.put(0, 1);
            out.put(code.len() as u32 - 4, 4);
            code.iter().for_each(|&length| out.put(length, 3));
            out.put(1, 1);
            out.put(4, 3);
            out.put(told - 2, 10);
            lengths.iter().for_each(|&length| out.put(length, 1));
        })
    };
    // One bit selects the length 0 or 2.
    let twos = |count: usize| coded(&[0, 0, 1, 0, 1], 2 + count as u32, &[&[0, 0][..], &vec![1; count]].concat());
    let flat = |told| coded(&[0, 0, 1, 1], told, &[&[1, 1][..], &[0; 278]].concat());
    for (what, payload, taken) in [
        ("one symbol", with_codes(|out| out.put(0b0001, 4)), true),
        ("no symbol", twos(0), false),
        ("one symbol of two bits", twos(1), true),
        ("two codes of two bits", twos(2), false),
        ("three codes of two bits", twos(3), false),
        ("four codes of two bits", twos(4), true),
        ("five codes of two bits", twos(5), false),
        ("as many lengths as symbols", flat(280), true),
        ("more lengths than symbols", flat(281), false),
        ("no code of lengths", coded(&[0, 0, 0, 0], 2, &[]), false),
        ("too few codes of lengths", coded(&[2, 0, 2, 2], 2, &[0; 8]), false),
        ("too many codes of lengths", coded(&[1, 0, 1, 1], 2, &[0; 8]), false),
    ] {
        assert_eq!(theirs_of(&payload).is_some(), taken, "{what}, in libwebp");
        assert_eq!(ours(&payload).is_ok(), taken, "{what}");
    }
}
