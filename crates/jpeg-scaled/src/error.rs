use std::io;

/// Why a file was not decoded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The reader failed; the file may be valid.
    #[error("reading failed: {0}")]
    Io(#[from] io::Error),
    /// The file ends before the image does.
    #[error("the file ends before the image does")]
    Truncated,
    /// The file is invalid.
    #[error("{0}")]
    Corrupt(&'static str),
    /// A feature of the standard that this decoder does not support.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
    /// Decoding would exceed one of the [`Limits`](crate::Limits).
    #[error("limit exceeded: {0}")]
    Limit(&'static str),
    /// The deadline of the [`Limits`](crate::Limits) has passed.
    #[error("the deadline has passed")]
    Deadline,
}

pub(crate) type Result<T> = std::result::Result<T, Error>;
