use crate::error::Problem;
use crate::openapi::{Answer, Header, Login, Operation, PLAIN};
use crate::reply::Reply;
use crate::request::{CHANGE_TRIES, Request};

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Images",
    summary: "Delete an image",
    login: Login::Required,
    headers: &[Header::IfMatch],
    replies: &[Answer::empty(204, "Deleted.")],
    problems: &[(403, "not_owner", "The image belongs to another user."), (404, "not_found", "No such image.")],
    ..PLAIN
};

/// Deletes an image: from the answer on nothing serves it, and its blobs follow.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    for _ in 0..CHANGE_TRIES {
        let owned = super::load_owned(request).await?;
        request.check_if_match(owned.image.version)?;
        if request.app.table.delete_image(&owned.image, request.now).await? {
            return Ok(Reply::no_content());
        }
    }
    Err(Problem::busy())
}
