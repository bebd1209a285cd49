use tintype_model::ImageId;
use tintype_store::LinkPage;

use super::LinkView;
use crate::error::Problem;
use crate::fields::{Limit, QueryText};
use crate::openapi::{Answer, Login, Operation, PLAIN, of};
use crate::reply::Reply;
use crate::request::{Page, Request};

body! {
    pub(crate) struct ListLinks {
        limit: Limit = Limit(50),
        cursor: Option<QueryText> = None,
        base_image: Option<ImageId> = None,
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Expiring links",
    summary: "List the caller's links, or those of one image, newest first",
    login: Login::Required,
    query: Some(of::<ListLinks>),
    replies: &[Answer::json(
        200,
        "A page. With a filter it may hold fewer than `limit` items even if more follow.",
        of::<Page<'static, LinkView<'static>>>,
    )
    .with(&["Link"])],
    problems: &[(400, "bad_cursor", "The cursor does not belong to this list.")],
    ..PLAIN
};

/// List the caller's links, or those of one image, newest first.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let query: ListLinks = request.query()?;
    let owner = request.caller().await?.profile.id;
    let list = match query.base_image {
        None => format!("links#{owner}"),
        Some(image) => format!("links#{owner}#{image}"),
    };
    let after = request.open_cursor(query.cursor, &list)?;
    let (table, limit) = (&request.app.table, query.limit.0);
    let page = match query.base_image {
        None => table.list_links(owner, after, limit, request.now).await?,
        Some(image) if image.owner == owner => table.list_links_of(image, after, limit, request.now).await?,
        // Nobody has links of another's image.
        Some(_) => LinkPage::default(),
    };
    let results: Vec<LinkView<'_>> = page.links.iter().map(|link| super::show(request, link)).collect();
    Ok(request.reply_page(&results, page.next, &list))
}
