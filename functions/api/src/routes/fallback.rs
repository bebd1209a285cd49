use std::future::{Ready, ready};

use http::{Method, StatusCode};
use tintype_gateway::{FILES, PAGES, matches};

use super::ROUTES;
use crate::error::Problem;
use crate::operation::Operation;
use crate::request::Request;
use crate::response::{self, Response, WithHeader};

pub(crate) const DOCUMENT: Operation = Operation { ..Operation::DEFAULT };

/// The requests that pages of other origins can send, as in `CorsConfiguration` in `template.yaml`.
const ALLOW_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
const ALLOW_HEADERS: &str = "authorization, content-type, idempotency-key, if-match, if-none-match, range";
const PREFLIGHT_SECONDS: &str = "3600";

/// Handles requests that no other route takes: preflights, paths with a slash too many, other methods, unknown paths.
pub(crate) fn handle(request: &Request<'_>) -> Ready<Result<Response, Problem>> {
    // Not an async fn: its opaque type would depend on the route table, which contains this function.
    ready(answer(request))
}

fn answer(request: &Request<'_>) -> Result<Response, Problem> {
    if *request.http.method() == Method::OPTIONS && request.header("access-control-request-method").is_some() {
        return Ok(preflight(request));
    }
    let methods = |path: &str| {
        if PAGES.iter().chain(FILES).any(|template| matches(template, path)) {
            return vec!["GET", "HEAD"];
        }
        let routes = ROUTES.iter().filter(|route| matches(route.path, path));
        routes.flat_map(|route| route.methods).map(|method| method.as_str()).collect::<Vec<_>>()
    };
    let allowed = methods(request.path());
    if !allowed.is_empty() {
        let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed.");
        return Err(problem.with_header("allow", allowed.join(", ")));
    }
    let bare = request.path().trim_end_matches('/');
    if bare.len() < request.path().len() && !methods(bare).is_empty() {
        let query =
            if request.query_string().is_empty() { String::new() } else { format!("?{}", request.query_string()) };
        return Ok(response::redirect(StatusCode::PERMANENT_REDIRECT, format!("{bare}{query}")));
    }
    Err(Problem::not_found())
}

/// Answers a CORS preflight for any path. The `$default` route also takes OPTIONS requests ("Configuring CORS for an HTTP
/// API with a $default route and an authorizer" in API Gateway's developer guide). API Gateway then replaces the CORS
/// headers of the answer by its own, but does not change the status, and browsers accept a preflight only with 2xx.
fn preflight(request: &Request<'_>) -> Response {
    let response = response::no_content();
    let (Some(allowed), Some(origin)) = (&request.app.allowed_origin, request.header("origin")) else {
        return response;
    };
    if allowed != "*" && !allowed.eq_ignore_ascii_case(origin) {
        return response;
    }
    let response = if allowed == "*" { response } else { response.with_header("vary", "Origin") };
    response
        .with_header("access-control-allow-origin", if allowed == "*" { "*" } else { origin })
        .with_header("access-control-allow-methods", ALLOW_METHODS)
        .with_header("access-control-allow-headers", ALLOW_HEADERS)
        .with_header("access-control-max-age", PREFLIGHT_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_function_allows_what_the_gateway_allows() {
        let template = include_str!("../../../../template.yaml");
        for line in [
            format!("AllowMethods: [{ALLOW_METHODS}]"),
            format!("AllowHeaders: [{ALLOW_HEADERS}]"),
            format!("MaxAge: {PREFLIGHT_SECONDS}"),
        ] {
            assert!(template.contains(&line), "{line}");
        }
    }
}
