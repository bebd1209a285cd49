//! Files written by libwebp's encoder.

use webpx::{AlphaFilter, EncoderConfig};

use crate::support::streams::{self, Writer};
use crate::support::*;

/// Images of each kind of content that the encoder treats differently.
fn pictures(width: u32, height: u32, numbers: &mut Numbers) -> Vec<(String, Picture)> {
    let mut all: Vec<(String, Picture)> = Vec::new();
    let seed = numbers.next();
    let alpha = numbers.below(6);
    let alpha_of = |x: u32, y: u32, noise: u64| match alpha {
        0 => (noise >> 40) as u8,
        1 => ((x * 9 + y * 5) % 256) as u8,
        2 => 255 * u8::from((x / 5 + y / 5).is_multiple_of(2)),
        3 => 0,
        _ => 255,
    };
    let mut add = |name: &str, pixel: &mut dyn FnMut(u32, u32, u64) -> [u8; 3]| {
        let mut noise = Numbers(seed | 1);
        let picture = Picture::new(width, height, |x, y| {
            let noise = noise.next();
            let [r, g, b] = pixel(x, y, noise);
            [r, g, b, alpha_of(x, y, noise)]
        });
        all.push((format!("{name}, alpha {alpha}"), picture));
    };
    add("flat", &mut |_, _, _| [40, 90, 200]);
    add("noise", &mut |_, _, noise| [noise as u8, (noise >> 8) as u8, (noise >> 16) as u8]);
    add("gradient", &mut |x, y, _| [(x * 6) as u8, (y * 6) as u8, (x * 2 + y * 3) as u8]);
    add("photograph", &mut |x, y, noise| {
        let level = 128.0 + 70.0 * (f64::from(x) / 9.0).sin() + 40.0 * (f64::from(y) / 7.0).cos();
        let at = |shift: u32, share: f64| (level * share + (noise >> shift & 15) as f64) as u8;
        [at(0, 0.9), at(8, 1.0), at(16, 0.7)]
    });
    add("stripes", &mut |x, y, _| {
        if (x / 3 + y / 7).is_multiple_of(3) { [255, 255, 255] } else { [x as u8 / 8 * 8, 30, 0] }
    });
    for colours in [1_u64, 2, 3, 4, 5, 16, 17, 256] {
        add(&format!("{colours} colours"), &mut |x, y, noise| {
            let index = if y.is_multiple_of(3) { noise % colours } else { u64::from(x / 2 + y) % colours };
            let colour = (index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            [(colour >> 56) as u8, (colour >> 48) as u8, (colour >> 40) as u8]
        });
    }
    all
}

fn lossless(quality: f32, method: u8) -> EncoderConfig {
    EncoderConfig::new_lossless().quality(quality).method(method)
}

#[track_caller]
fn check(file: &[u8], width: u32, what: &str) {
    let payload = chunk(file, b"VP8L").expect("it is lossless");
    let pixels = ours(payload).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_same(&pixels, &theirs(file).expect("libwebp takes its own"), width, what);
}

#[test]
fn lossless_files_match_libwebp() {
    let mut numbers = Numbers(9);
    let mut files = 0;
    for side in 1..=40 {
        let (width, height) = (side, 1 + side * 7 % 40);
        for (index, (name, picture)) in pictures(width, height, &mut numbers).into_iter().enumerate() {
            let quality = numbers.pick(&[0.0, 20.0, 50.0, 75.0, 90.0, 100.0]);
            let method = ((side as usize + index) % 7) as u8;
            let config = lossless(quality, method).exact(numbers.once_in(2));
            let near = if numbers.once_in(6) { 40 } else { 100 };
            let file = picture.encode(&config.near_lossless(near));
            let what = format!("{name}, {width} x {height}, quality {quality}, method {method}");
            check(&file, width, &what);
            files += 1;
        }
    }
    assert!(files >= 500);
}

#[test]
fn larger_lossless_files_match_libwebp() {
    let mut numbers = Numbers(10);
    for (width, height, quality, method) in [(321, 257, 30.0, 3), (640, 100, 75.0, 4), (130, 500, 100.0, 1)] {
        for (name, picture) in pictures(width, height, &mut numbers) {
            check(&picture.encode(&lossless(quality, method)), width, &format!("{name}, {width} x {height}"));
        }
    }
}

#[test]
fn header_has_size_and_alpha() {
    for (alpha, width, height) in [(255, 33, 2), (7, 1, 70)] {
        let picture = Picture::new(width, height, |x, y| [x as u8, y as u8, 9, alpha]);
        let file = picture.encode(&lossless(50.0, 2));
        let payload = chunk(&file, b"VP8L").unwrap();
        let header = vp8l_rows::Decoder::new(payload, vp8l_rows::Limits::default()).unwrap().header();
        assert_eq!(header, vp8l_rows::Header { width, height, alpha_is_used: alpha < 255 });
    }
}

/// Every fourth sample.
fn alpha_of(rgba: &[u8]) -> Vec<u8> {
    rgba.as_chunks::<4>().0.iter().map(|pixel| pixel[3]).collect()
}

#[test]
fn alpha_of_lossy_files_matches_libwebp() {
    let mut numbers = Numbers(11);
    let mut kinds = std::collections::HashSet::new();
    for side in (1..=40).step_by(3) {
        let (width, height) = (side, 1 + side * 11 % 40);
        for content in 0..5_u32 {
            let picture = Picture::new(width, height, |x, y| {
                let noise = numbers.next();
                let alpha = match content {
                    0 => (x * 6 + y * 3) as u8,
                    1 => noise as u8,
                    2 => 255 * u8::from(noise.is_multiple_of(3)),
                    3 => ((f64::from(x) / 4.0).sin() * 100.0 + f64::from(120 + y % 20)) as u8,
                    _ => (x / 4 * 40 + noise as u32 % 3) as u8,
                };
                [x as u8, y as u8, 100, alpha]
            });
            for filter in [AlphaFilter::None, AlphaFilter::Fast, AlphaFilter::Best] {
                let config = EncoderConfig::new()
                    .method(numbers.below(7) as u8)
                    .alpha_filter(filter)
                    .alpha_quality(numbers.pick(&[20, 70, 100]))
                    .alpha_compression(!numbers.once_in(4));
                let file = picture.encode(&config);
                // Opaque images have no ALPH chunk.
                let Some(payload) = chunk(&file, b"ALPH") else { continue };
                kinds.insert(payload[0] & 15);
                let samples = ours_alpha(payload, (width, height)).unwrap();
                assert_eq!(samples, alpha_of(&theirs(&file).unwrap()), "{width} x {height}, {:#04x}", payload[0]);
            }
        }
    }
    assert!(kinds.len() >= 4, "compressions and filters are of {} kinds", kinds.len());
}

/// A lossy file with this alpha.
fn with_alpha(alpha: &[u8], width: u32, height: u32, picture: &[u8]) -> Vec<u8> {
    let mut extended = [0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    extended[4..7].copy_from_slice(&(width - 1).to_le_bytes()[..3]);
    extended[7..10].copy_from_slice(&(height - 1).to_le_bytes()[..3]);
    riff(&[(b"VP8X", &extended), (b"ALPH", alpha), (b"VP8 ", picture)])
}

#[test]
fn random_alpha_matches_libwebp() {
    let mut numbers = Numbers(12);
    for index in 0..200_u32 {
        let (width, height) = (1 + numbers.below(45) as u32, 1 + numbers.below(30) as u32);
        let colour = Picture::new(width, height, |_, _| [9, 9, 9, 255]).encode(&EncoderConfig::new().method(0));
        let colour = chunk(&colour, b"VP8 ").unwrap();
        let (compressed, filter, reduced) = (index & 1, index >> 1 & 3, index >> 3 & 1);
        let mut out = Writer::default();
        out.put(compressed | filter << 2 | reduced << 4, 8);
        if compressed == 1 {
            streams::stream(&mut out, &mut numbers, width as usize, height as usize);
        } else {
            (0..width * height).for_each(|_| out.put(numbers.next() as u32 & 255, 8));
        }
        let payload = out.bytes;
        let file = with_alpha(&payload, width, height, colour);
        let samples = ours_alpha(&payload, (width, height)).unwrap_or_else(|error| panic!("alpha {index}: {error}"));
        let theirs_whole = theirs(&file).unwrap_or_else(|| panic!("libwebp refuses alpha {index}"));
        assert!(samples == alpha_of(&theirs_whole), "alpha {index}");

        // Damaged or truncated alpha decodes only if libwebp decodes it.
        let mut damaged = payload.clone();
        damaged[numbers.below(payload.len() as u64) as usize] ^= 1 << numbers.below(5);
        let cut = &payload[..numbers.below(payload.len() as u64) as usize];
        for payload in [&damaged[..], cut] {
            if let Ok(samples) = ours_alpha(payload, (width, height)) {
                let theirs = theirs(&with_alpha(payload, width, height, colour));
                assert!(theirs.is_some_and(|theirs| alpha_of(&theirs) == samples), "alpha {index}, damaged");
            }
        }
    }
}

#[test]
fn truncated_or_unknown_alpha_is_rejected() {
    for end in 0..13 {
        assert!(ours_alpha(&[0_u8; 13][..end], (4, 3)).is_err(), "{end} bytes");
    }
    assert!(ours_alpha(&[0_u8; 13], (4, 3)).is_ok());
    assert!(ours_alpha(&[2_u8; 13], (4, 3)).is_err(), "a compression that does not exist");
}
