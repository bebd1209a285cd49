use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use tintype_model::{Plan, PlanName};

use crate::item::{self, s};
use crate::{StoreError, Table};

/// All plans, as this process last read them, at most a minute ago: a change binds everywhere within that.
#[derive(Debug, Default)]
pub struct Plans(RwLock<Option<(Instant, Arc<HashMap<PlanName, Plan>>)>>);

const KEPT: Duration = Duration::from_secs(55);

impl Plans {
    pub async fn get(&self, table: &Table) -> Result<Arc<HashMap<PlanName, Plan>>, StoreError> {
        if let Some((read_at, plans)) = self.0.read().unwrap_or_else(|e| e.into_inner()).as_ref()
            && read_at.elapsed() < KEPT
        {
            return Ok(plans.clone());
        }
        let read_at = Instant::now();
        let plans = Arc::new(table.list_plans().await?.into_iter().map(|p| (p.name.clone(), p)).collect());
        *self.0.write().unwrap_or_else(|e| e.into_inner()) = Some((read_at, Arc::clone(&plans)));
        Ok(plans)
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
