use schemars::JsonSchema;
use serde::Serialize;
use tintype_model::{Plan, PlanName};

use crate::error::Problem;
use crate::openapi::{Answer, Operation, PLAIN, of};
use crate::reply::Reply;
use crate::request::{Page, Request};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Plan")]
struct PlanView<'a> {
    name: &'a PlanName,
    thumbnail_heights: &'a [u32],
    original_link: bool,
    expiring_links: bool,
    max_image_bytes: u64,
    max_images: u64,
}

impl<'a> PlanView<'a> {
    fn new(plan: &'a Plan) -> Self {
        Self {
            name: &plan.name,
            thumbnail_heights: &plan.thumbnail_heights,
            original_link: plan.original_link,
            expiring_links: plan.expiring_links,
            max_image_bytes: plan.max_image_bytes,
            max_images: plan.max_images,
        }
    }
}

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
