use tintype_store::Key;

use crate::error::Problem;
use crate::fields::{Limit, QueryText};
use crate::image_view::ImageView;
use crate::operation::{Operation, ResponseDoc, of, parameters_of};
use crate::request::{Page, Request};
use crate::response::Response;

input! {
    pub(crate) struct Explore {
        limit: Limit = Limit::DEFAULT,
        cursor: Option<QueryText> = None,
    }
}

const LIST: &str = "explore";

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Images",
    summary: "List the public images of all users, newest first",
    query: Some(parameters_of::<Explore>),
    responses: &[ResponseDoc::json(
        200,
        "A page. It may hold fewer than `limit` items even if more follow.",
        of::<Page<'static, ImageView<'static>>>,
    )
    .with(&["Link"])],
    problems: &[(400, "bad_cursor", "The cursor does not belong to this list.")],
    ..Operation::DEFAULT
};

/// The index is eventually consistent, so each image is read before it is shown.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let query: Explore = request.query()?;
    let after = request.open_cursor(query.cursor, LIST)?;
    let store = &request.app.store;
    let (ids, next) = store.images.feed_page(after, query.limit.0).await?;
    let items = store.read(ids.iter().flat_map(|id| [Key::image(*id), Key::profile(id.owner)])).await?;
    let mut published = Vec::with_capacity(ids.len());
    for id in ids {
        let image = items.image(id)?.filter(|image| image.is_published());
        if let (Some(image), Some(owner)) = (image, items.profile(id.owner)?) {
            let plan = request.plan_of(&owner).await?;
            published.push((image, owner, plan));
        }
    }
    let mut results = Vec::with_capacity(published.len());
    for (image, owner, plan) in &published {
        results.push(ImageView::new(request, image, owner, plan.as_ref(), false).await?);
    }
    Ok(request.page_response(&results, next, LIST))
}
