//! WebP containers of every kind, built around libwebp's output.

use tintype_imaging::{ContentType, render};
use webpx::EncoderConfig;

use crate::support::*;

type Chunk = (&'static [u8; 4], Vec<u8>);

fn put(chunks: &[Chunk]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, payload) in chunks {
        body.extend_from_slice(*name);
        body.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        body.extend_from_slice(payload);
        if payload.len() % 2 == 1 {
            body.push(0);
        }
    }
    body
}

fn riff(chunks: &[Chunk]) -> Vec<u8> {
    let body = put(chunks);
    [&b"RIFF"[..], &(body.len() as u32 + 4).to_le_bytes(), b"WEBP", &body].concat()
}

/// The chunks of a file written by libwebp.
fn chunks(file: &[u8]) -> Vec<Chunk> {
    let mut rest = &file[12..];
    let mut chunks = Vec::new();
    while rest.len() >= 8 {
        let size = u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
        let name = [b"VP8X", b"ALPH", b"VP8 ", b"VP8L"].into_iter().find(|name| rest[..4] == name[..]).unwrap();
        chunks.push((name, rest[8..8 + size].to_vec()));
        rest = rest.get(8 + size + size % 2..).unwrap_or_default();
    }
    chunks
}

fn u24(value: u32) -> [u8; 3] {
    value.to_le_bytes()[..3].try_into().unwrap()
}

fn extended(flags: u8, width: u32, height: u32) -> Chunk {
    (b"VP8X", [&[flags, 0, 0, 0][..], &u24(width - 1), &u24(height - 1)].concat())
}

/// An `ANMF` chunk with the frame at this position.
fn frame(left: u32, top: u32, width: u32, height: u32, chunks: &[Chunk]) -> Chunk {
    let place = [u24(left / 2), u24(top / 2), u24(width - 1), u24(height - 1)].concat();
    (b"ANMF", [&place[..], &[0; 4], &put(chunks)].concat())
}

/// Smooth colors; alpha is 0 or 255, so that premultiplication is lossless.
fn picture(width: u32, height: u32, opaque: bool) -> Vec<u8> {
    let mut rgba = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let alpha = if opaque || (x / 5 + y / 3) % 3 > 0 { 255 } else { 0 };
            rgba.extend_from_slice(&[(x * 5) as u8, (y * 6) as u8, (128 + x * 2 - y) as u8, alpha]);
        }
    }
    rgba
}

fn encode(rgba: &[u8], width: u32, height: u32, config: &EncoderConfig) -> Vec<u8> {
    config.encode_rgba(rgba, width, height, webpx::Unstoppable).unwrap()
}

fn exact() -> EncoderConfig {
    EncoderConfig::new_lossless().exact(true)
}

/// The image at its own size.
fn whole(file: &[u8], height: u32) -> Vec<u8> {
    render(file, &request(ContentType::WebP, &[height])).unwrap().remove(0).pixels
}

/// Clears the colors of transparent pixels.
fn without_hidden(mut rgba: Vec<u8>) -> Vec<u8> {
    for pixel in rgba.as_chunks_mut::<4>().0 {
        if pixel[3] == 0 {
            *pixel = [0; 4];
        }
    }
    rgba
}

#[test]
fn lossy_images_with_alpha_match_libwebp() {
    for (width, height) in [(1, 1), (2, 1), (1, 2), (3, 3), (16, 16), (17, 33), (40, 31), (64, 18), (33, 40)] {
        for quality in [30.0, 90.0] {
            let file = encode(&picture(width, height, false), width, height, &EncoderConfig::new().quality(quality));
            let (theirs, ..) = webpx::decode_rgba(&file).unwrap();
            let theirs = without_hidden(theirs);
            for (at, (ours, theirs)) in whole(&file, height).iter().zip(&theirs).enumerate() {
                assert!(ours.abs_diff(*theirs) <= 1, "{width} x {height}, sample {at}: {ours}, not {theirs}");
                assert!(at % 4 < 3 || ours == theirs, "{width} x {height}, alpha {at}");
            }
        }
    }
}

