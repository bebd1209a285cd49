use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::{Delete, TransactWriteItem};
use tintype_model::{FirstRequest, Idempotency, Plan, PlanName, Timestamp, UserId};

use crate::item::{self, n, s};
use crate::key::{self, Key};
use crate::table::TransactOutcome;
use crate::{StoreError, Table};

/// The result of creating a plan.
#[derive(Debug, PartialEq, Eq)]
pub enum PlanCreated {
    Created,
    /// A plan with this name exists.
    Taken,
    /// A request with this idempotency key was performed before.
    Repeated(FirstRequest),
}

/// The result of deleting a plan.
#[derive(Debug, PartialEq, Eq)]
pub enum PlanDeleted {
    Deleted,
    /// A user has the plan.
    InUse,
    /// The plan has changed since it was read: read it again.
    Stale,
}

const BY_PLAN: &str = "by_plan";

/// The longest time that the index of users by plan lags behind the table. AWS documents a fraction of a second.
pub const INDEX_LAG: Duration = Duration::from_secs(3);

/// A cache of plans, which are at most a minute old, so that a change takes effect everywhere within a minute.
#[derive(Debug, Default)]
pub struct Plans(Mutex<HashMap<PlanName, Kept>>);

#[derive(Debug)]
struct Kept {
    read_at: Instant,
    /// `None` if the plan does not exist.
    plan: Option<Plan>,
}

/// A minute less the longest duration of a request.
const LIFETIME: Duration = Duration::from_secs(30);

impl Plans {
    pub async fn get(&self, table: &Table, name: &PlanName) -> Result<Option<Plan>, StoreError> {
        if let Some(kept) = self.kept().get(name).filter(|kept| kept.read_at.elapsed() < LIFETIME) {
            return Ok(kept.plan.clone());
        }
        let read_at = Instant::now();
        let plan = table.read([Key::plan(name)]).await?.plan(name)?;
        self.kept().insert(name.clone(), Kept { read_at, plan: plan.clone() });
        Ok(plan)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<PlanName, Kept>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Table {
    /// Creates a plan and, with an idempotency key, the record of the request.
    pub async fn create_plan(
        &self,
        plan: &Plan,
        idempotency: Option<&Idempotency>,
        now: Timestamp,
    ) -> Result<PlanCreated, StoreError> {
        let mut actions = vec![self.put(item::from_plan(plan), true)?];
        if let Some(request) = idempotency {
            actions.push(self.put_idempotency_record(request, None, now)?);
        }
        match self.transact(&actions).await? {
            TransactOutcome::Committed => Ok(PlanCreated::Created),
            TransactOutcome::Cancelled(cancelled) if cancelled.contains(&1) => {
                self.idempotency_record(idempotency).await.map(PlanCreated::Repeated)
            }
            _ => Ok(PlanCreated::Taken),
        }
    }

    /// Reads a plan, not from the cache.
    pub async fn read_plan(&self, name: &PlanName) -> Result<Option<Plan>, StoreError> {
        self.read([Key::plan(name)]).await?.plan(name)
    }

    /// Deletes a plan without users. The index of users by plan lags behind the table, and each assignment is noted in
    /// its plan. So this waits until the index must include the last assignment, and deletes the plan only if there was
    /// no other since.
    pub async fn delete_plan(&self, plan: &Plan, now: Timestamp) -> Result<PlanDeleted, StoreError> {
        let key = Key::plan(&plan.name);
        let items = self.read([key.clone()]).await?;
        let Some(item) = items.get(&key) else { return Ok(PlanDeleted::Stale) };
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
            let profiles = self.read(users.iter().map(|user| Key::profile(*user))).await?;
            for user in &users {
                if profiles.profile(*user)?.is_some_and(|profile| profile.plan.as_ref() == Some(&plan.name)) {
                    return Ok(PlanDeleted::InUse);
                }
            }
            after = users.last().copied();
            if !more || after.is_none() {
                break;
            }
        }
        let delete = Delete::builder()
            .table_name(&self.name)
            .set_key(Some(key.attributes()))
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":version", n(plan.version));
        let delete = match assigned_at {
            None => delete.condition_expression("#version = :version AND attribute_not_exists(assigned_at)"),
            Some(at) => delete
                .condition_expression("#version = :version AND assigned_at = :seen")
                .expression_attribute_values(":seen", n(at.millis())),
        };
        let delete = TransactWriteItem::builder().delete(delete.build().map_err(StoreError::internal)?).build();
        let committed = self.transact(&[delete]).await?.is_committed();
        Ok(if committed { PlanDeleted::Deleted } else { PlanDeleted::Stale })
    }

    /// Reads users of a plan from the index, sorted by id, and whether more follow. The index lags.
    pub async fn users_on(
        &self,
        plan: &PlanName,
        after: Option<UserId>,
        limit: i32,
    ) -> Result<(Vec<UserId>, bool), StoreError> {
        let query = self
            .client
            .query()
            .table_name(&self.name)
            .index_name(BY_PLAN)
            .limit(limit)
            .expression_attribute_values(":plan", s(key::plan_partition(plan)));
        let query = match after {
            Some(user) => query
                .key_condition_expression("plan_pk = :plan AND pk > :after")
                .expression_attribute_values(":after", s(Key::profile(user).pk)),
            None => query.key_condition_expression("plan_pk = :plan"),
        };
        let answer = query.send().await.map_err(|e| StoreError::from_sdk("Query", e))?;
        let more = answer.last_evaluated_key.is_some();
        let keys = answer.items.unwrap_or_default().iter().map(item::key).collect::<Result<Vec<_>, _>>()?;
        Ok((keys.iter().filter_map(Key::as_profile).collect(), more))
    }

    /// Reads all plans by name, strongly consistent. There are few: the limit of a query, a megabyte, holds thousands.
    pub async fn list_plans(&self) -> Result<Vec<Plan>, StoreError> {
        let answer = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", s(Key::PLANS))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("Query", e))?;
        answer.items.unwrap_or_default().iter().map(item::plan).collect()
    }
}
