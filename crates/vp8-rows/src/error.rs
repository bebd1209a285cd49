/// Why a picture was not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The data ends before the picture does.
    #[error("the data ends before the picture does")]
    Truncated,
    /// The data breaks the format in a way that leaves no picture.
    #[error("{0}")]
    Corrupt(&'static str),
    /// Something that VP8 has and a still picture has not.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
}

pub(crate) type Result<T> = std::result::Result<T, Error>;
