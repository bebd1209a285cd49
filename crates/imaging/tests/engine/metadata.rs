//! The metadata of each format: Exif data and XMP, at every place where programs write them.

use std::io::Write;

use tintype_imaging::{ContentType, Photo, Place};

use crate::support::*;

const SIZE: (usize, usize) = (48, 32);

/// An XMP packet with a place and a camera.
fn packet() -> String {
    r#"<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
  xmlns:t="http://ns.adobe.com/tiff/1.0/" xmlns:e="http://ns.adobe.com/exif/1.0/" t:Make="Maker" e:GPSLatitude="48,12.5N">
  <e:GPSLongitude>16,22,15E</e:GPSLongitude></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"#
        .to_owned()
}

fn xmp_photo() -> Photo {
    Photo { make: Some("Maker".to_owned()), place: place(48.208_333, 16.370_833), ..Photo::default() }
}

fn place(latitude: f64, longitude: f64) -> Option<Place> {
    Some(Place { latitude, longitude, altitude: None })
}

/// Exif data of another camera at another place: a TIFF file with three directories.
fn located_exif(is_little: bool) -> Vec<u8> {
    exif_of(is_little, b"Other\0", -33.5)
}

fn exif_photo() -> Photo {
    Photo { make: Some("Other".to_owned()), place: place(-33.5, 151.25), iso: Some(400), ..Photo::default() }
}

struct Tiff {
    bytes: Vec<u8>,
    is_little: bool,
}

impl Tiff {
    fn short(&self, number: u16) -> Vec<u8> {
        if self.is_little { number.to_le_bytes().to_vec() } else { number.to_be_bytes().to_vec() }
    }

    fn long(&self, number: u32) -> Vec<u8> {
        if self.is_little { number.to_le_bytes().to_vec() } else { number.to_be_bytes().to_vec() }
    }

    /// Appends a directory of tags, types, counts and values; returns its position.
    fn directory(&mut self, entries: &[(u16, u16, u32, Vec<u8>)]) -> u32 {
        let mut directory = self.short(entries.len() as u16);
        for (tag, kind, count, value) in entries {
            let mut value = value.clone();
            if value.len() > 4 {
                let at = self.bytes.len() as u32;
                self.bytes.extend(value);
                value = self.long(at);
            }
            value.resize(4, 0);
            directory.extend([self.short(*tag), self.short(*kind), self.long(*count), value].concat());
        }
        directory.extend([0; 4]);
        let at = self.bytes.len() as u32;
        self.bytes.extend(directory);
        at
    }

    /// The entries of Exif data, whose directories are appended.
    fn exif(&mut self, make: &[u8], latitude: f64) -> Vec<(u16, u16, u32, Vec<u8>)> {
        let angle = |tiff: &Self, degrees: f64| {
            let parts = [degrees.abs() as u32, 1, (degrees.abs().fract() * 60.0) as u32, 1, 0, 1];
            parts.iter().flat_map(|&part| tiff.long(part)).collect::<Vec<u8>>()
        };
        let side = if latitude < 0.0 { b"S\0" } else { b"N\0" };
        let gps = [
            (1, 2, 2, side.to_vec()),
            (2, 5, 3, angle(self, latitude)),
            (3, 2, 2, b"E\0".to_vec()),
            (4, 5, 3, angle(self, 151.25)),
        ];
        let gps = self.directory(&gps);
        let iso = self.short(400);
        // A maker's note that is longer than what is kept of a TIFF file.
        let exif = self.directory(&[(0x8827, 3, 1, iso), (0x927C, 7, 5000, vec![7; 5000])]);
        vec![
            (0x010F, 2, make.len() as u32, make.to_vec()),
            (0x8769, 4, 1, self.long(exif)),
            (0x8825, 4, 1, self.long(gps)),
        ]
    }

    fn finish(mut self, directory: u32) -> Vec<u8> {
        let at = self.long(directory);
        self.bytes[4..8].copy_from_slice(&at);
        self.bytes
    }
}

fn exif_of(is_little: bool, make: &[u8], latitude: f64) -> Vec<u8> {
    let start = if is_little { b"II*\0\0\0\0\0" } else { b"MM\0*\0\0\0\0" };
    let mut tiff = Tiff { bytes: start.to_vec(), is_little };
    let entries = tiff.exif(make, latitude);
    let directory = tiff.directory(&entries);
    tiff.finish(directory)
}

