pub(crate) use tintype_gateway::response::{
    Response, WithHeader, content, empty, json, no_content, ok, redirect, unless_matched,
};

/// An ETag: the version of the resource, which `If-Match` compares, and whatever else the response depends on.
pub(crate) fn etag(version: u64, rest: &[u64]) -> String {
    let rest: String = rest.iter().map(|part| format!(".{part:x}")).collect();
    format!("\"{version}{rest}\"")
}
