use http::StatusCode;
use tintype_model::Status;
use tintype_store::Changed;

use crate::error::Problem;
use crate::reply::Reply;
use crate::request::{CHANGE_TRIES, Request};

/// A fresh upload URL for an image that waits; its waiting time starts anew.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    for _ in 0..CHANGE_TRIES {
        let owned = super::load_owned(request).await?;
        let owner = &owned.caller.profile;
        let plan = request.required_plan_of(owner).await?;
        if owned.image.status() != Status::Pending {
            return Err(Problem::conflict("not_pending", "This image does not wait for an upload."));
        }
        let expires_at = request.now + request.app.pending;
        match request.app.table.extend_pending(&owned.image, expires_at, request.now).await? {
            Changed::Changed(image) => {
                return super::reply_with_upload(request, StatusCode::OK, &image, owner, &plan).await;
            }
            Changed::TitleTaken => return Err(Problem::not_found()),
            Changed::Stale => {}
        }
    }
    Err(Problem::busy())
}
