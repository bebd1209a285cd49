use std::time::Instant;

use http::{Method, StatusCode};
use tintype_telemetry::{Counter, milliseconds};
use tracing::field::Empty;
use tracing::{Span, error, info, info_span};

/// Returns the span of a request. Its events carry the id that the client gets as `X-Request-Id`, and `image` and `job`
/// once they are recorded.
pub(crate) fn request_span(route: &str, request_id: &str) -> Span {
    info_span!("request", route, request_id, image = Empty, job = Empty)
}

/// Logs an answered request in one event, without tokens, addresses or content. `cause`: why it failed.
pub fn log_request(method: &Method, status: StatusCode, began: Instant, cause: Option<&str>) {
    let (method, ms, calls) = (method.as_str(), milliseconds(began.elapsed()), tintype_telemetry::calls());
    let (code, aws_ms, calls) = (status.as_u16(), milliseconds(calls.duration()), calls.to_string());
    if status.is_server_error() {
        tintype_telemetry::count(Counter::Failures);
        error!(method, status = code, ms, aws_ms, calls, cause, "Request failed");
    } else {
        info!(method, status = code, ms, aws_ms, calls, cause, "Request answered");
    }
}
