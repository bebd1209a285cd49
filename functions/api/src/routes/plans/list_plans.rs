use super::PlanView;
use crate::error::Problem;
use crate::openapi::{Answer, Operation, PLAIN, of};
use crate::reply::Reply;
use crate::request::{Page, Request};

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Plans",
    summary: "All plans",
    replies: &[Answer::json(200, "All plans.", of::<Page<'static, PlanView<'static>>>)],
    ..PLAIN
};

/// All plans, by name.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let plans = request.app.table.list_plans().await?;
    let results: Vec<PlanView<'_>> = plans.iter().map(PlanView::new).collect();
    Ok(Reply::ok(&Page { results: &results, next_cursor: None }))
}
