pub(super) mod create_batch;
pub(super) mod create_image;
pub(super) mod delete_image;
pub(super) mod delete_images;
pub(super) mod get_image;
pub(super) mod list_images;
pub(super) mod renew_upload;
pub(super) mod update_image;

use std::collections::HashMap;

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tintype_model::{Image, Plan, Profile, Timestamp};
use tintype_store::{Key, Profiles};

use crate::caller::Caller;
use crate::error::Problem;
use crate::image_view::{self, ImageView};
use crate::request::Request;
use crate::response::{self, Response, WithHeader};
use tintype_telemetry::record_image;

/// An image that the caller owns, as it was read. Changes of an image take one.
struct OwnedImage {
    image: Image,
    caller: Caller,
}

/// Loads the image that the path names, for a change. Another owner's is rejected whether or not it exists.
async fn load_owned(request: &Request<'_>) -> Result<OwnedImage, Problem> {
    let id = request.image_id();
    let user = request.token_subject().await?;
    let own = id.filter(|id| id.owner == user);
    let (caller, items) = request.authenticate_with(own.map(Key::image)).await?;
    match (id, own) {
        (None, _) => Err(Problem::not_found()),
        (Some(_), None) => Err(Problem::not_owner()),
        (_, Some(id)) => match items.image(id)?.filter(|image| !image.is_expired(request.now)) {
            Some(image) => Ok(OwnedImage { image, caller }),
            None => Err(Problem::not_found()),
        },
    }
}

/// Returns the caller and their plan if it allows one more image. Images that are not ready are not counted.
async fn check_image_limit(request: &Request<'_>) -> Result<(Profile, Plan), Problem> {
    let user = request.token_subject().await?;
    let (caller, items) = request.authenticate_with(Profiles::usage_keys(user)).await?;
    let plan = request.required_plan_of(&caller.profile).await?;
    if items.usage(user)?.images >= plan.max_images {
        let detail = format!("You have reached your plan's limit of {} images.", plan.max_images);
        return Err(Problem::forbidden("image_limit", detail));
    }
    Ok((caller.profile, plan))
}

/// The upload that S3 accepts for an image: with these headers, once, until it expires.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Upload")]
struct UploadView {
    #[schemars(example = &"PUT")]
    method: &'static str,
    #[schemars(example = &"https://originals.s3.eu-central-1.amazonaws.com/...?X-Amz-Algorithm=AWS4-HMAC-SHA256")]
    url: String,
    headers: HashMap<String, String>,
    expires_at: Timestamp,
}

async fn upload_of(request: &Request<'_>, image: &Image) -> Result<UploadView, Problem> {
    let signed = request.app.blobs.sign_upload(image.id, &image.blob, request.now).await?;
    Ok(UploadView { method: "PUT", url: signed.url, headers: signed.headers, expires_at: signed.expires_at })
}

/// A pending image and its upload.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ImageWithUpload")]
struct WithUpload<'a> {
    image: ImageView<'a>,
    upload: UploadView,
}

async fn upload_response(
    request: &Request<'_>,
    status: StatusCode,
    image: &Image,
    owner: &Profile,
    plan: &Plan,
) -> Result<Response, Problem> {
    record_image(image.id);
    let upload = upload_of(request, image).await?;
    let shown = ImageView::new(request, image, owner, Some(plan), true).await?;
    let location = format!("{}/api/images/{}", request.base_url(), image.id);
    Ok(response::json(status, &WithUpload { image: shown, upload }).with_header("location", location))
}

/// `own`: the caller is the owner.
async fn image_response(request: &Request<'_>, image: &Image, owner: &Profile, own: bool) -> Result<Response, Problem> {
    let plan = request.plan_of(owner).await?;
    let view = ImageView::new(request, image, owner, plan.as_ref(), own).await?.with_photo(image, own);
    Ok(response::ok(&view).with_header("etag", image_view::etag(request, image, owner, plan.as_ref(), own)))
}
