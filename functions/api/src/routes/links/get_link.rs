use crate::error::Problem;
use crate::openapi::{Answer, Header, Login, Operation, PLAIN, of};
use crate::reply::Reply;
use crate::request::Request;

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Expiring links",
    summary: "Get a link of the caller",
    login: Login::Required,
    headers: &[Header::IfNoneMatch],
    replies: &[Answer::json(200, "The link.", of::<super::LinkView<'static>>).with(&["ETag"])],
    problems: &[(404, "not_found", "No such link.")],
    ..PLAIN
};

/// A link of the caller's.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let (link, _) = super::load_own(request).await?;
    Ok(super::reply_with_link(request, &link))
}
