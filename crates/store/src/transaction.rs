//! Transactions over images. A transaction is computed from the images before and after it, and covers with each image
//! its claim on its title and the owner's usage.

use std::collections::{BTreeMap, HashMap, HashSet};

use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem, Update};
use tintype_model::{Image, ImageId, State, Timestamp, Title};

use crate::StoreError;
use crate::item::{self, REPLACED, n, s};
use crate::key::Key;
use crate::table::{TRIES, Table, TransactOutcome, backoff};

/// A change of one image.
#[derive(Clone, Copy)]
pub(crate) struct ImageChange<'a> {
    /// The image as it was read; `None` to create it.
    pub(crate) before: Option<&'a Image>,
    /// `None` to delete it.
    pub(crate) after: Option<&'a Image>,
}

/// Why a change was not applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// The record that is written with the changes exists: they were applied before.
    AlreadyDone,
    /// The image has another version than the one that was read.
    VersionChanged,
    /// Another image holds the new title.
    TitleTaken,
    /// Another image holds the old title by now.
    TitleLost,
}

/// The actions of one transaction.
#[derive(Default)]
pub(crate) struct ImageTransaction {
    pub(crate) actions: Vec<TransactWriteItem>,
    /// By action: the index of its change, and the conflict if its condition does not hold.
    conflicts: Vec<(usize, Conflict)>,
}

impl ImageTransaction {
    /// The changes of the cancelled actions with their conflicts.
    pub(crate) fn conflicts(&self, cancelled: &[usize]) -> Vec<(usize, Conflict)> {
        cancelled.iter().filter_map(|&action| self.conflicts.get(action).copied()).collect()
    }

    fn push(&mut self, change: usize, conflict: Conflict, action: TransactWriteItem) {
        self.actions.push(action);
        self.conflicts.push((change, conflict));
    }
}

impl Table {
    /// Applies one change. Returns the conflict if it was not applied.
    pub(crate) async fn apply(
        &self,
        before: Option<&Image>,
        after: Option<&Image>,
        now: Timestamp,
    ) -> Result<Option<Conflict>, StoreError> {
        self.apply_with_record(before, after, now, None).await
    }

    /// Like [`Self::apply`]. Writes `record` in the same transaction; its condition fails if the change was applied before.
    pub(crate) async fn apply_with_record(
        &self,
        before: Option<&Image>,
        after: Option<&Image>,
        now: Timestamp,
        record: Option<TransactWriteItem>,
    ) -> Result<Option<Conflict>, StoreError> {
        let conflicts = self.apply_all(&[ImageChange { before, after }], now, record).await?;
        let first = [Conflict::AlreadyDone, Conflict::VersionChanged, Conflict::TitleTaken, Conflict::TitleLost];
        Ok(first.into_iter().find(|conflict| conflicts.iter().any(|(_, found)| found == conflict)))
    }

