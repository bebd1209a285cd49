use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{Delete, KeysAndAttributes, Put, TransactWriteItem};
use tintype_model::{Image, ImageId, Plan, PlanName, Profile, UserId};

use crate::StoreError;
use crate::item::{self, Item};
use crate::key::Key;
use crate::retries::LogRetries;

/// The DynamoDB table.
#[derive(Debug, Clone)]
pub struct Table {
    pub(crate) client: Client,
    pub(crate) name: String,
    pub(crate) feed_shards: u8,
}

/// The items of a strongly consistent read, by key.
#[derive(Debug, Default)]
pub struct Items(HashMap<Key, Item>);

/// The result of a transaction.
#[derive(Debug)]
pub(crate) enum TransactOutcome {
    Committed,
    /// The conditions of these actions, by index, did not hold. Nothing was written.
    Cancelled(Vec<usize>),
    /// Another transaction was in progress on one of the items. Nothing was written.
    Conflict,
}

impl TransactOutcome {
    pub(crate) fn is_committed(&self) -> bool {
        matches!(self, Self::Committed)
    }
}

/// The most keys of a BatchGetItem.
const BATCH_GET_KEYS: usize = 100;

/// The attempts of a throttled or conflicting call before the table counts as unavailable.
pub(crate) const TRIES: u32 = 8;

/// The most queries for one page of a list. A filter, or expired items, can exclude most of what they read.
const PAGE_QUERIES: u32 = 10;

/// The most items that one of them reads.
const PAGE_ITEMS: i32 = 1000;

/// Reads a page of at most `limit` items that match the filter of `query`, with at most [`PAGE_QUERIES`] queries.
/// Returns the key after which the next page begins.
pub(crate) async fn read_page(
    mut query: QueryFluentBuilder,
    limit: usize,
) -> Result<(Vec<Item>, Option<Key>), StoreError> {
    let mut items = Vec::new();
    // One more than the page, to know if more follow.
    let mut looked_at = i32::try_from(limit + 1).unwrap_or(PAGE_ITEMS);
    for _ in 0..PAGE_QUERIES {
        let answer = query.clone().limit(looked_at).send().await.map_err(|e| StoreError::from_sdk("Query", e))?;
        items.extend(answer.items.unwrap_or_default());
        if items.len() > limit {
            items.truncate(limit);
            let next = items.last().map(item::key).transpose()?;
            return Ok((items, next));
        }
        if answer.last_evaluated_key.is_none() {
            return Ok((items, None));
        }
        query = query.set_exclusive_start_key(answer.last_evaluated_key);
        looked_at = looked_at.saturating_mul(4).min(PAGE_ITEMS);
    }
    let next = query.get_exclusive_start_key().as_ref().map(item::key).transpose()?;
    Ok((items, next))
}

impl Table {
    /// `feed_shards`: the number of partitions of the public feed. It can grow, never shrink.
    pub fn new(config: &aws_config::SdkConfig, name: impl Into<String>, feed_shards: u8) -> Self {
        let config = aws_sdk_dynamodb::config::Builder::from(config).interceptor(LogRetries).build();
        Self { client: Client::from_conf(config), name: name.into(), feed_shards: feed_shards.max(1) }
    }

    /// Reads items by key, strongly consistent, 100 in a call.
    pub async fn read(&self, keys: impl IntoIterator<Item = Key>) -> Result<Items, StoreError> {
        let mut keys: Vec<Key> = keys.into_iter().collect();
        keys.sort_unstable();
        keys.dedup();
        let mut found = HashMap::new();
        let mut tries = 0;
        while !keys.is_empty() {
            let later = keys.split_off(keys.len().min(BATCH_GET_KEYS));
            let request = KeysAndAttributes::builder()
                .consistent_read(true)
                .set_keys(Some(keys.iter().map(Key::attributes).collect()))
                .build()
                .map_err(StoreError::internal)?;
            let answer = self
                .client
                .batch_get_item()
                .request_items(&self.name, request)
                .send()
                .await
                .map_err(|e| StoreError::from_sdk("BatchGetItem", e))?;
            for item in answer.responses.into_iter().flat_map(|mut r| r.remove(&self.name)).flatten() {
                found.insert(item::key(&item)?, item);
            }
            let unprocessed = answer.unprocessed_keys.into_iter().flat_map(|mut u| u.remove(&self.name));
            keys = unprocessed.flat_map(|u| u.keys).map(|k| item::key(&k)).collect::<Result<_, _>>()?;
            if !keys.is_empty() {
                tries += 1;
                if tries == TRIES {
                    return Err(StoreError::Unavailable("BatchGetItem: keys stay unprocessed".into()));
                }
                backoff(tries).await;
            }
            keys.extend(later);
        }
        Ok(Items(found))
    }

