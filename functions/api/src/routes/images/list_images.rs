use tintype_model::{Status, Visibility};
use tintype_store::ImageFilter;
use unicode_normalization::UnicodeNormalization;

use crate::error::Problem;
use crate::fields::{Limit, QueryText};
use crate::image_view::{self, ImageView};
use crate::openapi::{Answer, Login, Operation, PLAIN, of};
use crate::reply::Reply;
use crate::request::{Page, Request};

body! {
    pub(crate) struct ListImages {
        limit: Limit = Limit(50),
        cursor: Option<QueryText> = None,
        visibility: Option<Visibility> = None,
        status: Option<Status> = None,
        title_prefix: Option<QueryText> = None,
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Images",
    summary: "List the caller's images, newest first",
    login: Login::Required,
    query: Some(of::<ListImages>),
    replies: &[Answer::json(
        200,
        "A page. With a filter it may hold fewer than `limit` items even if more follow.",
        of::<Page<'static, ImageView<'static>>>,
    )
    .with(&["Link"])],
    problems: &[(400, "bad_cursor", "The cursor does not belong to this list.")],
    ..PLAIN
};

/// List the caller's images, newest first.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let query: ListImages = request.query()?;
    let owner = request.caller().await?.profile;
    let list = format!("images#{}", owner.id);
    let after = request.open_cursor(query.cursor, &list)?;
    let prefix = query.title_prefix.map(|text| text.0.trim_start().nfc().collect());
    let filter = ImageFilter { visibility: query.visibility, status: query.status, title_prefix: prefix };
    let page = request.app.table.list_images(owner.id, &filter, after, query.limit.0, request.now).await?;
    let plan = request.plan_of(&owner).await?;
    let mut results = Vec::with_capacity(page.images.len());
    for image in &page.images {
        results.push(image_view::show(request, image, &owner, plan.as_ref()).await?);
    }
    Ok(request.reply_page(&results, page.next, &list))
}
