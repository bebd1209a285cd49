//! Works jobs: a page at a time for as long as the function may run, then by another message, so that no number of
//! images meets a time limit.
//!
//! A message may come twice, late, or while another is at work, and this may be cut off at any line. So a page is one
//! transaction with the step of the job's place; who finds the job elsewhere than it was reads it again and goes on
//! from there. What is no transaction (a pool's user, the records of a deleted account) may be deleted again.

use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use lambda_runtime::{Context, Error, LambdaEvent};
use tintype_model::{Job, JobCursor, JobStatus, Timestamp, Work};
use tintype_store::{INDEX_LAG, JobMessage, PageOutcome};
use tracing::field::{Empty, display};
use tracing::{Instrument, Span, error, info, info_span};

use crate::build_thumbnails::remaining;
use crate::{Worker, backfill};

/// Kept of the function's time for the page at hand and the next message.
const RESERVE: Duration = Duration::from_secs(60);

/// How long a request may take to write the job whose message it has sent: Lambda stops it after 29 s.
const UNWRITTEN: Duration = Duration::from_secs(60);

/// How long after the beginning of an account's deletion a request that knew the account may still write something:
/// the deletion's own request takes up to 29 s, and one that began just before its end as long again.
const REQUESTS_END: Duration = Duration::from_secs(60);

/// How often the queue delivers a message before it gives it up: `maxReceiveCount` in `template.yaml`.
const DELIVERIES: u32 = 5;

/// What is to be done next with a job.
enum Next {
    Nothing(&'static str),
    /// To be gone on with after a while.
    Again(Duration),
}

pub(crate) async fn handle(worker: &Worker, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Error> {
    let mut answer = SqsBatchResponse::default();
    for record in event.payload.records {
        let id = record.message_id.as_deref().unwrap_or_default();
        let span = info_span!("message", message_id = id, job = Empty);
        if let Err(error) = one_message(worker, &record, &event.context).instrument(span.clone()).await {
            span.in_scope(|| error!(cause = %error, "Message failed"));
            answer.add_failure(id);
        }
    }
    Ok(answer)
}

async fn one_message(worker: &Worker, record: &SqsMessage, context: &Context) -> Result<(), Error> {
    let message = JobMessage::parse(record.body.as_deref().unwrap_or_default()).ok_or("not a job's message")?;
    Span::current().record("job", display(message.job));
    match run(worker, message, context).await {
        Ok(Next::Nothing(outcome)) => info!(outcome, "Message handled"),
        Ok(Next::Again(after)) => {
            worker.jobs.send(message, after).await?;
            info!(outcome = "goes on", "Message handled");
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

async fn run(worker: &Worker, message: JobMessage, context: &Context) -> Result<Next, Error> {
    loop {
        let now = Timestamp::now();
        let Some(job) = worker.store.jobs.get(message.job).await? else {
            if now < message.sent_at + UNWRITTEN {
                return Ok(Next::Again(Duration::from_secs(2)));
            }
            return Ok(Next::Nothing("no such job"));
        };
        if job.status == JobStatus::Done {
            return Ok(Next::Nothing("done before"));
        }
        if now + RESERVE >= Timestamp::from_millis(i64::try_from(context.deadline).unwrap_or(i64::MAX)) {
            return Ok(Next::Again(Duration::ZERO));
        }
        let page = match &job.work {
            Work::DeleteImages { below_epoch } => worker.store.jobs.delete_page(&job, *below_epoch, now).await?,
            Work::DeleteAccount => match delete_account(worker, &job, now).await? {
                Some(page) => page,
                None => return Ok(again_at(job.started_at + REQUESTS_END, now)),
            },
            Work::AssignPlan(user) => backfill::of_user(worker, &job, *user, remaining(context)).await?,
            // The index lags. Counted from here, which is after the change, it is waited for long enough.
            Work::ChangePlan(_) if job.cursor.pass == 0 => {
                worker.store.jobs.save_cursor(&job, JobCursor { pass: 1, ..job.cursor }, 0, now).await?
            }
            Work::ChangePlan(_) if job.cursor.user.is_none() && now < job.progressed_at + INDEX_LAG => {
                return Ok(again_at(job.progressed_at + INDEX_LAG, now));
            }
            Work::ChangePlan(plan) => backfill::of_plan(worker, &job, plan, remaining(context)).await?,
        };
        match page {
            PageOutcome::Committed => {}
            PageOutcome::Conflict => tokio::time::sleep(Duration::from_millis(20)).await,
            PageOutcome::Exhausted => {
                worker.store.jobs.finish(&job, now).await?;
                return Ok(Next::Nothing("done"));
            }
        }
    }
}

fn again_at(then: Timestamp, now: Timestamp) -> Next {
    let wait = (then.millis() - now.millis()).max(0).unsigned_abs();
    Next::Again(Duration::from_millis(wait) + Duration::from_secs(1))
}

/// Works a page of an account's deletion. `None`: requests that knew the account may still be making images behind
/// the first pass.
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
