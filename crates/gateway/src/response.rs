use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IntoHeaderName, LOCATION,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, StatusCode};
use lambda_http::Body;
use serde::Serialize;

pub type Response = http::Response<Body>;

/// Returns a response with JSON.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    content(status, "application/json", serde_json::to_string(body).expect("responses have string keys"))
}

pub fn ok(body: &impl Serialize) -> Response {
    json(StatusCode::OK, body)
}

/// Returns an RFC 9457 problem.
pub fn problem(status: StatusCode, code: &'static str, detail: &str) -> Response {
    let body = serde_json::json!({
        "type": "about:blank", "title": status.canonical_reason(), "status": status.as_u16(), "code": code,
        "detail": detail,
    });
    json(status, &body).with_header(CONTENT_TYPE, "application/problem+json")
}

pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}

pub fn no_content() -> Response {
    empty(StatusCode::NO_CONTENT)
}

pub fn redirect(status: StatusCode, to: String) -> Response {
    empty(status).with_header(LOCATION, to)
}

pub fn content(status: StatusCode, content_type: &str, body: impl Into<Body>) -> Response {
    let mut response = empty(status).with_header(CONTENT_TYPE, content_type);
    *response.body_mut() = body.into();
    response
}

pub trait WithHeader: Sized {
    fn headers_mut(&mut self) -> &mut HeaderMap;

    /// Sets a header, unless the value has characters that no header can have.
    fn with_header(mut self, name: impl IntoHeaderName, value: impl TryInto<HeaderValue>) -> Self {
        if let Ok(value) = value.try_into() {
            self.headers_mut().insert(name, value);
        }
        self
    }
}

impl WithHeader for Response {
    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }
}

/// Returns 304 in place of a response to a read whose client has it already, as `if_none_match` says.
pub fn unless_matched(mut response: Response, method: &Method, if_none_match: Option<&str>) -> Response {
    let reads = matches!(*method, Method::GET | Method::HEAD) && response.status() == StatusCode::OK;
    let (Some(known), Some(etag)) = (if_none_match, response.headers().get(ETAG)) else { return response };
    let mut tags = known.split(',').map(|tag| tag.trim().trim_start_matches("W/"));
    if reads && tags.any(|tag| tag == "*" || tag == etag) {
        response.headers_mut().remove(CONTENT_TYPE);
        response.headers_mut().remove(CONTENT_ENCODING);
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::Empty;
    }
    response
}

/// Adds the headers that every response has.
pub(crate) fn with_request_id(response: Response, request_id: &str) -> Response {
    let mut response = response.with_header("x-request-id", request_id).with_header(X_CONTENT_TYPE_OPTIONS, "nosniff");
    // Responses that may be cached say so themselves.
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
