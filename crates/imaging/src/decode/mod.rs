//! Each format's way from bytes to a picture of a few times the thumbnail's size.

pub(crate) mod gif;
pub(crate) mod jpeg;
pub(crate) mod png;
pub(crate) mod webp;

use crate::exif::Orientation;
use crate::{MAX_SIDE, Rejection, fit};

/// The most bytes of colour profile that are read; the largest in use (CMYK tables) have 2 to 3 MB.
pub(crate) const MAX_PROFILE: usize = 8 << 20;

/// What the decoders need to know of the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Height of the largest thumbnail, after turning, before it is held to the image's own.
    pub(crate) height: u32,
    pub(crate) max_pixels: u64,
}

impl Wanted {
    /// To be called with the size from the header, before anything is decoded.
    pub(crate) fn check_size(&self, width: u32, height: u32) -> Result<(), Rejection> {
        if width == 0 || height == 0 {
            return Err(Rejection::corrupt("a side of no pixels"));
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

    /// Size of the largest thumbnail as the image is stored.
    pub(crate) fn stored_target(&self, stored: (u32, u32), orientation: Orientation) -> (u32, u32) {
        orientation.turned(fit(orientation.turned(stored), self.height))
    }
}