/// A TIFF file of an uncompressed gray image.
fn gray_tiff(is_little: bool, exif: bool, xmp: Option<&str>) -> Vec<u8> {
    let start = if is_little { b"II*\0\0\0\0\0" } else { b"MM\0*\0\0\0\0" };
    let mut tiff = Tiff { bytes: start.to_vec(), is_little };
    tiff.bytes.extend(vec![99; SIZE.0 * SIZE.1]);
    let mut entries = if exif { tiff.exif(b"Other\0", -33.5) } else { Vec::new() };
    for (tag, number) in [(256, SIZE.0), (257, SIZE.1), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, SIZE.1)]
    {
        entries.push((tag, 4, 1, tiff.long(number as u32)));
    }
    entries.push((279, 4, 1, tiff.long((SIZE.0 * SIZE.1) as u32)));
    if let Some(xmp) = xmp {
        entries.push((700, 1, xmp.len() as u32, xmp.as_bytes().to_vec()));
    }
    entries.sort_by_key(|entry| entry.0);
    let directory = tiff.directory(&entries);
    tiff.finish(directory)
}

fn app1(signature: &[u8], contents: &[u8]) -> Vec<u8> {
    let length = (signature.len() + contents.len() + 2) as u16;
    [&[0xFF, 0xE1], &length.to_be_bytes()[..], signature, contents].concat()
}

const EXIF: &[u8] = b"Exif\0\0";
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";

/// A JPEG with these segments.
fn jpeg_of(segments: &[Vec<u8>]) -> Vec<u8> {
    let file = jpeg(&quadrants(SIZE.0, SIZE.1), SIZE.0, SIZE.1);
    [&file[..2], &segments.concat(), &file[2..]].concat()
}

fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let named = [&name[..], data].concat();
    [&(data.len() as u32).to_be_bytes(), &named[..], &crc32fast::hash(&named).to_be_bytes()].concat()
}

/// A PNG with these chunks before, or after, its pixels.
fn png_of(chunks: &[Vec<u8>], is_after: bool) -> Vec<u8> {
    let file = png(&quadrants(SIZE.0, SIZE.1), SIZE.0, SIZE.1);
    let at = if is_after { file.len() - 12 } else { 33 };
    [&file[..at], &chunks.concat(), &file[at..]].concat()
}

