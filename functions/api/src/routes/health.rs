use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Problem;
use crate::operation::{Operation, ResponseDoc, of};
use crate::request::Request;
use crate::response::{self, Response};

#[derive(Serialize, JsonSchema)]
struct Health {
    /// `ok`.
    #[schemars(example = &"ok")]
    status: &'static str,
    version: &'static str,
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Service",
    summary: "Health check",
    responses: &[ResponseDoc::json(200, "The service answers.", of::<Health>)],
    ..Operation::DEFAULT
};

/// Calls no other service.
pub(crate) async fn handle(_: &Request<'_>) -> Result<Response, Problem> {
    Ok(response::ok(&Health { status: "ok", version: env!("CARGO_PKG_VERSION") }))
}
