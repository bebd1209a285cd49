//! Images beyond the limits are rejected early, with the limit in the message.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use tintype_imaging::{ContentType, Error, Rejection, process};

use crate::support::*;

/// An endless source that counts the bytes read from it.
struct Endless<'a> {
    start: &'a [u8],
    then: &'a [u8],
    taken: usize,
}

impl<'a> Endless<'a> {
    fn new(start: &'a [u8], then: &'a [u8]) -> Self {
        Self { start, then, taken: 0 }
    }
}

impl Read for Endless<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = out.len().min(4096);
        for byte in &mut out[..count] {
            let at = self.taken;
            *byte = match self.start.get(at) {
                Some(&byte) => byte,
                None => self.then[(at - self.start.len()) % self.then.len()],
            };
            self.taken += 1;
        }
        Ok(count)
    }
}

fn rejection(result: Result<tintype_imaging::Thumbnails, Error>) -> Rejection {
    match result {
        Err(Error::Rejected(rejection)) => rejection,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was accepted"),
    }
}

/// The first bytes of files with 30,000 x 30,000 pixels by their headers, or 16,000 if the size has 14 bits.
fn bombs() -> Vec<(ContentType, Vec<u8>)> {
    let side = 30_000_u16;
    let jpeg = |progressive| {
        let mut file = jpeg_with(&quadrants(16, 16), 16, 16, |encoder| encoder.set_progressive(progressive));
        let frame = file.windows(2).position(|pair| matches!(pair, [0xFF, 0xC0 | 0xC2])).unwrap();
        file[frame + 5..frame + 7].copy_from_slice(&side.to_be_bytes());
        file[frame + 7..frame + 9].copy_from_slice(&side.to_be_bytes());
        file
    };

    let mut header = png::Info::with_size(side.into(), side.into());
    header.color_type = png::ColorType::Rgb;
    let mut png = Vec::new();
    drop(png::Encoder::with_info(&mut png, header).unwrap().write_header().unwrap());
    png.truncate(8 + 25);

    let gif = [&b"GIF89a"[..], &side.to_le_bytes(), &side.to_le_bytes(), &[0, 0, 0]].concat();
    let webp = |chunk: &[u8]| [&b"RIFF\xFF\xFF\x00\x00WEBP"[..], chunk].concat();
    let lossy = webp(b"VP8 \xF0\xFF\x00\x00\x10\0\0\x9D\x01\x2A\x80\x3E\x80\x3E");
    let bits = (15_999_u32 | 15_999 << 14).to_le_bytes();
    let lossless = webp(&[&b"VP8L\xF0\xFF\x00\x00\x2F"[..], &bits].concat());
    let canvas = &(u32::from(side) - 1).to_le_bytes()[..3];
    let extended = webp(&[&b"VP8X\x0A\0\0\0\0\0\0\0"[..], canvas, canvas].concat());
    vec![
        (ContentType::Jpeg, jpeg(false)),
        (ContentType::Jpeg, jpeg(true)),
        (ContentType::Png, png),
        (ContentType::Gif, gif),
        (ContentType::WebP, lossy),
        (ContentType::WebP, lossless),
        (ContentType::WebP, extended),
    ]
}

#[test]
fn decompression_bombs_are_rejected_by_their_first_kilobytes() {
    for (format, start) in bombs() {
        let mut source = Endless::new(&start, &[0]);
        let rejection = rejection(process(&mut source, &request(format, &[100])));
        assert!(matches!(rejection, Rejection::TooManyPixels { .. }), "{format:?}: {rejection}");
        assert!(source.taken <= 64 * 1024, "{format:?} after {} bytes", source.taken);
    }
}

#[track_caller]
fn assert_too_complex(result: Result<tintype_imaging::Thumbnails, Error>, wanted: &str) {
    let rejection = rejection(result);
    assert_eq!(rejection.code(), "too_complex", "{rejection:?}");
    assert!(rejection.to_string().contains(wanted), "{rejection}");
}

