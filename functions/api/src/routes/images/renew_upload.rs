use http::StatusCode;
use tintype_model::Status;
use tintype_store::UpdateOutcome;

use crate::error::Problem;
use crate::operation::{AuthRequirement, Operation, ResponseDoc, of};
use crate::request::{CHANGE_TRIES, Request};
use crate::response::Response;

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Images",
    summary: "Get a new upload URL for a pending image, and restart its expiry",
    auth: AuthRequirement::Required,
    responses: &[
        ResponseDoc::json(200, "The image and its upload.", of::<super::WithUpload<'static>>).with(&["Location"])
    ],
    problems: &[
        (403, "not_owner", "The image belongs to another user."),
        (403, "too_large_for_plan", "The image exceeds the size limit of your plan."),
        (403, "plan_required", "Your account has no plan."),
        (404, "not_found", "No such image."),
        (409, "not_pending", "The image is not pending."),
    ],
    ..Operation::DEFAULT
};

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    for _ in 0..CHANGE_TRIES {
        let owned = super::load_owned(request).await?;
        let owner = &owned.caller.profile;
        let plan = request.required_plan_of(owner).await?;
        if owned.image.status() != Status::Pending {
            return Err(Problem::conflict("not_pending", "The image is not pending."));
        }
        if owned.image.blob.size > plan.max_image_bytes {
            let detail = format!("The image exceeds your plan's limit of {} bytes.", plan.max_image_bytes);
            return Err(Problem::forbidden("too_large_for_plan", detail));
        }
        let expires_at = request.now + request.app.pending;
        match request.app.store.images.extend_pending(&owned.image, expires_at, request.now).await? {
            UpdateOutcome::Updated(image) => {
                return super::upload_response(request, StatusCode::OK, &image, owner, &plan).await;
            }
            UpdateOutcome::TitleTaken => return Err(Problem::not_found()),
            UpdateOutcome::Stale => {}
        }
    }
    Err(Problem::busy())
}
