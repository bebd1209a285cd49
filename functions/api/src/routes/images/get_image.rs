use tintype_store::Key;

use crate::error::Problem;
use crate::image_view::ImageView;
use crate::operation::{AuthRequirement, Operation, RequestHeader, ResponseDoc, of};
use crate::request::Request;
use crate::response::Response;

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Images",
    summary: "Get an image of the caller, or any public image",
    auth: AuthRequirement::Optional,
    headers: &[RequestHeader::IfNoneMatch],
    responses: &[ResponseDoc::json(200, "The image.", of::<ImageView<'static>>).with(&["ETag"])],
    problems: &[(404, "not_found", "No such image, or you are not allowed to see it.")],
    ..Operation::DEFAULT
};

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let id = request.image_id();
    let keys = id.into_iter().flat_map(|id| [Key::image(id), Key::profile(id.owner)]);
    let (caller, items) = request.optional_caller_with(keys).await?;
    let id = id.ok_or_else(Problem::not_found)?;
    let own = caller.is_some_and(|caller| caller.profile.id == id.owner);
    let image = items.image(id)?.filter(|image| (own || image.is_published()) && !image.is_expired(request.now));
    match (image, items.profile(id.owner)?) {
        (Some(image), Some(owner)) => super::image_response(request, &image, &owner, own).await,
        _ => Err(Problem::not_found()),
    }
}
