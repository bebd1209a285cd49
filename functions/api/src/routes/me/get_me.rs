use crate::error::Problem;
use crate::operation::{AuthRequirement, Operation, RequestHeader, ResponseDoc, of};
use crate::request::Request;
use crate::response::Response;

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Accounts",
    summary: "Get the caller's account",
    auth: AuthRequirement::Required,
    headers: &[RequestHeader::IfNoneMatch],
    responses: &[ResponseDoc::json(200, "The account.", of::<super::Me<'static>>).with(&["ETag"])],
    ..Operation::DEFAULT
};

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let (caller, usage) = super::caller_with_usage(request).await?;
    Ok(super::account_response(&caller, &caller.profile, usage))
}
