use tintype_model::{Description, ImageId, Lifetime};
use tintype_store::LinkChange;

use crate::error::Problem;
use crate::fields::{LinkPassword, MaxDownloads, Nullable};
use crate::openapi::{Operation, of};
use crate::reply::Reply;
use crate::request::Request;

body! {
    pub(crate) struct ReplaceLink {
        base_image: Option<ImageId> = None,
        expiry_in_seconds: Lifetime,
        description: Description = Description::default(),
        max_downloads: Nullable<MaxDownloads> = Nullable(None),
        password: Nullable<LinkPassword> = Nullable(None),
        rotate: bool = false,
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    summary: "Make a link what the body says; its clock starts anew",
    body: Some(of::<ReplaceLink>),
    ..super::CHANGE
};

/// Makes a link what the body says; what the body leaves out, the link has no more. Its clock starts anew.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let body: ReplaceLink = request.body()?;
    let change = LinkChange {
        lifetime: Some(body.expiry_in_seconds),
        description: Some(body.description),
        max_downloads: Some(body.max_downloads.0.map(|most| most.0)),
        password: Some(super::hash(body.password)?),
        rotate: body.rotate,
    };
    super::change(request, change, body.base_image).await
}