#[test]
fn frames_are_placed_on_canvas() {
    let (width, height, canvas) = (20_u32, 10_u32, (31_u32, 22_u32));
    for opaque in [true, false] {
        for (left, top) in [(0, 0), (4, 6), (10, 12)] {
            let rgba = picture(width, height, opaque);
            let mut expected = vec![0; (canvas.0 * canvas.1 * 4) as usize];
            for y in 0..height {
                let at = ((top + y) * canvas.0 + left) as usize * 4;
                let row = (y * width) as usize * 4..(y * width + width) as usize * 4;
                expected[at..at + width as usize * 4].copy_from_slice(&without_hidden(rgba.clone())[row]);
            }
            for (config, tolerance) in [(exact(), 0), (EncoderConfig::new().quality(100.0), 40)] {
                let still: Vec<Chunk> = chunks(&encode(&rgba, width, height, &config))
                    .into_iter()
                    .filter(|chunk| chunk.0 != b"VP8X")
                    .collect();
                let frame = frame(left, top, width, height, &still);
                // Later frames are ignored.
                let file = riff(&[extended(0x12, canvas.0, canvas.1), frame.clone(), frame]);
                let found = whole(&file, canvas.1);
                assert_eq!(found.len(), expected.len());
                for (at, (ours, expected)) in found.iter().zip(&expected).enumerate() {
                    let same = ours.abs_diff(*expected) <= if at % 4 == 3 { 0 } else { tolerance };
                    assert!(same, "at {left}, {top}: sample {at} is {ours}, not {expected}");
                }
            }
        }
    }
    let small = chunks(&encode(&picture(width, height, true), width, height, &exact()));
    let outside = riff(&[extended(2, 31, 22), frame(12, 2, width, height, &small)]);
    assert_eq!(code(thumbnails(&outside, ContentType::WebP, &[8])), "corrupt");
}

#[test]
fn frame_position_is_kept_when_reduced() {
    // Reduced to a third before the resize: the frame starts within a box.
    let (width, height) = (300, 300);
    let white = vec![255; 100 * 100 * 4];
    let still = chunks(&encode(&white, 100, 100, &exact()));
    let file = riff(&[extended(2, width, height), frame(50, 100, 100, 100, &still)]);
    let [small] = &render(&file[..], &request(ContentType::WebP, &[30])).unwrap()[..] else { panic!("one picture") };
    let alpha = |x: usize, y: usize| small.pixels[(y * 30 + x) * 4 + 3];
    assert!(alpha(10, 15) >= 253, "the middle of the frame shows");
    assert!([(2, 15), (17, 15), (10, 5), (10, 22)].iter().all(|&(x, y)| alpha(x, y) <= 2), "nothing else does");
    let across: u32 = (0..30).map(|x| u32::from(alpha(x, 15))).sum();
    let first: u32 = (0..30).map(|x| x as u32 * u32::from(alpha(x, 15))).sum();
    let middle = f64::from(first) / f64::from(across) + 0.5;
    assert!((middle - 10.0).abs() < 0.05, "its middle is at {middle}");
}

#[test]
fn metadata_is_read_before_and_after_pixels() {
    let (width, height) = (240_u32, 120_u32);
    let rgb = quadrants(width as usize, height as usize);
    let rgba: Vec<u8> = rgb.as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [r, g, b, 255]).collect();
    for config in [exact(), EncoderConfig::new().quality(95.0)] {
        let picture = chunks(&encode(&rgba, width, height, &config)).pop().unwrap();
        let turned: Chunk = (b"EXIF", exif(6));
        // The Exif flag of VP8X, set or not.
        for (flags, exif_first) in [(8, true), (8, false), (0, true), (0, false)] {
            let mut parts = vec![extended(flags, width, height), picture.clone()];
            parts.insert(if exif_first { 1 } else { 2 }, turned.clone());
            let outcome = thumbnails(&riff(&parts), ContentType::WebP, &[40]).unwrap();
            assert_eq!((outcome.width, outcome.height), (height, width));
            assert_eq!((outcome.thumbnails[0].width, outcome.thumbnails[0].height), (20, 40));
            let colours = quadrant_colours(&look(ContentType::WebP, &outcome.thumbnails[0].bytes));
            for (colour, expected) in colours.iter().zip([BLUE, RED, WHITE, GREEN]) {
                assert_close(colour, &expected, 30);
            }
        }
    }
}

