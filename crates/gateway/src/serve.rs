use std::borrow::Cow;
use std::future::ready;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::uri::Authority;
use http::{HeaderMap, StatusCode, Uri};
use lambda_http::request::{LambdaRequest, RequestContext};
use lambda_http::tower::Service;
use lambda_http::{Adapter, Body, Error, IntoResponse, LambdaEvent, Request, RequestExt, lambda_runtime, service_fn};
use percent_encoding::percent_decode_str;
use tintype_telemetry::{Invocation, Outcome};
use tracing::field::Empty;
use tracing::{Instrument, info_span};
use url::Url;

use crate::response::{self, Response};

/// A response and, for the log, why the request failed.
pub type Answer = (Response, Option<String>);

/// Serves a route of an HTTP API, a Function URL or an Application Load Balancer until Lambda stops the function.
pub async fn run<A>(route: &'static str, answer: impl Fn(Request) -> A + Send + Sync + 'static) -> Result<(), Error>
where
    A: Future<Output = Answer> + Send,
{
    let answer = Arc::new(answer);
    let stack = std::env::var("STACK").unwrap_or_default();
    let mut serve = Adapter::from(service_fn(move |request: Request| {
        let answer = Arc::clone(&answer);
        let stack = stack.clone();
        async move {
            let (id, began) = (request_id(&request), Instant::now());
            tintype_telemetry::begin(request.lambda_context().xray_trace_id.as_deref());
            let method = request.method().clone();
            // Its events carry the id that the client gets as `X-Request-Id`, and `image` and `job` once they are recorded.
            let span = info_span!("request", route, request_id = id, image = Empty, job = Empty);
            let (response, cause) = answer(request).instrument(span).await;
            let (method, status, cause) = (method.as_str(), response.status().as_u16(), cause.as_deref());
            let outcome = Outcome::Answered { method, status, cause };
            let duration = began.elapsed();
            tintype_telemetry::report(&Invocation { stack: &stack, route, request_id: &id, duration, outcome });
            Ok::<_, Error>(Unconverted(response::with_request_id(response, &id)))
        }
    }));
    let mut refuse = Adapter::from(service_fn(|request: Request| async move {
        let detail = "The Host header, the path, the query or the body is malformed.";
        let response = response::problem(StatusCode::BAD_REQUEST, "bad_request", detail);
        Ok::<_, Error>(Unconverted(response::with_request_id(response, &request_id(&request))))
    }));
    lambda_runtime::run(service_fn(move |mut event: LambdaEvent<LambdaRequest>| {
        let answered = match check(&mut event.payload) {
            Ok(()) => Ok(serve.call(event)),
            Err(Malformed) => Err(refuse.call(event)),
        };
        async move {
            match answered {
                Ok(served) => served.await,
                Err(refused) => refused.await,
            }
        }
    }))
    .await
}

/// A response whose body is text or bytes as it is. `lambda_http` would decide that by the Content-Type and convert the
/// text, for which it links the tables of `encoding_rs`.
struct Unconverted(Response);

impl IntoResponse for Unconverted {
    fn into_response(self) -> std::pin::Pin<Box<dyn Future<Output = http::Response<Body>> + Send>> {
        Box::pin(ready(self.0))
    }
}

/// The id of a request: API Gateway's, or that of the invocation.
fn request_id(request: &Request) -> String {
    match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.request_id.clone(),
        _ => None,
    }
    .unwrap_or_else(|| request.lambda_context().request_id)
}

/// An event that `lambda_http` would panic at.
struct Malformed;

/// Checks what `lambda_http` panics at: it builds a URL from host, path and query, and decodes the body. Takes these out of
/// an event that is malformed. Decodes the path of Function URLs and load balancers; API Gateway decodes it itself.
fn check(request: &mut LambdaRequest) -> Result<(), Malformed> {
    let (headers, path, query, body, is_base64) = match request {
        LambdaRequest::ApiGatewayV2(event) => {
            if event.request_context.domain_name.as_deref().is_some_and(|name| name.contains(".lambda-url.")) {
                decode(&mut event.raw_path);
            }
            (
                &mut event.headers,
                &mut event.raw_path,
                event.raw_query_string.as_mut(),
                &mut event.body,
                &mut event.is_base64_encoded,
            )
        }
        LambdaRequest::Alb(event) => {
            decode(&mut event.path);
            (&mut event.headers, &mut event.path, None, &mut event.body, &mut event.is_base64_encoded)
        }
        _ => return Ok(()),
    };
    let decodable = !*is_base64 || body.as_ref().is_none_or(|body| STANDARD.decode(body).is_ok());
    if decodable && !is_malformed(headers, path.as_deref(), query.as_deref().map(String::as_str)) {
        return Ok(());
    }
    (*headers, *path, *body, *is_base64) = (HeaderMap::new(), None, None, false);
    if let Some(query) = query {
        query.clear();
    }
    Err(Malformed)
}

/// Decodes a path, or makes it one that is malformed.
fn decode(path: &mut Option<String>) {
    let decoded = path.as_deref().map(|path| percent_decode_str(path).decode_utf8().map(Cow::into_owned));
    *path = decoded.transpose().unwrap_or_else(|_| Some("not UTF-8".into()));
}

fn is_malformed(headers: &HeaderMap, path: Option<&str>, query: Option<&str>) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = header("x-forwarded-proto").unwrap_or("https");
    let host = header("host").unwrap_or("localhost");
    let origin = format!("{scheme}://{host}");
    let uri = format!("{origin}/?{}", query.unwrap_or_default());
    !(matches!(scheme, "http" | "https")
        && host.parse::<Authority>().is_ok()
        && Url::parse(&origin).is_ok()
        && uri.parse::<Uri>().is_ok()
        && path.is_none_or(|path| path.is_empty() || path.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn malformed(host: &str, path: &str, query: &str) -> bool {
        let headers = HeaderMap::from_iter([(http::header::HOST, HeaderValue::from_str(host).unwrap())]);
        is_malformed(&headers, Some(path), Some(query))
    }

    #[test]
    fn only_events_that_lambda_http_can_read_reach_it() {
        for (host, path, query) in [
            ("api.example.com", "/api/images", ""),
            ("127.0.0.1:8080", "/a b/%ff/../\u{e9}|^", "limit=1&cursor=%ff"),
            ("[::1]:80", "//", "a[]=1&b={}"),
            ("h", "", "%"),
        ] {
            assert!(!malformed(host, path, query), "{host} {path} {query}");
        }
        for (host, path, query) in [
            ("", "/", ""),
            ("a b", "/", ""),
            ("h:port", "/", ""),
            ("h:99999", "/", ""),
            ("xn--", "/", ""),
            ("[::1", "/", ""),
            ("a/b", "/", ""),
            ("h", "no-slash", ""),
            ("h", "/", "a b"),
            ("h", "/", "a\u{7f}"),
            ("h", "/", &"a".repeat(70_000)),
        ] {
            assert!(malformed(host, path, query), "{host} {path} {query}");
        }
    }
}
