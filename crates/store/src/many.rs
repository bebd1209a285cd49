//! Many images at once: made by the dozen, removed by the dozen.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tintype_model::{Image, ImageId, ImageKey, Timestamp, UserId};
use tokio::task::JoinSet;

use crate::images::{Refusal, Step, broken};
use crate::item::{self, s};
use crate::key::{Key, USAGE_SHARDS};
use crate::table::{Transacted, backoff};
use crate::{Created, StoreError, Table};

/// DynamoDB's bound on a transaction is 100 items: here an image and its claim each, and one to spare.
const MADE_AT_ONCE: usize = 49;

/// An image and its claim each, every counter of their owner, and one item of the caller's.
pub(crate) const REMOVED_AT_ONCE: usize = (100 - USAGE_SHARDS as usize - 1) / 2;

/// Transactions side by side. More would only contend for the one partition of one user.
const SIDE_BY_SIDE: usize = 7;

impl Table {
    /// Writes new images of one owner, of different titles, each with its claim, in transactions of 49. By image, in
    /// order: what became of it; `None` where the table did not take it within `patience`. An image that stands there
    /// under its id was made by an earlier try of the same request, and counts as made.
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
            for (start, made) in worker.map_err(broken)?? {
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
            let steps: Vec<Step<'_>> =
                open.iter().map(|index| Step { old: None, new: Some(&images[*index]) }).collect();
            let plan = self.plan(&steps, now, &HashSet::new())?;
            let Ok(tried) = tokio::time::timeout_at(until.into(), self.try_transact(&plan.actions)).await else {
                return Ok(outcomes);
            };
            match tried {
                Ok(Transacted::Done) => open.iter().for_each(|index| outcomes[*index] = Some(Created::Created)),
                Ok(Transacted::Refused(refused)) => {
                    for (step, refusal) in refused.iter().filter_map(|action| plan.refusals.get(*action)) {
                        let outcome = &mut outcomes[open[*step]];
                        match refusal {
                            // Its item comes first: an image that is there has, or had, its title.
                            Refusal::Stale => *outcome = Some(Created::Created),
                            _ if outcome.is_none() => *outcome = Some(Created::TitleTaken),
                            _ => {}
                        }
                    }
                }
                Ok(Transacted::Contended) | Err(StoreError::Unavailable(_)) => {
                    attempt += 1;
                    backoff(attempt).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Removes those of `ids`, all of one owner, that are there, some dozens in a transaction. By id, in order: whether
    /// it was there. `None`: others changed it at every try.
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
            let steps: Vec<Step<'_>> = images
                .iter()
                .filter(|image| there(image))
                .map(|image| Step { old: image.as_ref(), new: None })
                .collect();
            if steps.is_empty() || self.transit(&steps, now, None).await?.is_ok() {
                return Ok(found);
            }
            backoff(attempt).await;
        }
        Ok(vec![None; ids.len()])
    }

    /// A page of all images of a user, expired ones too, oldest first, and whether there are more: one query.
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