#[test]
fn late_orientation_keeps_resolution() {
    // An upright image would keep half as many pixels.
    let (width, height) = (120, 240);
    let mut noise = 1_u32;
    let mut next = || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (noise >> 24) as u8
    };
    let rgba: Vec<u8> = (0..width * height).flat_map(|_| [next(), next(), next(), 255]).collect();
    for config in [exact(), EncoderConfig::new()] {
        let picture = chunks(&encode(&rgba, width, height, &config)).pop().unwrap();
        let (extended, turned): (Chunk, Chunk) = (extended(8, width, height), (b"EXIF", exif(6)));
        let early = riff(&[extended.clone(), turned.clone(), picture.clone()]);
        let late = riff(&[extended, picture, turned]);
        assert_eq!(whole(&early, 40), whole(&late, 40));
    }
}

#[test]
fn data_after_the_picture_may_be_missing_or_unknown() {
    for config in [exact(), EncoderConfig::new().quality(60.0)] {
        for opaque in [true, false] {
            let mut parts = chunks(&encode(&picture(21, 13, opaque), 21, 13, &config));
            parts.retain(|chunk| chunk.0 != b"VP8X");
            parts.insert(0, extended(0x18, 21, 13));
            parts.push((b"EXIF", exif(3)));
            parts.push((b"abcd", vec![7; 40_000]));
            let file = riff(&parts);
            let outcome = thumbnails(&file, ContentType::WebP, &[9]).unwrap();
            // The picture ends before the Exif data, and its last bytes may be padding.
            let exif = file.windows(4).position(|name| name == b"EXIF").unwrap();
            for end in 12..exif - 4 {
                assert_eq!(code(thumbnails(&file[..end], ContentType::WebP, &[9])), "truncated", "at {end}");
            }
            for end in (exif..2000.min(file.len())).chain([file.len() - 20_000, file.len() - 1]) {
                let cut = thumbnails(&file[..end], ContentType::WebP, &[9]).unwrap();
                // Without its Exif data the picture is not turned.
                assert!(!cut.truncated && (end < exif + 8 + 26 || cut == outcome), "at {end}");
            }
            let longer = [&file[..], b"RIFF and more"].concat();
            assert_eq!(thumbnails(&longer, ContentType::WebP, &[9]).unwrap(), outcome);
        }
    }
}

#[test]
fn final_padding_may_be_missing() {
    for height in 5..25 {
        let file = encode(&picture(20, height, true), 20, height, &exact());
        let payload = &chunks(&file)[0].1;
        if payload.len() % 2 == 1 {
            let mut bare = file[..20 + payload.len()].to_vec();
            bare[4..8].copy_from_slice(&(12 + payload.len() as u32).to_le_bytes());
            assert_eq!(whole(&bare, height), picture(20, height, true));
            return;
        }
    }
    panic!("none of them has an odd size");
}

#[test]
fn file_without_image_or_pixels_is_rejected() {
    assert_eq!(code(thumbnails(&riff(&[extended(0, 20, 20)]), ContentType::WebP, &[8])), "truncated");
    let mut lossy = chunks(&encode(&picture(20, 20, true), 20, 20, &EncoderConfig::new())).pop().unwrap();
    lossy.1[6..8].fill(0);
    assert_eq!(code(thumbnails(&riff(&[lossy]), ContentType::WebP, &[8])), "corrupt");
    let wrong: Chunk = (b"VP8L", vec![0x2E; 30]);
    assert_eq!(code(thumbnails(&riff(&[wrong]), ContentType::WebP, &[8])), "corrupt");
}
