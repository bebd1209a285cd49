//! Fuzzes the whole engine: the format is detected, so all decoders and encoders are reached.
#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use tintype_imaging::{ContentType, ThumbnailRequest, process};

fuzz_target!(init: {
    // Panics of decoders of other projects are caught, and reject the image. Others still abort.
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
}, |data: &[u8]| {
    let Some(declared) = ContentType::sniff(data) else {
        return;
    };
    let request = ThumbnailRequest {
        declared,
        heights: &[40, 16],
        max_pixels: 500_000,
        every_scan: false,
        webp: true,
        deadline: Some(Instant::now() + Duration::from_secs(5)),
    };
    if let Ok(outcome) = process(data, &request) {
        assert!(!outcome.thumbnails.is_empty());
        for thumbnail in &outcome.thumbnails {
            assert!(thumbnail.height <= 40 && thumbnail.height <= outcome.height);
            assert_eq!(ContentType::sniff(&thumbnail.bytes), Some(thumbnail.content_type));
            if let Some(webp) = &thumbnail.webp {
                assert!(webp.len() < thumbnail.bytes.len());
                assert_eq!(ContentType::sniff(webp), Some(ContentType::WebP));
            }
        }
    }
});
