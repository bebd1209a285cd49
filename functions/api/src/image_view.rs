//! The representation of an image in the API.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Serialize;
use tintype_gateway::thumbnail_url;
use tintype_model::{
    ContentType, Description, Image, ImageId, ImageState, PersonName, Photo, Plan, Profile, Ready, RejectCode, Status,
    Timestamp, Title, UserId, Visibility, Warning,
};
use tintype_store::{ReadKind, ThumbnailKey};

use crate::error::Problem;
use crate::request::Request;
use crate::response;

/// URLs of private blobs are valid for this long after the last multiple of [`SIGNING_WINDOW`].
const PRIVATE_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// In seconds. In one window, equal responses have equal URLs, and so equal ETags.
const SIGNING_WINDOW: i64 = 30;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Image")]
pub(crate) struct ImageView<'a> {
    id: ImageId,
    owner: OwnerView<'a>,
    title: &'a Title,
    description: &'a Description,
    visibility: Visibility,
    /// Others see `photo`, without its place, if they see the image. An original that the plan publishes still holds all that
    /// its camera wrote, but one that says where it was taken is not published.
    photo_public: bool,
    content_type: ContentType,
    /// Bytes.
    #[schemars(example = 768_936)]
    size: u64,
    /// In pixels; set when the image is ready.
    #[schemars(example = 1600)]
    width: Option<u32>,
    #[schemars(example = 1067)]
    height: Option<u32>,
    /// The SHA-256 that its owner declared.
    sha256: Option<String>,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    reject_code: Option<RejectCode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// Why the image was rejected.
    reject_reason: Option<&'a str>,
    /// Defects of the file of a ready image, if it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    warnings: Option<&'a [Warning]>,
    /// A thumbhash in base64; set when the image is ready.
    #[schemars(example = &"1QcSHQRnh493V4dIh4eXh1h4kJUI")]
    placeholder: Option<String>,
    /// The URL of the original, if the owner's plan includes originals. Only the owner gets that of an original whose `photo`
    /// has a place; it is presigned then.
    #[schemars(example = &"https://images.example.org/media/imageupload/.../0198c0de-7a5b.jpg")]
    image_url: Option<String>,
    thumbnails: Vec<ThumbnailView>,
    /// How it was taken, if its file says so. Lists leave it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    photo: Option<Photo>,
    /// The time when the presigned URLs expire: those of a private image, and that of an original that only the owner gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    url_expires_at: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Owner")]
struct OwnerView<'a> {
    id: UserId,
    name: &'a PersonName,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Thumbnail")]
struct ThumbnailView {
    #[schemars(example = 200)]
    height: u32,
    #[schemars(example = 300)]
    width: u32,
    content_type: ContentType,
    #[schemars(example = &"https://images.example.org/media/thumbnail/.../200.jpg")]
    url: String,
}

impl<'a> ImageView<'a> {
    /// Represents `image` for a user who is allowed to see it. `plan`: the plan of its owner. `own`: the user is the owner.
    pub(crate) async fn new(
        request: &Request<'_>,
        image: &'a Image,
        owner: &'a Profile,
        plan: Option<&Plan>,
        own: bool,
    ) -> Result<Self, Problem> {
        let mut view = Self::without_urls(image, owner);
        if let ImageState::Ready(ready) = &image.state {
            let original = plan.is_some_and(|plan| plan.original_link);
            match image.visibility {
                Visibility::Public => {
                    view.link_public(request, image, ready, original && !image.has_place());
                    if original && own && image.has_place() {
                        view.sign_original(request, image).await?;
                    }
                }
                Visibility::Private => view.sign_private(request, image, ready, original).await?,
            }
        }
        Ok(view)
    }

    /// Represents an image in its owner's export: with a presigned URL of the original, whatever the plan, and without
    /// thumbnails.
    pub(crate) async fn exported(request: &Request<'_>, image: &'a Image, owner: &'a Profile) -> Result<Self, Problem> {
        let mut view = Self::without_urls(image, owner);
        if image.is_ready() {
            view.sign_original(request, image).await?;
        }
        Ok(view.with_photo(image, true))
    }

