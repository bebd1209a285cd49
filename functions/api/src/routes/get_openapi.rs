use std::sync::LazyLock;

use http::StatusCode;
use serde_json::Value;

use crate::error::Problem;
use crate::operation::{Operation, ResponseDoc, object};
use crate::request::Request;
use crate::response::{self, Response, WithHeader};

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Service",
    summary: "Get this OpenAPI document",
    responses: &[ResponseDoc::json(200, "OpenAPI 3.1.", object)],
    ..Operation::DEFAULT
};

/// The file that `make openapi` writes, without white space.
static DOCUMENT_TEXT: LazyLock<String> = LazyLock::new(|| {
    let published = include_str!("../../../../docs/openapi.json");
    serde_json::from_str::<Value>(published).expect("docs/openapi.json is JSON").to_string()
});

pub(crate) async fn handle(_: &Request<'_>) -> Result<Response, Problem> {
    let response = response::content(StatusCode::OK, "application/json", DOCUMENT_TEXT.as_str());
    Ok(response.with_header("cache-control", "public, max-age=300"))
}
