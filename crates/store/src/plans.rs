//! Plans, and the index of users by plan.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tintype_model::{Idempotency, IdempotencyRecord, Plan, PlanName, Timestamp, UserId};

use crate::dynamo::{Dynamo, Query, TransactOutcome, Write, n, s};
use crate::key::{self, Key};
use crate::{StoreError, idempotency, item};

/// The result of creating a plan.
#[derive(Debug, PartialEq, Eq)]
pub enum CreatePlanOutcome {
    Created,
    /// A plan with this name exists.
    Taken,
    /// A request with this idempotency key was performed before.
    Repeated(IdempotencyRecord),
}

/// The result of deleting a plan.
#[derive(Debug, PartialEq, Eq)]
pub enum DeletePlanOutcome {
    Deleted,
    /// A user has the plan.
    InUse,
    /// The plan has changed since it was read: read it again.
    Stale,
}

const BY_PLAN: &str = "by_plan";

/// The longest time that the index of users by plan lags behind the table. AWS documents a fraction of a second.
pub const INDEX_LAG: Duration = Duration::from_secs(3);

/// The version of a plan that is created: the time in milliseconds, so that no version of an earlier plan of the same name
/// comes again, and nobody's ETag stands for both.
pub fn first_version(now: Timestamp) -> u64 {
    now.millis().unsigned_abs()
}

/// The plans.
#[derive(Debug, Clone)]
pub struct Plans {
    pub(crate) dynamo: Dynamo,
    /// Not older than [`LIFETIME`], so that a change takes effect everywhere within a minute.
    cache: Arc<Mutex<HashMap<PlanName, Kept>>>,
}

#[derive(Debug)]
struct Kept {
    read_at: Instant,
    /// `None` if the plan does not exist.
    plan: Option<Plan>,
}

/// A minute less the longest duration of a request.
const LIFETIME: Duration = Duration::from_secs(30);

impl Plans {
    pub(crate) fn new(dynamo: Dynamo) -> Self {
        Self { dynamo, cache: Arc::default() }
    }

    /// Reads a plan, which may be up to half a minute old.
    pub async fn cached(&self, name: &PlanName) -> Result<Option<Plan>, StoreError> {
        if let Some(kept) = self.kept().get(name).filter(|kept| kept.read_at.elapsed() < LIFETIME) {
            return Ok(kept.plan.clone());
        }
        let read_at = Instant::now();
        let plan = self.read(name).await?;
        self.kept().insert(name.clone(), Kept { read_at, plan: plan.clone() });
        Ok(plan)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<PlanName, Kept>> {
        self.cache.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Creates a plan and, with an idempotency key, the record of the request.
    pub async fn create(
        &self,
        plan: &Plan,
        request: Option<&Idempotency>,
        now: Timestamp,
    ) -> Result<CreatePlanOutcome, StoreError> {
        let mut writes = vec![Write::create(item::from_plan(plan))];
        writes.extend(request.map(|request| idempotency::put_record(request, None, now)));
        match self.dynamo.transact(&writes).await? {
            TransactOutcome::Committed => Ok(CreatePlanOutcome::Created),
            TransactOutcome::Cancelled(cancelled) if cancelled.contains(&1) => {
                idempotency::read_record(&self.dynamo, request).await.map(CreatePlanOutcome::Repeated)
            }
            _ => Ok(CreatePlanOutcome::Taken),
        }
    }

    /// Reads a plan, not from the cache.
    pub async fn read(&self, name: &PlanName) -> Result<Option<Plan>, StoreError> {
        self.dynamo.get([Key::plan(name)]).await?.plan(name)
    }

    /// Deletes a plan without users. The index of users by plan lags behind the table, and each assignment is noted in
    /// its plan. So this waits until the index must include the last assignment, and deletes the plan only if there was
    /// no other since.
    pub async fn delete(&self, plan: &Plan, now: Timestamp) -> Result<DeletePlanOutcome, StoreError> {
        let key = Key::plan(&plan.name);
        let items = self.dynamo.get([key.clone()]).await?;
        let Some(item) = items.get(&key) else { return Ok(DeletePlanOutcome::Stale) };
        let assigned_at = item::assigned_at(item)?;
        if let Some(at) = assigned_at {
            let wait = (at + INDEX_LAG).millis() - now.millis();
            // Limits the wait in case the clock of the assignment was ahead.
            let wait = Duration::from_millis(wait.max(0).unsigned_abs()).min(INDEX_LAG);
            tokio::time::sleep(wait).await;
        }
        let mut after = None;
        loop {
            let (users, more) = self.users_on(&plan.name, after, 25).await?;
            let profiles = self.dynamo.get(users.iter().map(|user| Key::profile(*user))).await?;
            for user in &users {
                if profiles.profile(*user)?.is_some_and(|profile| profile.plan.as_ref() == Some(&plan.name)) {
                    return Ok(DeletePlanOutcome::InUse);
                }
            }
            after = users.last().copied();
            if !more || after.is_none() {
                break;
            }
        }
        let delete = match assigned_at {
            None => Write::delete(key).only_if("#version = :version AND attribute_not_exists(assigned_at)"),
            Some(at) => {
                Write::delete(key).only_if("#version = :version AND assigned_at = :seen").value(":seen", n(at.millis()))
            }
        };
        let committed = self.dynamo.transact(&[delete.value(":version", n(plan.version))]).await?.is_committed();
        Ok(if committed { DeletePlanOutcome::Deleted } else { DeletePlanOutcome::Stale })
    }

    /// Reads users of a plan from the index, sorted by id, and whether more follow. The index lags.
    pub async fn users_on(
        &self,
        plan: &PlanName,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<(Vec<UserId>, bool), StoreError> {
        let query = match after {
            Some(user) => {
                Query::index(BY_PLAN, "plan_pk = :plan AND pk > :after").value(":after", s(Key::profile(user).pk))
            }
            None => Query::index(BY_PLAN, "plan_pk = :plan"),
        };
        let page = self.dynamo.query(query.value(":plan", s(key::plan_partition(plan))).limit(limit)).await?;
        let keys = page.items.iter().map(Key::of).collect::<Result<Vec<_>, _>>()?;
        Ok((keys.iter().filter_map(Key::as_profile).collect(), page.next.is_some()))
    }

    /// Reads all plans by name, strongly consistent. There are few: the limit of a query, a megabyte, holds thousands.
    pub async fn list(&self) -> Result<Vec<Plan>, StoreError> {
        self.dynamo.query(Query::partition(Key::PLANS)).await?.items.iter().map(item::plan).collect()
    }
}
