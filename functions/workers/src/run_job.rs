//! Runs jobs: one page after another until the function's time ends, then by another message. So the number of images is
//! not limited by the timeout.
//!
//! A message can arrive twice, late, or while another one of its job is being handled, and the function can be killed at
//! any line. So each page is one transaction with the job's cursor; a worker that finds another cursor reads the job
//! again. Deletions outside of a transaction (a pool's user, the records of a deleted account) can be repeated.

use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use lambda_runtime::{Context, Error, LambdaEvent};
use tintype_model::{Job, JobCursor, JobStatus, Timestamp, Work};
use tintype_store::{INDEX_LAG, JobMessage, PageOutcome};
use tintype_telemetry::Counter;
use tracing::field::{Empty, display};
use tracing::{Instrument, Span, error, info, info_span};

use crate::build_thumbnails::remaining;
use crate::{Worker, backfill};

/// Part of the function's time that is reserved for the current page and the next message.
const RESERVE: Duration = Duration::from_secs(60);

/// The longest time between the message of a request and its job: the function's timeout is 29 s.
const UNWRITTEN: Duration = Duration::from_secs(60);

/// The longest time after the start of an account's deletion in which a request that has read the account can still write:
/// the deletion's own request takes up to 29 s, and one that began just before its end as long again.
const REQUESTS_END: Duration = Duration::from_secs(60);

/// The deliveries of a message before it moves to the dead-letter queue: `maxReceiveCount` in `template.yaml`.
const DELIVERIES: u32 = 5;

/// The next step of a job.
enum PageStep {
    /// None, for this reason.
    Nothing(&'static str),
    /// Continue after a delay.
    Continue(Duration),
}

pub(crate) async fn handle(worker: &Worker, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Error> {
    let mut response = SqsBatchResponse::default();
    for record in event.payload.records {
        let id = record.message_id.as_deref().unwrap_or_default();
        let span = info_span!("message", message_id = id, job = Empty);
        if let Err(error) = one_message(worker, &record, &event.context).instrument(span.clone()).await {
            span.in_scope(|| error!(cause = %error, "Message failed"));
            tintype_telemetry::count(Counter::Failures);
            response.add_failure(id);
        }
    }
    Ok(response)
}

async fn one_message(worker: &Worker, record: &SqsMessage, context: &Context) -> Result<(), Error> {
    let message = JobMessage::parse(record.body.as_deref().unwrap_or_default()).ok_or("not a job's message")?;
    Span::current().record("job", display(message.job));
    match run(worker, message, context).await {
        Ok(PageStep::Nothing(outcome)) => info!(outcome, "Message handled"),
        Ok(PageStep::Continue(after)) => {
            worker.jobs.send(message, after).await?;
            info!(outcome = "continued", "Message handled");
        }
        Err(error) => {
            let deliveries = record.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok());
            if deliveries.is_some_and(|count: u32| count >= DELIVERIES) {
                worker.store.jobs.fail(message.job).await?;
            }
            return Err(error);
        }
    }
    Ok(())
}

async fn run(worker: &Worker, message: JobMessage, context: &Context) -> Result<PageStep, Error> {
    loop {
        let now = Timestamp::now();
        let Some(job) = worker.store.jobs.get(message.job).await? else {
            if now < message.sent_at + UNWRITTEN {
                return Ok(PageStep::Continue(Duration::from_secs(2)));
            }
            return Ok(PageStep::Nothing("no such job"));
        };
        if job.status == JobStatus::Done {
            return Ok(PageStep::Nothing("was done"));
        }
        if now + RESERVE >= Timestamp::from_millis(i64::try_from(context.deadline).unwrap_or(i64::MAX)) {
            return Ok(PageStep::Continue(Duration::ZERO));
        }
        let page = match &job.work {
            Work::DeleteImages { below_epoch } => worker.store.jobs.delete_page(&job, *below_epoch, now).await?,
            Work::DeleteAccount => match delete_account(worker, &job, now).await? {
                Some(page) => page,
                None => return Ok(continue_at(job.started_at + REQUESTS_END, now)),
            },
            Work::AssignPlan(user) => backfill::rebuild_page_of_user(worker, &job, *user, remaining(context)).await?,
            // Wait until the index must include the change. The time counts from the first page, which follows the change.
            Work::ChangePlan(_) if job.cursor.pass == 0 => {
                worker.store.jobs.save_cursor(&job, JobCursor { pass: 1, ..job.cursor }, 0, now).await?
            }
            Work::ChangePlan(_) if job.cursor.user.is_none() && now < job.progressed_at + INDEX_LAG => {
                return Ok(continue_at(job.progressed_at + INDEX_LAG, now));
            }
            // It has no message.
            Work::Export => return Ok(PageStep::Nothing("nothing to do")),
            Work::ChangePlan(plan) => backfill::rebuild_page_of_plan(worker, &job, plan, remaining(context)).await?,
        };
        match page {
            PageOutcome::Committed => {}
            PageOutcome::Conflict => tokio::time::sleep(Duration::from_millis(20)).await,
            PageOutcome::Exhausted => {
                worker.store.jobs.finish(&job, now).await?;
                return Ok(PageStep::Nothing("done"));
            }
        }
    }
}

fn continue_at(then: Timestamp, now: Timestamp) -> PageStep {
    let wait = (then.millis() - now.millis()).max(0).unsigned_abs();
    PageStep::Continue(Duration::from_millis(wait) + Duration::from_secs(1))
}

/// Processes a page of an account's deletion. Returns `None` while requests that have read the account may still create
/// images behind the first pass.
async fn delete_account(worker: &Worker, job: &Job, now: Timestamp) -> Result<Option<PageOutcome>, Error> {
    if job.cursor == JobCursor::default() {
        worker.accounts.delete(job.id.owner).await?;
    }
    let last_pass = job.cursor.pass > 0;
    if last_pass && now < job.started_at + REQUESTS_END {
        return Ok(None);
    }
    match worker.store.jobs.delete_page(job, u64::MAX, now).await? {
        PageOutcome::Exhausted if last_pass => {
            worker.store.jobs.delete_records(job.id.owner, job.id).await?;
            Ok(Some(PageOutcome::Exhausted))
        }
        PageOutcome::Exhausted => {
            let cursor = JobCursor { pass: job.cursor.pass + 1, after: None, ..job.cursor };
            Ok(Some(worker.store.jobs.save_cursor(job, cursor, 0, now).await?))
        }
        page => Ok(Some(page)),
    }
}
