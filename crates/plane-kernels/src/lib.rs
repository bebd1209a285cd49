//! What the thumbnail engine does with planes of samples, in code that is written for each kind of processor: [`resize`]
//! and [`jpeg`].
#![forbid(unsafe_code)]

pub mod jpeg;
pub mod resize;
mod simd;