    /// Applies changes of images of one owner in one transaction, and retries while other transactions conflict. No two
    /// changes may take the same title. Returns the conflicts, by index of the change: with any, nothing was applied.
    pub(crate) async fn apply_all(
        &self,
        changes: &[ImageChange<'_>],
        now: Timestamp,
        record: Option<TransactWriteItem>,
    ) -> Result<Vec<(usize, Conflict)>, StoreError> {
        let mut lost = HashSet::new();
        for attempt in 1..=TRIES {
            let mut transaction = self.build_transaction(changes, now, &lost)?;
            if let Some(record) = &record {
                transaction.push(0, Conflict::AlreadyDone, record.clone());
            }
            match self.transact_once(&transaction.actions).await? {
                TransactOutcome::Committed => return Ok(Vec::new()),
                TransactOutcome::Cancelled(cancelled) => {
                    let conflicts = transaction.conflicts(&cancelled);
                    if conflicts.is_empty() {
                        return Err(StoreError::internal("the cancelled action is not part of the transaction"));
                    }
                    if conflicts.iter().any(|(_, conflict)| *conflict != Conflict::TitleLost) {
                        return Ok(conflicts);
                    }
                    // Their claims belong to other images by now, and stay.
                    let images = conflicts.iter().filter_map(|(change, _)| changes[*change].before);
                    lost.extend(images.map(|image| image.title.clone()));
                }
                TransactOutcome::Conflict => {
                    if let [ImageChange { before: None, after: Some(after) }] = changes
                        && self.title_is_held_by_another(after, now).await?
                    {
                        return Ok(vec![(0, Conflict::TitleTaken)]);
                    }
                    backoff(attempt).await;
                }
            }
        }
        Err(StoreError::Unavailable("TransactWriteItems: contended".into()))
    }

    async fn title_is_held_by_another(&self, image: &Image, now: Timestamp) -> Result<bool, StoreError> {
        let key = Key::claim(image.id.owner, &image.title);
        let Some(claim) = self.read([key.clone()]).await?.get(&key).map(item::claim).transpose()? else {
            return Ok(false);
        };
        let live = claim.expires_at.is_none_or(|at| at.secs() > now.secs());
        Ok(live && claim.image != image.id.key)
    }

    /// Computes the actions of a transaction. `lost`: titles whose claims belong to other images.
    pub(crate) fn build_transaction(
        &self,
        changes: &[ImageChange<'_>],
        now: Timestamp,
        lost: &HashSet<Title>,
    ) -> Result<ImageTransaction, StoreError> {
        let mut transaction = ImageTransaction::default();
        // A transaction may contain an item only once, so what several changes do to one item is combined.
        let mut dropped: HashMap<Title, Vec<(usize, ImageId)>> = HashMap::new();
        let mut usage: BTreeMap<Key, (i64, i64)> = BTreeMap::new();
        for (change, ImageChange { before: old, after: new }) in changes.iter().copied().enumerate() {
            let id =
                old.or(new).map(|image| image.id).ok_or_else(|| StoreError::internal("a change without an image"))?;
            transaction.push(change, Conflict::VersionChanged, self.image_action(id, old, new)?);

            let held = |image: Option<&Image>| {
                image.filter(|image| image.holds_claim()).map(|image| (image.title.clone(), image.expires_at()))
            };
            let (before, after) = (held(old), held(new));
            if let Some((title, expires_at)) = after.as_ref().filter(|_| before != after) {
                transaction.push(change, Conflict::TitleTaken, self.take_claim(id, title, *expires_at, now)?);
            }
            if let Some((title, _)) = before.filter(|(title, _)| after.is_none_or(|(kept, _)| kept != *title))
                && !lost.contains(&title)
            {
                dropped.entry(title).or_default().push((change, id));
            }

            let counted = |image: Option<&Image>| {
                image.filter(|image| image.is_ready()).map_or((0, 0), |image| (1, image.blob.size as i64))
            };
            let ((images_before, bytes_before), (images_after, bytes_after)) = (counted(old), counted(new));
            if images_before != images_after {
                let (images, bytes) = usage.entry(Key::usage_of(id)).or_default();
                *images += images_after - images_before;
                *bytes += bytes_after - bytes_before;
            }
        }
        for (title, holders) in dropped {
            transaction.push(holders[0].0, Conflict::TitleLost, self.drop_claim(&title, &holders)?);
        }
        for (key, (images, bytes)) in usage {
            let update = Update::builder()
                .table_name(&self.name)
                .set_key(Some(key.attributes()))
                .update_expression("ADD images :images, #bytes :bytes")
                .expression_attribute_names("#bytes", "bytes")
                .expression_attribute_values(":images", n(images))
                .expression_attribute_values(":bytes", n(bytes));
            let update = update.build().map_err(StoreError::internal)?;
            transaction.push(0, Conflict::VersionChanged, TransactWriteItem::builder().update(update).build());
        }
        Ok(transaction)
    }

    fn image_action(
        &self,
        id: ImageId,
        old: Option<&Image>,
        new: Option<&Image>,
    ) -> Result<TransactWriteItem, StoreError> {
        let condition = if old.is_some() { "#version = :version" } else { "attribute_not_exists(pk)" };
        let action = TransactWriteItem::builder();
        Ok(match new {
            Some(new) => {
                let mut stored = item::from_image(new, self.feed_shards);
                if let (Some(State::Ready(was)), State::Ready(is)) = (old.map(|image| &image.state), &new.state)
                    && was.built_for != is.built_for
                {
                    // Read by `sweep` from the stream of the table.
                    stored.insert(REPLACED.to_owned(), s(was.built_for.as_str()));
                }
                let mut put =
                    Put::builder().table_name(&self.name).set_item(Some(stored)).condition_expression(condition);
                if let Some(old) = old {
                    put = put
                        .expression_attribute_names("#version", "version")
                        .expression_attribute_values(":version", n(old.version));
                }
                action.put(put.build().map_err(StoreError::internal)?)
            }
            None => {
                let mut delete = Delete::builder()
                    .table_name(&self.name)
                    .set_key(Some(Key::image(id).attributes()))
                    .condition_expression(condition);
                if let Some(old) = old {
                    delete = delete
                        .expression_attribute_names("#version", "version")
                        .expression_attribute_values(":version", n(old.version));
                }
                action.delete(delete.build().map_err(StoreError::internal)?)
            }
        }
        .build())
    }

    fn take_claim(
        &self,
        id: ImageId,
        title: &Title,
        expires_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<TransactWriteItem, StoreError> {
        let mut claim = Key::claim(id.owner, title).attributes();
        claim.insert("image_id".into(), s(id.key));
        if let Some(at) = expires_at {
            claim.insert("expires_at".into(), n(at.secs()));
        }
        let put = Put::builder()
            .table_name(&self.name)
            .set_item(Some(claim))
            .condition_expression("attribute_not_exists(pk) OR image_id = :mine OR expires_at <= :now")
            .expression_attribute_values(":mine", s(id.key))
            .expression_attribute_values(":now", n(now.secs()));
        Ok(TransactWriteItem::builder().put(put.build().map_err(StoreError::internal)?).build())
    }

    /// Deletes the claim on a title if one of these images holds it.
    fn drop_claim(&self, title: &Title, holders: &[(usize, ImageId)]) -> Result<TransactWriteItem, StoreError> {
        let (_, first) = holders.first().ok_or_else(|| StoreError::internal("a claim without a holder"))?;
        let names: Vec<String> = (0..holders.len()).map(|index| format!(":mine{index}")).collect();
        let mut delete = Delete::builder()
            .table_name(&self.name)
            .set_key(Some(Key::claim(first.owner, title).attributes()))
            .condition_expression(format!("attribute_not_exists(pk) OR image_id IN ({})", names.join(", ")));
        for (name, (_, id)) in names.iter().zip(holders) {
            delete = delete.expression_attribute_values(name, s(id.key));
        }
        Ok(TransactWriteItem::builder().delete(delete.build().map_err(StoreError::internal)?).build())
    }
}
