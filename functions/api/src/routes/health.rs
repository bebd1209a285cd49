use serde_json::json;

use crate::error::Problem;
use crate::reply::Reply;
use crate::request::Request;

/// Says that requests reach functions; it asks nothing of any other service.
pub(crate) async fn handle(_: &Request<'_>) -> Result<Reply, Problem> {
    Ok(Reply::ok(&json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")})))
}
