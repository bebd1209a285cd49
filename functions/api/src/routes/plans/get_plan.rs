use super::PlanView;
use crate::error::Problem;
use crate::operation::{Operation, RequestHeader, ResponseDoc, of};
use crate::request::Request;
use crate::response::{self, Response, WithHeader, etag};

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Plans",
    summary: "Get a plan",
    headers: &[RequestHeader::IfNoneMatch],
    responses: &[ResponseDoc::json(200, "The plan.", of::<PlanView<'static>>).with(&["ETag"])],
    problems: &[(404, "not_found", "No such plan.")],
    ..Operation::DEFAULT
};

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let plan = super::load(request).await?;
    Ok(response::ok(&PlanView::new(&plan)).with_header("etag", etag(plan.version, &[])))
}
