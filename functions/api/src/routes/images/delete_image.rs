use crate::error::Problem;
use crate::reply::Reply;
use crate::request::{CHANGE_TRIES, Request};

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
