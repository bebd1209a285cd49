//! Idempotency records: what a request with an `Idempotency-Key` did, for its retries.

use std::time::Duration;

use tintype_model::{Idempotency, IdempotencyRecord, Timestamp};

use crate::dynamo::{Dynamo, TransactOutcome, Write, n, s};
use crate::key::Key;
use crate::retries::Retries;
use crate::{StoreError, item};

/// The state of a request with an idempotency key.
#[derive(Debug)]
pub enum IdempotencyState {
    /// This call performs the request, or finishes it after an earlier call was interrupted.
    New(IdempotencyRecord),
    /// The request was performed, with these outcomes.
    Completed(IdempotencyRecord, String),
    /// Another call is performing the request.
    InProgress(IdempotencyRecord),
}

/// For how long a request can be repeated with its idempotency key.
const REPEATABLE: Duration = Duration::from_secs(24 * 3600);

/// After this the function that began a request is no longer running: its timeout is 29 s.
const LEASE: Duration = Duration::from_secs(35);

/// The records of requests that take more than one transaction.
#[derive(Debug, Clone)]
pub struct IdempotencyRecords {
    pub(crate) dynamo: Dynamo,
}

/// Writes the record of a request. The condition fails if the record exists. `lease`: until when the request may be in
/// progress, if it takes more than this transaction.
pub(crate) fn put_record(request: &Idempotency, lease: Option<Timestamp>, now: Timestamp) -> Write {
    let mut record = Key::idempotency(request).attributes();
    record.insert("body".into(), s(request.body()));
    record.insert("started_at".into(), n(now.millis()));
    record.insert("expires_at".into(), n((now + REPEATABLE).secs()));
    if let Some(lease) = lease {
        record.insert("lease".into(), n(lease.millis()));
    }
    Write::put(record).only_if("attribute_not_exists(pk) OR expires_at <= :now").value(":now", n(now.secs()))
}

/// Reads the record of a request that was performed before. If the record expired meanwhile, the service counts as
/// unavailable: the client's next retry performs the request.
pub(crate) async fn read_record(
    dynamo: &Dynamo,
    request: Option<&Idempotency>,
) -> Result<IdempotencyRecord, StoreError> {
    let key =
        request.map(Key::idempotency).ok_or_else(|| StoreError::internal("a record without an idempotency key"))?;
    let record = dynamo.get([key.clone()]).await?.get(&key).map(item::idempotency_record).transpose()?;
    record.ok_or_else(|| StoreError::Unavailable("the idempotency record expired".into()))
}

impl IdempotencyRecords {
    /// Reads the record of a request, if it has an idempotency key and was performed or begun before.
    pub async fn read(
        &self,
        request: Option<&Idempotency>,
        now: Timestamp,
    ) -> Result<Option<IdempotencyRecord>, StoreError> {
        let Some(key) = request.map(Key::idempotency) else { return Ok(None) };
        let items = self.dynamo.get([key.clone()]).await?;
        let record = items.get(&key).filter(|item| item::expires_at(item).is_none_or(|at| at > now));
        record.map(item::idempotency_record).transpose()
    }

    /// Records that a request is in progress. An interrupted request can be taken over when its lease has expired.
    pub async fn begin(&self, request: &Idempotency, now: Timestamp) -> Result<IdempotencyState, StoreError> {
        let key = Key::idempotency(request);
        let mut retries = Retries::new("idempotency record");
        loop {
            match self.dynamo.transact_once(&[put_record(request, Some(now + LEASE), now)]).await? {
                TransactOutcome::Committed => {
                    return Ok(IdempotencyState::New(IdempotencyRecord { body: request.body(), started_at: now }));
                }
                TransactOutcome::Conflict => {}
                TransactOutcome::Cancelled(_) => {
                    let items = self.dynamo.get([key.clone()]).await?;
                    let Some(item) = items.get(&key) else { continue };
                    let first = item::idempotency_record(item)?;
                    if let Some(outcomes) = item.get("outcomes").and_then(|outcomes| outcomes.as_s().ok()) {
                        return Ok(IdempotencyState::Completed(first, outcomes.clone()));
                    }
                    let lease = item.get("lease").and_then(|lease| lease.as_n().ok()).map_or("0", String::as_str);
                    if lease.parse::<i64>().map_err(StoreError::internal)? > now.millis()
                        || first.body != request.body()
                    {
                        return Ok(IdempotencyState::InProgress(first));
                    }
                    if self.take_over(&key, lease, now).await? {
                        return Ok(IdempotencyState::New(first));
                    }
                }
            }
            retries.pause().await?;
        }
    }

    async fn take_over(&self, key: &Key, lease: &str, now: Timestamp) -> Result<bool, StoreError> {
        let update = Write::update(key.clone(), "SET lease = :next")
            .only_if("lease = :lease AND attribute_not_exists(outcomes)")
            .value(":lease", n(lease))
            .value(":next", n((now + LEASE).millis()));
        self.dynamo.write(update).await
    }

    /// Records the outcomes of a request for its retries. `None`: the next retry finishes the request.
    pub async fn end(&self, request: &Idempotency, outcomes: Option<&str>) -> Result<(), StoreError> {
        let key = Key::idempotency(request);
        let update = match outcomes {
            Some(outcomes) => Write::update(key, "SET outcomes = :outcomes").value(":outcomes", s(outcomes)),
            None => Write::update(key, "SET lease = :over").value(":over", n(0)),
        };
        self.dynamo.write(update.only_if("attribute_exists(pk)")).await.map(|_| ())
    }
}
