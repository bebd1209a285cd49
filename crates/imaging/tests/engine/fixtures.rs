//! Decodes files of every kind made by other tools (`fixtures/make.py`).

use std::fs;
use std::path::PathBuf;

use tintype_imaging::{ContentType, ThumbnailRequest, Thumbnails, process};

use crate::support::*;

const COLOURS: [[u8; 4]; 4] = [[200, 60, 40, 255], [60, 180, 80, 255], [50, 70, 190, 255], [220, 210, 200, 255]];
const GREYS: [[u8; 4]; 4] = [[40, 40, 40, 255], [100, 100, 100, 255], [160, 160, 160, 255], [220, 220, 220, 255]];

fn fixtures() -> Vec<(String, ContentType, Vec<u8>)> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut found: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.to_owned();
            let format =
                ContentType::ALL.into_iter().find(|format| name.ends_with(&format!(".{}", format.extension())))?;
            Some((name, format, fs::read(path).unwrap()))
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(found.len() > 92, "the fixtures are there");
    found
}

/// The expected colors of the quadrants of a file, by its name.
fn expected(name: &str) -> [[u8; 4]; 4] {
    if name.starts_with("fax") {
        return [[0, 0, 0, 255], [0, 0, 0, 255], [255; 4], [255; 4]];
    }
    let mut colours = if name.contains("grey") { GREYS } else { COLOURS };
    if name.contains("gif-transparent") {
        colours[2] = [0; 4];
    } else if name.contains("rgba") || name.contains("alpha") {
        colours[1][3] = 128;
        colours[2] = [0; 4];
    }
    colours
}

#[test]
fn webp_variants_of_fixtures_have_expected_colors() {
    let mut made = Vec::new();
    for (name, format, file) in fixtures() {
        let plain = thumbnails(&file, format, &[32, 16]).unwrap();
        let both = process(&file[..], &ThumbnailRequest { webp: true, ..request(format, &[32, 16]) }).unwrap();
        for (plain, both) in plain.thumbnails.iter().zip(&both.thumbnails) {
            assert_eq!((&plain.bytes, &plain.webp), (&both.bytes, &None), "{name}: the first encoding stays");
            let Some(webp) = &both.webp else { continue };
            assert!(both.content_type != ContentType::WebP && webp.len() < both.bytes.len(), "{name}");
            assert_eq!(ContentType::sniff(webp), Some(ContentType::WebP));
            let picture = look(ContentType::WebP, webp);
            assert_eq!((picture.0 as u32, picture.1 as u32), (both.width, both.height), "{name}");
            for (colour, expected) in quadrant_colours(&picture).iter().zip(expected(&name)) {
                assert_eq!(colour[3].abs_diff(expected[3]) / 4, 0, "{name}: {colour:?}");
                if expected[3] > 0 {
                    assert_close(colour, &expected, 30);
                }
            }
            made.push(both.content_type);
        }
    }
    for kind in [ContentType::Jpeg, ContentType::Png, ContentType::Gif] {
        assert!(made.iter().filter(|made| **made == kind).count() > 2, "{kind:?}: {made:?}");
    }
}

#[test]
fn fixtures_have_expected_colors_at_every_size() {
    for (name, format, file) in fixtures() {
        for height in [32, 16, 9] {
            let outcome = thumbnails(&file, format, &[height]).unwrap_or_else(|error| panic!("{name}: {error}"));
            // Encoders do not take tiles as small as the other fixtures.
            let scale = if name.contains("grid") { 4 } else { 1 };
            assert_eq!((outcome.width, outcome.height), (48 * scale, 32 * scale), "{name}");
            let [thumbnail] = &outcome.thumbnails[..] else {
                panic!("{name}: one thumbnail");
            };
            assert_eq!(thumbnail.width, (48 * height + 16) / 32, "{name}");
            let picture = look(thumbnail.content_type, &thumbnail.bytes);
            let colours = quadrant_colours(&picture);
            for (colour, expected) in colours.iter().zip(expected(&name)) {
                // Quality 80 with subsampled chroma, or 256 colors, at a height of nine pixels.
                let tolerance = match (thumbnail.content_type, height) {
                    (ContentType::Png, _) => 8,
                    (_, 9) => 60,
                    _ => 30,
                };
                if expected[3] == 0 {
                    assert!(colour[3] <= 8, "{name} at {height}");
                    continue;
                }
                let close = colour.iter().zip(expected).all(|(level, wanted)| level.abs_diff(wanted) <= tolerance);
                assert!(close, "{name} at {height}: {colour:?} for {expected:?}");
            }
        }
    }
}

