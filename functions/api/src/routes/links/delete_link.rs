use crate::error::Problem;
use crate::operation::{AuthRequirement, Operation, RequestHeader, ResponseDoc};
use crate::request::{CHANGE_TRIES, Request};
use crate::response::{self, Response};

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Expiring links",
    summary: "Revoke a link",
    auth: AuthRequirement::Required,
    headers: &[RequestHeader::IfMatch],
    responses: &[ResponseDoc::empty(204, "Revoked.")],
    problems: &[(404, "not_found", "No such link.")],
    ..Operation::DEFAULT
};

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    for _ in 0..CHANGE_TRIES {
        let (link, _) = super::load_owned(request).await?;
        request.check_if_match(link.version)?;
        if request.app.store.links.delete(&link).await? {
            return Ok(response::no_content());
        }
    }
    Err(Problem::busy())
}
