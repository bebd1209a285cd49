//! Bytes in, thumbnails out.
//!
//! [`process`] reads an image once, from front to back, decodes it at a reduced size where its
//! format allows that, and makes every thumbnail from the largest one. What is held in memory
//! follows the thumbnails, not the original. The steps, in order: tell the real type, check the
//! size, decode and shrink, resize, convert to sRGB, turn upright, encode. No metadata is carried
//! over.
#![forbid(unsafe_code)]

mod colour;
mod decode;
mod encode;
mod error;
mod exif;
mod format;
mod lanes;
mod picture;
mod reduce;
mod resize;
mod source;

use std::io::Read;
use std::time::Instant;

pub use error::{Error, Rejection};
pub use format::Format;

use decode::Wanted;
use picture::Picture;
use source::Source;

/// The pixel limit to use where there is no reason for another: 100 megapixels.
pub const DEFAULT_MAX_PIXELS: u64 = 100_000_000;

/// The longest side of an image, in pixels; JPEG and GIF can have no longer one.
pub const MAX_SIDE: u32 = 65_535;

/// How many times the thumbnail's size is left for the resizer where pixels are averaged first.
const OVERSAMPLE: f64 = 3.0;

/// Height that the placeholder is made from when no thumbnails are asked for.
const PLACEHOLDER_HEIGHT: u32 = 64;
/// Longest side of the picture that the placeholder is computed from; ThumbHash allows 100.
const PLACEHOLDER_SIDE: u32 = 32;

/// What to make of an image.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The type that whoever sent the image said it has; another real type is a rejection.
    pub declared: Format,
    /// Heights in pixels, in any order; zeros are passed over.
    pub heights: &'a [u32],
    /// The most pixels that the image may have, by its header; see [`DEFAULT_MAX_PIXELS`].
    pub max_pixels: u64,
    /// When to give up with [`Rejection::TookTooLong`].
    pub deadline: Option<Instant>,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The image's own size in pixels, after its orientation is applied.
    pub width: u32,
    pub height: u32,
    /// A [ThumbHash](https://evanw.github.io/thumbhash/), some 25 bytes.
    pub placeholder: Vec<u8>,
    /// Tallest first, no two of one height.
    pub thumbnails: Vec<Thumbnail>,
}

/// A thumbnail in the format of its source: upright, in sRGB, without metadata, of an animation
/// the first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbnail {
    /// In pixels: the height asked for, or the image's own if that is less.
    pub height: u32,
    pub width: u32,
    pub bytes: Vec<u8>,
}

/// A thumbnail that is not encoded yet.
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
/// [`Error::Source`] if reading failed, which is worth another try, and [`Error::Rejected`] if the
/// image is at fault, which is not. A file that ends early is rejected, however much of it could
/// be shown.
pub fn process<R: Read>(mut source: R, request: &Request<'_>) -> Result<Outcome, Error> {
    let mut source = Source::new(&mut source, request.deadline);
    let ((width, height), pictures) = pictures(&mut source, request)?;
    let placeholder = placeholder(pictures.last().expect("there is at least one picture"));
    let mut thumbnails = Vec::new();
    if tallest(request.heights).is_some() {
        for picture in &pictures {
            source.check_deadline()?;
            thumbnails.push(Thumbnail {
                height: picture.height,
                width: picture.width,
                bytes: encode::encode(picture, request.declared)?,
            });
        }
    }
    Ok(Outcome { width, height, placeholder, thumbnails })
}

/// The thumbnails that [`process`] would encode, as pixels: for measuring and testing.
///
/// # Errors
/// As [`process`], but for encoding.
pub fn render<R: Read>(mut source: R, request: &Request<'_>) -> Result<Vec<Rgba>, Error> {
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

/// The image's own size, upright, and its thumbnails, tallest first; one of a height of our choice
/// where none is asked for.
fn pictures(source: &mut Source<'_>, request: &Request<'_>) -> Result<((u32, u32), Vec<Picture>), Error> {
    tell_type(source, request.declared)?;
    let wanted =
        Wanted { height: tallest(request.heights).unwrap_or(PLACEHOLDER_HEIGHT), max_pixels: request.max_pixels };
    let decoded = match request.declared {
        Format::Jpeg => decode::jpeg::decode(source, wanted),
        Format::Png => decode::png::decode(source, wanted),
        Format::WebP => decode::webp::decode(source, wanted),
        Format::Gif => decode::gif::decode(source, wanted),
    }?;
    source.check_deadline()?;
    let orientation = decoded.orientation;
    let size = orientation.turned((decoded.width, decoded.height));
    let mut heights = distinct(request.heights, size.1);
    if heights.is_empty() {
        heights.push(wanted.height);
    }
    // Each from what was decoded: one from another would be resized twice, which shows.
    let picture = |height| {
        let resized = decoded.resize(orientation.turned(fit(size, height)));
        colour::to_srgb(resized, decoded.icc_profile.as_deref()).turn(orientation)
    };
    Ok((size, heights.into_iter().map(picture).collect()))
}

fn tallest(heights: &[u32]) -> Option<u32> {
    heights.iter().copied().max().filter(|&height| height > 0)
}

fn tell_type(source: &mut Source<'_>, declared: Format) -> Result<(), Error> {
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

/// The heights that are made, tallest first: none above the image's own, and none twice.
fn distinct(heights: &[u32], most: u32) -> Vec<u32> {
    let mut distinct: Vec<u32> = heights.iter().filter(|&&height| height > 0).map(|&height| height.min(most)).collect();
    distinct.sort_unstable_by(|a, b| b.cmp(a));
    distinct.dedup();
    distinct
}

/// The size of a thumbnail: never larger than the image, aspect kept to the nearest pixel.
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
