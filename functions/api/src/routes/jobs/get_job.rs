use tintype_model::{JobId, Work};

use crate::error::Problem;
use crate::openapi::{Answer, Header, Login, Operation, PLAIN, of};
use crate::reply::Reply;
use crate::request::Request;
use crate::serve::record_job;

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Jobs",
    summary: "Get the progress of a job; anyone with the id of an account deletion can read it",
    login: Login::Optional,
    headers: &[Header::IfNoneMatch],
    replies: &[Answer::json(200, "The job.", of::<super::JobView>).with(&["ETag"])],
    problems: &[(404, "not_found", "No such job.")],
    ..PLAIN
};

/// A job of the caller's. Whose account was deleted has no login any more: that job is open to whoever knows its id.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let id: Option<JobId> = request.param("id").parse().ok();
    if let Some(id) = id {
        record_job(id);
    }
    let job = match id {
        Some(id) => request.app.table.job(id).await?,
        None => None,
    };
    if let Some(job) = job.as_ref().filter(|job| job.work == Work::DeleteAccount) {
        return Ok(super::reply(job));
    }
    let caller = request.caller().await?.profile.id;
    match job.filter(|job| job.id.owner == caller) {
        Some(job) => Ok(super::reply(&job)),
        None => Err(Problem::not_found()),
    }
}
