//! Tests of the engine as other crates see it. One program: each would compile the engine's generic functions anew.

mod encoder;
mod fixtures;
mod lenient;
mod limits;
mod metadata;
mod process;
mod support;
mod variants;
mod webp;
