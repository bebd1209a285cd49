use schemars::JsonSchema;
use serde::Serialize;
use tintype_model::ContentType;

use super::PlanView;
use crate::error::Problem;
use crate::operation::{Operation, ResponseDoc, of};
use crate::request::Request;
use crate::response::{self, Response};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Plans")]
struct PlansView<'a> {
    results: Vec<PlanView<'a>>,
    /// Always `null`: all plans are in one page.
    next_cursor: Option<&'a str>,
    /// The types of images that can be uploaded, whatever the plan.
    content_types: &'a [ContentType],
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Plans",
    summary: "List all plans, by name",
    responses: &[ResponseDoc::json(200, "All plans.", of::<PlansView<'static>>)],
    ..Operation::DEFAULT
};

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let plans = request.app.store.plans.list().await?;
    let results = plans.iter().map(PlanView::new).collect();
    let content_types = &request.app.content_types;
    Ok(response::ok(&PlansView { results, next_cursor: None, content_types }))
}
