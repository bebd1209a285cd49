//! Compares all samples with libwebp's, on files written by libwebp.

use webpx::{EncoderConfig, Unstoppable};

use crate::support::{Random, chunk, compare, picture};

fn encode(config: &EncoderConfig, random: &mut Random, kind: u32, width: u32, height: u32) -> Vec<u8> {
    let pixels = picture(random, kind, width, height);
    config.encode_rgb(&pixels, width, height, Unstoppable).expect("libwebp encodes it")
}

#[test]
fn sizes_1_to_40_match_libwebp() {
    let mut random = Random(1);
    for side in 1..=40 {
        for other in [1, 2, 3, 7, 8, 9, 15, 16, 17, 18, 24, 31, 32, 33, 40] {
            for (width, height) in [(side, other), (other, side)] {
                let config = EncoderConfig::new().quality((side * 2 + other) as f32).method(0);
                let file = encode(&config, &mut random, side + other, width, height);
                assert!(compare(chunk(&file), &format!("{width} x {height}")));
            }
        }
    }
}

#[test]
fn encoder_settings_match_libwebp() {
    let mut random = Random(2);
    for index in 0..240 {
        let (width, height) = (20 + random.below(60), 20 + random.below(60));
        let kind = index;
        let settings = [
            random.below(101),
            random.below(7),
            random.below(4),
            1 + random.below(4),
            random.below(101),
            random.below(8),
            random.below(2),
            random.below(101),
        ];
        let [quality, method, partitions, segments, strength, sharpness, strong, shaping] = settings;
        let config = EncoderConfig::new()
            .quality(quality as f32)
            .method(method as u8)
            .partitions(partitions as u8)
            .segments(segments as u8)
            .filter_strength(strength as u8)
            .filter_sharpness(sharpness as u8)
            .filter_type(strong as u8)
            .sns_strength(shaping as u8);
        let file = encode(&config, &mut random, kind, width, height);
        assert!(compare(chunk(&file), &format!("{width} x {height} of kind {kind} with {settings:?}")));
    }
}

#[test]
fn larger_images_match_libwebp() {
    let mut random = Random(3);
    for (kind, (width, height)) in (0..).zip([(333, 251), (640, 97), (129, 400), (511, 16), (16, 511), (1030, 64)]) {
        for quality in [5.0, 40.0, 85.0, 100.0] {
            let config = EncoderConfig::new().quality(quality).method(2).partitions(kind as u8 % 4);
            let file = encode(&config, &mut random, kind, width, height);
            assert!(compare(chunk(&file), &format!("{width} x {height} of kind {kind} at {quality}")));
        }
    }
}

#[test]
fn longest_sides_match_libwebp() {
    let mut random = Random(4);
    for (width, height) in [(16_383, 3), (3, 16_383)] {
        let file = encode(&EncoderConfig::new().method(0), &mut random, 1, width, height);
        assert!(compare(chunk(&file), &format!("{width} x {height}")));
    }
}

#[test]
fn truncated_files_match_libwebp() {
    let mut random = Random(5);
    for partitions in [0, 1, 3] {
        for kind in 0..3 {
            let config = EncoderConfig::new().quality(60.0).method(1).partitions(partitions);
            let whole = encode(&config, &mut random, kind, 50, 40);
            let whole = chunk(&whole);
            let mut decoded = 0;
            for length in 0..whole.len() {
                decoded += usize::from(compare(&whole[..length], &format!("{length} of {} bytes", whole.len())));
            }
            // The last bytes carry no information.
            assert!(decoded <= 4, "{decoded} of {} lengths", whole.len());
            assert!(compare(whole, "the whole"));
        }
    }
}

#[test]
fn damaged_files_match_libwebp() {
    let mut random = Random(6);
    let mut decoded = 0;
    for kind in 0..6 {
        let config = EncoderConfig::new().quality(70.0).method(2).partitions(kind as u8 % 4);
        let sound = encode(&config, &mut random, kind, 70, 50);
        for copy in 0..60 {
            let mut bytes = chunk(&sound).to_vec();
            for _ in 0..=random.below(4) {
                let at = random.below(bytes.len() as u32) as usize;
                // Not the size: the largest takes libwebp's debug build a while.
                if !(6..10).contains(&at) {
                    bytes[at] = random.byte();
                }
            }
            decoded += usize::from(compare(&bytes, &format!("kind {kind}, copy {copy}")));
        }
    }
    assert!(decoded > 100, "{decoded}");
}
