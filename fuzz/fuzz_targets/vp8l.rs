//! Compares vp8l-rows with libwebp: both decode to the same pixels, or both fail. The first byte selects
//! a `VP8L` or an `ALPH` payload; for the latter two more bytes give the size.
#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use vp8l_rows::{Alpha, Decoder, Error, Limits};

/// libwebp holds all pixels in memory.
const MAX_PIXELS: u32 = 1 << 16;
/// The longest side of an image with alpha.
const MAX_SIDE: u8 = 64;

/// A lossy image of that side; smaller sizes decode from the same bits.
static LOSSY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let side = usize::from(MAX_SIDE);
    let grey = vec![128; side * side * 3];
    let config = webpx::EncoderConfig::new().method(0);
    let file = config.encode_rgb(&grey, side as u32, side as u32, webpx::Unstoppable).expect("it is sound");
    file[20..].to_vec()
});

fn riff(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut body = b"WEBP".to_vec();
    for (name, payload) in chunks {
        if body.len() % 2 == 1 {
            body.push(0);
        }
        body.extend_from_slice(*name);
        body.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        body.extend_from_slice(payload);
    }
    [&b"RIFF"[..], &(body.len() as u32).to_le_bytes(), &body].concat()
}

fn theirs(file: &[u8]) -> Option<Vec<u8>> {
    let config = webpx::DecoderConfig::new().limits(webpx::Limits::none());
    webpx::Decoder::new(file).ok()?.config(config).decode_rgba_raw().ok().map(|(pixels, ..)| pixels)
}

fn limits() -> Limits {
    Limits { max_memory: 256 << 20, deadline: Some(Instant::now() + Duration::from_secs(10)) }
}

fn ours(mut decoder: Decoder<'_>) -> Result<Vec<u8>, Error> {
    let mut pixels = Vec::new();
    while let Some(row) = decoder.next_row()? {
        pixels.extend_from_slice(row);
    }
    Ok(pixels)
}

fn ours_alpha(payload: &[u8], size: (u32, u32)) -> Result<Vec<u8>, Error> {
    let mut decoder = Alpha::new(payload, size, limits())?;
    let mut samples = Vec::new();
    while let Some(row) = decoder.next_row()? {
        samples.extend_from_slice(row);
    }
    Ok(samples)
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, rest)) = data.split_first() else {
        return;
    };
    if choice & 1 == 0 {
        let Ok(decoder) = Decoder::new(rest, limits()) else {
            return;
        };
        let header = decoder.header();
        // libwebp reads zeros up to the eighth byte of shorter data.
        if header.width * header.height > MAX_PIXELS || rest.len() < 8 {
            return;
        }
        match (ours(decoder), theirs(&riff(&[(b"VP8L", rest)]))) {
            (Ok(ours), Some(theirs)) => assert!(ours == theirs, "other pixels"),
            (Ok(_), None) => panic!("only libwebp fails"),
            (Err(error), Some(_)) => panic!("only vp8l-rows fails: {error}"),
            (Err(_), None) => {}
        }
        return;
    }
    let [width, height, payload @ ..] = rest else {
        return;
    };
    let (width, height) = (1 + width % MAX_SIDE, 1 + height % MAX_SIDE);
    // libwebp does not ignore the reserved bits.
    if payload.len() < 9 || payload[0] & 0xE0 != 0 {
        return;
    }
    let mut lossy = LOSSY.clone();
    lossy[6..10].copy_from_slice(&[width, 0, height, 0]);
    let extended = [0x10, 0, 0, 0, width - 1, 0, 0, height - 1, 0, 0];
    let theirs = theirs(&riff(&[(b"VP8X", &extended), (b"ALPH", payload), (b"VP8 ", &lossy)]));
    match (ours_alpha(payload, (width.into(), height.into())), theirs) {
        (Ok(ours), Some(theirs)) => {
            assert!(ours.iter().eq(theirs.as_chunks::<4>().0.iter().map(|pixel| &pixel[3])), "other alpha");
        }
        (Ok(_), None) => panic!("only libwebp fails on the alpha"),
        // libwebp fills in missing bits of the last sample.
        (Err(Error::Truncated), Some(_)) | (Err(_), None) => {}
        (Err(error), Some(_)) => panic!("only vp8l-rows fails on the alpha: {error}"),
    }
});