#[test]
fn thumbnails_have_no_metadata() {
    for (name, format, file) in fixtures() {
        let outcome = thumbnails(&file, format, &[16]).unwrap();
        let bytes = &outcome.thumbnails[0].bytes;
        for mark in [&b"Exif"[..], b"EXIF", b"eXIf", b"iCCP", b"ICCP", b"ICC_PROFILE", b"http"] {
            let found = bytes.windows(mark.len()).any(|window| window == mark);
            assert!(!found, "{name}: {}", String::from_utf8_lossy(mark));
        }
    }
}

#[test]
fn truncated_fixtures_decode_almost_fully_or_fail() {
    for (name, format, file) in fixtures() {
        let whole = thumbnails(&file, format, &[16]).unwrap();
        for end in (0..file.len()).step_by(64) {
            match thumbnails(&file[..end], format, &[16]) {
                Ok(outcome) if outcome.truncated => {
                    // At most one of 32 rows is missing.
                    let shown = |built: &Thumbnails| {
                        let thumbnail = &built.thumbnails[0];
                        look(thumbnail.content_type, &thumbnail.bytes).2
                    };
                    let (whole, pixels) = (shown(&whole), shown(&outcome));
                    assert_eq!(pixels[..pixels.len() / 2], whole[..pixels.len() / 2], "{name} at {end}");
                }
                // Animations need only their first frame, and nothing that follows the pixels is needed.
                Ok(outcome) => {
                    let same = outcome.thumbnails == whole.thumbnails;
                    // The orientation may follow the pixels.
                    assert!(same || name.starts_with("turned"), "{name} at {end}");
                }
                error => {
                    let code = code(error);
                    let clear = ["not_an_image", "truncated", "corrupt"].contains(&code);
                    assert!(clear, "{name} cut at {end}: {code}");
                }
            }
        }
    }
}

#[test]
fn damage_never_panics() {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for (_, format, file) in fixtures() {
        for _ in 0..60 {
            let mut damaged = file.clone();
            for _ in 0..=next() % 4 {
                // The first bytes only select the decoder.
                let at = 12 + next() as usize % (damaged.len() - 12);
                match next() % 3 {
                    0 => damaged[at] = next() as u8,
                    1 => damaged[at] ^= 1 << (next() % 8),
                    _ => {
                        let length = (next() % 16) as usize;
                        damaged.drain(at..(at + length).min(damaged.len()));
                        if damaged.len() < 32 {
                            break;
                        }
                    }
                }
            }
            let mut request = request(format, &[20, 10]);
            request.max_pixels = 1_000_000;
            let _ = tintype_imaging::process(&damaged[..], &request);
        }
    }
}

#[test]
fn gif_frame_beyond_the_screen_enlarges_it() {
    for name in ["gif-interlaced.gif", "gif.gif"] {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
        let mut file = fs::read(path).unwrap();
        let frame = file.windows(9).position(|bytes| bytes == [0x2C, 0, 0, 0, 0, 48, 0, 32, 0]).unwrap();
        file[frame + 1] = 48;
        file[frame + 3] = 32;
        let outcome = thumbnails(&file, ContentType::Gif, &[64]).unwrap();
        assert_eq!((outcome.width, outcome.height), (96, 64));
        let picture = look(ContentType::Gif, &outcome.thumbnails[0].bytes);
        assert_eq!(quadrant_colours(&picture).map(|colour| colour[3]), [0, 0, 0, 255], "{name}");
    }
}

#[test]
fn profiles_of_gray_and_of_transparent_files_are_applied() {
    use png::ColorType::{Grayscale, GrayscaleAlpha, Rgba};
    // Without a tone curve: 55 of 255 is 0.216 of the light, which sRGB encodes as 128 (IEC 61966-2-1).
    let linear = moxcms::ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
    let adobe = moxcms::ColorProfile::new_adobe_rgb().encode().unwrap();
    let cases: [(_, _, &[u8], [u8; 4]); 4] = [
        (Grayscale, &linear, &[55], [128, 128, 128, 255]),
        (GrayscaleAlpha, &linear, &[55, 255], [128, 128, 128, 255]),
        (GrayscaleAlpha, &linear, &[55, 128], [128, 128, 128, 128]),
        (Rgba, &adobe, &[60, 180, 80, 128], [0, 181, 70, 128]),
    ];
    for (kind, profile, pixel, expected) in cases {
        let file = png_with(&pixel.repeat(48 * 32), 48, 32, kind, png::BitDepth::Eight, |info| {
            info.icc_profile = Some(profile.clone().into());
        });
        let outcome = thumbnails(&file, ContentType::Png, &[16]).unwrap();
        let [colour, ..] = quadrant_colours(&look(ContentType::Png, &outcome.thumbnails[0].bytes));
        assert_close(&colour, &expected, 3);
    }
    // A profile of another color model does not fit, and is ignored.
    let file = png_with(&[55].repeat(48 * 32), 48, 32, Grayscale, png::BitDepth::Eight, |info| {
        info.icc_profile = Some(adobe.clone().into());
    });
    let outcome = thumbnails(&file, ContentType::Png, &[16]).unwrap();
    let [colour, ..] = quadrant_colours(&look(ContentType::Png, &outcome.thumbnails[0].bytes));
    assert_close(&colour, &[55, 55, 55, 255], 1);
}

