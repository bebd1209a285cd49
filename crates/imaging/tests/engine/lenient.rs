//! Files that other programs show without complaint, although they break their format's rules (`cases/`), and relatives of
//! them.

use std::fs;
use std::path::PathBuf;

use tintype_imaging::{ContentType, MAX_ASPECT_RATIO, Thumbnails, process, render, thumbnail_size};

use crate::support::*;

fn case(name: &str) -> (ContentType, Vec<u8>) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name);
    let file = fs::read(path).unwrap();
    (ContentType::sniff(&file).unwrap(), file)
}

/// The mean colors of the photographs in nine fields of equal size, by rows, as Pillow decodes them.
const LARGE: [[u8; 3]; 9] = [
    [156, 101, 127],
    [130, 116, 132],
    [121, 108, 133],
    [122, 134, 155],
    [176, 162, 75],
    [139, 141, 90],
    [122, 110, 146],
    [130, 119, 135],
    [124, 115, 102],
];
const SMALL: [[u8; 3]; 9] = [
    [139, 94, 96],
    [130, 108, 154],
    [132, 148, 154],
    [150, 155, 71],
    [150, 159, 65],
    [135, 143, 124],
    [113, 80, 142],
    [124, 130, 99],
    [132, 138, 78],
];
const PNG: [[u8; 3]; 9] = [
    [169, 52, 96],
    [163, 88, 125],
    [149, 97, 123],
    [133, 118, 95],
    [192, 172, 73],
    [169, 173, 105],
    [124, 123, 137],
    [133, 124, 122],
    [155, 105, 94],
];
const GIF: [[u8; 3]; 9] = [
    [115, 141, 85],
    [127, 142, 125],
    [148, 97, 131],
    [95, 128, 112],
    [164, 177, 76],
    [159, 91, 97],
    [135, 139, 112],
    [144, 108, 160],
    [158, 121, 136],
];

/// The mean color of each of the nine fields; rows of `bare` transparent pixels at the end do not count.
fn fields((width, height, rgba): &(usize, usize, Vec<u8>)) -> [[u8; 3]; 9] {
    std::array::from_fn(|field| {
        let (left, top) = (field % 3 * width / 3, field / 3 * height / 3);
        let (mut sums, mut count) = ([0_u64; 3], 0);
        for y in top..top + height / 3 {
            for x in left..left + width / 3 {
                let pixel = &rgba[(y * width + x) * 4..][..4];
                if pixel[3] > 0 {
                    count += 1;
                    sums.iter_mut().zip(pixel).for_each(|(sum, &level)| *sum += u64::from(level));
                }
            }
        }
        sums.map(|sum| (sum / count) as u8)
    })
}

/// Checks that a file is accepted and shows the photograph.
#[track_caller]
fn check(outcome: &Thumbnails, format: ContentType, size: (u32, u32), photograph: &[[u8; 3]; 9]) {
    assert_eq!((outcome.width, outcome.height), size);
    let found = fields(&look(format, &outcome.thumbnails[0].bytes));
    for (field, (found, wanted)) in found.iter().zip(photograph).enumerate() {
        let close = found
            .iter()
            .zip(wanted)
            .all(|(found, &wanted)| found.abs_diff(wanted) <= if format == ContentType::Gif { 8 } else { 3 });
        assert!(close, "field {field}: {found:?} for {wanted:?}");
    }
}

