use tintype_model::{Description, ImageId, Lifetime, LinkId, Timestamp};
use tintype_store::LinkChange;

use crate::error::Problem;
use crate::fields::{LinkPassword, MaxDownloads, Nullable, ReadOnly};
use crate::operation::{Operation, of};
use crate::request::Request;
use crate::response::Response;

input! {
    #[expect(dead_code, reason = "what is read only is taken and not looked at")]
    pub(crate) struct ReplaceLink {
        base_image: Option<ImageId> = None,
        expiry_in_seconds: Lifetime,
        description: Description = Description::default(),
        max_downloads: Nullable<MaxDownloads> = Nullable(None),
        password: Nullable<LinkPassword> = Nullable(None),
        rotate: bool = false,
        has_password: bool = false,
        id: ReadOnly<LinkId> = ReadOnly::default(),
        created_at: ReadOnly<Timestamp> = ReadOnly::default(),
        expires_at: ReadOnly<Timestamp> = ReadOnly::default(),
        link_url: ReadOnly<String> = ReadOnly::default(),
        downloads: ReadOnly<u64> = ReadOnly::default(),
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    summary: "Replace a link, with what GET returned or another body; its clock restarts. A link keeps its password only where \
              `has_password` is true and `password` is absent",
    body: Some(of::<ReplaceLink>),
    ..super::CHANGE
};

/// GET does not return the password, so `has_password` without a password keeps it.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let body: ReplaceLink = request.body()?;
    let kept = body.has_password && body.password.0.is_none();
    let password_hash = if kept { None } else { Some(super::hash(body.password)?) };
    let change = LinkChange {
        lifetime: Some(body.expiry_in_seconds),
        description: Some(body.description),
        max_downloads: Some(body.max_downloads.0.map(|most| most.0)),
        password_hash,
        rotate: body.rotate,
    };
    super::change(request, change, body.base_image).await
}
