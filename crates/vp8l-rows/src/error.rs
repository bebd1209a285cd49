use std::io;

/// Why a picture was not decoded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The reader failed; the file itself may be sound.
    #[error("reading failed: {0}")]
    Io(#[from] io::Error),
    /// The data ends before its picture does.
    #[error("the data ends before the picture does")]
    Truncated,
    /// The data breaks the format in a way that leaves no picture.
    #[error("{0}")]
    Corrupt(&'static str),
    /// One of the [`Limits`](crate::Limits) was reached.
    #[error("too much of something: {0}")]
    Limit(&'static str),
    /// The deadline among the [`Limits`](crate::Limits) has passed.
    #[error("the deadline has passed")]
    Deadline,
}

pub(crate) type Result<T> = std::result::Result<T, Error>;
