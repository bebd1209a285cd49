//! Handles an event of the gateway: what all routes have in common.

use std::io::Write;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;
use tintype_gateway::{accepts, log_request};
use tintype_model::{ImageId, JobId, Timestamp};
use tracing::Span;
use tracing::field::display;

use crate::app::App;
use crate::error::Problem;
use crate::reply::{Content, Reply};
use crate::request::Request;
use crate::routes::Route;

pub(crate) async fn serve(app: &App, route: &'static Route, request: lambda_http::Request) -> Reply {
    let began = Instant::now();
    let mut request = Request::new(app, route, request, Timestamp::now());
    let outcome = match request.read_signing_keys().await {
        Ok(()) => (route.handle)(&request).await,
        Err(problem) => Err(problem),
    };
    let (reply, cause) = match outcome {
        Ok(reply) => (reply, None),
        Err(mut problem) => (of_problem(&mut problem), problem.cause),
    };
    let reply = compressed(&request, reply.unless_matched(request.method(), request.header("if-none-match")));
    log_request(request.method(), reply.status, began, cause.as_deref());
    reply
}

fn of_problem(problem: &mut Problem) -> Reply {
    let mut reply =
        Reply::json(problem.status, &problem.document()).with_header("content-type", "application/problem+json");
    reply.headers.append(&mut problem.headers);
    reply
}

/// In bytes. A smaller response fits the first packets of a connection, so compression saves no time.
const COMPRESSED_ABOVE: usize = 4 * 1024;

/// Compresses a long text response if the client accepts gzip.
fn compressed(request: &Request<'_>, reply: Reply) -> Reply {
    let is_text = |kind: &str| kind.starts_with("text/") || kind.starts_with("application/json");
    let text = match &reply.body {
        Content::None => return reply,
        Content::Json(json) => json.as_bytes(),
        Content::Bytes(bytes) if reply.header("content-type").is_some_and(is_text) => bytes,
        Content::Bytes(_) => return reply,
    };
    if text.len() <= COMPRESSED_ABOVE {
        return reply;
    }
    let mut headers = reply.headers;
    match headers.iter_mut().find(|(name, _)| *name == "vary") {
        Some((_, value)) => *value += ", Accept-Encoding",
        None => headers.push(("vary", "Accept-Encoding".into())),
    }
    if !request.header("accept-encoding").is_some_and(|header| accepts(header, "gzip")) {
        return Reply { headers, ..reply };
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let Ok(bytes) = encoder.write_all(text).and_then(|()| encoder.finish()) else { return Reply { headers, ..reply } };
    for (name, value) in &mut headers {
        // A strong ETag identifies the bytes, which differ now (RFC 9110, 8.8.1).
        if *name == "etag" && !value.starts_with("W/") {
            *value = format!("W/{value}");
        }
    }
    if let Content::Json(_) = reply.body
        && !headers.iter().any(|(name, _)| *name == "content-type")
    {
        headers.push(("content-type", "application/json".into()));
    }
    headers.push(("content-encoding", "gzip".into()));
    Reply { headers, body: Content::Bytes(bytes), ..reply }
}

/// Names the image that a request is about in its log events.
pub(crate) fn record_image(id: ImageId) {
    Span::current().record("image", display(id));
}

/// Names the job that a request began or asks for in its log events.
pub(crate) fn record_job(id: JobId) {
    Span::current().record("job", display(id));
}
