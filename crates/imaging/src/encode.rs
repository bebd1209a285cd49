//! Encodes a thumbnail, without metadata.

use std::borrow::Cow;

use crate::colour::{rgb_to_ycbcr, ycbcr_to_rgb};
use crate::picture::{Model, Picture};
use crate::{ContentType, Rejection};

/// JPEG and WebP quality, 0 to 100.
const QUALITY: u8 = 80;

/// Quality of the WebP variants; docs/thumbnails.md has the figures.
const VARIANT_QUALITY: u8 = 82;

/// The largest WebP variant, in pixels: 3,840 x 2,160 fits. Encoding takes 8 bytes for each, lossless 22.
const VARIANT_MAX_PIXELS: u64 = 8 << 20;

pub(crate) fn encode(picture: &Picture, format: ContentType) -> Result<Vec<u8>, Rejection> {
    match format {
        ContentType::Jpeg => jpeg(picture),
        ContentType::Png => png(picture),
        ContentType::WebP => webp(picture),
        ContentType::Gif => gif(picture),
        _ => unreachable!("not a type of thumbnails"),
    }
    // The encoders fail on sizes that the format does not allow, such as a WebP side over 16,383 pixels.
    .map_err(|detail| Rejection::Unsupported {
        feature: format!(
            "a shape whose {} x {} thumbnail cannot be encoded as {} ({detail})",
            picture.width,
            picture.height,
            format.name()
        ),
    })
}

/// Encodes a thumbnail as WebP, beside its encoding in another format. Returns `None` if the result is not smaller.
///
/// A PNG that compresses well is a screenshot or a drawing, and stays lossless.
pub(crate) fn webp_variant(picture: &Picture, format: ContentType, encoded: &[u8]) -> Option<Vec<u8>> {
    let pixels = u64::from(picture.width) * u64::from(picture.height);
    if format == ContentType::WebP || pixels > VARIANT_MAX_PIXELS {
        return None;
    }
    let config = if format == ContentType::Png && compresses_well(picture, encoded.len()) {
        // More effort takes longer, and is no smaller.
        webpx::EncoderConfig::new_lossless().method(1).quality(50.0)
    } else {
        webpx::EncoderConfig::new().quality(f32::from(VARIANT_QUALITY))
    };
    // Encoding fails where a side is longer than WebP allows.
    webp_file(picture, config).ok().filter(|variant| variant.len() < encoded.len())
}

fn jpeg(picture: &Picture) -> Result<Vec<u8>, String> {
    let width = u16::try_from(picture.width).map_err(|error| error.to_string())?;
    let height = u16::try_from(picture.height).map_err(|error| error.to_string())?;
    let flat = match picture.model {
        Model::GreyAlpha | Model::Rgba => Cow::Owned(flatten_on_white(picture)),
        _ => Cow::Borrowed(picture),
    };
    let flat = if flat.model == Model::Rgb { Cow::Owned(rgb_to_ycbcr(&flat)) } else { flat };
    let planes: Vec<&[u8]> = flat.planes.iter().map(|plane| &plane.data[..]).collect();
    Ok(plane_kernels::jpeg::encode(&planes, width, height, QUALITY))
}

/// Removes alpha, for formats without it.
fn flatten_on_white(picture: &Picture) -> Picture {
    let channels = picture.planes[0].channels;
    let mut flat = picture.clone();
    flat.model = if channels == 2 { Model::Grey } else { Model::Rgb };
    flat.planes[0].channels = channels - 1;
    flat.planes[0].data = picture.planes[0]
        .data
        .chunks_exact(channels)
        .flat_map(|pixel| {
            let (alpha, colours) = pixel.split_last().expect("at least two channels");
            colours.iter().map(move |colour| colour.saturating_add(255 - alpha))
        })
        .collect();
    flat
}

/// `Balanced` compression saves only 3 % of a photograph and takes 20 to 40 % more time in all. Of images that compress
/// well it saves a fifth or more, and is fast.
fn png(picture: &Picture) -> Result<Vec<u8>, String> {
    let picture = ycbcr_to_rgb(picture.clone()).unpremultiply();
    let fast = png_file(&picture, ::png::Compression::Fast)?;
    if !compresses_well(&picture, fast.len()) {
        return Ok(fast);
    }
    png_file(&picture, ::png::Compression::Balanced)
}

/// Returns true if a PNG of `size` bytes is smaller than a quarter of the samples.
fn compresses_well(picture: &Picture, size: usize) -> bool {
    size < picture.planes[0].data.len() / 4
}

fn png_file(picture: &Picture, compression: ::png::Compression) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut out, picture.width, picture.height);
    encoder.set_depth(::png::BitDepth::Eight);
    encoder.set_color(match picture.model {
        Model::Grey => ::png::ColorType::Grayscale,
        Model::GreyAlpha => ::png::ColorType::GrayscaleAlpha,
        Model::Rgba => ::png::ColorType::Rgba,
        _ => ::png::ColorType::Rgb,
    });
    encoder.set_compression(compression);
    encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(&picture.planes[0].data))
        .map_err(|error| error.to_string())?;
    Ok(out)
}

fn webp(picture: &Picture) -> Result<Vec<u8>, String> {
    webp_file(picture, webpx::EncoderConfig::new().quality(f32::from(QUALITY)))
}

fn webp_file(picture: &Picture, config: webpx::EncoderConfig) -> Result<Vec<u8>, String> {
    let picture = ycbcr_to_rgb(picture.clone());
    let (width, height) = (picture.width, picture.height);
    let rgba;
    let encoder = match picture.model {
        Model::Grey | Model::GreyAlpha | Model::Rgba => {
            rgba = picture.to_rgba();
            webpx::Encoder::new_rgba(&rgba, width, height)
        }
        _ => webpx::Encoder::new_rgb(&picture.planes[0].data, width, height),
    };
    encoder.config(config).encode(webpx::Unstoppable).map_err(|error| error.to_string())
}

fn gif(picture: &Picture) -> Result<Vec<u8>, String> {
    let width = u16::try_from(picture.width).map_err(|error| error.to_string())?;
    let height = u16::try_from(picture.height).map_err(|error| error.to_string())?;
    let mut rgba = ycbcr_to_rgb(picture.clone()).to_rgba();
    // GIF pixels are either opaque or transparent.
    for pixel in rgba.as_chunks_mut::<4>().0 {
        pixel[3] = if pixel[3] < 128 { 0 } else { 255 };
    }
    let frame = ::gif::Frame::from_rgba_speed(width, height, &mut rgba, 10);
    let mut out = Vec::new();
    let mut encoder = ::gif::Encoder::new(&mut out, width, height, &[]).map_err(|error| error.to_string())?;
    encoder.write_frame(&frame).map_err(|error| error.to_string())?;
    drop(encoder);
    Ok(out)
}
