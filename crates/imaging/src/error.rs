//! Errors: of the source, and of the image.

use std::io;

use crate::ContentType;

/// Why an image was not processed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading failed before the end of the file; retry.
    #[error("reading the image failed: {0}")]
    Source(#[source] io::Error),
    /// The image was rejected; retrying does not help.
    #[error("{0}")]
    Rejected(#[from] Rejection),
}

/// Why an image was rejected. [`Display`](std::fmt::Display) is a message for the uploader;
/// [`code`](Rejection::code) is stable and for programs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("The file is not an image.")]
    NotAnImage,
    /// The format of the file is not the declared one.
    #[error("The file was sent as {declared}, but it is {found}.", declared = .declared.name())]
    TypeMismatch { declared: ContentType, found: &'static str },
    #[error("The file ends before the image does.")]
    Truncated,
    /// `detail` is the decoder's message, for the log only.
    #[error("The file is damaged and cannot be decoded.")]
    Corrupt { detail: String },
    #[error("The image has {width} x {height} pixels; at most {max_pixels} pixels are allowed.")]
    TooManyPixels { width: u32, height: u32, max_pixels: u64 },
    #[error("The image has a side of {side} pixels; at most {max_side} are allowed.")]
    SideTooLong { side: u32, max_side: u32 },
    /// A feature of the format that is not supported.
    #[error("The image uses {feature}, which is not supported.")]
    Unsupported { feature: String },
    /// Too many scans, chunks, profile bytes or other parts.
    #[error("The image has too many frames or chunks, or one is too large: {part}.")]
    TooComplex { part: String },
    #[error("Processing the image took too long.")]
    DeadlineExceeded,
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
            Self::DeadlineExceeded => "took_too_long",
        }
    }

    pub(crate) fn corrupt(detail: impl ToString) -> Self {
        Self::Corrupt { detail: detail.to_string() }
    }
}
