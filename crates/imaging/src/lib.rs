//! Makes thumbnails from image files.
//!
//! [`process`] reads an image once, from start to end, and decodes it at a reduced size if its format
//! allows that. Memory grows with the thumbnails, not with the original. The steps, in order: check
//! the format, check the size, decode and reduce, resize, convert to sRGB, apply the orientation,
//! encode. Thumbnails contain no metadata; what it says of the photograph is in [`Thumbnails::photo`].
#![forbid(unsafe_code)]

mod colour;
mod decode;
mod encode;
mod error;
mod exif;
mod metadata;
mod photo;
mod picture;
mod reduce;
mod source;

use std::io::Read;
use std::time::Instant;

pub use error::{Error, Rejection};
pub use tintype_model::{ContentType, MAX_ASPECT_RATIO, Photo, Place, thumbnail_size};
use tintype_model::{SNIFFED_BYTES, other_format};

use decode::DecodeTarget;
use metadata::Metadata;
use picture::Picture;
use source::Source;

/// The default pixel limit: 100 megapixels.
pub const DEFAULT_MAX_PIXELS: u64 = 100_000_000;

/// The longest side of an image, in pixels; the maximum of JPEG and GIF.
pub const MAX_SIDE: u32 = 65_535;

/// The reduced size of an image before the resize, relative to the largest thumbnail.
const OVERSAMPLE: f64 = 3.0;

/// The same for chroma of half the size; the encoder halves chroma again.
const CHROMA_OVERSAMPLE: f64 = 1.4;

/// Height of the image that the placeholder is computed from if no thumbnails are requested.
const PLACEHOLDER_HEIGHT: u32 = 64;
/// Longest side of ThumbHash's input; its maximum is 100.
const PLACEHOLDER_SIDE: u32 = 32;

/// Parameters of [`process`].
#[derive(Clone, Copy, Debug)]
pub struct ThumbnailRequest<'a> {
    /// The declared type; an image of another type is rejected.
    pub declared: ContentType,
    /// Heights in pixels, in any order; zeros are ignored.
    pub heights: &'a [u32],
    /// The largest number of pixels, by the image's header; see [`DEFAULT_MAX_PIXELS`].
    pub max_pixels: u64,
    /// Decodes also the scans of a progressive JPEG that its thumbnails do not need. Only this shows whether a file without
    /// an end marker is complete, so use it for a second try after [`Rejection::Truncated`].
    pub every_scan: bool,
    /// Encodes each thumbnail as WebP too; see [`EncodedThumbnail::webp`].
    pub webp: bool,
    /// Processing stops at this time with [`Rejection::DeadlineExceeded`].
    pub deadline: Option<Instant>,
}

/// The thumbnails of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Thumbnails {
    /// The size of the image in pixels, after its orientation is applied.
    pub width: u32,
    pub height: u32,
    /// A [ThumbHash](https://evanw.github.io/thumbhash/), some 25 bytes.
    pub placeholder: Vec<u8>,
    /// Tallest first, without duplicate heights.
    pub thumbnails: Vec<EncodedThumbnail>,
    /// The file lacks some of the last rows, at most 5 %. They are filled from the last row that is there.
    pub truncated: bool,
    /// What the metadata of the file says, Exif data and XMP. `None` if it says nothing.
    pub photo: Option<Photo>,
}

/// A thumbnail: upright, in sRGB, without metadata. Of an animation it shows the first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedThumbnail {
    /// In pixels; see [`thumbnail_size`].
    pub height: u32,
    pub width: u32,
    /// The source's type if every browser shows it; otherwise JPEG, or WebP if parts are transparent.
    pub content_type: ContentType,
    pub bytes: Vec<u8>,
    /// The same thumbnail as WebP, if that was requested and is smaller.
    pub webp: Option<Vec<u8>>,
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
/// invalid, which is final. A file that lacks more than 5 % of the rows is rejected.
pub fn process<R: Read>(mut source: R, request: &ThumbnailRequest<'_>) -> Result<Thumbnails, Error> {
    let mut source = Source::new(&mut source, request.deadline);
    let Pictures { size: (width, height), truncated, metadata, pictures } = pictures(&mut source, request)?;
    let placeholder = placeholder(pictures.last().expect("there is at least one picture"));
    let mut thumbnails = Vec::new();
    if tallest(request.heights).is_some() {
        let content_type = thumbnail_type(request.declared, &pictures[0]);
        for picture in pictures {
            source.check_deadline()?;
            let bytes = encode::encode(&picture, content_type)?;
            let webp = if request.webp { encode::webp_variant(&picture, content_type, &bytes) } else { None };
            let (width, height) = (picture.width, picture.height);
            thumbnails.push(EncodedThumbnail { height, width, content_type, bytes, webp });
        }
    }
    Ok(Thumbnails { width, height, placeholder, thumbnails, truncated, photo: photo::read(metadata) })
}

