use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{KeysAndAttributes, TransactWriteItem};
use tintype_model::{Image, ImageId, Plan, PlanName, Profile, UserId};

use crate::StoreError;
use crate::item::{self, Item};
use crate::key::Key;

/// The one table.
#[derive(Debug, Clone)]
pub struct Table {
    pub(crate) client: Client,
    pub(crate) name: String,
    pub(crate) feed_shards: u8,
}

/// What a strongly consistent read found.
#[derive(Debug, Default)]
pub struct Items(HashMap<Key, Item>);

/// What became of a transaction.
pub(crate) enum Transacted {
    Done,
    /// The conditions of these actions, by index, did not hold. Nothing was written.
    Refused(Vec<usize>),
    /// Another transaction was at work on one of the items. Nothing was written.
    Contended,
}

/// DynamoDB's bound on keys in one BatchGetItem.
const BATCH_GET_KEYS: usize = 100;

/// How often a throttled or contended call is tried before it is given up as unavailable.
pub(crate) const TRIES: u32 = 8;

impl Table {
    /// `feed_shards`: over how many partitions the public feed is spread. May grow, never shrink.
    pub fn new(config: &aws_config::SdkConfig, name: impl Into<String>, feed_shards: u8) -> Self {
        Self { client: Client::new(config), name: name.into(), feed_shards: feed_shards.max(1) }
    }

    /// Reads items by key, strongly consistent, a call for each hundred.
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
                .map_err(|e| StoreError::Internal(e.to_string()))?;
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

    /// A page of everything there is, strongly consistent, with the key of its last item where more follow. For the
    /// audit alone.
    pub(crate) async fn scan(&self, after: Option<Key>, limit: i32) -> Result<(Vec<Item>, Option<Key>), StoreError> {
        let scan = self.client.scan().table_name(&self.name).consistent_read(true).limit(limit);
        let scan = scan.set_exclusive_start_key(after.map(|key| key.attributes()));
        let answer = scan.send().await.map_err(|e| StoreError::from_sdk("Scan", e))?;
        let last = answer.last_evaluated_key.map(|key| item::key(&key)).transpose()?;
        Ok((answer.items.unwrap_or_default(), last))
    }

    /// A page of a user's images, expired ones too, as [`Self::scan`] gives them.
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

    /// One try at writing all of `actions` or none. A lost answer is no matter: the SDK repeats the call with the same token.
    pub(crate) async fn try_transact(&self, actions: &[TransactWriteItem]) -> Result<Transacted, StoreError> {
        let sent = self.client.transact_write_items().set_transact_items(Some(actions.to_vec())).send().await;
        let Err(error) = sent else { return Ok(Transacted::Done) };
        if let SdkError::ServiceError(service) = &error
            && let TransactWriteItemsError::TransactionCanceledException(cancelled) = service.err()
        {
            let reasons: Vec<&str> = cancelled.cancellation_reasons().iter().filter_map(|r| r.code()).collect();
            let with = |code| reasons.iter().enumerate().filter(move |(_, c)| **c == code).map(|(i, _)| i);
            let refused: Vec<usize> = with("ConditionalCheckFailed").collect();
            if !refused.is_empty() {
                return Ok(Transacted::Refused(refused));
            }
            const PASSING: [&str; 4] =
                ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded"];
            if PASSING.iter().any(|code| with(code).next().is_some()) {
                return Ok(Transacted::Contended);
            }
            return Err(StoreError::Internal(format!("TransactWriteItems: cancelled: {reasons:?}")));
        }
        match StoreError::from_sdk("TransactWriteItems", error) {
            StoreError::Unavailable(text) if text.contains("TransactionInProgress") => Ok(Transacted::Contended),
            error => Err(error),
        }
    }

    /// Like [`Self::try_transact`], again while contended. `Err`: the actions whose conditions did not hold.
    pub(crate) async fn transact(&self, actions: &[TransactWriteItem]) -> Result<Result<(), Vec<usize>>, StoreError> {
        for attempt in 1..=TRIES {
            match self.try_transact(actions).await? {
                Transacted::Done => return Ok(Ok(())),
                Transacted::Refused(refused) => return Ok(Err(refused)),
                Transacted::Contended => backoff(attempt).await,
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

/// Waits before try `attempt + 1`: a random part of 20 ms doubled with each try, at most 1.28 s.
pub(crate) async fn backoff(attempt: u32) {
    let most = 20 << attempt.min(6);
    tokio::time::sleep(Duration::from_millis(1 + random_below(most))).await;
}

fn random_below(bound: u64) -> u64 {
    (uuid::Uuid::new_v4().as_u128() % u128::from(bound)) as u64
}
