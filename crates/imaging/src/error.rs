//! Why no thumbnails were made, by whose fault.

use std::io;

use crate::Format;

/// Why an image was not processed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading failed before the end of the file. It says nothing about the image: try again.
    #[error("reading the image failed: {0}")]
    Source(#[source] io::Error),
    /// The image itself cannot be taken, however often it is tried.
    #[error("{0}")]
    Rejected(#[from] Rejection),
}

/// What is wrong with an image. [`Display`](std::fmt::Display) is a sentence for the person who
/// sent it; [`code`](Rejection::code) is stable and for programs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("The file is not an image.")]
    NotAnImage,
    /// The bytes are of another type than was declared.
    #[error("The file was sent as {declared}, but it is {found}.", declared = .declared.name())]
    TypeMismatch { declared: Format, found: &'static str },
    #[error("The file ends before the image does.")]
    Truncated,
    /// The decoder's own words are for the log, not for the person.
    #[error("The file is damaged and cannot be decoded.")]
    Corrupt { detail: String },
    #[error("The image has {width} x {height} pixels; at most {max_pixels} pixels are allowed.")]
    TooManyPixels { width: u32, height: u32, max_pixels: u64 },
    #[error("The image has a side of {side} pixels; at most {max_side} are allowed.")]
    SideTooLong { side: u32, max_side: u32 },
    /// A kind of image that its format allows and that is not handled.
    #[error("The image uses {feature}, which is not supported.")]
    Unsupported { feature: String },
    /// More of something than any honest image has: scans, chunks, profile bytes.
    #[error("The image has too many or too large parts: {part}.")]
    TooComplex { part: String },
    #[error("The image takes too long to process.")]
    TookTooLong,
}

impl Rejection {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAnImage => "not_an_image",
            Self::TypeMismatch { .. } => "type_mismatch",
            Self::Truncated => "truncated",
            Self::Corrupt { .. } => "corrupt",
            Self::TooManyPixels { .. } => "too_many_pixels",
            Self::SideTooLong { .. } => "side_too_long",
            Self::Unsupported { .. } => "unsupported",
            Self::TooComplex { .. } => "too_complex",
            Self::TookTooLong => "took_too_long",
        }
    }

    pub(crate) fn corrupt(detail: impl ToString) -> Self {
        Self::Corrupt { detail: detail.to_string() }
    }
}
