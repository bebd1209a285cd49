use std::sync::Arc;

use http::uri::Authority;
use http::{HeaderMap, StatusCode, Uri};
use lambda_http::request::{LambdaRequest, RequestContext};
use lambda_http::tower::Service;
use lambda_http::{Adapter, Error, LambdaEvent, Request, RequestExt, lambda_runtime, service_fn};
use tracing::Instrument;
use url::Url;

use crate::Reply;
use crate::log::request_span;

/// Serves a route of an HTTP API, a Function URL or an Application Load Balancer until Lambda stops the function.
pub async fn run<A>(route: &'static str, answer: impl Fn(Request) -> A + Send + Sync + 'static) -> Result<(), Error>
where
    A: Future<Output = Reply> + Send,
{
    let answer = Arc::new(answer);
    let mut serve = Adapter::from(service_fn(move |request: Request| {
        let answer = Arc::clone(&answer);
        async move {
            let id = request_id(&request);
            let reply = answer(request).instrument(request_span(route, &id)).await;
            Ok::<_, Error>(reply.with_request_id(&id))
        }
    }));
    let mut refuse = Adapter::from(service_fn(|request: Request| async move {
        let detail = "The Host header or the query is malformed.";
        let reply = Reply::problem(StatusCode::BAD_REQUEST, "bad_request", detail);
        Ok::<_, Error>(reply.with_request_id(&request_id(&request)))
    }));
    lambda_runtime::run(service_fn(move |mut event: LambdaEvent<LambdaRequest>| {
        let malformed = take_malformed(&mut event.payload);
        let answered = if malformed { Err(refuse.call(event)) } else { Ok(serve.call(event)) };
        async move {
            match answered {
                Ok(served) => served.await,
                Err(refused) => refused.await,
            }
        }
    }))
    .await
}

/// The id of a request: API Gateway's, or that of the invocation.
fn request_id(request: &Request) -> String {
    match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.request_id.clone(),
        _ => None,
    }
    .unwrap_or_else(|| request.lambda_context().request_id)
}

/// Returns true if `lambda_http` would panic at an event, which then has nothing more to panic at: `lambda_http` builds a
/// URL from host, path and query.
fn take_malformed(request: &mut LambdaRequest) -> bool {
    match request {
        LambdaRequest::ApiGatewayV2(event) => {
            let malformed = is_malformed(&event.headers, event.raw_path.as_deref(), event.raw_query_string.as_deref());
            if malformed {
                event.headers = HeaderMap::new();
                (event.raw_path, event.raw_query_string) = (None, None);
            }
            malformed
        }
        LambdaRequest::Alb(event) => {
            let malformed = is_malformed(&event.headers, event.path.as_deref(), None);
            if malformed {
                event.headers = HeaderMap::new();
                event.path = None;
            }
            malformed
        }
        _ => false,
    }
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