#[test]
fn cases_are_accepted_with_the_look_that_others_give_them() {
    let large = ((480, 640), &LARGE);
    let small = ((160, 200), &SMALL);
    let png = ((120, 160), &PNG);
    let gif = ((200, 260), &GIF);
    for (name, (size, photograph), truncated) in [
        ("jpeg_cmyk_no_adobe.jpg", small, false),
        ("jpeg_ycc_jfif_and_adobe0.jpg", large, false),
        ("jpeg_toycam_rst_extra_9zero.jpg", large, false),
        ("jpeg_prog_no_eoi.jpg", large, false),
        ("jpeg_mjpeg_no_dht.jpg", large, false),
        ("jpeg_dnl_segment_with_height.jpg", small, false),
        ("jpeg_rst_last_interval_missing.jpg", large, true),
        ("jpeg_base_trunc_0.999.jpg", large, true),
        ("png_no_iend.png", png, false),
        ("png_iend_bad_crc.png", png, false),
        ("apng_later_frame_out_of_bounds.png", png, false),
        ("gif_screen_smaller.gif", gif, false),
        ("gif_short_data_99.gif", gif, true),
        ("gif_unknown_ext.gif", gif, false),
        ("gif_junk_between.gif", gif, false),
        ("gif_frame_0x0.gif", gif, false),
    ] {
        let (format, file) = case(name);
        for height in [120, 640] {
            let mut request = request(format, &[]);
            let heights = [height];
            request.heights = &heights;
            // The second try decides about a progressive JPEG whose last scan the thumbnail does not need.
            let outcome = process(&file[..], &request).or_else(|_| {
                request.every_scan = true;
                process(&file[..], &request)
            });
            let outcome = outcome.unwrap_or_else(|error| panic!("{name}: {error:?}"));
            println!("{name} at {height}");
            check(&outcome, format, size, photograph);
            assert_eq!(outcome.truncated, truncated, "{name}");
        }
    }
    // Either answer is right here.
    let (format, file) = case("apng_first_sequence_wrong.png");
    let _ = thumbnails(&file, format, &[16]);
}

/// The nine mean colors of a thumbnail of the whole image.
fn shown(file: &[u8], format: ContentType) -> [[u8; 3]; 9] {
    let outcome = thumbnails(file, format, &[1000]).unwrap();
    fields(&look(format, &outcome.thumbnails[0].bytes))
}

fn without_segment(file: &[u8], code: u8) -> Vec<u8> {
    let at = file.windows(2).position(|pair| pair == [0xFF, code]).unwrap();
    let length = usize::from(u16::from_be_bytes([file[at + 2], file[at + 3]]));
    [&file[..at], &file[at + 2 + length..]].concat()
}

#[test]
fn four_components_are_inverted_cmyk_or_ycck_by_the_adobe_transform() {
    let mut file = Vec::new();
    let inks = [40_u8, 200, 120, 30].repeat(48 * 32);
    jpeg_encoder::Encoder::new(&mut file, 95).encode(&inks, 48, 32, jpeg_encoder::ColorType::CmykAsYcck).unwrap();
    let ycck = shown(&file, ContentType::Jpeg);
    let at = file.windows(5).position(|bytes| bytes == b"Adobe").unwrap() + 11;
    assert_eq!(file[at], 2);
    file[at] = 1;
    assert_eq!(shown(&file, ContentType::Jpeg), ycck);

    let mut file = Vec::new();
    jpeg_encoder::Encoder::new(&mut file, 95).encode(&inks, 48, 32, jpeg_encoder::ColorType::Cmyk).unwrap();
    let cmyk = shown(&file, ContentType::Jpeg);
    assert_close(&cmyk[4], &ycck[4], 4);
    assert_eq!(shown(&without_segment(&file, 0xEE), ContentType::Jpeg), cmyk);
}

