use std::io;

/// Why an image was not decoded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The reader failed; the file may be valid.
    #[error("reading failed: {0}")]
    Io(#[from] io::Error),
    /// The data ends before the image does.
    #[error("the data ends before the image does")]
    Truncated,
    /// The data is invalid.
    #[error("{0}")]
    Corrupt(&'static str),
    /// Decoding would exceed one of the [`Limits`](crate::Limits).
    #[error("limit exceeded: {0}")]
    Limit(&'static str),
    /// The deadline of the [`Limits`](crate::Limits) has passed.
    #[error("the deadline has passed")]
    Deadline,
}

pub(crate) type Result<T> = std::result::Result<T, Error>;
