use http::StatusCode;
use tintype_model::{
    Blob, ContentType, Description, Image, ImageId, ImageKey, ImageState, Profile, Sha256, Title, Visibility,
};
use tintype_store::CreateOutcome;

use super::Uploader;
use crate::error::Problem;
use crate::fields::UploadSize;
use crate::operation::{AuthRequirement, Operation, RequestHeader, ResponseDoc, of};
use crate::request::Request;
use crate::response::Response;

input! {
    pub(crate) struct CreateImage {
        title: Title,
        description: Description = Description::default(),
        visibility: Visibility = Visibility::Public,
        content_type: ContentType,
        size: UploadSize,
        sha256: Option<Sha256> = None,
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Images",
    summary: "Register an image; returns the upload that S3 accepts for it",
    auth: AuthRequirement::Required,
    body: Some(of::<CreateImage>),
    headers: &[RequestHeader::IdempotencyKey],
    responses: &[ResponseDoc::json(201, "The pending image and its upload.", of::<super::WithUpload<'static>>)
        .with(&["Location"])],
    problems: &[
        (403, "image_limit", "Your plan allows no more images."),
        (403, "plan_required", "Your account has no plan."),
        (409, "title_taken", "You already have an image with this title."),
    ],
    ..Operation::DEFAULT
};

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let body: CreateImage = request.body()?;
    let uploader = Uploader::load(request).await?;
    let idempotency = request.idempotency("create_image", uploader.profile.id)?;
    let key_at = |started_at| match &idempotency {
        Some(idempotency) => idempotency.image_key(started_at, 0),
        None => ImageKey::generate(),
    };
    let mut image = draft(request, body, &uploader.profile, key_at(request.now));
    let store = &request.app.store;
    let outcome = match uploader.check_limit().and_then(|()| uploader.check_blob(request, &image.blob)) {
        Ok(()) => store.images.create(&image, idempotency.as_ref(), request.now).await?,
        // What was created before has its response, whatever is allowed now.
        Err(problem) => {
            let first = store.idempotency.read(idempotency.as_ref(), request.now).await?;
            CreateOutcome::Repeated(first.ok_or(problem)?)
        }
    };
    match outcome {
        CreateOutcome::Created => {}
        CreateOutcome::TitleTaken => return Err(Problem::title_taken()),
        CreateOutcome::Repeated(first) => {
            if idempotency.as_ref().is_some_and(|repeated| repeated.body() != first.body) {
                return Err(Problem::idempotency_mismatch());
            }
            // The first response again: the image as it was created.
            image.id.key = key_at(first.started_at);
            image.created_at = first.started_at;
            image.updated_at = first.started_at;
        }
    }
    super::upload_response(request, StatusCode::CREATED, &image, &uploader.profile, &uploader.plan).await
}

/// Returns the pending image that a body describes.
pub(super) fn draft(request: &Request<'_>, body: CreateImage, owner: &Profile, key: ImageKey) -> Image {
    Image {
        id: ImageId { owner: owner.id, key },
        title: body.title,
        description: body.description,
        visibility: body.visibility,
        photo_public: false,
        blob: Blob { content_type: body.content_type, size: body.size.0, sha256: body.sha256 },
        state: ImageState::Pending { expires_at: request.now + request.app.pending },
        deletion_epoch: owner.deletion_epoch,
        created_at: key.created_at(),
        updated_at: key.created_at(),
        version: 1,
    }
}