#[test]
fn rgb_needs_adobe_or_names_and_no_jfif() {
    // Three components of plain red, in YCbCr by the encoder.
    let file = jpeg(&[255, 0, 0].repeat(48 * 32), 48, 32);
    let bare = without_segment(&file, 0xE0);
    let adobe = |transform: u8| [&b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0"[..], &[transform]].concat();
    let with = |file: &[u8], segment: &[u8]| [&file[..2], segment, &file[2..]].concat();
    let red = shown(&file, ContentType::Jpeg)[4];
    assert_close(&red, &[255, 0, 0], 4);
    for same in [&bare, &with(&bare, &adobe(1)), &with(&file, &adobe(0)), &with(&file, &adobe(1))] {
        assert_eq!(shown(same, ContentType::Jpeg)[4], red);
    }
    let rgb = shown(&with(&bare, &adobe(0)), ContentType::Jpeg)[4];
    assert!(rgb[1] > 60, "{rgb:?}");
}

#[test]
fn jpegs_without_huffman_tables_use_the_typical_ones() {
    // The encoder's default tables are those of the standard.
    for restarts in [0, 5] {
        let file = jpeg_with(&quadrants(96, 64), 96, 64, |encoder| encoder.set_restart_interval(restarts));
        let mut bare = file.clone();
        while bare.windows(2).any(|pair| pair == [0xFF, 0xC4]) {
            bare = without_segment(&bare, 0xC4);
        }
        assert!(bare.len() < file.len());
        assert_eq!(
            thumbnails(&bare, ContentType::Jpeg, &[16]).unwrap(),
            thumbnails(&file, ContentType::Jpeg, &[16]).unwrap()
        );
    }
    let progressive = jpeg_with(&quadrants(96, 64), 96, 64, |encoder| encoder.set_progressive(true));
    assert_eq!(code(thumbnails(&without_segment(&progressive, 0xC4), ContentType::Jpeg, &[16])), "corrupt");
}

/// A photograph-like picture that does not compress well.
fn noise(width: usize, height: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let mut level = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..width * height * 3).map(|_| level() / 2).collect()
}

/// Cuts a file of `height` rows at every part, and checks that it is accepted if and only if 95 % of the rows are there, with
/// the word that says so.
#[track_caller]
fn check_cuts(file: &[u8], format: ContentType, height: usize) {
    let heights = [height as u32];
    assert!(!thumbnails(file, format, &heights).unwrap().truncated);
    let pixels = |file: &[u8]| render(file, &request(format, &heights)).unwrap().remove(0).pixels;
    let whole = pixels(file);
    let mut accepted = 0;
    for end in (file.len() / 2..file.len()).step_by(file.len() / 300) {
        let cut = match thumbnails(&file[..end], format, &heights) {
            Ok(cut) => cut,
            error => {
                assert_eq!(code(error), "truncated", "cut at {end} of {}", file.len());
                assert_eq!(accepted, 0, "cut at {end} of {}", file.len());
                assert!(end * 100 < file.len() * 99, "cut at {end} of {}", file.len());
                continue;
            }
        };
        accepted += 1;
        assert!(end * 100 > file.len() * 92, "cut at {end} of {}", file.len());
        assert!(cut.truncated);
        let found = pixels(&file[..end]);
        let row = found.len() / height;
        assert_eq!(found[..row * height * 9 / 10], whole[..row * height * 9 / 10], "cut at {end} of {}", file.len());
        assert_eq!(
            found[row * (height - 2)..row * (height - 1)],
            found[row * (height - 1)..],
            "cut at {end} of {}",
            file.len()
        );
    }
    assert!(accepted > 0);
}

#[test]
fn files_that_lack_a_twentieth_of_their_rows_are_accepted_with_a_word() {
    let (width, height) = (64, 400);
    let rgb = noise(width, height);
    check_cuts(&jpeg(&rgb, width, height), ContentType::Jpeg, height);
    check_cuts(&jpeg_with(&rgb, width, height, |encoder| encoder.set_restart_interval(7)), ContentType::Jpeg, height);
    check_cuts(&png(&rgb, width, height), ContentType::Png, height);
    check_cuts(
        &webpx::Encoder::new_rgb(&rgb, 64, 400).lossless(true).encode(webpx::Unstoppable).unwrap(),
        ContentType::WebP,
        height,
    );
    // The filter of lossy WebP changes rows until those below them are there, so the picture is taller. Of a file with alpha
    // the alpha comes first: a cut leaves it whole.
    let (width, height) = (32, 1200);
    let rgba: Vec<u8> = noise(width, height).chunks(3).flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 128]).collect();
    for lossless in [false, true] {
        let encoder = webpx::Encoder::new_rgba(&rgba, width as u32, height as u32).quality(90.0).lossless(lossless);
        check_cuts(&encoder.encode(webpx::Unstoppable).unwrap(), ContentType::WebP, height);
    }
    let (width, height) = (64, 400);
    check_cuts(&gif(&rgb, width, height), ContentType::Gif, height);
}

