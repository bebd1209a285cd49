//! Compares the buckets with the table and the table with itself, finds what a lost event or a crash left, and mends it
//! where it is told to. Scheduled, and run by `make audit`. Works pages until shortly before its time is over; the
//! scheduled one keeps its place in the table and goes on there at the next run, the command hands its place back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lambda_runtime::{Context, Error, LambdaEvent};
use serde::{Deserialize, Serialize};
use tintype_model::{JobId, Timestamp};
use tintype_store::{Audit, Finding, JobMessage, Mend, Place};

use crate::build_thumbnails::{self, Became, Trust};
use crate::{Worker, log};

const NAME: &str = "audit";

/// Kept of the function's time for the page at work.
const RESERVE: Duration = Duration::from_secs(60);

/// Kept of that for storing what was built.
const STORING: Duration = Duration::from_secs(15);

/// Longer than an upload, its build and all that build's retries may take.
const GRACE: u64 = 3600;

/// Findings that are named; all are counted.
const NAMED: usize = 100;

#[derive(Deserialize)]
pub(crate) struct Order {
    /// Whether to mend what is found, or only to tell.
    #[serde(default)]
    mend: bool,
    /// What changed in the last seconds is left alone.
    #[serde(default = "grace")]
    grace_seconds: u64,
    #[serde(default)]
    place: Option<Place>,
    /// Go on where the last run of this kind ended, and keep the place where this one does.
    #[serde(default)]
    keep_place: bool,
}

fn grace() -> u64 {
    GRACE
}

#[derive(Default, Serialize)]
pub(crate) struct Report {
    /// Items and blobs that were looked at.
    seen: u64,
    /// How many of each kind were found; none is clean.
    findings: BTreeMap<&'static str, u64>,
    mended: BTreeMap<&'static str, u64>,
    /// What has expired and waits to be deleted: no fault.
    expired: u64,
    named: Vec<Named>,
    /// Where to go on; none: all has been looked at.
    next: Option<Place>,
    /// Accounts that were found in the user pool, and those that were closed because they were not.
    #[serde(skip)]
    accounts: u64,
    #[serde(skip)]
    closed: u64,
}

impl Report {
    /// Whether another account may be closed for not being in the user pool. One is missing now and then; where many
    /// are, it is the pool that is wrong, and a person must look.
    fn may_close(&self) -> bool {
        self.closed <= self.accounts / 10
    }
}

#[derive(Serialize)]
struct Named {
    kind: &'static str,
    subject: String,
}

pub(crate) async fn handle(worker: &Worker, event: LambdaEvent<Order>) -> Result<Report, Error> {
    let (order, deadline) = (event.payload, remaining(&event.context));
    let mut report = Report::default();
    let audit = Audit {
        table: &worker.table,
        blobs: &worker.blobs,
        accounts: &worker.accounts,
        jobs: &worker.jobs,
        now: Timestamp::now(),
        grace: Duration::from_secs(order.grace_seconds),
    };
    let mut place = match order.place {
        Some(place) => place,
        None if order.keep_place => audit.place().await?,
        None => Place::default(),
    };
    loop {
        let looked = audit.page(place.clone()).await?;
        report.seen += looked.seen;
        report.accounts += looked.accounts;
        for finding in looked.findings {
            tell(worker, &audit, finding, order.mend, deadline, &mut report).await?;
        }
        report.next = looked.next;
        if order.keep_place {
            audit.keep_place(&report.next.clone().unwrap_or_default()).await?;
        }
        match &report.next {
            Some(next) if Instant::now() < deadline => place = next.clone(),
            _ => break,
        }
    }
    log(NAME, &report.seen, &format!("found {:?}, mended {:?}", report.findings, report.mended), None);
    Ok(report)
}

async fn tell(
    worker: &Worker,
    audit: &Audit<'_>,
    finding: Finding,
    mend: bool,
    deadline: Instant,
    report: &mut Report,
) -> Result<(), Error> {
    if finding.is_fault() {
        *report.findings.entry(finding.kind).or_default() += 1;
        log(NAME, &finding.subject, finding.kind, None);
    } else {
        report.expired += 1;
    }
    if mend {
        let done = match &finding.mend {
            Mend::No => false,
            Mend::Store(fix) => audit.mend(fix).await?,
            Mend::Close(_) if !report.may_close() => false,
            Mend::Close(user) => {
                report.closed += 1;
                let (id, now) = (JobId::generate(*user), Timestamp::now());
                // As a request does it: a message without a job is dropped, a job without a message would wait for ever.
                worker.jobs.send(JobMessage { job: id, sent_at: now }, Duration::from_secs(1)).await?;
                worker.table.begin_deleting_account(*user, id, now).await?
            }
            Mend::Build(id) => {
                match build_thumbnails::build(worker, *id, Trust::Nothing, deadline + RESERVE - STORING).await {
                    Ok(Became::NoBlob) => false,
                    Ok(Became::Undecodable(reason)) => {
                        log(NAME, id, "undecodable", Some(&reason));
                        false
                    }
                    Ok(_) => true,
                    // One image that cannot be built must not end the audit of all others.
                    Err(error) => {
                        log(NAME, id, "failed", Some(&error));
                        false
                    }
                }
            }
        };
        if done {
            *report.mended.entry(finding.kind).or_default() += 1;
        }
    }
    if finding.is_fault() && report.named.len() < NAMED {
        report.named.push(Named { kind: finding.kind, subject: finding.subject });
    }
    Ok(())
}

/// Until when pages are begun.
fn remaining(context: &Context) -> Instant {
    let left = i64::try_from(context.deadline).unwrap_or(i64::MAX).saturating_sub(Timestamp::now().millis());
    Instant::now() + Duration::from_millis(left.max(0).unsigned_abs()).saturating_sub(RESERVE)
}
