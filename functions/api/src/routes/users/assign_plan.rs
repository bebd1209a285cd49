use tintype_model::{JobId, PlanName, UserId};
use tintype_store::Key;

use crate::error::Problem;
use crate::fields::Nullable;
use crate::operation::{AuthRequirement, Operation, ResponseDoc, of};
use crate::request::{CHANGE_TRIES, Request};
use crate::response::Response;
use crate::routes::jobs;

input! {
    pub(crate) struct AssignPlan {
        plan: Nullable<PlanName>,
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Users",
    summary: "Assign a plan to a user (`null` removes it) and rebuild their thumbnails (administrators only)",
    auth: AuthRequirement::Required,
    body: Some(of::<AssignPlan>),
    responses: &[
        ResponseDoc::json(202, "Assigned; thumbnails are being rebuilt.", of::<jobs::Accepted>).with(&["Location"])
    ],
    problems: &[
        (403, "not_admin", "This requires an administrator."),
        (404, "not_found", "No such user, or the user has not confirmed their e-mail address."),
    ],
    ..Operation::DEFAULT
};

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let admin = request.admin().await?.profile.id;
    let AssignPlan { plan: Nullable(plan) } = request.body()?;
    // Or the UUID that Cognito's console shows.
    let id = request.param("id");
    let user = UserId::from_api(id).or_else(|_| id.parse()).map_err(|_| Problem::not_found())?;
    let id = JobId::generate(admin);
    for attempt in 0..CHANGE_TRIES {
        let items =
            request.app.store.read([Key::profile(user)].into_iter().chain(plan.as_ref().map(Key::plan))).await?;
        let profile = items.profile(user)?.ok_or_else(Problem::not_found)?;
        if let Some(name) = &plan
            && items.plan(name)?.is_none()
        {
            return Err(Problem::invalid_field("plan", "unknown", "must be the name of a plan"));
        }
        if attempt == 0 {
            jobs::enqueue(request, id).await?;
        }
        if request.app.store.jobs.assign_plan(&profile, plan.as_ref(), id, request.now).await? {
            let accepted = jobs::Accepted { job: jobs::load_started(request, id).await? };
            return Ok(jobs::accepted_response(request, id, &accepted));
        }
    }
    Err(Problem::busy())
}
