use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};
use tintype_model::{FirstRequest, Idempotency, Plan, PlanName, Timestamp, UserId};

use crate::item::{self, n, s};
use crate::key::Key;
use crate::{StoreError, Table};

/// What became of a new plan.
#[derive(Debug, PartialEq, Eq)]
pub enum PlanCreated {
    Created,
    /// There is a plan of this name.
    Taken,
    /// The idempotency key was used before, for this request.
    Repeated(FirstRequest),
}

/// What became of a plan that was to go.
#[derive(Debug, PartialEq, Eq)]
pub enum PlanDeleted {
    Deleted,
    /// A user is on it.
    InUse,
    /// The plan is not any more as it was read: read it again.
    Stale,
}

const BY_PLAN: &str = "by_plan";

/// How far the index of users by plan may be behind the table: AWS says a fraction of a second.
pub const INDEX_LAG: Duration = Duration::from_secs(3);

fn broken(error: impl std::fmt::Display) -> StoreError {
    StoreError::Internal(error.to_string())
}

/// Plans as this process last read them, at most a minute ago: a change binds everywhere within that.
#[derive(Debug, Default)]
pub struct Plans(Mutex<HashMap<PlanName, Kept>>);

#[derive(Debug)]
struct Kept {
    read_at: Instant,
    /// None: there is no such plan.
    plan: Option<Plan>,
}

/// Less than a minute by what a request may last.
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
    /// Writes a new plan and, where the request can be repeated, the note that it was made.
    pub async fn create_plan(
        &self,
        plan: &Plan,
        idempotency: Option<&Idempotency>,
        now: Timestamp,
    ) -> Result<PlanCreated, StoreError> {
        let put = Put::builder()
            .table_name(&self.name)
            .set_item(Some(item::from_plan(plan)))
            .condition_expression("attribute_not_exists(pk)");
        let mut actions = vec![TransactWriteItem::builder().put(put.build().map_err(broken)?).build()];
        if let Some(request) = idempotency {
            actions.push(self.note_first_request(request, None, now)?);
        }
        match self.transact(&actions).await? {
            Ok(()) => Ok(PlanCreated::Created),
            Err(refused) if refused.contains(&1) => {
                let key = idempotency.map(Key::first_request).ok_or_else(|| broken("a repetition of nothing"))?;
                let first = self.read([key.clone()]).await?.get(&key).map(item::first_request).transpose()?;
                first.map(PlanCreated::Repeated).ok_or_else(|| StoreError::Unavailable("an expired key".into()))
            }
            Err(_) => Ok(PlanCreated::Taken),
        }
    }

    /// A plan as it is now.
    pub async fn read_plan(&self, name: &PlanName) -> Result<Option<Plan>, StoreError> {
        self.read([Key::plan(name)]).await?.plan(name)
    }

    /// Removes a plan, as it was read, that nobody is on. The index of users by plan is behind the table, and each
    /// assignment marks its plan: so this waits until the last one must have come to the index, and goes on only if no
    /// other came.
    pub async fn delete_plan(&self, plan: &Plan, now: Timestamp) -> Result<PlanDeleted, StoreError> {
        let key = Key::plan(&plan.name);
        let items = self.read([key.clone()]).await?;
        let Some(item) = items.get(&key) else { return Ok(PlanDeleted::Stale) };
        let assigned_at = item::assigned_at(item)?;
        if let Some(at) = assigned_at {
            let wait = (at + INDEX_LAG).millis() - now.millis();
            // Not a clock that is ahead: it is waited for as long as the index may take, no longer.
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
        let delete = TransactWriteItem::builder().delete(delete.build().map_err(broken)?).build();
        Ok(match self.transact(&[delete]).await? {
            Ok(()) => PlanDeleted::Deleted,
            Err(_) => PlanDeleted::Stale,
        })
    }

    /// Users that the index has on a plan, in the order of their ids, and whether more follow. The index lags.
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
            .expression_attribute_values(":plan", s(item::plan_partition(plan)));
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

    /// All plans by name, strongly consistent. There are few: a megabyte holds thousands.
    pub async fn list_plans(&self) -> Result<Vec<Plan>, StoreError> {
        let answer = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", s("PLANS"))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("Query", e))?;
        answer.items.unwrap_or_default().iter().map(item::plan).collect()
    }
}
