use super::PlanView;
use crate::error::Problem;
use crate::openapi::{Answer, Header, Operation, PLAIN, of};
use crate::reply::{Reply, etag};
use crate::request::Request;

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Plans",
    summary: "A plan",
    headers: &[Header::IfNoneMatch],
    replies: &[Answer::json(200, "The plan.", of::<PlanView<'static>>).with(&["ETag"])],
    problems: &[(404, "not_found", "No such plan.")],
    ..PLAIN
};

/// A plan, with the tag that a change of it wants.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let plan = super::load(request).await?;
    Ok(Reply::ok(&PlanView::new(&plan)).with_header("etag", etag(plan.version, &[])))
}
