//! Commands of an operator: `make plans`, `make admin`, and the plans of the local stack's demo users. Only IAM lets somebody
//! invoke it. Each command can be repeated, and one that was cut off completes when it is repeated.

use std::time::Duration;

use lambda_runtime::{Error, LambdaEvent};
use serde::{Deserialize, Serialize};
use tintype_model::{Email, Heights, JobId, MAX_IMAGE_BYTES, Plan, PlanName, Timestamp, UserId};
use tintype_store::{CreatePlanOutcome, JobMessage, Key, PoolUser, first_version};
use tracing::info;
use uuid::Uuid;

use crate::Worker;

/// The attempts of a change that others change at the same time.
const TRIES: u32 = 8;

#[derive(Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum OperateRequest {
    /// Writes the plans that the table lacks or has otherwise, and begins the jobs that rebuild the thumbnails of their users.
    LoadPlans {
        plans: Vec<PlanDefinition>,
        /// Existing plans are not changed.
        add_only: bool,
    },
    /// Takes effect at the user's next login.
    MakeAdmin {
        email: String,
    },
    AssignPlan {
        email: String,
        plan: String,
    },
}

/// A plan as `infra/plans.json` states it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanDefinition {
    name: String,
    thumbnail_heights: Vec<u32>,
    #[serde(default)]
    webp_thumbnails: bool,
    original_link: bool,
    expiring_links: bool,
    max_image_bytes: u64,
    max_images: u64,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum OperateResponse {
    Loaded {
        /// The plans that were created or changed.
        written: Vec<PlanName>,
    },
    Admin {
        user: UserId,
    },
    Assigned {
        job: JobId,
    },
    Refused {
        /// What is wrong with the command: a sentence.
        refused: String,
    },
}

pub(crate) async fn handle(worker: &Worker, event: LambdaEvent<OperateRequest>) -> Result<OperateResponse, Error> {
    let response = match event.payload {
        OperateRequest::LoadPlans { plans, add_only } => load_plans(worker, plans, add_only).await?,
        OperateRequest::MakeAdmin { email } => match find(worker, &email).await? {
            Ok(user) => {
                worker.accounts.make_admin(user.id).await?;
                info!(user = %user.id, "Made an admin");
                OperateResponse::Admin { user: user.id }
            }
            Err(refused) => refused,
        },
        OperateRequest::AssignPlan { email, plan } => match find(worker, &email).await? {
            Ok(user) => assign_plan(worker, user.id, &plan).await?,
            Err(refused) => refused,
        },
    };
    if let OperateResponse::Refused { refused } = &response {
        info!(cause = refused, "Refused");
    }
    Ok(response)
}

async fn find(worker: &Worker, email: &str) -> Result<Result<PoolUser, OperateResponse>, Error> {
    let user = match Email::parse(email) {
        Ok(email) => worker.accounts.find(&email).await?,
        Err(_) => None,
    };
    Ok(user.ok_or_else(|| refused("No user has this e-mail address.")))
}

fn refused(reason: impl Into<String>) -> OperateResponse {
    OperateResponse::Refused { refused: reason.into() }
}

async fn load_plans(worker: &Worker, plans: Vec<PlanDefinition>, add_only: bool) -> Result<OperateResponse, Error> {
    let plans = match plans.into_iter().map(parse).collect::<Result<Vec<_>, _>>() {
        Ok(plans) => plans,
        Err(reason) => return Ok(refused(reason)),
    };
    let mut written = Vec::new();
    for plan in plans {
        if load_plan(worker, &plan, add_only).await? {
            info!(plan = %plan.name, "Plan written");
            written.push(plan.name);
        }
    }
    Ok(OperateResponse::Loaded { written })
}

/// Checks a plan as the API does.
fn parse(plan: PlanDefinition) -> Result<Plan, String> {
    let about = |what: String| format!("The plan {:?} is invalid: {what}.", plan.name);
    let name = PlanName::parse(&plan.name).ok_or_else(|| {
        about(format!("its name must have 1 to {} letters, digits, \"_\" and \"-\"", PlanName::MAX_CHARS))
    })?;
    let heights = Heights::new(plan.thumbnail_heights.clone()).ok_or_else(|| {
        let (count, least, most) = (Heights::MAX_COUNT, Heights::MIN, Heights::MAX);
        about(format!("thumbnail_heights must be at most {count} heights of {least} to {most} pixels"))
    })?;
    if !(1..=MAX_IMAGE_BYTES).contains(&plan.max_image_bytes) {
        return Err(about(format!("max_image_bytes must be 1 to {MAX_IMAGE_BYTES}")));
    }
    Ok(Plan {
        name,
        thumbnail_heights: heights.as_slice().to_vec(),
        webp_thumbnails: plan.webp_thumbnails,
        original_link: plan.original_link,
        expiring_links: plan.expiring_links,
        max_image_bytes: plan.max_image_bytes,
        max_images: plan.max_images,
        // That of the table is taken where the plan is written.
        version: 0,
    })
}

/// Returns true if the plan was written.
async fn load_plan(worker: &Worker, wanted: &Plan, add_only: bool) -> Result<bool, Error> {
    let (job, now) = (unowned_job(), Timestamp::now());
    let mut sent = false;
    for _ in 0..TRIES {
        let Some(held) = worker.store.plans.read(&wanted.name).await? else {
            let new = Plan { version: first_version(now), ..wanted.clone() };
            match worker.store.plans.create(&new, None, now).await? {
                CreatePlanOutcome::Created => return Ok(true),
                _ => continue,
            }
        };
        let next = Plan { version: held.version, ..wanted.clone() };
        if add_only || next == held {
            return Ok(false);
        }
        if !sent {
            send(worker, job, now).await?;
            sent = true;
        }
        if worker.store.jobs.change_plan(next, job, now).await?.is_some() {
            return Ok(true);
        }
    }
    Err(format!("the plan {} keeps changing", wanted.name).into())
}

async fn assign_plan(worker: &Worker, user: UserId, plan: &str) -> Result<OperateResponse, Error> {
    let unknown = || refused(format!("There is no plan {plan:?}."));
    let Some(plan) = PlanName::parse(plan) else { return Ok(unknown()) };
    let (job, now) = (unowned_job(), Timestamp::now());
    for attempt in 0..TRIES {
        let items = worker.store.read([Key::profile(user), Key::plan(&plan)]).await?;
        if items.plan(&plan)?.is_none() {
            return Ok(unknown());
        }
        let Some(profile) = items.profile(user)? else {
            return Ok(refused("The user has not confirmed their e-mail address."));
        };
        if attempt == 0 {
            send(worker, job, now).await?;
        }
        if worker.store.jobs.assign_plan(&profile, Some(&plan), job, now).await? {
            info!(%user, %plan, %job, "Plan assigned");
            return Ok(OperateResponse::Assigned { job });
        }
    }
    Err("the user's profile keeps changing".into())
}

/// A job that no user owns: an operator has no account.
fn unowned_job() -> JobId {
    JobId::generate(UserId::from_uuid(Uuid::nil()))
}

/// Sends a job's message before the job is written: a message without a job is dropped, a job without a message would wait
/// for the next audit. The delay covers the duration of the transaction.
async fn send(worker: &Worker, job: JobId, now: Timestamp) -> Result<(), Error> {
    Ok(worker.jobs.send(JobMessage { job, sent_at: now }, Duration::from_secs(1)).await?)
}
