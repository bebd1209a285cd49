pub(super) mod get_job;

use std::time::Duration;

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tintype_model::{Job, JobId, JobKind, JobStatus, Timestamp};
use tintype_store::JobMessage;

use crate::error::Problem;
use crate::request::Request;
use crate::response::{self, Response, WithHeader, etag};
use tintype_telemetry::record_job;

/// The representation of a job.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Job")]
pub(crate) struct JobView {
    id: JobId,
    kind: JobKind,
    status: JobStatus,
    /// The number of images that are processed, or that an export gives.
    #[schemars(example = 120)]
    done: u64,
    /// The total number of images; set when the job has finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    started_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<Timestamp>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AcceptedJob")]
pub(crate) struct Accepted {
    pub(crate) job: JobView,
}

impl From<&Job> for JobView {
    fn from(job: &Job) -> Self {
        Self {
            id: job.id,
            kind: job.work.kind(),
            status: job.status,
            done: job.done,
            total: (job.status == JobStatus::Done).then_some(job.done),
            started_at: job.started_at,
            finished_at: job.finished_at,
        }
    }
}

fn job_response(job: &Job) -> Response {
    response::ok(&JobView::from(job)).with_header("etag", etag(job.done, &[job.status as u64]))
}

/// Sends a job's message before the job is written: if the request is interrupted in between, a message without a job is
/// deleted, whereas a job without a message would never run.
pub(super) async fn enqueue(request: &Request<'_>, id: JobId) -> Result<(), Problem> {
    record_job(id);
    let message = JobMessage { job: id, sent_at: request.now };
    Ok(request.app.jobs.send(message, Duration::from_secs(1)).await?)
}

/// Loads a job that was just accepted.
pub(super) async fn load_started(request: &Request<'_>, id: JobId) -> Result<JobView, Problem> {
    let job = request
        .app
        .store
        .jobs
        .get(id)
        .await?
        .ok_or_else(|| Problem::internal("a job that was just written is gone"))?;
    Ok(JobView::from(&job))
}

/// Returns 202 with the URL of the job.
pub(super) fn accepted_response(request: &Request<'_>, id: JobId, body: &impl Serialize) -> Response {
    let location = format!("{}/api/jobs/{id}", request.base_url());
    response::json(StatusCode::ACCEPTED, body).with_header("location", location)
}