    /// Reads a page of the whole table, strongly consistent, for the audit. Returns the key of its last item if more
    /// follow.
    pub(crate) async fn scan(&self, after: Option<Key>, limit: i32) -> Result<(Vec<Item>, Option<Key>), StoreError> {
        let scan = self.client.scan().table_name(&self.name).consistent_read(true).limit(limit);
        let scan = scan.set_exclusive_start_key(after.map(|key| key.attributes()));
        let answer = scan.send().await.map_err(|e| StoreError::from_sdk("Scan", e))?;
        let last = answer.last_evaluated_key.map(|key| item::key(&key)).transpose()?;
        Ok((answer.items.unwrap_or_default(), last))
    }

    /// Reads a page of a user's images, also expired ones; returns like [`Self::scan`].
    pub(crate) async fn images_page(
        &self,
        owner: UserId,
        after: Option<Key>,
    ) -> Result<(Vec<Item>, Option<Key>), StoreError> {
        let query = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .expression_attribute_values(":pk", item::s(Key::images_of(owner)))
            .expression_attribute_values(":sk", item::s("IMAGE#"))
            .set_exclusive_start_key(after.map(|key| key.attributes()));
        let answer = query.send().await.map_err(|e| StoreError::from_sdk("Query", e))?;
        let last = answer.last_evaluated_key.map(|key| item::key(&key)).transpose()?;
        Ok((answer.items.unwrap_or_default(), last))
    }

    /// The action that writes an item. `new`: on condition that it does not exist.
    pub(crate) fn put(&self, item: Item, new: bool) -> Result<TransactWriteItem, StoreError> {
        let put = Put::builder().table_name(&self.name).set_item(Some(item));
        let put = put.set_condition_expression(new.then(|| "attribute_not_exists(pk)".to_owned()));
        Ok(TransactWriteItem::builder().put(put.build().map_err(StoreError::internal)?).build())
    }

    /// The action that deletes an item.
    pub(crate) fn delete(&self, key: Key) -> Result<TransactWriteItem, StoreError> {
        let delete = Delete::builder().table_name(&self.name).set_key(Some(key.attributes()));
        Ok(TransactWriteItem::builder().delete(delete.build().map_err(StoreError::internal)?).build())
    }

    /// Makes one attempt to apply all of `actions` or none. A lost response does no harm: the SDK repeats the call with
    /// the same token.
    pub(crate) async fn transact_once(&self, actions: &[TransactWriteItem]) -> Result<TransactOutcome, StoreError> {
        let sent = self.client.transact_write_items().set_transact_items(Some(actions.to_vec())).send().await;
        let Err(error) = sent else { return Ok(TransactOutcome::Committed) };
        if let SdkError::ServiceError(service) = &error
            && let TransactWriteItemsError::TransactionCanceledException(cancelled) = service.err()
        {
            let reasons: Vec<&str> = cancelled.cancellation_reasons().iter().filter_map(|r| r.code()).collect();
            let with = |code| reasons.iter().enumerate().filter(move |(_, c)| **c == code).map(|(i, _)| i);
            let refused: Vec<usize> = with("ConditionalCheckFailed").collect();
            if !refused.is_empty() {
                return Ok(TransactOutcome::Cancelled(refused));
            }
            const TRANSIENT: [&str; 4] =
                ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded"];
            if TRANSIENT.iter().any(|code| with(code).next().is_some()) {
                return Ok(TransactOutcome::Conflict);
            }
            return Err(StoreError::Internal(format!("TransactWriteItems: cancelled: {reasons:?}")));
        }
        match StoreError::from_sdk("TransactWriteItems", error) {
            StoreError::Unavailable(text) if text.contains("TransactionInProgress") => Ok(TransactOutcome::Conflict),
            error => Err(error),
        }
    }

    /// Like [`Self::transact_once`], but retries conflicts: it never returns [`TransactOutcome::Conflict`].
    pub(crate) async fn transact(&self, actions: &[TransactWriteItem]) -> Result<TransactOutcome, StoreError> {
        for attempt in 1..=TRIES {
            match self.transact_once(actions).await? {
                TransactOutcome::Conflict => backoff(attempt).await,
                outcome => return Ok(outcome),
            }
        }
        Err(StoreError::Unavailable("TransactWriteItems: contended".into()))
    }
}

impl Items {
    pub fn has(&self, key: &Key) -> bool {
        self.0.contains_key(key)
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Item> {
        self.0.get(key)
    }

    pub fn profile(&self, user: UserId) -> Result<Option<Profile>, StoreError> {
        self.get(&Key::profile(user)).map(item::profile).transpose()
    }

    pub fn image(&self, id: ImageId) -> Result<Option<Image>, StoreError> {
        self.get(&Key::image(id)).map(item::image).transpose()
    }

    pub fn plan(&self, name: &PlanName) -> Result<Option<Plan>, StoreError> {
        self.get(&Key::plan(name)).map(item::plan).transpose()
    }
}

/// Waits before attempt `attempt + 1`: a random part of 20 ms, doubled with each attempt, at most 1.28 s.
pub(crate) async fn backoff(attempt: u32) {
    let most = 20 << attempt.min(6);
    tokio::time::sleep(Duration::from_millis(1 + random_below(most))).await;
}

fn random_below(bound: u64) -> u64 {
    (uuid::Uuid::new_v4().as_u128() % u128::from(bound)) as u64
}