#[test]
fn an_opaque_file_with_an_alpha_channel_has_jpeg_thumbnails() {
    let rgba: Vec<u8> = quadrants(48, 32).as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [r, g, b, 255]).collect();
    let mut file = std::io::Cursor::new(Vec::new());
    let mut encoder = tiff::encoder::TiffEncoder::new(&mut file).unwrap();
    encoder.write_image::<tiff::encoder::colortype::RGBA8>(48, 32, &rgba).unwrap();
    let outcome = thumbnails(file.get_ref(), ContentType::Tiff, &[16, 32]).unwrap();
    for thumbnail in &outcome.thumbnails {
        assert_eq!(thumbnail.content_type, ContentType::Jpeg);
        let colours = quadrant_colours(&look(ContentType::Jpeg, &thumbnail.bytes));
        for (colour, expected) in colours.iter().zip([RED, GREEN, BLUE, WHITE]) {
            assert_close(colour, &expected, 20);
        }
    }
}

#[test]
fn adobe_rgb_and_ycck_are_converted_to_srgb() {
    // Adobe RGB has the exponent 2.2, and gray stays gray: only the tone changes.
    let profile = moxcms::ColorProfile::new_adobe_rgb().encode().unwrap();
    let rgb = [60_u8, 180, 80].repeat(48 * 32);
    let file = jpeg_with(&rgb, 48, 32, |encoder| encoder.add_icc_profile(&profile).unwrap());
    let outcome = thumbnails(&file, ContentType::Jpeg, &[16]).unwrap();
    let [colour, ..] = quadrant_colours(&look(ContentType::Jpeg, &outcome.thumbnails[0].bytes));
    // Computed from the two spaces' primaries and curves: red is out of gamut.
    assert_close(&colour, &[0, 181, 70, 255], 8);

    let inks = [40_u8, 200, 120, 30].repeat(48 * 32);
    let mut file = Vec::new();
    jpeg_encoder::Encoder::new(&mut file, 95).encode(&inks, 48, 32, jpeg_encoder::ColorType::CmykAsYcck).unwrap();
    let outcome = thumbnails(&file, ContentType::Jpeg, &[16]).unwrap();
    let [colour, ..] = quadrant_colours(&look(ContentType::Jpeg, &outcome.thumbnails[0].bytes));
    let light = |ink: u32| ((255 - ink) * (255 - 30) / 255) as u8;
    assert_close(&colour, &[light(40), light(200), light(120), 255], 8);
}

/// Found by fuzzing: its palette has 28 bytes.
#[test]
fn palette_with_incomplete_color_is_rejected() {
    let file = b"\x89PNG\x0d\x0a\x1a\x0a\x00\x00\x00\x0dIHDR\x00\x00\x001\x00\x00\x00 \x02\x03\x00\x00\x00)\xba\
        \x13\x8f\x00\x00\x00\x1cPLTE\xc8<(<\xb4P2F\xbe\xdc\xd2\xc8eY\x12\x06\x00\x00\x00\x04tRN\xf6\xff\
        \x80\x00\xff\xa1\xa1\x94f\x00\x00\x00\x22IDATx\x9c\xdd\xcf\xb1\x01\x00\x00\x04\xc0\xb0\xf0\xa3']\
        i\xf5\x02\xdd26\x01\x00\x00\x00\x80\x023\x88\xdf\x01\x93w\xfe\xff\xff\xff\xffICC_PROF\x94\x04ILE\
        \x00\xffND\xaeB`\x82";
    assert_eq!(code(thumbnails(file, ContentType::Png, &[16])), "corrupt");
}
