use crate::error::Problem;
use crate::openapi::{Answer, Header, Login, Operation, PLAIN, of};
use crate::reply::Reply;
use crate::request::Request;

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Accounts",
    summary: "Get the caller's account",
    login: Login::Required,
    headers: &[Header::IfNoneMatch],
    replies: &[Answer::json(200, "The account.", of::<super::Me<'static>>).with(&["ETag"])],
    ..PLAIN
};

/// The caller's account.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let (caller, usage) = super::caller_with_usage(request).await?;
    Ok(super::reply(&caller, &caller.profile, usage))
}
