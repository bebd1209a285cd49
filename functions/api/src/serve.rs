//! From the gateway's event to its answer: what all routes have in common.

use std::time::Instant;

use aws_lambda_events::encodings::Body as EventBody;
use aws_lambda_events::event::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use lambda_runtime::LambdaEvent;
use tintype_model::Timestamp;

use crate::app::App;
use crate::error::Problem;
use crate::reply::{Content, Reply};
use crate::request::Request;
use crate::routes::Route;

pub(crate) async fn serve(
    app: &App,
    route: &'static Route,
    event: LambdaEvent<ApiGatewayV2httpRequest>,
) -> ApiGatewayV2httpResponse {
    let began = Instant::now();
    let (event, context) = event.into_parts();
    let request_id = event.request_context.request_id.clone().unwrap_or(context.request_id);
    let path = event.raw_path.clone().unwrap_or_default();
    let method = event.request_context.http.method.clone();
    let params = route.params(&path).unwrap_or_default();
    let request = Request::new(app, event, path, params, Timestamp::now());

    let (reply, cause) = match (route.handle)(&request).await {
        Ok(reply) => (reply, None),
        Err(mut problem) => (of_problem(&mut problem), problem.cause),
    };
    let reply = not_modified(&request, reply);
    log(route, &method, &request_id, reply.status, began, cause);
    to_event(reply, &request_id)
}

fn of_problem(problem: &mut Problem) -> Reply {
    let mut reply =
        Reply::json(problem.status, &problem.document()).with_header("content-type", "application/problem+json");
    reply.headers.append(&mut problem.headers);
    reply
}

/// Answers 304 to a read whose caller has the same already.
fn not_modified(request: &Request<'_>, reply: Reply) -> Reply {
    let reads = matches!(request.method, Method::GET | Method::HEAD) && reply.status == StatusCode::OK;
    let (Some(known), Some(etag)) = (request.header("if-none-match"), reply.header("etag")) else { return reply };
    let same = known.split(',').map(|tag| tag.trim().trim_start_matches("W/")).any(|tag| tag == "*" || tag == etag);
    if !(reads && same) {
        return reply;
    }
    let kept = |name: &str| matches!(name, "etag" | "cache-control" | "vary");
    let headers = reply.headers.into_iter().filter(|(name, _)| kept(name)).collect();
    Reply { status: StatusCode::NOT_MODIFIED, headers, body: Content::None }
}

fn to_event(reply: Reply, request_id: &str) -> ApiGatewayV2httpResponse {
    let mut headers = HeaderMap::new();
    let mut cookies = Vec::new();
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("x-request-id", request_id);
    set("x-content-type-options", "nosniff");
    // Answers hold what is one user's, or change: what may be kept says so itself.
    set("cache-control", "no-store");
    let body = match reply.body {
        Content::None => None,
        Content::Json(json) => {
            set("content-type", "application/json");
            Some(EventBody::Text(json))
        }
        Content::Bytes(bytes) => Some(EventBody::Binary(bytes)),
    };
    for (name, value) in &reply.headers {
        if *name == "set-cookie" {
            cookies.push(value.clone());
        } else {
            set(name, value);
        }
    }
    let mut response = ApiGatewayV2httpResponse::default();
    response.status_code = i64::from(reply.status.as_u16());
    response.is_base64_encoded = matches!(body, Some(EventBody::Binary(_)));
    response.body = body;
    response.headers = headers;
    response.cookies = cookies;
    response
}

/// One line an invocation; no tokens, no addresses, no content.
fn log(route: &Route, method: &Method, request_id: &str, status: StatusCode, began: Instant, cause: Option<String>) {
    let mut line = serde_json::json!({
        "timestamp": Timestamp::now(),
        "level": if status.is_server_error() { "error" } else { "info" },
        "route": route.operation,
        "method": method.as_str(),
        "status": status.as_u16(),
        "request_id": request_id,
        "ms": began.elapsed().as_secs_f64() * 1000.0,
    });
    if let Some(cause) = cause {
        line["cause"] = cause.into();
    }
    println!("{line}");
}

/// Logs what failed without failing the request.
pub(crate) fn warn(request: &Request<'_>, cause: &dyn std::fmt::Display) {
    let path = &request.path;
    println!(
        "{}",
        serde_json::json!({
            "timestamp": Timestamp::now(), "level": "warn", "path": path, "cause": cause.to_string(),
        })
    );
}
