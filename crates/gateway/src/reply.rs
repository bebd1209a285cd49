use std::future::ready;
use std::pin::Pin;

use http::{HeaderValue, Method, Response, StatusCode};
use lambda_http::{Body, IntoResponse};
use serde::Serialize;

/// An answer to a request.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: Vec<(&'static str, String)>,
    pub body: Content,
}

#[derive(Debug)]
pub enum Content {
    None,
    /// Serialised.
    Json(String),
    Bytes(Vec<u8>),
}

impl Reply {
    pub fn json(status: StatusCode, body: &impl Serialize) -> Self {
        let body = serde_json::to_string(body).expect("answers have string keys");
        Self { status, headers: Vec::new(), body: Content::Json(body) }
    }

    pub fn ok(body: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, body)
    }

    /// An RFC 9457 problem.
    pub fn problem(status: StatusCode, code: &'static str, detail: &str) -> Self {
        let document = serde_json::json!({
            "type": "about:blank", "title": status.canonical_reason(), "status": status.as_u16(), "code": code,
            "detail": detail,
        });
        Self::json(status, &document).with_header("content-type", "application/problem+json")
    }

    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Content::None }
    }

    pub fn no_content() -> Self {
        Self::empty(StatusCode::NO_CONTENT)
    }

    pub fn redirect(status: StatusCode, to: impl Into<String>) -> Self {
        Self::empty(status).with_header("location", to)
    }

    pub fn bytes(content_type: &str, bytes: Vec<u8>) -> Self {
        Self { status: StatusCode::OK, headers: Vec::new(), body: Content::Bytes(bytes) }
            .with_header("content-type", content_type)
    }

    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Returns 304 in place of a reply to a read whose client has it already, as `if_none_match` says.
    pub fn unless_matched(self, method: &Method, if_none_match: Option<&str>) -> Self {
        let reads = matches!(*method, Method::GET | Method::HEAD) && self.status == StatusCode::OK;
        let (Some(known), Some(etag)) = (if_none_match, self.header("etag")) else { return self };
        let same = known.split(',').map(|tag| tag.trim().trim_start_matches("W/")).any(|tag| tag == "*" || tag == etag);
        if !(reads && same) {
            return self;
        }
        let kept = |name: &str| !matches!(name, "content-type" | "content-encoding");
        let headers = self.headers.into_iter().filter(|(name, _)| kept(name)).collect();
        Self { status: StatusCode::NOT_MODIFIED, headers, body: Content::None }
    }

    /// Adds the headers that every reply has.
    pub(crate) fn with_request_id(self, request_id: &str) -> Self {
        let set = |reply: Self, name, value: &str| match reply.header(name) {
            Some(_) => reply,
            None => reply.with_header(name, value),
        };
        let reply = self.with_header("x-request-id", request_id).with_header("x-content-type-options", "nosniff");
        // Replies that may be kept say so themselves.
        let reply = set(reply, "cache-control", "no-store");
        match reply.body {
            Content::Json(_) => set(reply, "content-type", "application/json"),
            Content::None | Content::Bytes(_) => reply,
        }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        let mut response = Response::new(match self.body {
            Content::None => Body::Empty,
            Content::Json(json) => Body::Text(json),
            Content::Bytes(bytes) => Body::Binary(bytes),
        });
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().append(name, value);
            }
        }
        Box::pin(ready(response))
    }
}