fn deflated(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn itxt(xmp: &[u8], is_compressed: bool) -> Vec<u8> {
    let text = if is_compressed { deflated(xmp) } else { xmp.to_vec() };
    chunk(b"iTXt", &[&b"XML:com.adobe.xmp\0"[..], &[u8::from(is_compressed), 0], b"en\0\0", &text].concat())
}

/// As ImageMagick writes it.
fn raw_profile(name: &str, profile: &[u8], is_compressed: bool) -> Vec<u8> {
    let digits: String = profile.iter().map(|byte| format!("{byte:02x}")).collect();
    let lines: Vec<&str> = digits.as_bytes().chunks(72).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let text = format!("\n{name}\n{:8}\n{}\n", profile.len(), lines.join("\n"));
    let keyword = format!("Raw profile type {name}\0");
    if is_compressed {
        chunk(b"zTXt", &[keyword.as_bytes(), &[0], &deflated(text.as_bytes())].concat())
    } else {
        chunk(b"tEXt", &[keyword.as_bytes(), text.as_bytes()].concat())
    }
}

/// A WebP file with these chunks.
fn webp_of(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let simple = webp(&quadrants(SIZE.0, SIZE.1), SIZE.0, SIZE.1);
    let canvas = [0x0C, 0, 0, 0, SIZE.0 as u8 - 1, 0, 0, SIZE.1 as u8 - 1, 0, 0];
    let mut body = b"WEBPVP8X\x0A\0\0\0".to_vec();
    body.extend([&canvas[..], &simple[12..]].concat());
    for (name, data) in chunks {
        body.extend([&name[..], &(data.len() as u32).to_le_bytes(), data].concat());
        body.resize(body.len().next_multiple_of(2), 0);
    }
    [&b"RIFF"[..], &(body.len() as u32).to_le_bytes(), &body].concat()
}

/// A GIF with XMP as Adobe writes it: what follows the packet ends it wherever a reader of sub-blocks is.
fn gif_of(xmp: &[u8]) -> Vec<u8> {
    let file = gif(&quadrants(SIZE.0, SIZE.1), SIZE.0, SIZE.1);
    let table = if file[10] & 0x80 == 0 { 0 } else { 3 << ((file[10] & 7) + 1) };
    let end: Vec<u8> = [1].into_iter().chain((0..=255).rev()).chain([0]).collect();
    let extension = [b"\x21\xFF\x0BXMP DataXMP", xmp, &end].concat();
    [&file[..13 + table], &extension, &file[13 + table..]].concat()
}

fn avif_xmp() -> Vec<u8> {
    std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/avif-xmp.avif")).unwrap()
}

fn photo(file: &[u8], format: ContentType) -> Option<Photo> {
    thumbnails(file, format, &[16]).unwrap().photo
}

/// Files with XMP alone.
fn files_with_xmp() -> Vec<(&'static str, ContentType, Vec<u8>)> {
    let xmp = packet();
    let xmp = xmp.as_bytes();
    let app1_profile = [XMP, xmp].concat();
    vec![
        ("JPEG", ContentType::Jpeg, jpeg_of(&[app1(XMP, xmp)])),
        ("PNG", ContentType::Png, png_of(&[itxt(xmp, false)], false)),
        ("PNG, compressed, after the pixels", ContentType::Png, png_of(&[itxt(xmp, true)], true)),
        ("PNG, raw profile", ContentType::Png, png_of(&[raw_profile("xmp", xmp, false)], false)),
        ("PNG, raw APP1", ContentType::Png, png_of(&[raw_profile("APP1", &app1_profile, true)], false)),
        ("WebP", ContentType::WebP, webp_of(&[(b"XMP ", xmp)])),
        ("GIF", ContentType::Gif, gif_of(xmp)),
        ("TIFF", ContentType::Tiff, gray_tiff(true, false, Some(&packet()))),
        ("TIFF, big-endian", ContentType::Tiff, gray_tiff(false, false, Some(&packet()))),
    ]
}

#[test]
fn xmp_is_read_from_each_format() {
    for (name, format, file) in files_with_xmp() {
        assert_eq!(photo(&file, format), Some(xmp_photo()), "{name}");
    }
    let expected = Photo { place: place(48.208_333, 16.370_833), ..Photo::default() };
    assert_eq!(photo(&avif_xmp(), ContentType::Avif), Some(expected));
}

#[test]
fn exif_data_is_read_from_each_format() {
    for is_little in [true, false] {
        let exif = located_exif(is_little);
        let prefixed = [EXIF, &exif].concat();
        for (name, format, file) in [
            ("JPEG", ContentType::Jpeg, jpeg_of(&[app1(EXIF, &exif)])),
            ("PNG", ContentType::Png, png_of(&[chunk(b"eXIf", &exif)], false)),
            ("PNG, after the pixels", ContentType::Png, png_of(&[chunk(b"eXIf", &exif)], true)),
            ("PNG, raw profile", ContentType::Png, png_of(&[raw_profile("exif", &prefixed, true)], true)),
            ("PNG, raw APP1", ContentType::Png, png_of(&[raw_profile("APP1", &prefixed, false)], false)),
            ("WebP", ContentType::WebP, webp_of(&[(b"EXIF", &exif)])),
            ("WebP, prefixed", ContentType::WebP, webp_of(&[(b"EXIF", &prefixed)])),
            ("TIFF", ContentType::Tiff, gray_tiff(is_little, true, None)),
        ] {
            assert_eq!(photo(&file, format), Some(exif_photo()), "{name}, {is_little}");
        }
    }
    for format in ENCODED {
        let plain = make(format, &quadrants(SIZE.0, SIZE.1), SIZE.0, SIZE.1);
        assert_eq!(photo(&plain, format), None, "{format:?}");
    }
}

#[test]
fn exif_data_counts_where_both_state_a_property() {
    let (exif, xmp) = (located_exif(true), packet());
    for (name, format, file) in [
        ("JPEG", ContentType::Jpeg, jpeg_of(&[app1(XMP, xmp.as_bytes()), app1(EXIF, &exif)])),
        ("PNG", ContentType::Png, png_of(&[itxt(xmp.as_bytes(), false), chunk(b"eXIf", &exif)], false)),
        ("WebP", ContentType::WebP, webp_of(&[(b"XMP ", xmp.as_bytes()), (b"EXIF", &exif)])),
        ("TIFF", ContentType::Tiff, gray_tiff(true, true, Some(&xmp))),
    ] {
        assert_eq!(photo(&file, format), Some(exif_photo()), "{name}");
    }
}

#[test]
fn extended_xmp_is_joined_in_order() {
    let xmp = packet();
    let (first, second) = xmp.split_at(300);
    let part = |offset: usize, text: &str| {
        let head = [&[b'A'; 32][..], &(xmp.len() as u32).to_be_bytes(), &(offset as u32).to_be_bytes()].concat();
        app1(b"http://ns.adobe.com/xmp/extension/\0", &[&head, text.as_bytes()].concat())
    };
    let main = app1(XMP, b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>");
    let file = jpeg_of(&[part(first.len(), second), main, part(0, first)]);
    assert_eq!(photo(&file, ContentType::Jpeg), Some(xmp_photo()));
}

#[test]
fn no_place_of_another_part_of_a_jpeg_is_missed() {
    let (exif, xmp) = (app1(EXIF, &located_exif(false)), app1(XMP, packet().as_bytes()));
    let small = jpeg_of(&[]);
    let noise: Vec<u8> = (0..600_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (name, file, expected) in [
        ("a second segment", jpeg_of(&[app1(EXIF, &exif_of(true, b"\0", 95.0)), exif.clone()]), exif_photo()),
        ("a second image", [small.clone(), jpeg_of(std::slice::from_ref(&exif))].concat(), exif_photo()),
        ("XMP of a second image", [small.clone(), jpeg_of(&[xmp])].concat(), xmp_photo()),
        (
            "far behind",
            [small.clone(), noise.clone(), jpeg_of(std::slice::from_ref(&exif)), noise].concat(),
            exif_photo(),
        ),
    ] {
        let photo = photo(&file, ContentType::Jpeg).unwrap();
        assert_eq!((photo.place, photo.make), (expected.place, expected.make), "{name}");
    }
    // What the first image says counts.
    let file = [jpeg_of(&[exif]), jpeg_of(&[app1(EXIF, &exif_of(true, b"Third\0", 10.0))])].concat();
    assert_eq!(photo(&file, ContentType::Jpeg), Some(exif_photo()));
}

/// Wherever the metadata is cut off or damaged, the image is what it was, or invalid; and nothing panics.
#[test]
fn damaged_metadata_does_not_change_the_image() {
    let mut files = files_with_xmp();
    files.push(("AVIF", ContentType::Avif, avif_xmp()));
    files.push(("TIFF, Exif", ContentType::Tiff, gray_tiff(true, true, None)));
    files.push(("PNG, Exif", ContentType::Png, png_of(&[raw_profile("exif", &located_exif(true), true)], true)));
    let mut random = 1_u32;
    for (name, format, file) in files {
        let whole = thumbnails(&file, format, &[16]).unwrap();
        for end in (12..file.len()).step_by(7) {
            if let Ok(cut) = thumbnails(&file[..end], format, &[16]) {
                assert_eq!((cut.width, cut.height), (whole.width, whole.height), "{name} at {end}");
            }
        }
        for _ in 0..400 {
            let mut bad = file.clone();
            for _ in 0..3 {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = random as usize % bad.len();
                bad[at] = (random >> 24) as u8;
            }
            let _ = thumbnails(&bad, format, &[16]);
        }
    }
}

/// Text that grows a thousand times is cut off.
#[test]
fn compressed_text_is_bounded() {
    let bomb = deflated(&vec![b' '; 200 << 20]);
    let data = [&b"XML:com.adobe.xmp\0\x01\0\0\0"[..], &bomb].concat();
    assert_eq!(photo(&png_of(&[chunk(b"iTXt", &data)], false), ContentType::Png), None);
}
