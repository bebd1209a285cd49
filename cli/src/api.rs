//! Types and operations of the API, which build.rs generates from `docs/openapi.json`.

use std::marker::PhantomData;

/// An operation of the API and the type of its response.
#[derive(Debug)]
pub(crate) struct ApiCall<T> {
    pub(crate) name: &'static str,
    pub(crate) method: http::Method,
    /// With parameters in braces.
    pub(crate) path: &'static str,
    pub(crate) login: LoginNeed,
    /// True if it takes an `Idempotency-Key`.
    pub(crate) takes_key: bool,
    pub(crate) gives: PhantomData<fn() -> T>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoginNeed {
    Required,
    Optional,
    None,
}

/// A page of a list.
pub(crate) trait Paged {
    type Item;

    /// Returns the items and the cursor of the next page.
    fn split(self) -> (Vec<Self::Item>, Option<String>);
}

#[allow(dead_code, reason = "the document has more than this client asks for")]
mod document {
    use super::{ApiCall, LoginNeed};

    include!(concat!(env!("OUT_DIR"), "/api.rs"));
}

pub(crate) use document::*;