    fn without_urls(image: &'a Image, owner: &'a Profile) -> Self {
        let mut view = Self {
            id: image.id,
            owner: OwnerView { id: owner.id, name: &owner.name },
            title: &image.title,
            description: &image.description,
            visibility: image.visibility,
            photo_public: image.photo_public,
            content_type: image.blob.content_type,
            size: image.blob.size,
            width: None,
            height: None,
            sha256: image.blob.sha256.map(|hash| hash.to_string()),
            status: image.status(),
            reject_code: None,
            reject_reason: None,
            warnings: None,
            placeholder: None,
            image_url: None,
            thumbnails: Vec::new(),
            photo: None,
            url_expires_at: None,
            created_at: image.created_at,
            updated_at: image.updated_at,
        };
        match &image.state {
            ImageState::Pending { .. } | ImageState::Processing { .. } => {}
            ImageState::Rejected { code, reason } => {
                view.reject_code = *code;
                view.reject_reason = Some(reason);
            }
            ImageState::Ready(ready) => {
                view.width = Some(ready.width);
                view.height = Some(ready.height);
                view.warnings = Some(&ready.warnings[..]).filter(|warnings| !warnings.is_empty());
                view.placeholder = Some(STANDARD.encode(&ready.placeholder));
            }
        }
        view
    }

    /// Adds how the image was taken: all of it for the owner, for others what the owner lets them see.
    pub(crate) fn with_photo(mut self, image: &Image, own: bool) -> Self {
        self.photo = match &image.state {
            ImageState::Ready(Ready { photo: Some(photo), .. }) if own => Some((**photo).clone()),
            ImageState::Ready(Ready { photo: Some(photo), .. }) if image.photo_public => Some(photo.without_place()),
            _ => None,
        };
        self
    }

    fn link_public(&mut self, request: &Request<'_>, image: &Image, ready: &Ready, original: bool) {
        let (base, id, extension) = (request.base_url(), image.id, image.blob.content_type.extension());
        self.image_url = original.then(|| format!("{base}/media/imageupload/{}/{}.{extension}", id.owner, id.key));
        self.thumbnails.extend(ready.thumbnails.iter().map(|thumbnail| ThumbnailView {
            height: thumbnail.height,
            width: thumbnail.width,
            content_type: thumbnail.content_type,
            url: thumbnail_url(&base, id, thumbnail),
        }));
    }

    async fn sign_private(
        &mut self,
        request: &Request<'_>,
        image: &Image,
        ready: &Ready,
        original: bool,
    ) -> Result<(), Problem> {
        let (blobs, start) = (&request.app.blobs, request.now.floor_to(SIGNING_WINDOW));
        if original {
            self.sign_original(request, image).await?;
        }
        for thumbnail in &ready.thumbnails {
            let key = ThumbnailKey { image: image.id, set: &ready.built_for, thumbnail };
            let signed = blobs.sign_thumbnail(key, ReadKind::Get, start, PRIVATE_LIFETIME).await?;
            self.thumbnails.push(ThumbnailView {
                height: thumbnail.height,
                width: thumbnail.width,
                content_type: thumbnail.content_type,
                url: signed.url,
            });
        }
        self.url_expires_at = Some(start + PRIVATE_LIFETIME);
        Ok(())
    }

    async fn sign_original(&mut self, request: &Request<'_>, image: &Image) -> Result<(), Problem> {
        let (blobs, kind, start) = (&request.app.blobs, image.blob.content_type, request.now.floor_to(SIGNING_WINDOW));
        let name = file_name(image);
        let signed = blobs.sign_original(image.id, ReadKind::Get, kind, &name, start, PRIVATE_LIFETIME).await?;
        self.image_url = Some(signed.url);
        self.url_expires_at = Some(signed.expires_at);
        Ok(())
    }
}

/// The file name of a downloaded original: its title, with the extension of its type.
pub(crate) fn file_name(image: &Image) -> String {
    let (title, extension) = (image.title.as_str(), image.blob.content_type.extension());
    let same_type = |given: &str| {
        given.eq_ignore_ascii_case(extension) || (extension == "jpg" && given.eq_ignore_ascii_case("jpeg"))
    };
    match title.rsplit_once('.') {
        Some((_, given)) if same_type(given) => title.to_owned(),
        _ => format!("{title}.{extension}"),
    }
}

/// Changes exactly when the [`ImageView`] does, which is another one for the owner than for others.
pub(crate) fn etag(request: &Request<'_>, image: &Image, owner: &Profile, plan: Option<&Plan>, own: bool) -> String {
    let signed = image.is_ready() && (image.visibility == Visibility::Private || (own && image.has_place()));
    let window = if signed { request.now.secs().div_euclid(SIGNING_WINDOW).unsigned_abs() } else { 0 };
    // The version of a plan counts with its name; assigning another plan changes the profile.
    response::etag(image.version, &[owner.version, plan.map_or(0, |plan| plan.version), window, own.into()])
}
