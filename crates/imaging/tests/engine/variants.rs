//! WebP variants of thumbnails.

use tintype_imaging::{ContentType, EncodedThumbnail, ThumbnailRequest, process};

use crate::support::*;

fn thumbnail(file: &[u8], format: ContentType, height: u32) -> EncodedThumbnail {
    let heights = [height];
    let request = ThumbnailRequest { webp: true, ..request(format, &heights) };
    let [thumbnail] = <[_; 1]>::try_from(process(file, &request).unwrap().thumbnails).unwrap();
    thumbnail
}

/// Waves with grain, as of a camera.
fn photograph(width: usize, height: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut grain = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as f32 / 16.0
    };
    let pixel = |at: usize| {
        let (x, y) = ((at % width) as f32, (at / width) as f32);
        let wave = 110.0 + 70.0 * (x / 23.0).sin() * (y / 17.0).cos();
        [wave, wave * 0.8 + 20.0, 200.0 - wave * 0.6]
    };
    (0..width * height).flat_map(|at| pixel(at).map(|level| (level + grain()) as u8)).collect()
}

/// Text-like marks in three colors.
fn drawing(width: usize, height: usize) -> Vec<u8> {
    let colour = |at: usize| match (at % width / 8 * 7 + at / width / 12 * 5) % 11 {
        0..3 => [30, 30, 34],
        3 => [200, 0, 0],
        _ => [246, 246, 246],
    };
    (0..width * height).flat_map(colour).collect()
}

#[test]
fn photographs_have_variants_in_every_format_but_webp() {
    let pixels = photograph(360, 240);
    for format in ENCODED {
        let made = thumbnail(&make(format, &pixels, 360, 240), format, 120);
        if format == ContentType::WebP {
            assert_eq!(made.webp, None);
            continue;
        }
        let webp = made.webp.unwrap();
        assert!(webp.len() < made.bytes.len(), "{format:?}: {} of {}", webp.len(), made.bytes.len());
        let (one, other) = (look(made.content_type, &made.bytes), look(ContentType::WebP, &webp));
        let error: u64 = one.2.iter().zip(&other.2).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
        let error = error as f64 / one.2.len() as f64;
        assert!(error < 60.0, "{format:?}: {error}");
    }
}

#[test]
fn a_drawing_in_png_stays_lossless() {
    let made = thumbnail(&png(&drawing(400, 240), 400, 240), ContentType::Png, 240);
    let webp = made.webp.unwrap();
    assert_eq!(look(ContentType::WebP, &webp), look(ContentType::Png, &made.bytes));
    // That of a photograph does not.
    let made = thumbnail(&png(&photograph(400, 240), 400, 240), ContentType::Png, 240);
    assert!(made.webp.unwrap().len() < made.bytes.len() / 4);
}

#[test]
fn sides_and_sizes_that_are_too_large_have_no_variant() {
    for (width, height) in [(16_384, 4), (4_096, 2_049)] {
        let grey = vec![127; width * height];
        let file = png_with(&grey, width, height, png::ColorType::Grayscale, png::BitDepth::Eight, |_| {});
        let made = thumbnail(&file, ContentType::Png, 4_096);
        assert_eq!((made.width as usize, made.height as usize, made.webp), (width, height, None));
    }
    let grey = vec![127; 4_096 * 100];
    let file = png_with(&grey, 4_096, 100, png::ColorType::Grayscale, png::BitDepth::Eight, |_| {});
    assert!(thumbnail(&file, ContentType::Png, 4_096).webp.is_some());
}