/// A JPEG with `segments` inserted after SOI.
fn with_segments(segments: &[u8]) -> Vec<u8> {
    let file = jpeg(&quadrants(16, 16), 16, 16);
    [&file[..2], segments, &file[2..]].concat()
}

#[test]
fn jpeg_limits_are_named_in_rejections() {
    let comment = b"\xFF\xFE\x00\x04ab";
    assert_too_complex(thumbnails(&with_segments(&comment.repeat(1000)), ContentType::Jpeg, &[8]), "segments");

    let part = [&b"\xFF\xE2\xFF\xFFICC_PROFILE\0\x01\x01"[..], &vec![0; 65_535 - 2 - 14]].concat();
    assert_too_complex(thumbnails(&with_segments(&part.repeat(130)), ContentType::Jpeg, &[8]), "color profile");

    let mut file = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut file, 90);
    encoder.set_progressive(true);
    encoder.encode(&quadrants(16, 16), 16, 16, jpeg_encoder::ColorType::Rgb).unwrap();
    // Repeats the first scan, which is valid.
    let scans: Vec<usize> = (0..file.len() - 1).filter(|&at| file[at..at + 2] == [0xFF, 0xDA]).collect();
    let scan = file[scans[0]..scans[1]].repeat(101);
    let many = [&file[..scans[0]], &scan, &file[scans[0]..]].concat();
    assert_too_complex(thumbnails(&many, ContentType::Jpeg, &[8]), "scans");
}

fn chunk(name: &[u8], data: &[u8]) -> Vec<u8> {
    let mut crc = !0_u32;
    for &byte in name.iter().chain(data) {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    [&(data.len() as u32).to_be_bytes()[..], name, data, &(!crc).to_be_bytes()].concat()
}

#[test]
fn oversized_png_chunk_is_rejected() {
    let file = png(&quadrants(16, 16), 16, 16);
    let large = chunk(b"eXIf", &vec![0; 33 << 20]);
    let many = [&file[..33], &large, &file[33..]].concat();
    assert_too_complex(thumbnails(&many, ContentType::Png, &[8]), "a chunk beside the pixels");
}

#[test]
fn webp_limits_are_named_in_rejections() {
    let file = webp(&quadrants(16, 16), 16, 16);
    let mut many = [&file[..12], &b"ABCD\0\0\0\0".repeat(4096), &file[12..]].concat();
    let size = many.len() as u32 - 8;
    many[4..8].copy_from_slice(&size.to_le_bytes());
    assert_too_complex(thumbnails(&many, ContentType::WebP, &[8]), "chunks");

    let mut long = file;
    long[4..8].copy_from_slice(&(500_u32 << 20).to_le_bytes());
    let mut source = Endless::new(&long, &[0]);
    assert_too_complex(process(&mut source, &request(ContentType::WebP, &[8])), "the file itself");
    assert!(source.taken <= 64 * 1024);
}

#[test]
fn deadline_stops_endless_sources() {
    let png = png(&quadrants(16, 16), 16, 16);
    let text = chunk(b"tEXt", b"a\0b");
    let sources: [(ContentType, &[u8], &[u8]); 3] = [
        (ContentType::Gif, b"GIF89a\x10\0\x10\0\0\0\0", b"\x21\xFE\x04text\0"),
        (ContentType::Png, &png[..33], &text),
        (ContentType::Jpeg, b"\xFF\xD8\xFF\xE0\x00\x04ab", &[0]),
    ];
    for (format, start, then) in sources {
        let mut request = request(format, &[8]);
        request.deadline = Some(Instant::now() + Duration::from_millis(30));
        let rejection = rejection(process(Endless::new(start, then), &request));
        assert!(matches!(rejection, Rejection::DeadlineExceeded), "{format:?}: {rejection:?}");
    }
}
