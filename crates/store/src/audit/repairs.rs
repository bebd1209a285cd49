//! The repairs. Each is conditional on what the audit read.

use std::time::Duration;

use tintype_model::ImageId;

use super::{Audit, RepairAction};
use crate::dynamo::{Write, n, s};
use crate::key::{self, Key};
use crate::transaction::take_claim;
use crate::{JobMessage, StoreError};

impl Audit<'_> {
    /// Repairs a finding. Returns false if it has changed since.
    pub async fn repair(&self, action: &RepairAction) -> Result<bool, StoreError> {
        match action {
            RepairAction::DeleteImage(image) => {
                let removed = self.store.images.delete(image, self.now).await?;
                if removed {
                    self.blobs.delete_image(image.id).await?;
                }
                Ok(removed)
            }
            RepairAction::TakeClaim(image) => {
                let take = take_claim(image.id, &image.title, image.expires_at(), self.now);
                self.transact(&[unchanged(image.id, Some(image.version)), take]).await
            }
            RepairAction::DeleteClaim { claim, image, version } => {
                let delete = Write::delete(claim.clone()).only_if("image_id = :its").value(":its", s(image.key));
                self.transact(&[unchanged(*image, *version), delete]).await
            }
            RepairAction::DeleteExpired(key) => {
                let delete = Write::delete(key.clone()).only_if("expires_at <= :now");
                self.transact(&[delete.value(":now", n(self.now.secs()))]).await
            }
            RepairAction::SetFeedEntry(image) => {
                let key = Key::image(image.id);
                let update = if image.is_published() {
                    let shard = key::feed_shard(image.id, self.store.images.feed_shards);
                    Write::update(key, "SET feed_pk = :pk, feed_sk = :sk ADD #version :one")
                        .value(":pk", s(key::feed_partition(shard)))
                        .value(":sk", s(image.id.key))
                } else {
                    Write::update(key, "REMOVE feed_pk, feed_sk ADD #version :one")
                };
                self.transact(&[versioned(update, image.version)]).await
            }
            RepairAction::SetPlanEntry(profile) => {
                let key = Key::profile(profile.id);
                let update = match &profile.plan {
                    Some(plan) => Write::update(key, "SET plan_pk = :pk ADD #version :one")
                        .value(":pk", s(key::plan_partition(plan))),
                    None => Write::update(key, "REMOVE plan_pk ADD #version :one"),
                };
                self.transact(&[versioned(update, profile.version)]).await
            }
            RepairAction::SetCounter { counter, held, right } => {
                // A missing counter counts as 0.
                let unchanged = if held.images == 0 && held.bytes == 0 {
                    "attribute_not_exists(pk) OR (images = :were AND #bytes = :was)"
                } else {
                    "images = :were AND #bytes = :was"
                };
                let update = Write::update(counter.clone(), "SET images = :images, #bytes = :bytes")
                    .only_if(unchanged)
                    .value(":images", n(right.images))
                    .value(":bytes", n(right.bytes))
                    .value(":were", n(held.images))
                    .value(":was", n(held.bytes));
                self.transact(&[update]).await
            }
            RepairAction::DeleteBlob(bucket, key) => {
                self.blobs.delete(*bucket, key).await?;
                Ok(true)
            }
            // A duplicate message does no harm.
            RepairAction::ResumeJob(job) => {
                self.jobs.send(JobMessage { job: *job, sent_at: self.now }, Duration::ZERO).await?;
                Ok(true)
            }
        }
    }

    async fn transact(&self, writes: &[Write]) -> Result<bool, StoreError> {
        Ok(self.store.dynamo.transact(writes).await?.is_committed())
    }
}

/// A condition: the image has this version; `None`: it does not exist.
fn unchanged(id: ImageId, version: Option<u64>) -> Write {
    match version {
        Some(version) => Write::check(Key::image(id), "#version = :version").value(":version", n(version)),
        None => Write::check(Key::image(id), "attribute_not_exists(pk)"),
    }
}

/// `update` has to add `:one` to the version.
fn versioned(update: Write, version: u64) -> Write {
    update.only_if("#version = :version").value(":version", n(version)).value(":one", n(1))
}
