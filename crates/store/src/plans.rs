use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use tintype_model::{Plan, PlanName};

use crate::item::{self, s};
use crate::{StoreError, Table};

/// All plans, as this process last read them, at most a minute ago: a change binds everywhere within that.
#[derive(Debug, Default)]
pub struct Plans(RwLock<Option<Kept>>);

type ByName = Arc<HashMap<PlanName, Plan>>;

#[derive(Debug)]
struct Kept {
    read_at: Instant,
    plans: ByName,
}

const LIFETIME: Duration = Duration::from_secs(55);

impl Plans {
    pub async fn get(&self, table: &Table) -> Result<ByName, StoreError> {
        if let Some(kept) = self.0.read().unwrap_or_else(|e| e.into_inner()).as_ref()
            && kept.read_at.elapsed() < LIFETIME
        {
            return Ok(Arc::clone(&kept.plans));
        }
        let read_at = Instant::now();
        let plans: ByName = Arc::new(table.list_plans().await?.into_iter().map(|p| (p.name.clone(), p)).collect());
        *self.0.write().unwrap_or_else(|e| e.into_inner()) = Some(Kept { read_at, plans: Arc::clone(&plans) });
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
