//! Decoders of each format, which return the image at a few times the thumbnail's size.

use std::panic::{AssertUnwindSafe, catch_unwind};

pub(crate) mod avif;
pub(crate) mod bmp;
pub(crate) mod gif;
pub(crate) mod heic;
pub(crate) mod heif;
pub(crate) mod jpeg;
pub(crate) mod png;
pub(crate) mod tiff;
pub(crate) mod tiles;
pub(crate) mod webp;
pub(crate) mod yuv;

use crate::exif::Orientation;
use crate::{MAX_SIDE, Rejection, thumbnail_size};

/// The largest color profile in bytes; the largest in use (CMYK tables) have 2 to 3 MB.
pub(crate) const MAX_PROFILE: usize = 8 << 20;

/// Calls a decoder of another project, whose panics reject the image.
pub(crate) fn guarded<T>(decode: impl FnOnce() -> Result<T, Rejection>) -> Result<T, Rejection> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| Err(Rejection::corrupt("the decoder panicked")))
}

/// Returns true if an image is accepted of whose `height` rows only the first `complete` are in the file: 95 %.
pub(crate) fn enough_rows(complete: u32, height: u32) -> bool {
    u64::from(complete) * 100 >= u64::from(height) * 95
}

/// The part of the request that decoders need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DecodeTarget {
    /// Requested height of the largest thumbnail, after orientation; may exceed the image's.
    pub(crate) height: u32,
    pub(crate) max_pixels: u64,
    /// See [`ThumbnailRequest::every_scan`](crate::ThumbnailRequest::every_scan).
    pub(crate) every_scan: bool,
}

impl DecodeTarget {
    /// Checks the size in the header, before decoding.
    pub(crate) fn check_size(&self, width: u32, height: u32) -> Result<(), Rejection> {
        if width == 0 || height == 0 {
            return Err(Rejection::corrupt("the width or height is 0"));
        }
        if u64::from(width) * u64::from(height) > self.max_pixels {
            return Err(Rejection::TooManyPixels { width, height, max_pixels: self.max_pixels });
        }
        let side = width.max(height);
        if side > MAX_SIDE {
            return Err(Rejection::SideTooLong { side, max_side: MAX_SIDE });
        }
        Ok(())
    }

    /// Size of the largest thumbnail before orientation.
    pub(crate) fn stored_target(&self, stored: (u32, u32), orientation: Orientation) -> (u32, u32) {
        orientation.oriented_size(thumbnail_size(orientation.oriented_size(stored), self.height))
    }
}