#[test]
fn data_after_the_last_pixel_of_a_png_does_not_matter() {
    let file = png(&quadrants(96, 64), 96, 64);
    let whole = thumbnails(&file, ContentType::Png, &[16]).unwrap();
    let end = file.len() - 12;
    // The checksum of the last IDAT chunk, four bytes, may be missing too.
    for cut in end - 4..file.len() {
        assert_eq!(thumbnails(&file[..cut], ContentType::Png, &[16]).unwrap(), whole, "at {cut}");
    }
    for tail in [&b"\0\0\0\x04ABCD1234\0\0\0\0"[..], b"\xFF\xFF\xFF\xFFtEXt", b"\0\0\0\x02fcTLxx\0\0\0\0", &[0; 40]] {
        assert_eq!(thumbnails(&[&file[..end], tail].concat(), ContentType::Png, &[16]).unwrap(), whole);
    }
}

#[test]
fn broken_ancillary_chunks_do_not_matter() {
    let file = png(&quadrants(96, 64), 96, 64);
    let whole = thumbnails(&file, ContentType::Png, &[16]).unwrap();
    for chunk in [&b"\0\0\0\x01gAMA\0\0\0\0\0"[..], b"\0\0\0\x03acTLabc\0\0\0\0", b"\0\0\0\x04eXIfMM\0*\0\0\0\0"] {
        let changed = [&file[..33], chunk, chunk, &file[33..]].concat();
        assert_eq!(thumbnails(&changed, ContentType::Png, &[16]).unwrap(), whole);
    }
}

#[test]
fn malformed_suggested_palette_is_ignored() {
    for palette in [vec![1; 28], vec![7; 900]] {
        let file = png_with(&quadrants(96, 64), 96, 64, png::ColorType::Rgb, png::BitDepth::Eight, |info| {
            info.palette = Some(palette.into());
        });
        let plain = png(&quadrants(96, 64), 96, 64);
        assert_eq!(
            thumbnails(&file, ContentType::Png, &[16]).unwrap(),
            thumbnails(&plain, ContentType::Png, &[16]).unwrap()
        );
    }
}

#[test]
fn palette_keeps_its_alpha_if_trns_is_too_long() {
    let file = png_with(&[0, 1], 2, 1, png::ColorType::Indexed, png::BitDepth::Eight, |info| {
        info.palette = Some((&[200, 10, 10, 10, 10, 200]).into());
        info.trns = Some((&[0, 255, 9]).into());
    });
    let outcome = thumbnails(&file, ContentType::Png, &[16]).unwrap();
    let (_, _, pixels) = look(ContentType::Png, &outcome.thumbnails[0].bytes);
    assert_eq!((pixels[3], &pixels[4..]), (0, &[10, 10, 200, 255][..]));
}

#[test]
fn riff_size_may_be_too_large_and_the_frames_many() {
    let rgb = quadrants(96, 64);
    let file = webp(&rgb, 96, 64);
    let whole = thumbnails(&file, ContentType::WebP, &[16]).unwrap();
    for more in [1, 2, 8, 500] {
        let mut larger = file.clone();
        let size = u32::from_le_bytes(larger[4..8].try_into().unwrap()) + more;
        larger[4..8].copy_from_slice(&size.to_le_bytes());
        assert_eq!(thumbnails(&larger, ContentType::WebP, &[16]).unwrap(), whole);
    }
    let chunk = |name: &[u8], data: &[u8]| [name, &(data.len() as u32).to_le_bytes(), data].concat();
    let frame = [&[0; 6][..], &[95, 0, 0, 63, 0, 0, 9, 0, 0, 0], &file[12..]].concat();
    let mut parts = chunk(b"VP8X", &[2, 0, 0, 0, 95, 0, 0, 63, 0, 0]);
    parts.extend(chunk(b"ANIM", &[0; 6]));
    parts.extend(chunk(b"ANMF", &frame).repeat(5000));
    let animation = [&b"RIFF"[..], &(parts.len() as u32 + 4).to_le_bytes(), b"WEBP", &parts].concat();
    assert_eq!(thumbnails(&animation, ContentType::WebP, &[16]).unwrap().thumbnails, whole.thumbnails);
}

