//! Checks the table and the buckets for traces of lost events and crashes, and repairs them on request. Runs on a schedule
//! and by `make audit`. It checks pages until shortly before its deadline. The scheduled audit saves its position in the
//! table and continues there at the next run; the command returns its position.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use lambda_runtime::{Context, Error, LambdaEvent};
use serde::{Deserialize, Serialize};
use tintype_model::{JobId, Timestamp};
use tintype_store::{Audit, AuditCursor, Finding, JobMessage, Repair};
use tracing::{Instrument, error, info, info_span, warn};

use crate::Worker;
use crate::build_thumbnails::{self, BuildOutcome, Existing};

/// Time reserved for the current page.
const RESERVE: Duration = Duration::from_secs(60);

/// Part of that reserved for storing thumbnails.
const STORING: Duration = Duration::from_secs(15);

/// In seconds. Longer than an upload, its build and all retries of the build can take.
const GRACE: u64 = 3600;

/// The most findings that are listed; all are counted.
const NAMED: usize = 100;

#[derive(Deserialize)]
pub(crate) struct AuditRequest {
    /// Repair the findings, instead of only reporting them.
    #[serde(default)]
    mend: bool,
    /// Changes of the last seconds are not checked.
    #[serde(default = "grace")]
    grace_seconds: u64,
    #[serde(default)]
    place: Option<AuditCursor>,
    /// See [`Audit::page_size`].
    #[serde(default)]
    page_size: Option<NonZeroU16>,
    /// Continue where the last run with this option ended, and save the position at the end.
    #[serde(default)]
    keep_place: bool,
}

fn grace() -> u64 {
    GRACE
}

#[derive(Default, Serialize)]
pub(crate) struct AuditReport {
    /// Items and blobs that were checked.
    seen: u64,
    /// Faults by kind.
    findings: BTreeMap<&'static str, u64>,
    mended: BTreeMap<&'static str, u64>,
    /// Expired items that are not deleted yet, which is not a fault.
    expired: u64,
    named: Vec<Named>,
    /// The position to continue at; `None` if the audit is complete.
    next: Option<AuditCursor>,
    /// Profiles with an account in the user pool, and accounts that were closed for lack of one.
    #[serde(skip)]
    accounts: u64,
    #[serde(skip)]
    closed: u64,
}

impl AuditReport {
    /// Returns true if another account without a pool user may be closed. A single missing user is normal; many suggest
    /// a wrong user pool, so closing stops.
    fn may_close(&self) -> bool {
        self.closed <= self.accounts / 10
    }
}

#[derive(Serialize)]
struct Named {
    kind: &'static str,
    subject: String,
}

pub(crate) async fn handle(worker: &Worker, event: LambdaEvent<AuditRequest>) -> Result<AuditReport, Error> {
    let (mut request, deadline) = (event.payload, remaining(&event.context));
    let mut report = AuditReport::default();
    let audit = Audit {
        store: &worker.store,
        blobs: &worker.blobs,
        accounts: &worker.accounts,
        jobs: &worker.jobs,
        now: Timestamp::now(),
        grace: Duration::from_secs(request.grace_seconds),
        page_size: request.page_size,
    };
    let mut place = match request.place.take() {
        Some(place) => place,
        None if request.keep_place => audit.cursor().await?,
        None => AuditCursor::default(),
    };
    loop {
        let span = info_span!("page", of = part(&place));
        check_page(worker, &audit, place, &request, deadline, &mut report).instrument(span).await?;
        match &report.next {
            Some(next) if Instant::now() < deadline => place = next.clone(),
            _ => break,
        }
    }
    let AuditReport { seen, expired, .. } = report;
    info!(seen, expired, findings = ?report.findings, mended = ?report.mended, "Audited");
    Ok(report)
}

async fn check_page(
    worker: &Worker,
    audit: &Audit<'_>,
    place: AuditCursor,
    request: &AuditRequest,
    deadline: Instant,
    report: &mut AuditReport,
) -> Result<(), Error> {
    let page = audit.page(place).await?;
    report.seen += page.seen;
    report.accounts += page.accounts;
    for finding in page.findings {
        report_finding(worker, audit, finding, request.mend, deadline, report).await?;
    }
    report.next = page.next;
    if request.keep_place {
        audit.save_cursor(&report.next.clone().unwrap_or_default()).await?;
    }
    Ok(())
}

/// For the log, without keys: some contain titles.
fn part(place: &AuditCursor) -> &'static str {
    match place {
        AuditCursor::Items { .. } => "items",
        AuditCursor::Originals { .. } => "originals",
        AuditCursor::Thumbnails { .. } => "thumbnails",
    }
}

async fn report_finding(
    worker: &Worker,
    audit: &Audit<'_>,
    finding: Finding,
    mend: bool,
    deadline: Instant,
    report: &mut AuditReport,
) -> Result<(), Error> {
    if finding.is_fault() {
        *report.findings.entry(finding.kind).or_default() += 1;
        warn!(subject = finding.subject, finding = finding.kind, "Found");
    } else {
        report.expired += 1;
    }
    if mend {
        let done = match &finding.repair {
            Repair::Manual => false,
            Repair::Store(action) => audit.repair(action).await?,
            Repair::CloseAccount(_) if !report.may_close() => false,
            Repair::CloseAccount(user) => {
                report.closed += 1;
                let (id, now) = (JobId::generate(*user), Timestamp::now());
                // Message first, like a request: a message without a job is dropped, a job without a message would never run.
                worker.jobs.send(JobMessage { job: id, sent_at: now }, Duration::from_secs(1)).await?;
                worker.store.jobs.begin_deleting_account(*user, id, now).await?
            }
            Repair::Build(id) => {
                match build_thumbnails::build(worker, *id, Existing::Rebuild, deadline + RESERVE - STORING).await {
                    Ok(BuildOutcome::NoOriginal) => false,
                    Ok(BuildOutcome::Undecodable(reason)) => {
                        warn!(image = %id, cause = reason, "The original cannot be decoded");
                        false
                    }
                    Ok(_) => true,
                    // An image that cannot be built must not end the audit of the others.
                    Err(error) => {
                        error!(image = %id, cause = %error, "Build failed");
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

/// The time after which no page is begun.
fn remaining(context: &Context) -> Instant {
    let left = i64::try_from(context.deadline).unwrap_or(i64::MAX).saturating_sub(Timestamp::now().millis());
    Instant::now() + Duration::from_millis(left.max(0).unsigned_abs()).saturating_sub(RESERVE)
}