/// Returns the pixels of the thumbnails that [`process`] would encode, for measurements and tests.
///
/// # Errors
/// As [`process`], except those of encoding.
pub fn render<R: Read>(mut source: R, request: &ThumbnailRequest<'_>) -> Result<Vec<Rgba>, Error> {
    let mut source = Source::new(&mut source, request.deadline);
    Ok(pictures(&mut source, request)?
        .pictures
        .into_iter()
        .map(|picture| Rgba {
            width: picture.width,
            height: picture.height,
            pixels: colour::ycbcr_to_rgb(picture).to_rgba(),
        })
        .collect())
}

/// The thumbnails before encoding.
struct Pictures {
    /// The oriented size of the image.
    size: (u32, u32),
    truncated: bool,
    metadata: Metadata,
    /// Tallest first; one of [`PLACEHOLDER_HEIGHT`] if none is requested.
    pictures: Vec<Picture>,
}

fn pictures(source: &mut Source<'_>, request: &ThumbnailRequest<'_>) -> Result<Pictures, Error> {
    check_format(source, request.declared)?;
    let target = DecodeTarget {
        height: tallest(request.heights).unwrap_or(PLACEHOLDER_HEIGHT),
        max_pixels: request.max_pixels,
        every_scan: request.every_scan,
    };
    let decoded = match request.declared {
        ContentType::Jpeg => decode::jpeg::decode(source, target),
        ContentType::Png => decode::png::decode(source, target),
        ContentType::WebP => decode::webp::decode(source, target),
        ContentType::Gif => decode::gif::decode(source, target),
        ContentType::Tiff => decode::tiff::decode(source, target),
        ContentType::Bmp => decode::bmp::decode(source, target),
        ContentType::Avif => decode::tiles::decode::<decode::avif::Av1>(source, target),
        ContentType::Heic => decode::tiles::decode::<decode::heic::Hevc>(source, target),
    }?;
    source.check_deadline()?;
    let size = decoded.orientation.oriented_size((decoded.width, decoded.height));
    let mut sizes = distinct(request.heights, size);
    if sizes.is_empty() {
        sizes.push(thumbnail_size(size, target.height));
    }
    // Each is resized from the decoded image: resizing twice would be visible.
    let picture = |size| colour::to_srgb(decoded.resize(size), decoded.icc_profile.as_deref());
    let pictures = sizes.into_iter().map(picture).collect();
    Ok(Pictures { size, truncated: decoded.truncated, metadata: decoded.metadata, pictures })
}

fn thumbnail_type(original: ContentType, picture: &Picture) -> ContentType {
    match original {
        ContentType::Jpeg | ContentType::Png | ContentType::WebP | ContentType::Gif => original,
        _ if picture.is_opaque() => ContentType::Jpeg,
        _ => ContentType::WebP,
    }
}

fn tallest(heights: &[u32]) -> Option<u32> {
    heights.iter().copied().max().filter(|&height| height > 0)
}

fn check_format(source: &mut Source<'_>, declared: ContentType) -> Result<(), Error> {
    let start = source.peek(SNIFFED_BYTES)?;
    let found = match ContentType::sniff(start) {
        Some(found) if found == declared => return Ok(()),
        Some(found) => Some(found.name()),
        None => other_format(start),
    };
    Err(match found {
        Some(found) => Rejection::TypeMismatch { declared, found },
        None => Rejection::NotAnImage,
    }
    .into())
}

/// The sizes to make, tallest first and without duplicate heights.
fn distinct(heights: &[u32], image: (u32, u32)) -> Vec<(u32, u32)> {
    let wanted = heights.iter().filter(|&&height| height > 0);
    let mut sizes: Vec<(u32, u32)> = wanted.map(|&height| thumbnail_size(image, height)).collect();
    sizes.sort_unstable_by_key(|&(width, height)| std::cmp::Reverse((height, width)));
    sizes.dedup_by_key(|&mut (_, height)| height);
    sizes
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
