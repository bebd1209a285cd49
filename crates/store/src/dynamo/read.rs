use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};

use super::{Dynamo, Item, names, not_empty, s};
use crate::StoreError;
use crate::key::Key;
use crate::retries::Retries;

/// The items of a strongly consistent read, by key.
#[derive(Debug, Default)]
pub struct ReadSet(HashMap<Key, Item>);

/// A query of one partition of the table, strongly consistent, or of an index.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    index: Option<&'static str>,
    condition: String,
    filters: Vec<&'static str>,
    projection: Option<&'static str>,
    values: Item,
    descending: bool,
    after: Option<Key>,
    limit: Option<i32>,
}

/// Some items in the order of their keys.
#[derive(Debug)]
pub(crate) struct ItemPage {
    pub(crate) items: Vec<Item>,
    /// The key after which the next page begins; `None` if this is the last.
    pub(crate) next: Option<Key>,
}

/// The most keys of a BatchGetItem.
const BATCH_GET_KEYS: usize = 100;

/// The most queries for one page of a list. A filter, or expired items, can exclude most of what they read.
const PAGE_QUERIES: u32 = 10;

/// The most items that one of them reads.
const PAGE_ITEMS: i32 = 1000;

impl Query {
    /// `condition`: on the keys.
    fn new(index: Option<&'static str>, condition: impl Into<String>) -> Self {
        Self {
            index,
            condition: condition.into(),
            filters: Vec::new(),
            projection: None,
            values: Item::new(),
            descending: false,
            after: None,
            limit: None,
        }
    }

    pub(crate) fn partition(pk: impl ToString) -> Self {
        Self::new(None, "pk = :pk").value(":pk", s(pk))
    }

    /// The items of a partition whose sort keys begin with `prefix`.
    pub(crate) fn prefix(pk: impl ToString, prefix: &str) -> Self {
        Self::new(None, "pk = :pk AND begins_with(sk, :sk)").value(":pk", s(pk)).value(":sk", s(prefix))
    }

    pub(crate) fn index(index: &'static str, condition: impl Into<String>) -> Self {
        Self::new(Some(index), condition)
    }

    pub(crate) fn value(mut self, name: &str, value: AttributeValue) -> Self {
        self.values.insert(name.to_owned(), value);
        self
    }

    /// Excludes the items for which the condition does not hold.
    pub(crate) fn filter(mut self, condition: &'static str) -> Self {
        self.filters.push(condition);
        self
    }

    /// Reads only these attributes.
    pub(crate) fn only(mut self, attributes: &'static str) -> Self {
        self.projection = Some(attributes);
        self
    }

    pub(crate) fn descending(mut self) -> Self {
        self.descending = true;
        self
    }

    pub(crate) fn after(mut self, key: Option<Key>) -> Self {
        self.after = key;
        self
    }

    pub(crate) fn limit(mut self, items: usize) -> Self {
        self.limit = Some(i32::try_from(items).unwrap_or(i32::MAX));
        self
    }
}

impl Dynamo {
    /// Reads items by key, strongly consistent, 100 in a call.
    pub(crate) async fn get(&self, keys: impl IntoIterator<Item = Key>) -> Result<ReadSet, StoreError> {
        let mut keys: Vec<Key> = keys.into_iter().collect();
        keys.sort_unstable();
        keys.dedup();
        let mut found = HashMap::new();
        let mut retries = Retries::new("BatchGetItem");
        while !keys.is_empty() {
            let later = keys.split_off(keys.len().min(BATCH_GET_KEYS));
            let request = KeysAndAttributes::builder()
                .consistent_read(true)
                .set_keys(Some(keys.iter().map(Key::attributes).collect()))
                .build()
                .map_err(StoreError::internal)?;
            let answer = self.client.batch_get_item().request_items(&self.table, request).send().await;
            let answer = answer.map_err(|e| StoreError::from_sdk("BatchGetItem", e))?;
            for item in answer.responses.into_iter().flat_map(|mut r| r.remove(&self.table)).flatten() {
                found.insert(Key::of(&item)?, item);
            }
            let unprocessed = answer.unprocessed_keys.into_iter().flat_map(|mut u| u.remove(&self.table));
            keys = unprocessed.flat_map(|u| u.keys).map(|k| Key::of(&k)).collect::<Result<_, _>>()?;
            if !keys.is_empty() {
                retries.pause().await?;
            }
            keys.extend(later);
        }
        Ok(ReadSet(found))
    }

    /// Reads one page, as large as the limit of the query and DynamoDB's megabyte allow.
    pub(crate) async fn query(&self, query: Query) -> Result<ItemPage, StoreError> {
        let filter = (!query.filters.is_empty()).then(|| query.filters.join(" AND "));
        let expressions = [Some(query.condition.as_str()), filter.as_deref(), query.projection];
        let call = self
            .client
            .query()
            .table_name(&self.table)
            .set_index_name(query.index.map(str::to_owned))
            .set_consistent_read(query.index.is_none().then_some(true))
            .set_scan_index_forward(query.descending.then_some(false))
            .set_expression_attribute_names(names(expressions.into_iter().flatten()))
            .set_projection_expression(query.projection.map(str::to_owned))
            .key_condition_expression(query.condition)
            .set_filter_expression(filter)
            .set_expression_attribute_values(not_empty(query.values))
            .set_exclusive_start_key(query.after.map(|key| key.attributes()))
            .set_limit(query.limit);
        let answer = call.send().await.map_err(|e| StoreError::from_sdk("Query", e))?;
        let next = answer.last_evaluated_key.map(|key| Key::of(&key)).transpose()?;
        Ok(ItemPage { items: answer.items.unwrap_or_default(), next })
    }

    /// Reads a page of exactly `limit` items, or all that are left, with at most [`PAGE_QUERIES`] queries: with a
    /// filter that excludes more than they read, the page is short.
    pub(crate) async fn query_filtered(&self, mut query: Query, limit: usize) -> Result<ItemPage, StoreError> {
        let mut items = Vec::new();
        // One more than the page, to know if more follow.
        let mut at_once = i32::try_from(limit + 1).unwrap_or(PAGE_ITEMS);
        for _ in 0..PAGE_QUERIES {
            query.limit = Some(at_once);
            let page = self.query(query.clone()).await?;
            items.extend(page.items);
            if items.len() > limit {
                items.truncate(limit);
                let next = items.last().map(Key::of).transpose()?;
                return Ok(ItemPage { items, next });
            }
            if page.next.is_none() {
                return Ok(ItemPage { items, next: None });
            }
            query = query.after(page.next);
            at_once = at_once.saturating_mul(4).min(PAGE_ITEMS);
        }
        Ok(ItemPage { items, next: query.after })
    }

    /// Reads a page of the whole table, strongly consistent.
    pub(crate) async fn scan(&self, after: Option<Key>, limit: i32) -> Result<ItemPage, StoreError> {
        let scan = self.client.scan().table_name(&self.table).consistent_read(true).limit(limit);
        let scan = scan.set_exclusive_start_key(after.map(|key| key.attributes()));
        let answer = scan.send().await.map_err(|e| StoreError::from_sdk("Scan", e))?;
        let next = answer.last_evaluated_key.map(|key| Key::of(&key)).transpose()?;
        Ok(ItemPage { items: answer.items.unwrap_or_default(), next })
    }
}

impl ReadSet {
    pub fn has(&self, key: &Key) -> bool {
        self.0.contains_key(key)
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Item> {
        self.0.get(key)
    }
}
