use tintype_model::{Status, Visibility};
use tintype_store::ImageFilter;
use unicode_normalization::UnicodeNormalization;

use crate::error::Problem;
use crate::fields::{Limit, QueryText};
use crate::image_view::ImageView;
use crate::operation::{AuthRequirement, Operation, ResponseDoc, of, parameters_of};
use crate::request::{Page, Request};
use crate::response::Response;

input! {
    pub(crate) struct ListImages {
        limit: Limit = Limit::DEFAULT,
        cursor: Option<QueryText> = None,
        visibility: Option<Visibility> = None,
        status: Option<Status> = None,
        title_prefix: Option<QueryText> = None,
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Images",
    summary: "List the caller's images, newest first",
    auth: AuthRequirement::Required,
    query: Some(parameters_of::<ListImages>),
    responses: &[ResponseDoc::json(
        200,
        "A page. With a filter it may hold fewer than `limit` items even if more follow.",
        of::<Page<'static, ImageView<'static>>>,
    )
    .with(&["Link"])],
    problems: &[(400, "bad_cursor", "The cursor does not belong to this list.")],
    ..Operation::DEFAULT
};

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let query: ListImages = request.query()?;
    let owner = request.caller().await?.profile;
    let list = format!("images#{}", owner.id);
    let after = request.open_cursor(query.cursor, &list)?;
    let prefix = query.title_prefix.map(|text| text.0.trim_start().nfc().collect());
    let filter = ImageFilter { visibility: query.visibility, status: query.status, title_prefix: prefix };
    let page = request.app.store.images.list(owner.id, &filter, after, query.limit.0, request.now).await?;
    let plan = request.plan_of(&owner).await?;
    let mut results = Vec::with_capacity(page.images.len());
    for image in &page.images {
        results.push(ImageView::new(request, image, &owner, plan.as_ref(), true).await?);
    }
    Ok(request.page_response(&results, page.next, &list))
}
