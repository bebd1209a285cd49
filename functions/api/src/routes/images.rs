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
use tintype_model::{Blob, Image, Plan, Profile, Timestamp};
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

/// Whoever registers images.
struct Uploader {
    profile: Profile,
    plan: Plan,
    /// True if the plan allows no more images. Those that are not ready are not counted.
    at_limit: bool,
}

impl Uploader {
    async fn load(request: &Request<'_>) -> Result<Self, Problem> {
        let user = request.token_subject().await?;
        let (caller, items) = request.authenticate_with(Profiles::usage_keys(user)).await?;
        let plan = request.required_plan_of(&caller.profile).await?;
        let at_limit = items.usage(user)?.images >= plan.max_images;
        Ok(Self { profile: caller.profile, plan, at_limit })
    }

    fn check_limit(&self) -> Result<(), Problem> {
        let detail = || format!("You have reached your plan's limit of {} images.", self.plan.max_images);
        if self.at_limit { Err(Problem::forbidden("image_limit", detail())) } else { Ok(()) }
    }

    /// Checks what the deployment and the plan allow now, which may differ from what they allowed an earlier request.
    fn check_blob(&self, request: &Request<'_>, blob: &Blob) -> Result<(), Problem> {
        let (kind, taken) = (blob.content_type, &request.app.content_types);
        if !taken.contains(&kind) {
            let taken: Vec<&str> = taken.iter().map(|kind| kind.as_str()).collect();
            let taken = taken.join(", ");
            let message = format!("{} is switched off in this service: must be one of {taken}", kind.name());
            return Err(Problem::invalid_field("content_type", "unsupported", message));
        }
        let most = self.plan.max_image_bytes;
        if blob.size > most {
            let message = format!("your plan takes images of up to {most} bytes");
            return Err(Problem::invalid_field("size", "out_of_range", message));
        }
        Ok(())
    }
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
