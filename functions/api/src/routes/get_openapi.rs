use std::sync::LazyLock;

use crate::error::Problem;
use crate::openapi::{self, Answer, Operation, PLAIN};
use crate::reply::{Content, Reply};
use crate::request::Request;

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Service",
    summary: "Get this OpenAPI document",
    replies: &[Answer::json(200, "OpenAPI 3.1.", |_| schemars::json_schema!({"type": "object"}))],
    ..PLAIN
};

static TEXT: LazyLock<String> = LazyLock::new(|| openapi::document().to_string());

pub(crate) async fn handle(_: &Request<'_>) -> Result<Reply, Problem> {
    let reply = Reply { body: Content::Json(TEXT.clone()), ..Reply::empty(http::StatusCode::OK) };
    Ok(reply.with_header("cache-control", "public, max-age=300"))
}
