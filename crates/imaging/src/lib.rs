//! Makes thumbnails from image files.
//!
//! [`process`] reads an image once, from start to end, and decodes it at a reduced size if its format
//! allows that. Memory grows with the thumbnails, not with the original. The steps, in order: check
//! the format, check the size, decode and reduce, resize, convert to sRGB, apply the orientation,
//! encode. Thumbnails contain no metadata.
#![forbid(unsafe_code)]

mod colour;
mod decode;
mod encode;
mod error;
mod exif;
mod format;
mod picture;
mod reduce;
mod resize;
mod simd;
mod source;

use std::io::Read;
use std::time::Instant;

pub use error::{Error, Rejection};
pub use format::Format;

use decode::DecodeTarget;
use picture::Picture;
use source::Source;

/// The default pixel limit: 100 megapixels.
pub const DEFAULT_MAX_PIXELS: u64 = 100_000_000;

/// The longest side of an image, in pixels; the maximum of JPEG and GIF.
pub const MAX_SIDE: u32 = 65_535;

/// The reduced size of an image before the resize, relative to the largest thumbnail.
const OVERSAMPLE: f64 = 3.0;

/// Height of the image that the placeholder is computed from if no thumbnails are requested.
const PLACEHOLDER_HEIGHT: u32 = 64;
/// Longest side of ThumbHash's input; its maximum is 100.
const PLACEHOLDER_SIDE: u32 = 32;

/// Parameters of [`process`].
#[derive(Clone, Copy, Debug)]
pub struct ThumbnailRequest<'a> {
    /// The declared format; an image of another format is rejected.
    pub declared: Format,
    /// Heights in pixels, in any order; zeros are ignored.
    pub heights: &'a [u32],
    /// The largest number of pixels, by the image's header; see [`DEFAULT_MAX_PIXELS`].
    pub max_pixels: u64,
    /// Processing stops at this time with [`Rejection::DeadlineExceeded`].
    pub deadline: Option<Instant>,
}

/// The thumbnails of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbnails {
    /// The size of the image in pixels, after its orientation is applied.
    pub width: u32,
    pub height: u32,
    /// A [ThumbHash](https://evanw.github.io/thumbhash/), some 25 bytes.
    pub placeholder: Vec<u8>,
    /// Tallest first, without duplicate heights.
    pub thumbnails: Vec<EncodedThumbnail>,
}

/// A thumbnail in the format of its source: upright, in sRGB, without metadata. Of an animation it shows
/// the first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedThumbnail {
    /// In pixels: the requested height, or the image's height if that is less.
    pub height: u32,
    pub width: u32,
    pub bytes: Vec<u8>,
}

/// A thumbnail before encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rgba {
    pub width: u32,
    pub height: u32,
    /// Straight (not premultiplied) RGBA in sRGB, row by row.
    pub pixels: Vec<u8>,
}

/// Reads an image and makes its thumbnails.
///
/// # Errors
/// [`Error::Source`] if reading failed, which may be retried; [`Error::Rejected`] if the image is
/// invalid, which is final. A truncated file is rejected.
pub fn process<R: Read>(mut source: R, request: &ThumbnailRequest<'_>) -> Result<Thumbnails, Error> {
    let mut source = Source::new(&mut source, request.deadline);
    let ((width, height), pictures) = pictures(&mut source, request)?;
    let placeholder = placeholder(pictures.last().expect("there is at least one picture"));
    let mut thumbnails = Vec::new();
    if tallest(request.heights).is_some() {
        for picture in &pictures {
            source.check_deadline()?;
            thumbnails.push(EncodedThumbnail {
                height: picture.height,
                width: picture.width,
                bytes: encode::encode(picture, request.declared)?,
            });
        }
    }
    Ok(Thumbnails { width, height, placeholder, thumbnails })
}

