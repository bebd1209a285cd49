use tintype_model::{JobId, PlanName, UserId};
use tintype_store::Key;

use crate::error::Problem;
use crate::fields::Nullable;
use crate::openapi::{Answer, Login, Operation, PLAIN, of};
use crate::reply::Reply;
use crate::request::{CHANGE_TRIES, Request};
use crate::routes::jobs;

body! {
    pub(crate) struct AssignPlan {
        plan: Nullable<PlanName>,
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Users",
    summary: "Assign a plan to a user (`null` removes it) and rebuild their thumbnails (administrators only)",
    login: Login::Required,
    body: Some(of::<AssignPlan>),
    replies: &[Answer::json(202, "Assigned; thumbnails are being rebuilt.", of::<jobs::Accepted>).with(&["Location"])],
    problems: &[
        (403, "not_admin", "This requires an administrator."),
        (404, "not_found", "No such user, or the user has not confirmed their e-mail address."),
    ],
    ..PLAIN
};

/// Puts a user on a plan, and begins the job that brings the user's images into line; for admins.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let admin = request.admin().await?.profile.id;
    let AssignPlan { plan: Nullable(plan) } = request.body()?;
    // Or the UUID that the user pool's console shows.
    let id = request.param("id");
    let user = UserId::from_api(id).or_else(|_| id.parse()).map_err(|_| Problem::not_found())?;
    let id = JobId::generate(admin);
    for attempt in 0..CHANGE_TRIES {
        let items =
            request.app.table.read([Key::profile(user)].into_iter().chain(plan.as_ref().map(Key::plan))).await?;
        let profile = items.profile(user)?.ok_or_else(Problem::not_found)?;
        if let Some(name) = &plan
            && items.plan(name)?.is_none()
        {
            return Err(Problem::invalid_field("plan", "unknown", "must be the name of a plan"));
        }
        if attempt == 0 {
            jobs::announce(request, id).await?;
        }
        if request.app.table.assign_plan(&profile, plan.as_ref(), id, request.now).await? {
            let accepted = jobs::Accepted { job: jobs::begun(request, id).await? };
            return Ok(jobs::reply_accepted(request, id, &accepted));
        }
    }
    Err(Problem::busy())
}
