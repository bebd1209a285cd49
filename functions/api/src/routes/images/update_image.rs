use tintype_model::{Description, Title, Visibility};
use tintype_store::{Change, UpdateOutcome};

use crate::error::Problem;
use crate::image_view::ImageView;
use crate::operation::{AuthRequirement, Operation, RequestHeader, ResponseDoc, of};
use crate::request::{CHANGE_TRIES, Request};
use crate::response::Response;

input! {
    pub(crate) struct UpdateImage {
        title: Option<Title> = None,
        description: Option<Description> = None,
        visibility: Option<Visibility> = None,
        photo_public: Option<bool> = None,
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Images",
    summary: "Change the title, the description or the visibility of an image, or who sees how it was taken",
    auth: AuthRequirement::Required,
    body: Some(of::<UpdateImage>),
    headers: &[RequestHeader::IfMatch],
    responses: &[ResponseDoc::json(200, "The image.", of::<ImageView<'static>>).with(&["ETag"])],
    problems: &[
        (403, "not_owner", "The image belongs to another user."),
        (404, "not_found", "No such image."),
        (409, "title_taken", "You already have an image with this title."),
    ],
    ..Operation::DEFAULT
};

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let body: UpdateImage = request.body()?;
    let UpdateImage { title, description, visibility, photo_public } = body;
    let change = Change { title, description, visibility, photo_public };
    for _ in 0..CHANGE_TRIES {
        let owned = super::load_owned(request).await?;
        request.check_if_match(owned.image.version)?;
        match request.app.store.images.update(&owned.image, change.clone(), request.now).await? {
            UpdateOutcome::Updated(image) => {
                return super::image_response(request, &image, &owned.caller.profile, true).await;
            }
            UpdateOutcome::TitleTaken => return Err(Problem::title_taken()),
            UpdateOutcome::Stale => {}
        }
    }
    Err(Problem::busy())
}
