//! Small images made by independent encoders, and decoding of thumbnails.

use std::io::{self, Read};

use tintype_imaging::{ContentType, DEFAULT_MAX_PIXELS, Error, ThumbnailRequest, Thumbnails, process};

pub(crate) fn request(declared: ContentType, heights: &[u32]) -> ThumbnailRequest<'_> {
    ThumbnailRequest {
        declared,
        heights,
        max_pixels: DEFAULT_MAX_PIXELS,
        every_scan: false,
        webp: false,
        deadline: None,
    }
}

pub(crate) fn thumbnails(file: &[u8], declared: ContentType, heights: &[u32]) -> Result<Thumbnails, Error> {
    process(file, &request(declared, heights))
}

/// The code of a rejection.
pub(crate) fn code(result: Result<Thumbnails, Error>) -> &'static str {
    match result {
        Ok(_) => "accepted",
        Err(Error::Source(_)) => "source",
        Err(Error::Rejected(rejection)) => rejection.code(),
    }
}

/// Four quadrants: red, green, blue, white from top left, by rows.
pub(crate) fn quadrants(width: usize, height: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for y in 0..height {
        for x in 0..width {
            out.extend_from_slice(match (y * 2 < height, x * 2 < width) {
                (true, true) => &[255, 0, 0],
                (true, false) => &[0, 255, 0],
                (false, true) => &[0, 0, 255],
                (false, false) => &[255, 255, 255],
            });
        }
    }
    out
}

pub(crate) fn jpeg(rgb: &[u8], width: usize, height: usize) -> Vec<u8> {
    jpeg_with(rgb, width, height, |_| {})
}

pub(crate) fn jpeg_with(
    rgb: &[u8],
    width: usize,
    height: usize,
    set: impl FnOnce(&mut jpeg_encoder::Encoder<&mut Vec<u8>>),
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut out, 92);
    set(&mut encoder);
    let kind = jpeg_encoder::ColorType::Rgb;
    encoder.encode(rgb, width as u16, height as u16, kind).unwrap();
    out
}

/// Exif data with an orientation only.
pub(crate) fn exif(orientation: u8) -> Vec<u8> {
    let mut exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\0\0\0\0\0\0\0".to_vec();
    exif[19] = orientation;
    exif
}

pub(crate) fn png_with(
    pixels: &[u8],
    width: usize,
    height: usize,
    colour: png::ColorType,
    depth: png::BitDepth,
    set: impl FnOnce(&mut png::Info<'_>),
) -> Vec<u8> {
    let mut info = png::Info::with_size(width as u32, height as u32);
    info.color_type = colour;
    info.bit_depth = depth;
    set(&mut info);
    let mut out = Vec::new();
    let encoder = png::Encoder::with_info(&mut out, info).unwrap();
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
    out
}

pub(crate) fn png(rgb: &[u8], width: usize, height: usize) -> Vec<u8> {
    png_with(rgb, width, height, png::ColorType::Rgb, png::BitDepth::Eight, |_| {})
}

pub(crate) fn webp(rgb: &[u8], width: usize, height: usize) -> Vec<u8> {
    webpx::Encoder::new_rgb(rgb, width as u32, height as u32).quality(95.0).encode(webpx::Unstoppable).unwrap()
}

pub(crate) fn gif(rgb: &[u8], width: usize, height: usize) -> Vec<u8> {
    let frame = gif::Frame::from_rgb(width as u16, height as u16, rgb);
    let mut out = Vec::new();
    let mut encoder = gif::Encoder::new(&mut out, width as u16, height as u16, &[]).unwrap();
    encoder.write_frame(&frame).unwrap();
    drop(encoder);
    out
}

pub(crate) fn make(format: ContentType, rgb: &[u8], width: usize, height: usize) -> Vec<u8> {
    match format {
        ContentType::Jpeg => jpeg(rgb, width, height),
        ContentType::Png => png(rgb, width, height),
        ContentType::WebP => webp(rgb, width, height),
        ContentType::Gif => gif(rgb, width, height),
        ContentType::Tiff => tiff(rgb, width, height),
        ContentType::Bmp => bmp(rgb, width, height),
        other => panic!("there is no encoder for {other:?}"),
    }
}

/// The types that [`make`] can encode.
pub(crate) const ENCODED: [ContentType; 6] =
    [ContentType::Jpeg, ContentType::Png, ContentType::WebP, ContentType::Gif, ContentType::Tiff, ContentType::Bmp];

pub(crate) fn tiff(rgb: &[u8], width: usize, height: usize) -> Vec<u8> {
    let mut out = io::Cursor::new(Vec::new());
    let mut encoder = tiff::encoder::TiffEncoder::new(&mut out).unwrap();
    encoder.write_image::<tiff::encoder::colortype::RGB8>(width as u32, height as u32, rgb).unwrap();
    out.into_inner()
}

/// The oldest header, with rows from the bottom up.
pub(crate) fn bmp(rgb: &[u8], width: usize, height: usize) -> Vec<u8> {
    let stride = (width * 3).next_multiple_of(4);
    let length = 26 + stride * height;
    let mut file = [&b"BM"[..], &(length as u32).to_le_bytes(), &[0; 4], &26_u32.to_le_bytes()].concat();
    file.extend([&12_u32.to_le_bytes()[..], &(width as u16).to_le_bytes(), &(height as u16).to_le_bytes()].concat());
    file.extend([1, 0, 24, 0]);
    for row in rgb.chunks_exact(width * 3).rev() {
        file.extend(row.as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [b, g, r]));
        file.resize(file.len() + stride - width * 3, 0);
    }
    file
}

