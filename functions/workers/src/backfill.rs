//! Gives images the thumbnails that their owners' plans say, after a plan, or who is on it, has changed.
//!
//! An image that is on its way is the builder's, which looks at plan and owner once more after it made the image ready.
//! What was ready before the change is found here. An image that is right is passed over, so a page that was cut off and
//! is worked again counts the same images.

use std::time::{Duration, Instant};

use lambda_runtime::Error;
use tintype_model::{Image, Job, JobCursor, Plan, PlanName, State, Timestamp, UserId};
use tintype_store::{Key, PageOutcome};
use tracing::warn;

use crate::Worker;
use crate::build_thumbnails::{Became, Trust, build};

/// Images a page, each looked at and, where it is not right, built.
const PAGE: usize = 100;

/// A page ends after the image at which it has lasted this long, so that little is looked at twice after a crash.
const PAGE_LASTS: Duration = Duration::from_secs(20);

/// Works a page of the images of `user`. [`PageOutcome::Exhausted`]: there are no more.
pub(crate) async fn of_user(worker: &Worker, job: &Job, user: UserId, deadline: Instant) -> Result<PageOutcome, Error> {
    let (images, _) = worker.store.images.ascending(user, job.cursor.after, PAGE).await?;
    if images.is_empty() {
        return Ok(PageOutcome::Exhausted);
    }
    let plan = plan_of(worker, user).await?;
    let begun = Instant::now();
    let (mut after, mut right) = (None, 0);
    for image in images {
        after = Some(image.id.key);
        right += usize::from(is_right(worker, &image, plan.as_ref(), deadline).await?);
        if begun.elapsed() > PAGE_LASTS {
            break;
        }
    }
    let cursor = JobCursor { after, ..job.cursor };
    Ok(worker.store.jobs.save_cursor(job, cursor, right, Timestamp::now()).await?)
}

/// Works a page of the images of the users of `plan`, one user after another. [`PageOutcome::Exhausted`]: there are no more.
pub(crate) async fn of_plan(
    worker: &Worker,
    job: &Job,
    plan: &PlanName,
    deadline: Instant,
) -> Result<PageOutcome, Error> {
    if let Some(user) = job.cursor.user {
        match of_user(worker, job, user, deadline).await? {
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

/// Whether an image has, or now got, the right thumbnails. What is not ready is another's to look after.
async fn is_right(worker: &Worker, image: &Image, plan: Option<&Plan>, deadline: Instant) -> Result<bool, Error> {
    let State::Ready(ready) = &image.state else { return Ok(false) };
    if ready.has_heights(plan.map_or(&[], |plan| &plan.thumbnail_heights)) {
        return Ok(true);
    }
    Ok(match build(worker, image.id, Trust::Recorded, deadline).await? {
        Became::Ready => true,
        // One image must not keep all others waiting.
        Became::Undecodable(reason) => {
            warn!(image = %image.id, cause = reason, "The original cannot be decoded");
            false
        }
        Became::NoBlob => {
            warn!(image = %image.id, "The original of a ready image is missing");
            false
        }
        Became::Rejected | Became::Gone => false,
    })
}
