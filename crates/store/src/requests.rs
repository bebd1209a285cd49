//! Notes of requests that are more than one transaction, and that their clients may repeat.

use std::time::Duration;

use tintype_model::{FirstRequest, Idempotency, Timestamp};

use crate::images::broken;
use crate::item::{self, n, s};
use crate::key::Key;
use crate::table::{Transacted, backoff};
use crate::{StoreError, Table};

/// Where a request with an idempotency key stands.
#[derive(Debug)]
pub enum Begun {
    /// It is this call's to do, or to finish where an earlier one was cut off.
    Mine(FirstRequest),
    /// It was done, with these outcomes.
    Done(FirstRequest, String),
    /// Another call is at work on it.
    AtWork(FirstRequest),
}

/// A function that has not ended its request by then is not running any more: Lambda stops it after 29 s.
const LEASE: Duration = Duration::from_secs(35);

impl Table {
    /// Notes that a request is at work; one that was cut off can be taken up again when its time is over.
    pub async fn begin_request(&self, request: &Idempotency, now: Timestamp) -> Result<Begun, StoreError> {
        let key = Key::first_request(request);
        for attempt in 1..=crate::table::TRIES {
            match self.try_transact(&[self.note_first_request(request, Some(now + LEASE), now)?]).await? {
                Transacted::Done => {
                    return Ok(Begun::Mine(FirstRequest { body: request.body(), started_at: now }));
                }
                Transacted::Contended => {}
                Transacted::Refused(_) => {
                    let items = self.read([key.clone()]).await?;
                    let Some(item) = items.get(&key) else { continue };
                    let first = item::first_request(item)?;
                    if let Some(outcomes) = item.get("outcomes").and_then(|outcomes| outcomes.as_s().ok()) {
                        return Ok(Begun::Done(first, outcomes.clone()));
                    }
                    let lease = item.get("lease").and_then(|lease| lease.as_n().ok()).map_or("0", String::as_str);
                    if lease.parse::<i64>().map_err(broken)? > now.millis() || first.body != request.body() {
                        return Ok(Begun::AtWork(first));
                    }
                    if self.take_up(&key, lease, now).await? {
                        return Ok(Begun::Mine(first));
                    }
                }
            }
            backoff(attempt).await;
        }
        Err(StoreError::Unavailable("a request's note is contended".into()))
    }

    async fn take_up(&self, key: &Key, lease: &str, now: Timestamp) -> Result<bool, StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key.attributes()))
            .update_expression("SET lease = :next")
            .condition_expression("lease = :lease AND attribute_not_exists(outcomes)")
            .expression_attribute_values(":lease", n(lease))
            .expression_attribute_values(":next", n((now + LEASE).millis()));
        crate::profiles::applied(update).await
    }

    /// Notes what became of a request, for its repetitions; `None`: a repetition is to finish it.
    pub async fn end_request(&self, request: &Idempotency, outcomes: Option<&str>) -> Result<(), StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(Key::first_request(request).attributes()))
            .condition_expression("attribute_exists(pk)");
        let update = match outcomes {
            Some(outcomes) => update
                .update_expression("SET outcomes = :outcomes")
                .expression_attribute_values(":outcomes", s(outcomes)),
            None => update.update_expression("SET lease = :over").expression_attribute_values(":over", n(0)),
        };
        crate::profiles::applied(update).await.map(|_| ())
    }
}
