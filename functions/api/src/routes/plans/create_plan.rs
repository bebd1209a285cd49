use http::StatusCode;
use tintype_model::{Heights, Plan, PlanName};
use tintype_store::{CreatePlanOutcome, first_version};

use super::PlanView;
use crate::error::Problem;
use crate::fields::{NonNegative, UploadSize};
use crate::operation::{AuthRequirement, Operation, RequestHeader, ResponseDoc, of};
use crate::request::Request;
use crate::response::{self, Response, WithHeader, etag};

input! {
    pub(crate) struct CreatePlan {
        name: PlanName,
        thumbnail_heights: Heights,
        webp_thumbnails: bool = false,
        original_link: bool,
        expiring_links: bool,
        max_image_bytes: UploadSize,
        max_images: NonNegative,
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Plans",
    summary: "Create a plan (administrators only)",
    auth: AuthRequirement::Required,
    body: Some(of::<CreatePlan>),
    headers: &[RequestHeader::IdempotencyKey],
    responses: &[ResponseDoc::json(201, "The plan.", of::<PlanView<'static>>).with(&["ETag", "Location"])],
    problems: &[
        (403, "not_admin", "This requires an administrator."),
        (409, "plan_exists", "A plan with this name exists."),
    ],
    ..Operation::DEFAULT
};

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let admin = request.admin().await?;
    let body: CreatePlan = request.body()?;
    let idempotency = request.idempotency("create_plan", admin.profile.id)?;
    let mut plan = Plan {
        name: body.name,
        thumbnail_heights: body.thumbnail_heights.as_slice().to_vec(),
        webp_thumbnails: body.webp_thumbnails,
        original_link: body.original_link,
        expiring_links: body.expiring_links,
        max_image_bytes: body.max_image_bytes.0,
        max_images: body.max_images.0,
        version: first_version(request.now),
    };
    match request.app.store.plans.create(&plan, idempotency.as_ref(), request.now).await? {
        CreatePlanOutcome::Created => {}
        CreatePlanOutcome::Taken => return Err(Problem::conflict("plan_exists", "A plan with this name exists.")),
        CreatePlanOutcome::Repeated(first) => {
            if idempotency.as_ref().is_some_and(|repeated| repeated.body() != first.body) {
                return Err(Problem::idempotency_mismatch());
            }
            plan.version = first_version(first.started_at);
        }
    }
    let location = format!("{}/api/plans/{}", request.base_url(), plan.name);
    Ok(response::json(StatusCode::CREATED, &PlanView::new(&plan))
        .with_header("etag", etag(plan.version, &[]))
        .with_header("location", location))
}
