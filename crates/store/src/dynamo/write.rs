use std::collections::HashMap;

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use uuid::Uuid;

use super::{Dynamo, Item, names, not_empty};
use crate::StoreError;
use crate::key::Key;
use crate::retries::Retries;

/// Reasons for cancelling a transaction that a retry may not meet.
const TRANSIENT: [&str; 4] =
    ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded"];

/// A write of one item, alone or in a transaction.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    action: Action,
    condition: Option<String>,
    values: Item,
}

#[derive(Debug, Clone)]
enum Action {
    Put(Item),
    Update(Key, String),
    Delete(Key),
    /// Writes nothing: the condition decides about the other writes of the transaction.
    Check(Key),
}

/// The result of an update that returns the item if it is refused.
#[derive(Debug)]
pub(crate) enum Updated {
    Written,
    /// The condition did not hold for this item.
    Refused(Option<Item>),
}

/// The result of a transaction.
#[derive(Debug)]
pub(crate) enum TransactOutcome {
    Committed,
    /// The conditions of these writes, by index, did not hold. Nothing was written.
    Cancelled(Vec<usize>),
    /// Another transaction was in progress on one of the items. Nothing was written.
    Conflict,
}

/// Sets the condition of an SDK builder. The builders have these methods in common, but no trait.
macro_rules! with_condition {
    ($builder:expr, $names:ident, $condition:ident, $values:ident) => {
        $builder
            .set_condition_expression($condition)
            .set_expression_attribute_names($names)
            .set_expression_attribute_values(not_empty($values))
    };
}

/// Sends a call. Returns false if its condition did not hold.
macro_rules! send {
    ($name:literal, $call:expr) => {
        match $call.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => {
                Ok(false)
            }
            Err(error) => Err(StoreError::from_sdk($name, error)),
        }
    };
}

impl TransactOutcome {
    pub(crate) fn is_committed(&self) -> bool {
        matches!(self, Self::Committed)
    }
}

impl Write {
    fn new(action: Action) -> Self {
        Self { action, condition: None, values: Item::new() }
    }

    pub(crate) fn put(item: Item) -> Self {
        Self::new(Action::Put(item))
    }

    /// Puts an item on condition that it does not exist.
    pub(crate) fn create(item: Item) -> Self {
        Self::put(item).only_if("attribute_not_exists(pk)")
    }

    pub(crate) fn update(key: Key, expression: impl Into<String>) -> Self {
        Self::new(Action::Update(key, expression.into()))
    }

    pub(crate) fn delete(key: Key) -> Self {
        Self::new(Action::Delete(key))
    }

    /// A condition of a transaction on an item that it does not write.
    pub(crate) fn check(key: Key, condition: impl Into<String>) -> Self {
        Self::new(Action::Check(key)).only_if(condition)
    }

    pub(crate) fn only_if(mut self, condition: impl Into<String>) -> Self {
        self.condition = Some(condition.into());
        self
    }

    pub(crate) fn value(mut self, name: impl Into<String>, value: AttributeValue) -> Self {
        self.values.insert(name.into(), value);
        self
    }

    fn names(&self) -> Option<HashMap<String, String>> {
        let update = match &self.action {
            Action::Update(_, expression) => Some(expression.as_str()),
            Action::Put(_) | Action::Delete(_) | Action::Check(_) => None,
        };
        names(update.into_iter().chain(self.condition.as_deref()))
    }

    fn in_transaction(self, table: &str) -> Result<TransactWriteItem, StoreError> {
        let names = self.names();
        let Self { action, condition, values } = self;
        let item = TransactWriteItem::builder();
        let built = match action {
            Action::Put(put) => {
                let builder = Put::builder().table_name(table).set_item(Some(put));
                with_condition!(builder, names, condition, values).build().map(|put| item.put(put))
            }
            Action::Update(key, expression) => {
                let builder = Update::builder().table_name(table).set_key(Some(key.attributes()));
                let builder = builder.update_expression(expression);
                with_condition!(builder, names, condition, values).build().map(|update| item.update(update))
            }
            Action::Delete(key) => {
                let builder = Delete::builder().table_name(table).set_key(Some(key.attributes()));
                with_condition!(builder, names, condition, values).build().map(|delete| item.delete(delete))
            }
            Action::Check(key) => {
                let builder = ConditionCheck::builder().table_name(table).set_key(Some(key.attributes()));
                with_condition!(builder, names, condition, values).build().map(|check| item.condition_check(check))
            }
        };
        built.map(|item| item.build()).map_err(StoreError::internal)
    }
}

