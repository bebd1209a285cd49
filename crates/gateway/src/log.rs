use std::time::Instant;

use http::{Method, StatusCode};
use tracing::field::Empty;
use tracing::{Span, error, info, info_span};

/// Returns the span of a request. Its events carry the id that the client gets as `X-Request-Id`, and `image` and `job`
/// once they are recorded.
pub(crate) fn request_span(route: &str, request_id: &str) -> Span {
    info_span!("request", route, request_id, image = Empty, job = Empty)
}

/// Logs an answered request in one event, without tokens, addresses or content. `cause`: why it failed.
pub fn log_request(method: &Method, status: StatusCode, began: Instant, cause: Option<&str>) {
    let (method, ms) = (method.as_str(), began.elapsed().as_secs_f64() * 1000.0);
    let code = status.as_u16();
    if status.is_server_error() {
        error!(method, status = code, ms, cause, "Request failed");
    } else {
        info!(method, status = code, ms, cause, "Request answered");
    }
}
