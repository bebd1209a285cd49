use schemars::JsonSchema;
use serde::Serialize;
use tintype_model::{Heights, JobId, Plan, PlanName};

use super::PlanView;
use crate::error::Problem;
use crate::fields::{NonNegative, UploadSize};
use crate::operation::{AuthRequirement, Operation, RequestHeader, ResponseDoc, of};
use crate::request::{CHANGE_TRIES, Request};
use crate::response::{Response, WithHeader, etag};
use crate::routes::jobs::{self, JobView};

input! {
    pub(crate) struct ReplacePlan {
        name: Option<PlanName> = None,
        thumbnail_heights: Heights,
        webp_thumbnails: bool = false,
        original_link: bool,
        expiring_links: bool,
        max_image_bytes: UploadSize,
        max_images: NonNegative,
    }
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct ChangedPlan<'a> {
    plan: PlanView<'a>,
    job: JobView,
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Plans",
    summary: "Update a plan and rebuild the thumbnails of its users (administrators only)",
    auth: AuthRequirement::Required,
    body: Some(of::<ReplacePlan>),
    headers: &[RequestHeader::IfMatch],
    responses: &[ResponseDoc::json(
        202,
        "Updated. Takes effect within a minute; thumbnails are being rebuilt.",
        of::<ChangedPlan<'static>>,
    )
    .with(&["ETag", "Location"])],
    problems: &[(403, "not_admin", "This requires an administrator."), (404, "not_found", "No such plan.")],
    ..Operation::DEFAULT
};

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let admin = request.admin().await?.profile.id;
    let body: ReplacePlan = request.body()?;
    let id = JobId::generate(admin);
    for attempt in 0..CHANGE_TRIES {
        let plan = super::load(request).await?;
        request.check_if_match(plan.version)?;
        if body.name.as_ref().is_some_and(|name| *name != plan.name) {
            return Err(Problem::invalid_field("name", "unchangeable", "must be the name in the path, or be left out"));
        }
        if attempt == 0 {
            jobs::enqueue(request, id).await?;
        }
        let next = Plan {
            name: plan.name,
            thumbnail_heights: body.thumbnail_heights.as_slice().to_vec(),
            webp_thumbnails: body.webp_thumbnails,
            original_link: body.original_link,
            expiring_links: body.expiring_links,
            max_image_bytes: body.max_image_bytes.0,
            max_images: body.max_images.0,
            version: plan.version,
        };
        if let Some(plan) = request.app.store.jobs.change_plan(next, id, request.now).await? {
            let changed = ChangedPlan { plan: PlanView::new(&plan), job: jobs::load_started(request, id).await? };
            let response = jobs::accepted_response(request, id, &changed);
            return Ok(response.with_header("etag", etag(plan.version, &[])));
        }
    }
    Err(Problem::busy())
}
