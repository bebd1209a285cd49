//! The API as `docs/openapi.json` has it: its types and operations are written by the build from there.

use std::marker::PhantomData;

/// One of the API's operations, and what it answers.
#[derive(Debug)]
pub(crate) struct Operation<T> {
    pub(crate) name: &'static str,
    pub(crate) method: http::Method,
    /// With its parameters in braces.
    pub(crate) path: &'static str,
    pub(crate) login: Login,
    /// Whether it heeds `Idempotency-Key`.
    pub(crate) takes_key: bool,
    pub(crate) gives: PhantomData<fn() -> T>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Login {
    Required,
    Optional,
    None,
}

/// A part of a list.
pub(crate) trait Paged {
    type Item;

    /// The part, and where the next one begins.
    fn split(self) -> (Vec<Self::Item>, Option<String>);
}

#[allow(dead_code, reason = "the document has more than this client asks for")]
mod document {
    use super::{Login, Operation};

    include!(concat!(env!("OUT_DIR"), "/api.rs"));
}

pub(crate) use document::*;
