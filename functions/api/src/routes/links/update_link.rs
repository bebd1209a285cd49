use tintype_model::{Description, Lifetime};
use tintype_store::LinkChange;

use crate::error::Problem;
use crate::fields::{LinkPassword, MaxDownloads, Nullable};
use crate::operation::{Operation, of};
use crate::request::Request;
use crate::response::Response;

input! {
    pub(crate) struct UpdateLink {
        expiry_in_seconds: Option<Lifetime> = None,
        description: Option<Description> = None,
        max_downloads: Option<Nullable<MaxDownloads>> = None,
        password: Option<Nullable<LinkPassword>> = None,
        rotate: bool = false,
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    summary: "Update a link; `null` removes its download limit or password, `rotate` issues a new URL",
    body: Some(of::<UpdateLink>),
    ..super::CHANGE
};

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let body: UpdateLink = request.body()?;
    let change = LinkChange {
        lifetime: body.expiry_in_seconds,
        description: body.description,
        max_downloads: body.max_downloads.map(|most| most.0.map(|most| most.0)),
        password_hash: body.password.map(super::hash).transpose()?,
        rotate: body.rotate,
    };
    super::change(request, change, None).await
}
