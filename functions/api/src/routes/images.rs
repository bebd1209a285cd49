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
use tintype_store::{Key, Table};

use crate::caller::Caller;
use crate::error::Problem;
use crate::image_view::{self, ImageView};
use crate::reply::Reply;
use crate::request::Request;
use crate::serve::record_image;

/// An image of the caller's, as it was read: what changes it wants one.
struct OwnedImage {
    image: Image,
    caller: Caller,
}

/// Loads the image that the path names, for a change. One of another owner is refused without a look whether it is there.
async fn load_owned(request: &Request<'_>) -> Result<OwnedImage, Problem> {
    let id = request.image_id();
    let user = request.claimed_user().await?;
    let own = id.filter(|id| id.owner == user);
    let (caller, items) = request.caller_and(own.map(Key::image)).await?;
    match (id, own) {
        (None, _) => Err(Problem::not_found()),
        (Some(_), None) => Err(Problem::not_owner()),
        (_, Some(id)) => match items.image(id)?.filter(|image| !image.is_expired(request.now)) {
            Some(image) => Ok(OwnedImage { image, caller }),
            None => Err(Problem::not_found()),
        },
    }
}

/// Who may make one more image, and under what plan. What is on its way to being ready is not counted yet.
async fn may_create(request: &Request<'_>) -> Result<(Profile, Plan), Problem> {
    let user = request.claimed_user().await?;
    let (caller, items) = request.caller_and(Table::usage_keys(user)).await?;
    let plan = request.required_plan_of(&caller.profile).await?;
    if items.usage(user)?.images >= plan.max_images {
        let detail = format!("You have reached your plan's limit of {} images.", plan.max_images);
        return Err(Problem::forbidden("image_limit", detail));
    }
    Ok((caller.profile, plan))
}

/// What S3 will admit for an image: these headers, this body, once, until then.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Upload")]
struct UploadView {
    method: &'static str,
    url: String,
    headers: HashMap<String, String>,
    expires_at: Timestamp,
}

async fn upload_of(request: &Request<'_>, image: &Image) -> Result<UploadView, Problem> {
    let signed = request.app.blobs.sign_upload(image.id, &image.blob, request.now).await?;
    Ok(UploadView { method: "PUT", url: signed.url, headers: signed.headers, expires_at: signed.expires_at })
}

/// An image that waits, with what to upload it with.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ImageWithUpload")]
struct WithUpload<'a> {
    image: ImageView<'a>,
    upload: UploadView,
}

async fn reply_with_upload(
    request: &Request<'_>,
    status: StatusCode,
    image: &Image,
    owner: &Profile,
    plan: &Plan,
) -> Result<Reply, Problem> {
    record_image(image.id);
    let upload = upload_of(request, image).await?;
    let shown = image_view::show(request, image, owner, Some(plan)).await?;
    let location = format!("{}/api/images/{}", request.base_url(), image.id);
    Ok(Reply::json(status, &WithUpload { image: shown, upload }).with_header("location", location))
}

async fn reply_with_image(request: &Request<'_>, image: &Image, owner: &Profile) -> Result<Reply, Problem> {
    let plan = request.plan_of(owner).await?;
    let view = image_view::show(request, image, owner, plan.as_ref()).await?;
    Ok(Reply::ok(&view).with_header("etag", image_view::tag(request, image, owner, plan.as_ref())))
}
