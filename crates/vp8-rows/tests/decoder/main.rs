//! Tests of the decoder as other crates see it.

mod against_libwebp;
mod random_bits;
mod support;
