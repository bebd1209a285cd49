use super::PlanView;
use crate::error::Problem;
use crate::operation::{Operation, ResponseDoc, of};
use crate::request::{Page, Request};
use crate::response::{self, Response};

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Plans",
    summary: "List all plans, by name",
    responses: &[ResponseDoc::json(200, "All plans.", of::<Page<'static, PlanView<'static>>>)],
    ..Operation::DEFAULT
};

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let plans = request.app.store.plans.list().await?;
    let results: Vec<PlanView<'_>> = plans.iter().map(PlanView::new).collect();
    Ok(response::ok(&Page { results: &results, next_cursor: None }))
}
