use crate::error::Problem;
use crate::openapi::{Answer, Header, Login, Operation, PLAIN};
use crate::reply::Reply;
use crate::request::{CHANGE_TRIES, Request};

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Expiring links",
    summary: "Revoke a link",
    login: Login::Required,
    headers: &[Header::IfMatch],
    replies: &[Answer::empty(204, "Revoked.")],
    problems: &[(404, "not_found", "No such link.")],
    ..PLAIN
};

/// Revokes a link: from the answer on its URL leads nowhere.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    for _ in 0..CHANGE_TRIES {
        let (link, _) = super::load_own(request).await?;
        request.check_if_match(link.version)?;
        if request.app.table.delete_link(&link).await? {
            return Ok(Reply::no_content());
        }
    }
    Err(Problem::busy())
}
