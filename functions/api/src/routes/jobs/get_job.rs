use tintype_model::{JobId, Work};

use crate::error::Problem;
use crate::operation::{AuthRequirement, Operation, RequestHeader, ResponseDoc, of};
use crate::request::Request;
use crate::response::Response;
use tintype_telemetry::record_job;

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Jobs",
    summary: "Get the progress of a job; anyone with the id of an account deletion can read it",
    auth: AuthRequirement::Optional,
    headers: &[RequestHeader::IfNoneMatch],
    responses: &[ResponseDoc::json(200, "The job.", of::<super::JobView>).with(&["ETag"])],
    problems: &[(404, "not_found", "No such job.")],
    ..Operation::DEFAULT
};

/// The owner of a deleted account can no longer log in, so the id of that job is enough to read it.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let id: Option<JobId> = request.param("id").parse().ok();
    if let Some(id) = id {
        record_job(id);
    }
    let job = match id {
        Some(id) => request.app.store.jobs.get(id).await?,
        None => None,
    };
    if let Some(job) = job.as_ref().filter(|job| job.work == Work::DeleteAccount) {
        return Ok(super::job_response(job));
    }
    let caller = request.caller().await?.profile.id;
    match job.filter(|job| job.id.owner == caller) {
        Some(job) => Ok(super::job_response(&job)),
        None => Err(Problem::not_found()),
    }
}
