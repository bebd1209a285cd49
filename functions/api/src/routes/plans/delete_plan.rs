use tintype_store::PlanDeleted;

use crate::error::Problem;
use crate::openapi::{Answer, Header, Login, Operation, PLAIN};
use crate::reply::Reply;
use crate::request::Request;

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Plans",
    summary: "Delete a plan without users (administrators only)",
    login: Login::Required,
    headers: &[Header::IfMatch],
    replies: &[Answer::empty(204, "Removed.")],
    problems: &[
        (403, "not_admin", "This requires an administrator."),
        (404, "not_found", "No such plan."),
        (409, "plan_in_use", "The plan has users, or is the plan of new users."),
    ],
    ..PLAIN
};

/// A wait for the index may come before each, and the gateway waits half a minute.
const TRIES: u32 = 3;

/// Removes a plan that nobody is on and that is not the plan of new users; for admins.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    request.admin().await?;
    for _ in 0..TRIES {
        let plan = super::load(request).await?;
        request.check_if_match(plan.version)?;
        if request.app.default_plan.as_ref() == Some(&plan.name) {
            return Err(Problem::conflict("plan_in_use", "This is the plan of new users."));
        }
        match request.app.table.delete_plan(&plan, tintype_model::Timestamp::now()).await? {
            PlanDeleted::Deleted => return Ok(Reply::no_content()),
            PlanDeleted::InUse => return Err(Problem::conflict("plan_in_use", "The plan has users.")),
            PlanDeleted::Stale => {}
        }
    }
    Err(Problem::busy())
}
