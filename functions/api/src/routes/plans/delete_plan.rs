use tintype_store::DeletePlanOutcome;

use crate::error::Problem;
use crate::operation::{AuthRequirement, Operation, RequestHeader, ResponseDoc};
use crate::request::Request;
use crate::response::{self, Response};

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Plans",
    summary: "Delete a plan without users (administrators only)",
    auth: AuthRequirement::Required,
    headers: &[RequestHeader::IfMatch],
    responses: &[ResponseDoc::empty(204, "Removed.")],
    problems: &[
        (403, "not_admin", "This requires an administrator."),
        (404, "not_found", "No such plan."),
        (409, "plan_in_use", "The plan has users, or is the plan of new users."),
    ],
    ..Operation::DEFAULT
};

/// Each attempt may wait for the index, and API Gateway waits 30 s.
const TRIES: u32 = 3;

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    request.admin().await?;
    for _ in 0..TRIES {
        let plan = super::load(request).await?;
        request.check_if_match(plan.version)?;
        if request.app.default_plan.as_ref() == Some(&plan.name) {
            return Err(Problem::conflict("plan_in_use", "This is the plan of new users."));
        }
        match request.app.store.plans.delete(&plan, tintype_model::Timestamp::now()).await? {
            DeletePlanOutcome::Deleted => return Ok(response::no_content()),
            DeletePlanOutcome::InUse => return Err(Problem::conflict("plan_in_use", "The plan has users.")),
            DeletePlanOutcome::Stale => {}
        }
    }
    Err(Problem::busy())
}
