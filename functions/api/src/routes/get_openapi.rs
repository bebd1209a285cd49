use http::StatusCode;

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

/// Written by `make openapi`.
const PUBLISHED: &str = include_str!("../../../../docs/openapi.json");

pub(crate) async fn handle(_: &Request<'_>) -> Result<Response, Problem> {
    let response = response::content(StatusCode::OK, "application/json", PUBLISHED);
    Ok(response.with_header("cache-control", "public, max-age=300"))
}
