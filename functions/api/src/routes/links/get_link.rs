use crate::error::Problem;
use crate::operation::{AuthRequirement, Operation, RequestHeader, ResponseDoc, of};
use crate::request::Request;
use crate::response::Response;

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Expiring links",
    summary: "Get a link of the caller",
    auth: AuthRequirement::Required,
    headers: &[RequestHeader::IfNoneMatch],
    responses: &[ResponseDoc::json(200, "The link.", of::<super::LinkView<'static>>).with(&["ETag"])],
    problems: &[(404, "not_found", "No such link.")],
    ..Operation::DEFAULT
};

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let (link, _) = super::load_owned(request).await?;
    Ok(super::link_response(request, &link))
}
