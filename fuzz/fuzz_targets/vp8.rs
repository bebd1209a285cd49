//! Compares vp8-rows with libwebp: both decode to the same samples, or both fail. The input is the
//! payload of a `VP8 ` chunk.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vp8_rows::{Decoder, Error};

/// Limits the time of one run.
const MAX_PIXELS: u32 = 1 << 18;

fuzz_target!(|data: &[u8]| {
    // Checked before libwebp allocates the image.
    if let Some(&[width, width_high, height, height_high]) = data.get(6..10).and_then(|bytes| bytes.first_chunk()) {
        let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3FFF);
        if side(width, width_high) * side(height, height_high) > MAX_PIXELS {
            return;
        }
    }
    match (ours(data), theirs(data)) {
        (Ok(ours), Some(theirs)) => assert!(ours == theirs, "other samples"),
        // libwebp's result depends on the machine.
        (Err(Error::Corrupt("the first byte of a partition is 255")), _) | (Err(_), None) => {}
        (Ok(_), None) => panic!("only libwebp fails"),
        (Err(error), Some(_)) => panic!("only vp8-rows fails: {error}"),
    }
});

fn ours(chunk: &[u8]) -> Result<[Vec<u8>; 3], Error> {
    let mut decoder = Decoder::new(chunk)?;
    let (width, height) = (decoder.width() as usize, decoder.height() as usize);
    let mut planes = [const { Vec::new() }; 3];
    while let Some(band) = decoder.next_band()? {
        for (plane, rows) in planes.iter_mut().zip([band.y, band.u, band.v]) {
            rows.rows().for_each(|row| plane.extend_from_slice(row));
        }
    }
    assert_eq!(planes[0].len(), width * height);
    Ok(planes)
}

fn theirs(chunk: &[u8]) -> Option<[Vec<u8>; 3]> {
    let padded = chunk.len().next_multiple_of(2);
    let mut file = b"RIFF".to_vec();
    file.extend_from_slice(&(padded as u32 + 12).to_le_bytes());
    file.extend_from_slice(b"WEBPVP8 ");
    file.extend_from_slice(&(chunk.len() as u32).to_le_bytes());
    file.extend_from_slice(chunk);
    file.resize(20 + padded, 0);
    let config = webpx::DecoderConfig::new().limits(webpx::Limits::none());
    let planes = webpx::Decoder::new(&file).ok()?.config(config).decode_yuv().ok()?;
    let dense = |samples: &[u8], stride: usize, width: u32, height: u32| {
        samples.chunks(stride).take(height as usize).flat_map(|row| &row[..width as usize]).copied().collect()
    };
    let (width, height) = (planes.width, planes.height);
    let half = (width.div_ceil(2), height.div_ceil(2));
    Some([
        dense(&planes.y, planes.y_stride, width, height),
        dense(&planes.u, planes.u_stride, half.0, half.1),
        dense(&planes.v, planes.v_stride, half.0, half.1),
    ])
}
