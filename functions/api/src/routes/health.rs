use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Problem;
use crate::openapi::{Answer, Operation, PLAIN, of};
use crate::reply::Reply;
use crate::request::Request;

#[derive(Serialize, JsonSchema)]
struct Health {
    /// `ok`.
    #[schemars(extend("examples" = ["ok"]))]
    status: &'static str,
    version: &'static str,
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Service",
    summary: "Health check",
    replies: &[Answer::json(200, "They do.", of::<Health>)],
    ..PLAIN
};

/// Says that requests reach functions; it asks nothing of any other service.
pub(crate) async fn handle(_: &Request<'_>) -> Result<Reply, Problem> {
    Ok(Reply::ok(&Health { status: "ok", version: env!("CARGO_PKG_VERSION") }))
}
