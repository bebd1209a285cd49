//! Fuzzes jpeg-scaled: the first byte selects the scale, the rest is the file. Checks the documented
//! properties of every decoded image.
#![no_main]

use std::time::{Duration, Instant};

use jpeg_scaled::{Decoder, Limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, file)) = data.split_first() else {
        return;
    };
    let limits =
        Limits { max_memory: 32 << 20, deadline: Some(Instant::now() + Duration::from_secs(5)), ..Limits::default() };
    let mut decoder = Decoder::new(file, limits);
    let Ok(header) = decoder.read_header() else {
        return;
    };
    let scale = choice % 8 + 1;
    let scales = [scale, (choice >> 3) % 8 + 1, scale, scale];
    if let Ok(picture) = decoder.decode(&scales) {
        assert_eq!(picture.planes.len(), header.components.len());
        for plane in &picture.planes {
            assert!(plane.stride >= plane.width as usize);
            assert_eq!(plane.samples.len(), plane.stride * plane.height as usize);
            assert!(plane.width > 0 && plane.eighths_across.div_ceil(8) == plane.width);
            assert!(plane.height > 0 && plane.eighths_down.div_ceil(8) == plane.height);
        }
    }
});
