use http::StatusCode;
use serde::Serialize;

/// What a route answers when all went well.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    None,
    /// Serialised.
    Json(String),
    Bytes(Vec<u8>),
}

impl Reply {
    pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Self {
        let body = serde_json::to_string(body).expect("answers have string keys");
        Self { status, headers: Vec::new(), body: Content::Json(body) }
    }

    pub(crate) fn ok(body: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, body)
    }

    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Content::None }
    }

    pub(crate) fn no_content() -> Self {
        Self::empty(StatusCode::NO_CONTENT)
    }

    pub(crate) fn redirect(status: StatusCode, to: impl Into<String>) -> Self {
        Self::empty(status).with_header("location", to)
    }

    pub(crate) fn bytes(content_type: &str, bytes: Vec<u8>) -> Self {
        Self { status: StatusCode::OK, headers: Vec::new(), body: Content::Bytes(bytes) }
            .with_header("content-type", content_type)
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

/// An entity tag: the resource's version, which `If-Match` compares, then whatever else the answer is made of.
pub(crate) fn etag(version: u64, rest: &[u64]) -> String {
    let rest: String = rest.iter().map(|part| format!(".{part:x}")).collect();
    format!("\"{version}{rest}\"")
}
