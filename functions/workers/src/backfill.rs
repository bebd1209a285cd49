//! Rebuilds thumbnails after a plan was changed or assigned.
//!
//! Images that become ready later are left to the builder, which reads plan and owner again after its last write. Images
//! with the right thumbnails are skipped, so a page that is repeated counts the same images.

use std::time::{Duration, Instant};

use lambda_runtime::Error;
use tintype_model::{Image, ImageState, Job, JobCursor, Plan, PlanName, Timestamp, UserId};
use tintype_store::{Key, PageOutcome};
use tracing::warn;

use crate::Worker;
use crate::build_thumbnails::{BuildOutcome, Existing, build};

/// The images of a page. Each is checked and, if necessary, built.
const PAGE: usize = 100;

/// A page that has lasted this long ends with the current image, so that a crash repeats little.
const PAGE_LASTS: Duration = Duration::from_secs(20);

/// Processes a page of the images of `user`. Returns [`PageOutcome::Exhausted`] after the last.
pub(crate) async fn rebuild_page_of_user(
    worker: &Worker,
    job: &Job,
    user: UserId,
    deadline: Instant,
) -> Result<PageOutcome, Error> {
    let (images, _) = worker.store.images.ascending(user, job.cursor.after, PAGE).await?;
    if images.is_empty() {
        return Ok(PageOutcome::Exhausted);
    }
    let plan = plan_of(worker, user).await?;
    let started = Instant::now();
    let (mut after, mut right) = (None, 0);
    for image in images {
        after = Some(image.id.key);
        right += usize::from(is_right(worker, &image, plan.as_ref(), deadline).await?);
        if started.elapsed() > PAGE_LASTS {
            break;
        }
    }
    let cursor = JobCursor { after, ..job.cursor };
    Ok(worker.store.jobs.save_cursor(job, cursor, right, Timestamp::now()).await?)
}

/// Processes a page of the images of the users of `plan`, one user after another. Returns [`PageOutcome::Exhausted`] after
/// the last.
pub(crate) async fn rebuild_page_of_plan(
    worker: &Worker,
    job: &Job,
    plan: &PlanName,
    deadline: Instant,
) -> Result<PageOutcome, Error> {
    if let Some(user) = job.cursor.user {
        match rebuild_page_of_user(worker, job, user, deadline).await? {
            PageOutcome::Exhausted => {}
            page => return Ok(page),
        }
    }
    let (users, _) = worker.store.plans.users_on(plan, job.cursor.user, 1).await?;
    let Some(&user) = users.first() else { return Ok(PageOutcome::Exhausted) };
    let cursor = JobCursor { user: Some(user), after: None, ..job.cursor };
    Ok(worker.store.jobs.save_cursor(job, cursor, 0, Timestamp::now()).await?)
}

async fn plan_of(worker: &Worker, user: UserId) -> Result<Option<Plan>, Error> {
    let owner = worker.store.read([Key::profile(user)]).await?.profile(user)?;
    match owner.and_then(|owner| owner.plan) {
        Some(name) => Ok(worker.store.plans.read(&name).await?),
        None => Ok(None),
    }
}

/// Returns true if an image has the right thumbnails, after a build if necessary. Images that are not ready are left to the
/// builder.
async fn is_right(worker: &Worker, image: &Image, plan: Option<&Plan>, deadline: Instant) -> Result<bool, Error> {
    let ImageState::Ready(ready) = &image.state else { return Ok(false) };
    if ready.has_thumbnails_of(plan) {
        return Ok(true);
    }
    Ok(match build(worker, image.id, Existing::Trust, deadline).await? {
        BuildOutcome::Ready => true,
        // An image that cannot be built must not stop the job.
        BuildOutcome::Undecodable(reason) => {
            warn!(image = %image.id, cause = reason, "The original cannot be decoded");
            false
        }
        BuildOutcome::NoOriginal => {
            warn!(image = %image.id, "The original of a ready image is missing");
            false
        }
        BuildOutcome::Rejected | BuildOutcome::Deleted => false,
    })
}