/// Returns the pixels of the thumbnails that [`process`] would encode, for measurements and tests.
///
/// # Errors
/// As [`process`], except those of encoding.
pub fn render<R: Read>(mut source: R, request: &ThumbnailRequest<'_>) -> Result<Vec<Rgba>, Error> {
    let mut source = Source::new(&mut source, request.deadline);
    let (_, pictures) = pictures(&mut source, request)?;
    Ok(pictures
        .into_iter()
        .map(|picture| Rgba {
            width: picture.width,
            height: picture.height,
            pixels: colour::ycbcr_to_rgb(picture).to_rgba(),
        })
        .collect())
}

/// Returns the oriented size of the image and its thumbnails, tallest first; one of
/// [`PLACEHOLDER_HEIGHT`] if none is requested.
fn pictures(source: &mut Source<'_>, request: &ThumbnailRequest<'_>) -> Result<((u32, u32), Vec<Picture>), Error> {
    check_format(source, request.declared)?;
    let target =
        DecodeTarget { height: tallest(request.heights).unwrap_or(PLACEHOLDER_HEIGHT), max_pixels: request.max_pixels };
    let decoded = match request.declared {
        Format::Jpeg => decode::jpeg::decode(source, target),
        Format::Png => decode::png::decode(source, target),
        Format::WebP => decode::webp::decode(source, target),
        Format::Gif => decode::gif::decode(source, target),
    }?;
    source.check_deadline()?;
    let orientation = decoded.orientation;
    let size = orientation.oriented_size((decoded.width, decoded.height));
    let mut heights = distinct(request.heights, size.1);
    if heights.is_empty() {
        heights.push(target.height);
    }
    // Each is resized from the decoded image: resizing twice would be visible.
    let picture = |height| {
        let resized = decoded.resize(orientation.oriented_size(fit(size, height)));
        colour::to_srgb(resized, decoded.icc_profile.as_deref()).orient(orientation)
    };
    Ok((size, heights.into_iter().map(picture).collect()))
}

fn tallest(heights: &[u32]) -> Option<u32> {
    heights.iter().copied().max().filter(|&height| height > 0)
}

fn check_format(source: &mut Source<'_>, declared: Format) -> Result<(), Error> {
    let start = source.peek(16)?;
    let found = match Format::sniff(start) {
        Some(found) if found == declared => return Ok(()),
        Some(found) => Some(found.name()),
        None => format::sniff_foreign(start),
    };
    Err(match found {
        Some(found) => Rejection::TypeMismatch { declared, found },
        None => Rejection::NotAnImage,
    }
    .into())
}

/// The heights to make, tallest first: at most the image's height, without duplicates.
fn distinct(heights: &[u32], most: u32) -> Vec<u32> {
    let mut distinct: Vec<u32> = heights.iter().filter(|&&height| height > 0).map(|&height| height.min(most)).collect();
    distinct.sort_unstable_by(|a, b| b.cmp(a));
    distinct.dedup();
    distinct
}

/// The size of a thumbnail: not larger than the image, with its aspect ratio to the nearest pixel.
fn fit((width, height): (u32, u32), wanted_height: u32) -> (u32, u32) {
    if wanted_height >= height {
        return (width, height);
    }
    let scaled = u64::from(width) * u64::from(wanted_height) * 2 + u64::from(height);
    let width = (scaled / (2 * u64::from(height))).max(1);
    (width as u32, wanted_height)
}

fn placeholder(picture: &Picture) -> Vec<u8> {
    let longest = picture.width.max(picture.height);
    let shrink = |side: u32| {
        let scaled = u64::from(side) * u64::from(PLACEHOLDER_SIDE.min(longest)) / u64::from(longest);
        (scaled as u32).max(1)
    };
    let (width, height) = (shrink(picture.width), shrink(picture.height));
    let small = colour::ycbcr_to_rgb(picture.resize((width, height)));
    thumbhash::rgba_to_thumb_hash(width as usize, height as usize, &small.to_rgba())
}
