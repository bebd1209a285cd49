use http::StatusCode;

use super::ROUTES;
use crate::error::Problem;
use crate::openapi::{Operation, PLAIN};
use crate::reply::Reply;
use crate::request::Request;

pub(crate) const DOCUMENT: Operation = Operation { ..PLAIN };

/// Whatever no route takes: a slash too many, a method that the path does not have, or nothing at all.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let methods = |path: &str| {
        let routes = ROUTES.iter().filter(|route| !route.path.is_empty() && route.params(path).is_some());
        routes.flat_map(|route| route.methods).map(|method| method.as_str()).collect::<Vec<_>>()
    };
    let allowed = methods(&request.path);
    if !allowed.is_empty() {
        let problem =
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This does not take that method.");
        return Err(problem.with_header("allow", allowed.join(", ")));
    }
    let bare = request.path.trim_end_matches('/');
    if bare.len() < request.path.len() && !methods(bare).is_empty() {
        let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
        return Ok(Reply::redirect(StatusCode::PERMANENT_REDIRECT, format!("{bare}{query}")));
    }
    Err(Problem::not_found())
}
