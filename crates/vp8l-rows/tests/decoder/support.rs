//! WebP files around payloads, both decoders, and random numbers.

pub(crate) mod streams;

use vp8l_rows::{Alpha, Decoder, Error, Limits};

/// A sequence of numbers that is the same on every run (xorshift64*).
pub(crate) struct Numbers(pub u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// From 0 to `end - 1`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

/// An image in straight RGBA.
pub(crate) struct Picture {
    pub width: u32,
    pub height: u32,
    pub rgba: Vec<u8>,
}

impl Picture {
    pub(crate) fn new(width: u32, height: u32, mut pixel: impl FnMut(u32, u32) -> [u8; 4]) -> Self {
        let rgba = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).flat_map(|(x, y)| pixel(x, y)).collect();
        Self { width, height, rgba }
    }

    pub(crate) fn encode(&self, config: &webpx::EncoderConfig) -> Vec<u8> {
        config.encode_rgba(&self.rgba, self.width, self.height, webpx::Unstoppable).unwrap()
    }
}

pub(crate) fn riff(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut body = b"WEBP".to_vec();
    for (name, payload) in chunks {
        // No padding after the last chunk: libwebp would read it.
        if body.len() % 2 == 1 {
            body.push(0);
        }
        body.extend_from_slice(*name);
        body.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        body.extend_from_slice(payload);
    }
    [&b"RIFF"[..], &(body.len() as u32).to_le_bytes(), &body].concat()
}

/// The payload of the first chunk with this name.
pub(crate) fn chunk<'a>(file: &'a [u8], wanted: &[u8; 4]) -> Option<&'a [u8]> {
    let mut rest = &file[12..];
    while rest.len() >= 8 {
        let size = u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
        if &rest[..4] == wanted {
            return Some(&rest[8..8 + size]);
        }
        rest = rest.get(8 + size + size % 2..).unwrap_or_default();
    }
    None
}

/// Decodes a file with libwebp to RGBA.
pub(crate) fn theirs(file: &[u8]) -> Option<Vec<u8>> {
    let config = webpx::DecoderConfig::new().limits(webpx::Limits::none());
    webpx::Decoder::new(file).ok()?.config(config).decode_rgba_raw().ok().map(|(pixels, ..)| pixels)
}

pub(crate) fn theirs_of(payload: &[u8]) -> Option<Vec<u8>> {
    theirs(&riff(&[(b"VP8L", payload)]))
}

/// Decodes a `VP8L` payload to RGBA.
pub(crate) fn ours(payload: &[u8]) -> Result<Vec<u8>, Error> {
    ours_within(payload, Limits::default())
}

pub(crate) fn ours_within(payload: &[u8], limits: Limits) -> Result<Vec<u8>, Error> {
    let mut decoder = Decoder::new(payload, limits)?;
    let header = decoder.header();
    let mut pixels = Vec::new();
    while let Some(row) = decoder.next_row()? {
        assert_eq!(row.len(), header.width as usize * 4);
        pixels.extend_from_slice(row);
    }
    assert_eq!(pixels.len(), (header.width * header.height * 4) as usize);
    Ok(pixels)
}

/// Decodes an `ALPH` payload.
pub(crate) fn ours_alpha(payload: &[u8], size: (u32, u32)) -> Result<Vec<u8>, Error> {
    let mut decoder = Alpha::new(payload, size, Limits::default())?;
    let mut samples = Vec::new();
    while let Some(row) = decoder.next_row()? {
        samples.extend_from_slice(row);
    }
    assert_eq!(samples.len(), (size.0 * size.1) as usize);
    Ok(samples)
}

/// Panics at the first pixel that differs.
#[track_caller]
pub(crate) fn assert_same(ours: &[u8], theirs: &[u8], width: u32, what: &str) {
    if let Some(at) = ours.iter().zip(theirs).position(|(a, b)| a != b) {
        let (x, y) = (at / 4 % width as usize, at / 4 / width as usize);
        let pixel = |of: &[u8]| of[at / 4 * 4..][..4].to_vec();
        panic!("{what}: {:?}, not {:?}, at column {x}, row {y}", pixel(ours), pixel(theirs));
    }
    assert_eq!(ours.len(), theirs.len(), "{what}");
}
