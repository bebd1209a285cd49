//! Idempotency records: what a request with an `Idempotency-Key` did, for its retries.

use std::time::Duration;

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use tintype_model::{FirstRequest, Idempotency, Timestamp};

use crate::item::{self, n, s};
use crate::key::Key;
use crate::table::{TransactOutcome, backoff};
use crate::{StoreError, Table};

/// The state of a request with an idempotency key.
#[derive(Debug)]
pub enum Begun {
    /// This call performs the request, or finishes it after an earlier call was interrupted.
    Mine(FirstRequest),
    /// The request was performed, with these outcomes.
    Done(FirstRequest, String),
    /// Another call is performing the request.
    AtWork(FirstRequest),
}

/// For how long a request can be repeated with its idempotency key.
const REPEATABLE: Duration = Duration::from_secs(24 * 3600);

/// After this the function that began a request is no longer running: its timeout is 29 s.
const LEASE: Duration = Duration::from_secs(35);

impl Table {
    /// The action that writes the record of a request. Its condition fails if the record exists. `lease`: until when the
    /// request may be in progress, if it takes more than this transaction.
    pub(crate) fn put_idempotency_record(
        &self,
        request: &Idempotency,
        lease: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<TransactWriteItem, StoreError> {
        let mut record = Key::first_request(request).attributes();
        record.insert("body".into(), s(request.body()));
        record.insert("started_at".into(), n(now.millis()));
        record.insert("expires_at".into(), n((now + REPEATABLE).secs()));
        if let Some(lease) = lease {
            record.insert("lease".into(), n(lease.millis()));
        }
        let put = Put::builder()
            .table_name(&self.name)
            .set_item(Some(record))
            .condition_expression("attribute_not_exists(pk) OR expires_at <= :now")
            .expression_attribute_values(":now", n(now.secs()));
        Ok(TransactWriteItem::builder().put(put.build().map_err(StoreError::internal)?).build())
    }

    /// Reads the record of a request that was performed before. If the record expired meanwhile, the service counts as
    /// unavailable: the client's next retry performs the request.
    pub(crate) async fn idempotency_record(&self, request: Option<&Idempotency>) -> Result<FirstRequest, StoreError> {
        let key = request
            .map(Key::first_request)
            .ok_or_else(|| StoreError::internal("a record without an idempotency key"))?;
        let record = self.read([key.clone()]).await?.get(&key).map(item::first_request).transpose()?;
        record.ok_or_else(|| StoreError::Unavailable("the idempotency record expired".into()))
    }

    /// Records that a request is in progress. An interrupted request can be taken over when its lease has expired.
    pub async fn begin_request(&self, request: &Idempotency, now: Timestamp) -> Result<Begun, StoreError> {
        let key = Key::first_request(request);
        for attempt in 1..=crate::table::TRIES {
            match self.transact_once(&[self.put_idempotency_record(request, Some(now + LEASE), now)?]).await? {
                TransactOutcome::Committed => {
                    return Ok(Begun::Mine(FirstRequest { body: request.body(), started_at: now }));
                }
                TransactOutcome::Conflict => {}
                TransactOutcome::Cancelled(_) => {
                    let items = self.read([key.clone()]).await?;
                    let Some(item) = items.get(&key) else { continue };
                    let first = item::first_request(item)?;
                    if let Some(outcomes) = item.get("outcomes").and_then(|outcomes| outcomes.as_s().ok()) {
                        return Ok(Begun::Done(first, outcomes.clone()));
                    }
                    let lease = item.get("lease").and_then(|lease| lease.as_n().ok()).map_or("0", String::as_str);
                    if lease.parse::<i64>().map_err(StoreError::internal)? > now.millis()
                        || first.body != request.body()
                    {
                        return Ok(Begun::AtWork(first));
                    }
                    if self.take_over(&key, lease, now).await? {
                        return Ok(Begun::Mine(first));
                    }
                }
            }
            backoff(attempt).await;
        }
        Err(StoreError::Unavailable("the idempotency record is contended".into()))
    }

    async fn take_over(&self, key: &Key, lease: &str, now: Timestamp) -> Result<bool, StoreError> {
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

    /// Records the outcomes of a request for its retries. `None`: the next retry finishes the request.
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
