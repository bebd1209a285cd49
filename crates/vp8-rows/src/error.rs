/// Why a frame was not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The data ends before the frame does.
    #[error("the data ends before the frame does")]
    Truncated,
    /// The data is invalid.
    #[error("{0}")]
    Corrupt(&'static str),
    /// A valid VP8 feature that still images do not use.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
}

pub(crate) type Result<T> = std::result::Result<T, Error>;
