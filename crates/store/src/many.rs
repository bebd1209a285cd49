//! Creates and deletes many images at once, some dozens in a transaction.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tintype_model::{Image, ImageId, ImageKey, Timestamp, UserId};
use tokio::task::JoinSet;

use crate::item::{self, s};
use crate::key::{Key, USAGE_SHARDS};
use crate::table::{TransactOutcome, backoff};
use crate::transaction::{Conflict, ImageChange};
use crate::{Created, StoreError, Table};

/// A transaction has at most 100 items: an image and its claim each, and one to spare.
const MADE_AT_ONCE: usize = 49;

/// An image and its claim each, all counters of their owner, and one item of the caller.
pub(crate) const REMOVED_AT_ONCE: usize = (100 - USAGE_SHARDS as usize - 1) / 2;

/// Concurrent transactions. More would conflict on the partition of the user.
const SIDE_BY_SIDE: usize = 7;

impl Table {
    /// Creates images of one owner with different titles in transactions of 49 images. Returns the results in order;
    /// `None` if the table did not accept an image within `patience`. An image that exists with the same id was created
    /// by an earlier attempt of the same request, and counts as created.
    pub async fn create_images(
        &self,
        images: Vec<Image>,
        now: Timestamp,
        patience: Duration,
    ) -> Result<Vec<Option<Created>>, StoreError> {
        let until = Instant::now() + patience;
        let mut outcomes: Vec<Option<Created>> = images.iter().map(|_| None).collect();
        let images = Arc::new(images);
        let mut workers = JoinSet::new();
        for worker in 0..SIDE_BY_SIDE.min(images.len().div_ceil(MADE_AT_ONCE)) {
            let (table, images) = (self.clone(), Arc::clone(&images));
            workers.spawn(async move {
                let mut made = Vec::new();
                let chunks = images.chunks(MADE_AT_ONCE).enumerate().skip(worker).step_by(SIDE_BY_SIDE);
                for (index, chunk) in chunks {
                    made.push((index * MADE_AT_ONCE, table.create_together(chunk, now, until).await?));
                }
                Ok::<_, StoreError>(made)
            });
        }
        while let Some(worker) = workers.join_next().await {
            for (start, made) in worker.map_err(StoreError::internal)?? {
                for (place, outcome) in outcomes[start..].iter_mut().zip(made) {
                    *place = outcome;
                }
            }
        }
        Ok(outcomes)
    }

    async fn create_together(
        &self,
        images: &[Image],
        now: Timestamp,
        until: Instant,
    ) -> Result<Vec<Option<Created>>, StoreError> {
        let mut outcomes: Vec<Option<Created>> = images.iter().map(|_| None).collect();
        let mut attempt = 0;
        loop {
            let open: Vec<usize> = (0..images.len()).filter(|index| outcomes[*index].is_none()).collect();
            if open.is_empty() {
                return Ok(outcomes);
            }
            let changes: Vec<ImageChange<'_>> =
                open.iter().map(|index| ImageChange { before: None, after: Some(&images[*index]) }).collect();
            let transaction = self.build_transaction(&changes, now, &HashSet::new())?;
            let attempted = self.transact_once(&transaction.actions);
            let Ok(outcome) = tokio::time::timeout_at(until.into(), attempted).await else {
                return Ok(outcomes);
            };
            match outcome {
                Ok(TransactOutcome::Committed) => {
                    open.iter().for_each(|index| outcomes[*index] = Some(Created::Created))
                }
                Ok(TransactOutcome::Cancelled(cancelled)) => {
                    for (change, conflict) in transaction.conflicts(&cancelled) {
                        let outcome = &mut outcomes[open[change]];
                        match conflict {
                            // The action on the image comes before the one on its claim.
                            Conflict::VersionChanged => *outcome = Some(Created::Created),
                            _ if outcome.is_none() => *outcome = Some(Created::TitleTaken),
                            _ => {}
                        }
                    }
                }
                Ok(TransactOutcome::Conflict) | Err(StoreError::Unavailable(_)) => {
                    attempt += 1;
                    backoff(attempt).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Deletes images of one owner, some dozens in a transaction. Returns in order whether each existed; `None` if
    /// concurrent changes prevented every attempt.
    pub async fn delete_images(&self, ids: &[ImageId], now: Timestamp) -> Result<Vec<Option<bool>>, StoreError> {
        let mut outcomes = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(REMOVED_AT_ONCE) {
            outcomes.extend(self.delete_together(chunk, now).await?);
        }
        Ok(outcomes)
    }

    async fn delete_together(&self, ids: &[ImageId], now: Timestamp) -> Result<Vec<Option<bool>>, StoreError> {
        for attempt in 1..=crate::table::TRIES {
            let items = self.read(ids.iter().copied().map(Key::image)).await?;
            let images: Vec<Option<Image>> = ids.iter().map(|id| items.image(*id)).collect::<Result<_, _>>()?;
            let there = |image: &Option<Image>| image.as_ref().is_some_and(|image| !image.is_expired(now));
            let found: Vec<Option<bool>> = images.iter().map(|image| Some(there(image))).collect();
            let changes: Vec<ImageChange<'_>> = images
                .iter()
                .filter(|image| there(image))
                .map(|image| ImageChange { before: image.as_ref(), after: None })
                .collect();
            if changes.is_empty() || self.apply_all(&changes, now, None).await?.is_empty() {
                return Ok(found);
            }
            backoff(attempt).await;
        }
        Ok(vec![None; ids.len()])
    }

    /// Reads a page of all images of a user, also expired ones, oldest first, with one query. Returns true if more
    /// follow.
    pub async fn oldest_images(
        &self,
        owner: UserId,
        after: Option<ImageKey>,
        limit: usize,
    ) -> Result<(Vec<Image>, bool), StoreError> {
        let start = after.map(|key| Key::image(ImageId { owner, key }).attributes());
        let answer = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .expression_attribute_values(":pk", s(Key::images_of(owner)))
            .expression_attribute_values(":sk", s("IMAGE#"))
            .set_exclusive_start_key(start)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("Query", e))?;
        let images = answer.items.unwrap_or_default().iter().map(item::image).collect::<Result<_, _>>()?;
        Ok((images, answer.last_evaluated_key.is_some()))
    }
}
