use std::time::Duration;

use http::{Method, StatusCode};

use crate::error::Problem;
use crate::image_view::file_name;
use crate::operation::{Operation, ResponseDoc};
use crate::request::Request;
use crate::response::{self, Response};

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Media",
    summary: "Get the original of a public image, if the owner's plan includes originals and it says no place",
    responses: &[ResponseDoc::empty(302, "Redirect to a URL that is valid for at most a minute.").with(&["Location"])],
    problems: &[(404, "not_found", "No such public image, or its original is not public.")],
    ..Operation::DEFAULT
};

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let file = request.param("file");
    let key = file.split('.').next().unwrap_or_default();
    let (image, owner) = super::load_published(request, request.param("owner"), key).await?;
    let plan = request.plan_of(&owner).await?;
    let allowed = plan.is_some_and(|plan| image.has_public_original(&plan));
    if !allowed || super::stem(file, &image) != Some(key) {
        return Err(Problem::not_found());
    }
    let method = if *request.http.method() == Method::HEAD {
        tintype_store::ReadKind::Head
    } else {
        tintype_store::ReadKind::Get
    };
    let lasting = Duration::from_secs(super::REDIRECT_SECONDS);
    let (kind, name) = (image.blob.content_type, file_name(&image));
    let signed = request.app.blobs.sign_original(image.id, method, kind, &name, request.now, lasting).await?;
    Ok(response::redirect(StatusCode::FOUND, signed.url))
}
