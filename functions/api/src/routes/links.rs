pub(super) mod create_link;
pub(super) mod delete_link;
pub(super) mod get_link;
pub(super) mod list_links;
pub(super) mod replace_link;
pub(super) mod update_link;

use schemars::JsonSchema;
use serde::Serialize;
use tintype_model::{Description, ImageId, Link, LinkId, Profile, Timestamp};
use tintype_store::{Key, LinkChange, UpdateLinkOutcome};

use crate::error::Problem;
use crate::fields::{LinkPassword, Nullable};
use crate::operation::{AuthRequirement, Operation, RequestHeader, ResponseDoc, of};
use crate::passwords;
use crate::request::{CHANGE_TRIES, Request};
use crate::response::{self, Response, WithHeader, etag};
use tintype_telemetry::record_image;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Link")]
pub(super) struct LinkView<'a> {
    id: LinkId,
    base_image: ImageId,
    description: &'a Description,
    #[schemars(example = 3600)]
    expiry_in_seconds: u32,
    created_at: Timestamp,
    expires_at: Timestamp,
    /// The public URL; it needs no login.
    #[schemars(example = &"https://images.example.org/media/exp/bwx9rzgx5d46.../original.jpg")]
    link_url: String,
    /// Present if the link has a download limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_downloads: Option<u32>,
    /// Redirects to the file, from its beginning.
    #[schemars(example = 1)]
    downloads: u64,
    has_password: bool,
}

/// Common to the operations that change a link.
const CHANGE: Operation = Operation {
    tag: "Expiring links",
    auth: AuthRequirement::Required,
    headers: &[RequestHeader::IfMatch],
    responses: &[ResponseDoc::json(200, "The link.", of::<LinkView<'static>>).with(&["ETag"])],
    problems: &[
        (403, "plan_forbids_links", "Your plan does not include expiring links."),
        (403, "plan_required", "Your account has no plan."),
        (404, "not_found", "No such link."),
    ],
    ..Operation::DEFAULT
};

impl<'a> LinkView<'a> {
    pub(super) fn new(request: &Request<'_>, link: &'a Link) -> Self {
        let (base, token) = (request.base_url(), link.token(request.signing()));
        Self {
            id: link.id,
            base_image: link.image_id(),
            description: &link.description,
            expiry_in_seconds: link.lifetime.secs(),
            created_at: link.created_at,
            expires_at: link.expires_at,
            // Without the title: the Content-Disposition names the download.
            link_url: format!("{base}/media/exp/{}/original.{}", token.as_str(), link.content_type.extension()),
            max_downloads: link.max_downloads,
            downloads: link.downloads,
            has_password: link.password_hash.is_some(),
        }
    }
}

fn link_response(request: &Request<'_>, link: &Link) -> Response {
    response::ok(&LinkView::new(request, link)).with_header("etag", etag(link.version, &[link.downloads]))
}

/// Loads the link that the path names, and its owner. Another owner's is not found.
async fn load_owned(request: &Request<'_>) -> Result<(Link, Profile), Problem> {
    let id: Option<LinkId> = request.param("id").parse().ok();
    let user = request.token_subject().await?;
    let own = id.filter(|id| id.owner == user);
    let (caller, items) = request.authenticate_with(own.map(Key::link)).await?;
    let link = own.map(|id| items.link(id)).transpose()?.flatten();
    let link = link.filter(|link| !link.is_expired(request.now)).ok_or_else(Problem::not_found)?;
    record_image(link.image_id());
    Ok((link, caller.profile))
}

/// Checks that the plan of a user includes links.
async fn check_plan(request: &Request<'_>, owner: &Profile) -> Result<(), Problem> {
    if request.required_plan_of(owner).await?.expiring_links {
        return Ok(());
    }
    Err(Problem::forbidden("plan_forbids_links", "Your plan does not include expiring links."))
}

fn hash(password: Nullable<LinkPassword>) -> Result<Option<String>, Problem> {
    password.0.map(|password| passwords::hash(&password.0)).transpose()
}

/// Changes the link that the path names.
async fn change(request: &Request<'_>, change: LinkChange, image: Option<ImageId>) -> Result<Response, Problem> {
    for _ in 0..CHANGE_TRIES {
        let (link, owner) = load_owned(request).await?;
        check_plan(request, &owner).await?;
        request.check_if_match(link.version)?;
        if image.is_some_and(|image| image != link.image_id()) {
            return Err(Problem::invalid_field("base_image", "immutable", "cannot change: make another link"));
        }
        let (store, signing) = (&request.app.store, request.signing());
        if let UpdateLinkOutcome::Updated(link) =
            store.links.update(&link, change.clone(), signing, request.now).await?
        {
            return Ok(link_response(request, &link));
        }
    }
    Err(Problem::busy())
}
