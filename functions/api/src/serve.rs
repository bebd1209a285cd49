//! Handles an event of the gateway: what all routes have in common.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderValue;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, ETAG, VARY};
use lambda_http::Body;
use tintype_gateway::{Answer, accepts};
use tintype_model::Timestamp;

use crate::app::App;
use crate::request::Request;
use crate::response::{Response, WithHeader, unless_matched};
use crate::routes::Route;

pub(crate) async fn serve(app: &App, route: &'static Route, request: lambda_http::Request) -> Answer {
    let mut request = Request::new(app, route.path, request, Timestamp::now());
    let outcome = match request.read_signing_keys().await {
        Ok(()) => (route.handle)(&request).await,
        Err(problem) => Err(problem),
    };
    let (response, cause) = match outcome {
        Ok(response) => (response, None),
        Err(mut problem) => {
            let cause = problem.cause.take();
            (problem.into(), cause)
        }
    };
    let method = request.http.method();
    let response = compressed(&request, unless_matched(response, method, request.header("if-none-match")));
    (response, cause)
}

/// In bytes. A smaller response fits the first packets of a connection, so compression saves no time.
const COMPRESSED_ABOVE: usize = 4 * 1024;

/// Compresses a long text response if the client accepts gzip.
fn compressed(request: &Request<'_>, mut response: Response) -> Response {
    let is_text = |kind: &HeaderValue| {
        ["text/", "application/json"].iter().any(|start| kind.as_bytes().starts_with(start.as_bytes()))
    };
    let text = match response.body() {
        Body::Text(text) => text.as_bytes(),
        Body::Binary(bytes) if response.headers().get(CONTENT_TYPE).is_some_and(is_text) => bytes,
        _ => return response,
    };
    if text.len() <= COMPRESSED_ABOVE {
        return response;
    }
    let accepted = request.header("accept-encoding").is_some_and(|header| accepts(header, "gzip"));
    let compressed = if accepted { gzip(text) } else { None };
    let header = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let vary = header(VARY).map_or("Accept-Encoding".into(), |value| format!("{value}, Accept-Encoding"));
    // A strong ETag identifies the bytes, which differ when compressed (RFC 9110, 8.8.1).
    let weak = header(ETAG).filter(|value| !value.starts_with("W/")).map(|value| format!("W/{value}"));
    response = response.with_header(VARY, vary);
    let Some(bytes) = compressed else { return response };
    if let Some(etag) = weak {
        response = response.with_header(ETAG, etag);
    }
    *response.body_mut() = Body::Binary(bytes);
    response.with_header(CONTENT_ENCODING, "gzip")
}

fn gzip(text: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).ok()?;
    encoder.finish().ok()
}
