//! Tests of the decoder as other crates see it.

mod encoded;
mod limits;
mod random_streams;
mod support;
