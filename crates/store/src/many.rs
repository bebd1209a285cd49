//! Creates and deletes many images at once, some dozens in a transaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tintype_model::{Image, ImageId, ImageKey, Timestamp, UserId};
use tokio::task::JoinSet;

use crate::dynamo::{Query, TransactOutcome};
use crate::images::{CreateOutcome, Images};
use crate::key::{self, Key, USAGE_SHARDS};
use crate::retries::Retries;
use crate::transaction::{Conflict, ImageChange};
use crate::{StoreError, item};

/// A transaction has at most 100 items: an image and its claim each, and one to spare.
const MADE_AT_ONCE: usize = 49;

/// An image and its claim each, all counters of their owner, and one item of the caller.
pub(crate) const REMOVED_AT_ONCE: usize = (100 - USAGE_SHARDS as usize - 1) / 2;

/// Concurrent transactions. More would conflict on the partition of the user.
const SIDE_BY_SIDE: usize = 7;

impl Images {
    /// Creates images of one owner with different titles in transactions of 49 images. Returns the results in order;
    /// `None` if the table did not accept an image within `patience`. An image that exists with the same id was created
    /// by an earlier attempt of the same request, and counts as created.
    pub async fn create_many(
        &self,
        images: Vec<Image>,
        now: Timestamp,
        patience: Duration,
    ) -> Result<Vec<Option<CreateOutcome>>, StoreError> {
        let until = Instant::now() + patience;
        let mut outcomes: Vec<Option<CreateOutcome>> = images.iter().map(|_| None).collect();
        let images = Arc::new(images);
        let mut workers = JoinSet::new();
        for worker in 0..SIDE_BY_SIDE.min(images.len().div_ceil(MADE_AT_ONCE)) {
            let (this, images) = (self.clone(), Arc::clone(&images));
            workers.spawn(async move {
                let mut made = Vec::new();
                let chunks = images.chunks(MADE_AT_ONCE).enumerate().skip(worker).step_by(SIDE_BY_SIDE);
                for (index, chunk) in chunks {
                    made.push((index * MADE_AT_ONCE, this.create_together(chunk, now, until).await?));
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
    ) -> Result<Vec<Option<CreateOutcome>>, StoreError> {
        let mut outcomes: Vec<Option<CreateOutcome>> = images.iter().map(|_| None).collect();
        let mut retries = Retries::unlimited("TransactWriteItems");
        loop {
            let open: Vec<usize> = (0..images.len()).filter(|index| outcomes[*index].is_none()).collect();
            if open.is_empty() {
                return Ok(outcomes);
            }
            let changes: Vec<ImageChange<'_>> =
                open.iter().map(|index| ImageChange { before: None, after: Some(&images[*index]) }).collect();
            let transaction = self.transaction(&changes, now)?;
            let attempted = self.dynamo.transact_once(&transaction.writes);
            let Ok(outcome) = tokio::time::timeout_at(until.into(), attempted).await else {
                return Ok(outcomes);
            };
            match outcome {
                Ok(TransactOutcome::Committed) => {
                    open.iter().for_each(|index| outcomes[*index] = Some(CreateOutcome::Created))
                }
                Ok(TransactOutcome::Cancelled(cancelled)) => {
                    for (change, conflict) in transaction.conflicts(&cancelled) {
                        let outcome = &mut outcomes[open[change]];
                        match conflict {
                            // The write of the image comes before the one of its claim.
                            Conflict::VersionChanged => *outcome = Some(CreateOutcome::Created),
                            _ if outcome.is_none() => *outcome = Some(CreateOutcome::TitleTaken),
                            _ => {}
                        }
                    }
                }
                Ok(TransactOutcome::Conflict) | Err(StoreError::Unavailable(_)) => {
                    retries.pause().await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Deletes images of one owner, some dozens in a transaction. Returns in order whether each existed; `None` if
    /// concurrent changes prevented every attempt.
    pub async fn delete_many(&self, ids: &[ImageId], now: Timestamp) -> Result<Vec<Option<bool>>, StoreError> {
        let mut outcomes = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(REMOVED_AT_ONCE) {
            outcomes.extend(self.delete_together(chunk, now).await?);
        }
        Ok(outcomes)
    }

    async fn delete_together(&self, ids: &[ImageId], now: Timestamp) -> Result<Vec<Option<bool>>, StoreError> {
        let mut retries = Retries::new("TransactWriteItems");
        loop {
            let items = self.dynamo.get(ids.iter().copied().map(Key::image)).await?;
            let images: Vec<Option<Image>> = ids.iter().map(|id| items.image(*id)).collect::<Result<_, _>>()?;
            let there = |image: &Option<Image>| image.as_ref().is_some_and(|image| !image.is_expired(now));
            let found: Vec<Option<bool>> = images.iter().map(|image| Some(there(image))).collect();
            let changes: Vec<ImageChange<'_>> = images
                .iter()
                .filter(|image| there(image))
                .map(|image| ImageChange { before: image.as_ref(), after: None })
                .collect();
            if changes.is_empty() || self.apply(&changes, now, None).await?.is_empty() {
                return Ok(found);
            }
            if retries.pause().await.is_err() {
                return Ok(vec![None; ids.len()]);
            }
        }
    }

    /// Reads a page of all images of a user, also expired ones, oldest first, with one query. Returns true if more
    /// follow.
    pub async fn ascending(
        &self,
        owner: UserId,
        after: Option<ImageKey>,
        limit: usize,
    ) -> Result<(Vec<Image>, bool), StoreError> {
        let after = after.map(|key| Key::image(ImageId { owner, key }));
        let page =
            self.dynamo.query(Query::prefix(Key::images_of(owner), key::IMAGE).after(after).limit(limit)).await?;
        Ok((page.items.iter().map(item::image).collect::<Result<_, _>>()?, page.next.is_some()))
    }
}
