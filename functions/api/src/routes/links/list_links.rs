use tintype_model::ImageId;
use tintype_store::LinkPage;

use super::LinkView;
use crate::error::Problem;
use crate::fields::{Limit, QueryText};
use crate::operation::{AuthRequirement, Operation, ResponseDoc, of, parameters_of};
use crate::request::{Page, Request};
use crate::response::Response;

input! {
    pub(crate) struct ListLinks {
        limit: Limit = Limit::DEFAULT,
        cursor: Option<QueryText> = None,
        base_image: Option<ImageId> = None,
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Expiring links",
    summary: "List the caller's links, or those of one image, newest first",
    auth: AuthRequirement::Required,
    query: Some(parameters_of::<ListLinks>),
    responses: &[ResponseDoc::json(
        200,
        "A page. With a filter it may hold fewer than `limit` items even if more follow.",
        of::<Page<'static, LinkView<'static>>>,
    )
    .with(&["Link"])],
    problems: &[(400, "bad_cursor", "The cursor does not belong to this list.")],
    ..Operation::DEFAULT
};

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let query: ListLinks = request.query()?;
    let owner = request.caller().await?.profile.id;
    let list = match query.base_image {
        None => format!("links#{owner}"),
        Some(image) => format!("links#{owner}#{image}"),
    };
    let after = request.open_cursor(query.cursor, &list)?;
    let (store, limit) = (&request.app.store, query.limit.0);
    let page = match query.base_image {
        None => store.links.list(owner, after, limit, request.now).await?,
        Some(image) if image.owner == owner => store.links.list_of_image(image, after, limit, request.now).await?,
        // Only the owner of an image has links of it.
        Some(_) => LinkPage::default(),
    };
    let results: Vec<LinkView<'_>> = page.links.iter().map(|link| LinkView::new(request, link)).collect();
    Ok(request.page_response(&results, page.next, &list))
}
