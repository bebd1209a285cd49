use crate::error::Problem;
use crate::operation::{AuthRequirement, Operation, RequestHeader, ResponseDoc};
use crate::request::{CHANGE_TRIES, Request};
use crate::response::{self, Response};

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Images",
    summary: "Delete an image",
    auth: AuthRequirement::Required,
    headers: &[RequestHeader::IfMatch],
    responses: &[ResponseDoc::empty(204, "Deleted.")],
    problems: &[(403, "not_owner", "The image belongs to another user."), (404, "not_found", "No such image.")],
    ..Operation::DEFAULT
};

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    for _ in 0..CHANGE_TRIES {
        let owned = super::load_owned(request).await?;
        request.check_if_match(owned.image.version)?;
        if request.app.store.images.delete(&owned.image, request.now).await? {
            return Ok(response::no_content());
        }
    }
    Err(Problem::busy())
}
