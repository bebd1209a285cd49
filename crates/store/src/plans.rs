use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tintype_model::{Plan, PlanName};

use crate::item::{self, s};
use crate::key::Key;
use crate::{StoreError, Table};

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
