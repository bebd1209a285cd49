//! Test images, and decoding with libwebp.

use vp8_rows::{Decoder, Error};

/// A sequence of numbers that is the same on every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (((self.0 >> 33) * u64::from(end)) >> 31) as u32
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }
}

/// The samples of each plane, without padding between rows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Planes {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) samples: [Vec<u8>; 3],
}

/// A file of this chunk only.
pub(crate) fn file(chunk: &[u8]) -> Vec<u8> {
    let padded = chunk.len().next_multiple_of(2);
    let mut file = b"RIFF".to_vec();
    file.extend_from_slice(&(padded as u32 + 12).to_le_bytes());
    file.extend_from_slice(b"WEBPVP8 ");
    file.extend_from_slice(&(chunk.len() as u32).to_le_bytes());
    file.extend_from_slice(chunk);
    file.resize(20 + padded, 0);
    file
}

/// The `VP8 ` payload of a file written by libwebp.
pub(crate) fn chunk(file: &[u8]) -> &[u8] {
    assert_eq!(&file[8..16], b"WEBPVP8 ");
    let size = u32::from_le_bytes(file[16..20].try_into().unwrap());
    &file[20..][..size as usize]
}

pub(crate) fn theirs(chunk: &[u8]) -> Option<Planes> {
    let config = webpx::DecoderConfig::new().limits(webpx::Limits::none());
    let file = file(chunk);
    let planes = webpx::Decoder::new(&file).ok()?.config(config).decode_yuv().ok()?;
    let (width, height) = (planes.width, planes.height);
    let dense = |samples: &[u8], stride: usize, width: u32, height: u32| -> Vec<u8> {
        samples.chunks(stride).take(height as usize).flat_map(|row| row[..width as usize].to_vec()).collect()
    };
    let half = [width.div_ceil(2), height.div_ceil(2)];
    let samples = [
        dense(&planes.y, planes.y_stride, width, height),
        dense(&planes.u, planes.u_stride, half[0], half[1]),
        dense(&planes.v, planes.v_stride, half[0], half[1]),
    ];
    Some(Planes { width, height, samples })
}

/// Decodes a frame and checks the bands.
pub(crate) fn ours(chunk: &[u8]) -> Result<Planes, Error> {
    let mut decoder = Decoder::new(chunk)?;
    let (width, height) = (decoder.width(), decoder.height());
    let mut samples = [const { Vec::new() }; 3];
    let mut rows = 0;
    while let Some(band) = decoder.next_band()? {
        assert_eq!((band.first_row, band.first_row % 2), (rows, 0));
        rows += band.y.rows().len() as u32;
        assert_eq!(band.u.rows().len(), band.v.rows().len());
        for (samples, plane) in samples.iter_mut().zip([band.y, band.u, band.v]) {
            plane.rows().for_each(|row| samples.extend_from_slice(row));
        }
        assert_eq!(samples[1].len() as u32, rows.div_ceil(2) * width.div_ceil(2));
    }
    assert_eq!(rows, height);
    assert!(matches!(decoder.next_band(), Ok(None)));
    Ok(Planes { width, height, samples })
}

/// Compares with libwebp; panics at the first difference, or if only one of the two returns an error.
/// Returns true if both decode.
pub(crate) fn compare(chunk: &[u8], what: &str) -> bool {
    let (ours, theirs) = (ours(chunk), theirs(chunk));
    match (ours, theirs) {
        (Ok(ours), Some(theirs)) => {
            assert_eq!((ours.width, ours.height), (theirs.width, theirs.height), "{what}");
            for (plane, (ours, theirs)) in ours.samples.iter().zip(&theirs.samples).enumerate() {
                let width = if plane == 0 { theirs_width(chunk) } else { theirs_width(chunk).div_ceil(2) };
                assert_eq!(ours.len(), theirs.len(), "{what}: plane {plane}");
                if let Some(at) = ours.iter().zip(theirs).position(|(ours, theirs)| ours != theirs) {
                    let (x, y) = (at % width, at / width);
                    panic!("{what}: plane {plane} at {x}, {y}: {} and not {}", ours[at], theirs[at]);
                }
            }
            true
        }
        // libwebp's result depends on the machine.
        (Err(_), None) | (Err(Error::Corrupt("the first byte of a partition is 255")), _) => false,
        (Ok(_), None) => panic!("{what}: libwebp refuses it"),
        (Err(error), Some(_)) => panic!("{what}: libwebp decodes it, and here: {error}"),
    }
}

fn theirs_width(chunk: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([chunk[6], chunk[7]]) & 0x3FFF)
}

/// RGB with one of several kinds of content.
pub(crate) fn picture(random: &mut Random, kind: u32, width: u32, height: u32) -> Vec<u8> {
    let phase = random.below(64);
    let mut out = Vec::with_capacity((width * height * 3) as usize);
    for y in 0..height {
        for x in 0..width {
            let pixel = match kind % 6 {
                // Noise.
                0 => [random.byte(), random.byte(), random.byte()],
                // Gradients.
                1 => [(x * 255 / width) as u8, (y * 255 / height) as u8, ((x + y + phase) * 3) as u8],
                2 => [90, 200, phase as u8],
                // Stripes with hard edges and grain.
                3 => {
                    let level = if ((x + y / 2 + phase) / 7).is_multiple_of(2) { 30 } else { 220 };
                    [level, level + random.byte() % 16, 255 - level]
                }
                // Waves in both directions, like a photograph.
                4 => {
                    let wave = |scale: f64, shift: f64| {
                        let angle = (f64::from(x) * 0.21 + f64::from(y) * 0.13 + shift) * scale;
                        (128.0 + 90.0 * angle.sin() + f64::from(random.0 as u8 % 9)) as u8
                    };
                    let pixel = [wave(1.0, 0.0), wave(0.4, f64::from(phase)), wave(2.3, 1.0)];
                    random.byte();
                    pixel
                }
                // Mostly flat, with some texture.
                _ => match random.below(40) {
                    0 => [random.byte(), 0, 255],
                    _ => [(x / 16 * 40) as u8, (y / 16 * 40) as u8, 128],
                },
            };
            out.extend_from_slice(&pixel);
        }
    }
    out
}