impl Dynamo {
    /// Writes one item. Returns false if the condition did not hold. The SDK repeats a call whose response was lost,
    /// and a condition can refuse its own repetition; where that matters, use [`Self::transact`].
    pub(crate) async fn write(&self, write: Write) -> Result<bool, StoreError> {
        let names = write.names();
        let Write { action, condition, values } = write;
        match action {
            Action::Put(item) => {
                let call = self.client.put_item().table_name(&self.table).set_item(Some(item));
                send!("PutItem", with_condition!(call, names, condition, values))
            }
            Action::Update(key, expression) => {
                let call = self.client.update_item().table_name(&self.table).set_key(Some(key.attributes()));
                let call = call.update_expression(expression);
                send!("UpdateItem", with_condition!(call, names, condition, values))
            }
            Action::Delete(key) => {
                let call = self.client.delete_item().table_name(&self.table).set_key(Some(key.attributes()));
                send!("DeleteItem", with_condition!(call, names, condition, values))
            }
            Action::Check(_) => Err(StoreError::internal("a check outside of a transaction")),
        }
    }

    /// Updates an item. Returns the item if the condition did not hold.
    pub(crate) async fn update_or_read(&self, write: Write) -> Result<Updated, StoreError> {
        let names = write.names();
        let Write { action: Action::Update(key, expression), condition, values } = write else {
            return Err(StoreError::internal("not an update"));
        };
        let call = self.client.update_item().table_name(&self.table).set_key(Some(key.attributes()));
        let call = with_condition!(call.update_expression(expression), names, condition, values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match call.send().await {
            Ok(_) => Ok(Updated::Written),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                    Ok(Updated::Refused(refused.item().cloned()))
                }
                _ => Err(StoreError::from_sdk("UpdateItem", error)),
            },
        }
    }

    /// Makes one attempt to apply all of `writes` or none. A lost response does no harm: the SDK repeats the call with
    /// the same token.
    pub(crate) async fn transact_once(&self, writes: &[Write]) -> Result<TransactOutcome, StoreError> {
        let writes = writes.iter().map(|write| write.clone().in_transaction(&self.table));
        let writes = writes.collect::<Result<Vec<_>, _>>()?;
        // The SDK's own token begins with a hash of the monotonic clock and the thread (`fastrand`): functions that start at the
        // same moment could send equal ones, of which DynamoDB refuses one with IdempotentParameterMismatchException.
        let token = Uuid::new_v4().to_string();
        let call = self.client.transact_write_items().client_request_token(token).set_transact_items(Some(writes));
        let Err(error) = call.send().await else { return Ok(TransactOutcome::Committed) };
        match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionInProgressException(_)) => Ok(TransactOutcome::Conflict),
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                let reasons: Vec<&str> = cancelled.cancellation_reasons().iter().filter_map(|r| r.code()).collect();
                let with = |code| reasons.iter().enumerate().filter(move |(_, c)| **c == code).map(|(i, _)| i);
                let refused: Vec<usize> = with("ConditionalCheckFailed").collect();
                if !refused.is_empty() {
                    return Ok(TransactOutcome::Cancelled(refused));
                }
                if TRANSIENT.iter().any(|code| with(code).next().is_some()) {
                    return Ok(TransactOutcome::Conflict);
                }
                Err(StoreError::Internal(format!("TransactWriteItems: cancelled: {reasons:?}")))
            }
            _ => Err(StoreError::from_sdk("TransactWriteItems", error)),
        }
    }

    /// Like [`Self::transact_once`], but retries conflicts: it never returns [`TransactOutcome::Conflict`].
    pub(crate) async fn transact(&self, writes: &[Write]) -> Result<TransactOutcome, StoreError> {
        let mut retries = Retries::new("TransactWriteItems");
        loop {
            match self.transact_once(writes).await? {
                TransactOutcome::Conflict => retries.pause().await?,
                outcome => return Ok(outcome),
            }
        }
    }
}
