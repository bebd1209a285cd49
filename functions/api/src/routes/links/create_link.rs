use http::StatusCode;
use tintype_model::{Description, Lifetime, Link, LinkId, LinkKey};
use tintype_store::{CreateLinkOutcome, Key};

use crate::error::Problem;
use crate::fields::{ImageIdText, LinkPassword, MaxDownloads, Nullable};
use crate::operation::{AuthRequirement, Operation, RequestHeader, ResponseDoc, of};
use crate::request::Request;
use crate::response::{self, Response, WithHeader, etag};
use tintype_telemetry::record_image;

input! {
    pub(crate) struct CreateLink {
        base_image: ImageIdText,
        expiry_in_seconds: Lifetime,
        description: Description = Description::default(),
        max_downloads: Nullable<MaxDownloads> = Nullable(None),
        password: Nullable<LinkPassword> = Nullable(None),
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Expiring links",
    summary: "Create a link that gives anyone access to the original of an image until it expires",
    auth: AuthRequirement::Required,
    body: Some(of::<CreateLink>),
    headers: &[RequestHeader::IdempotencyKey],
    responses: &[ResponseDoc::json(201, "The link.", of::<super::LinkView<'static>>).with(&["ETag", "Location"])],
    problems: &[
        (403, "plan_forbids_links", "Your plan does not include expiring links."),
        (403, "plan_required", "Your account has no plan."),
        (404, "not_found", "No such image."),
        (409, "not_ready", "The image is not ready."),
    ],
    ..Operation::DEFAULT
};

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let body: CreateLink = request.body()?;
    let user = request.token_subject().await?;
    let own = body.base_image.0.filter(|id| id.owner == user);
    if let Some(id) = own {
        record_image(id);
    }
    let (caller, items) = request.authenticate_with(own.map(Key::image)).await?;
    super::check_plan(request, &caller.profile).await?;
    let image = own.map(|id| items.image(id)).transpose()?.flatten();
    let image = image.filter(|image| !image.is_expired(request.now)).ok_or_else(Problem::not_found)?;
    let not_ready = || Problem::conflict("not_ready", "Links can be created only for images that are ready.");
    if !image.is_ready() {
        return Err(not_ready());
    }

    let idempotency = request.idempotency("create_link", user)?;
    let key_at = |started_at| match &idempotency {
        Some(idempotency) => LinkKey::from_uuid(idempotency.image_key(started_at, 0).uuid()),
        None => LinkKey::generate(),
    };
    let password_hash = super::hash(body.password)?;
    let mut link = Link {
        id: LinkId { owner: user, key: key_at(request.now) },
        image: image.id.key,
        content_type: image.blob.content_type,
        description: body.description,
        lifetime: body.expiry_in_seconds,
        expires_at: body.expiry_in_seconds.end(request.now),
        rotations: 0,
        token_hash: None,
        max_downloads: body.max_downloads.0.map(|most| most.0),
        downloads: 0,
        password_hash,
        created_at: request.now.floor_to(1),
        version: 1,
    };
    let signing = request.signing();
    match request.app.store.links.create(&link, signing, idempotency.as_ref(), request.now).await? {
        CreateLinkOutcome::Created => {}
        CreateLinkOutcome::NotReady => return Err(not_ready()),
        CreateLinkOutcome::Repeated(first) => {
            if idempotency.as_ref().is_some_and(|repeated| repeated.body() != first.body) {
                return Err(Problem::idempotency_mismatch());
            }
            // The first response again: the link as it was created.
            link.id.key = key_at(first.started_at);
            link.created_at = first.started_at.floor_to(1);
            link.expires_at = link.lifetime.end(first.started_at);
            // Its token was signed with the key of that time.
            let items = request.app.store.read([Key::link(link.id)]).await?;
            link.token_hash = items.link(link.id)?.and_then(|stored| stored.token_hash);
        }
    }
    let location = format!("{}/api/expiring-links/{}", request.base_url(), link.id);
    Ok(response::json(StatusCode::CREATED, &super::LinkView::new(request, &link))
        .with_header("etag", etag(link.version, &[link.downloads]))
        .with_header("location", location))
}
