pub(super) mod get_job;

use std::time::Duration;

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tintype_model::{Job, JobId, JobKind, JobStatus, Timestamp};
use tintype_store::JobMessage;

use crate::error::Problem;
use crate::reply::{Reply, etag};
use crate::request::Request;
use crate::serve::record_job;

/// A job as its owner sees it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Job")]
pub(crate) struct JobView {
    id: JobId,
    kind: JobKind,
    status: JobStatus,
    /// The number of images that are processed.
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

fn reply(job: &Job) -> Reply {
    Reply::ok(&JobView::from(job)).with_header("etag", etag(job.done, &[job.status as u64]))
}

/// Sends a job's message, before the job is written: where a request is cut off in between, a message without a job is
/// dropped, while a job without a message would wait for ever.
pub(super) async fn announce(request: &Request<'_>, id: JobId) -> Result<(), Problem> {
    record_job(id);
    let message = JobMessage { job: id, sent_at: request.now };
    Ok(request.app.jobs.send(message, Duration::from_secs(1)).await?)
}

/// A job that was just accepted, as it is by now.
pub(super) async fn begun(request: &Request<'_>, id: JobId) -> Result<JobView, Problem> {
    let job = request.app.table.job(id).await?.ok_or_else(|| Problem::internal("a job that has just begun is gone"))?;
    Ok(JobView::from(&job))
}

/// Says with `body` that a job was accepted.
pub(super) fn reply_accepted(request: &Request<'_>, id: JobId, body: &impl Serialize) -> Reply {
    let location = format!("{}/api/jobs/{id}", request.base_url());
    Reply::json(StatusCode::ACCEPTED, body).with_header("location", location)
}