#[test]
fn zero_bytes_and_empty_frames_of_gifs_are_skipped() {
    let file = gif(&quadrants(96, 64), 96, 64);
    let whole = thumbnails(&file, ContentType::Gif, &[16]).unwrap();
    let table = if file[10] & 0x80 == 0 { 0 } else { 3 << ((file[10] & 7) + 1) };
    let (head, rest) = file.split_at(13 + table);
    let empty = b"\x2C\0\0\0\0\x05\0\0\0\x80abcdef\x02\x02\x4C\x01\0";
    let comment = b"\x21\xFE\x04text\0";
    for between in [
        &[0][..],
        &[0; 2],
        &[0; 77],
        &[&[0][..], comment, &[0; 3], comment].concat(),
        empty,
        &[&empty[..], &[0], empty].concat(),
    ] {
        let changed = [head, between, rest].concat();
        assert_eq!(thumbnails(&changed, ContentType::Gif, &[16]).unwrap(), whole);
    }
}

#[test]
fn complete_gif_data_of_too_few_rows_leaves_the_rest_bare() {
    for transparent in [None, Some(3)] {
        let frame = gif::Frame {
            width: 96,
            height: 62,
            buffer: vec![1; 96 * 62].into(),
            palette: Some([[10; 3], [200; 3], [0; 3], [0; 3]].concat()),
            transparent,
            ..gif::Frame::default()
        };
        let mut file = Vec::new();
        gif::Encoder::new(&mut file, 96, 64, &[]).unwrap().write_frame(&frame).unwrap();
        let descriptor = file.windows(9).position(|part| part == b"\x2C\0\0\0\0\x60\0\x3E\0").unwrap();
        file[descriptor + 7] = 64;
        let outcome = thumbnails(&file, ContentType::Gif, &[64]).unwrap();
        assert!(outcome.truncated, "{transparent:?}");
        let (width, _, pixels) = look(ContentType::Gif, &outcome.thumbnails[0].bytes);
        let alpha = |y: usize| pixels[(y * width + 40) * 4 + 3];
        assert_eq!((alpha(61), alpha(62), alpha(63)), (255, 0, 0), "{transparent:?}");
    }
}

#[test]
fn panoramas_fit_into_a_box() {
    for (image, height, wanted) in [
        ((65_500, 1500), 400, (1600, 37)),
        ((65_500, 1500), 200, (800, 18)),
        ((1500, 65_500), 400, (9, 400)),
        ((4000, 1000), 400, (1600, 400)),
        ((4001, 1000), 400, (1600, 400)),
        ((300, 10), 400, (300, 10)),
        ((65_535, 1), 100, (400, 1)),
        ((1, 65_535), 4096, (1, 4096)),
    ] {
        assert_eq!(thumbnail_size(image, height), wanted);
        assert!(wanted.0 <= height * MAX_ASPECT_RATIO && wanted.1 <= height);
    }
    let file = png(&quadrants(3000, 60), 3000, 60);
    let outcome = thumbnails(&file, ContentType::Png, &[100, 50, 1]).unwrap();
    let sizes: Vec<_> = outcome.thumbnails.iter().map(|thumbnail| (thumbnail.width, thumbnail.height)).collect();
    assert_eq!(sizes, [(400, 8), (200, 4), (4, 1)]);
    // Turned by its Exif data, the image is narrow.
    let turned = jpeg_with(&quadrants(3000, 60), 3000, 60, |encoder| encoder.add_exif_metadata(&exif(6)).unwrap());
    let outcome = thumbnails(&turned, ContentType::Jpeg, &[100]).unwrap();
    assert_eq!((outcome.thumbnails[0].width, outcome.thumbnails[0].height), (2, 100));
}