/// Decodes a thumbnail to straight RGBA, with decoders that the engine does not use if possible.
pub(crate) fn look(format: ContentType, bytes: &[u8]) -> (usize, usize, Vec<u8>) {
    match format {
        ContentType::Jpeg => {
            let mut decoder = jpeg_decoder::Decoder::new(bytes);
            let data = decoder.decode().unwrap();
            let info = decoder.info().unwrap();
            let channels = data.len() / (usize::from(info.width) * usize::from(info.height));
            let rgba = expand(&data, channels);
            (usize::from(info.width), usize::from(info.height), rgba)
        }
        ContentType::Png => {
            let mut reader = png::Decoder::new(io::Cursor::new(bytes)).read_info().unwrap();
            let mut data = vec![0; reader.output_buffer_size().unwrap()];
            let info = reader.next_frame(&mut data).unwrap();
            let (width, height) = (info.width as usize, info.height as usize);
            data.truncate(info.buffer_size());
            let rgba = expand(&data, info.color_type.samples());
            (width, height, rgba)
        }
        ContentType::WebP => {
            let (data, width, height) = webpx::decode_rgba(bytes).unwrap();
            (width as usize, height as usize, data)
        }
        ContentType::Gif => {
            let mut options = gif::DecodeOptions::new();
            options.set_color_output(gif::ColorOutput::RGBA);
            let mut decoder = options.read_info(bytes).unwrap();
            let frame = decoder.read_next_frame().unwrap().unwrap();
            let size = (usize::from(frame.width), usize::from(frame.height));
            (size.0, size.1, frame.buffer.to_vec())
        }
        other => panic!("{other:?} is not a type of thumbnails"),
    }
}

fn expand(data: &[u8], channels: usize) -> Vec<u8> {
    data.chunks_exact(channels)
        .flat_map(|pixel| match *pixel {
            [grey] => [grey, grey, grey, 255],
            [grey, alpha] => [grey, grey, grey, alpha],
            [r, g, b] => [r, g, b, 255],
            _ => [pixel[0], pixel[1], pixel[2], pixel[3]],
        })
        .collect()
}

/// The color in the middle of each quadrant, by rows.
pub(crate) fn quadrant_colours((width, height, rgba): &(usize, usize, Vec<u8>)) -> [[u8; 4]; 4] {
    [(1, 1), (3, 1), (1, 3), (3, 3)].map(|(x, y)| {
        let at = (height * y / 4 * width + width * x / 4) * 4;
        [rgba[at], rgba[at + 1], rgba[at + 2], rgba[at + 3]]
    })
}

#[track_caller]
pub(crate) fn assert_close(actual: &[u8], expected: &[u8], tolerance: u8) {
    let close = actual.len() == expected.len() && actual.iter().zip(expected).all(|(a, b)| a.abs_diff(*b) <= tolerance);
    assert!(close, "{actual:?} is not within {tolerance} of {expected:?}");
}

pub(crate) const RED: [u8; 4] = [255, 0, 0, 255];
pub(crate) const GREEN: [u8; 4] = [0, 255, 0, 255];
pub(crate) const BLUE: [u8; 4] = [0, 0, 255, 255];
pub(crate) const WHITE: [u8; 4] = [255, 255, 255, 255];

/// Returns some bytes, then a read error.
pub(crate) struct Failing<'a>(pub &'a [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let count = out.len().min(self.0.len()).min(97);
        out[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}
