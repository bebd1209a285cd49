//! The repairs. Each is conditional on what the audit read.

use std::time::Duration;

use aws_sdk_dynamodb::types::builders::UpdateBuilder;
use aws_sdk_dynamodb::types::{ConditionCheck, Delete, Put, TransactWriteItem, Update};
use tintype_model::ImageId;

use super::{Audit, RepairAction};
use crate::item::{n, s};
use crate::key::{self, Key};
use crate::{JobMessage, StoreError};

impl Audit<'_> {
    /// Repairs a finding. Returns false if it has changed since.
    pub async fn repair(&self, action: &RepairAction) -> Result<bool, StoreError> {
        match action {
            RepairAction::DeleteImage(image) => {
                let removed = self.table.delete_image(image, self.now).await?;
                if removed {
                    self.blobs.delete_all(image.id).await?;
                }
                Ok(removed)
            }
            RepairAction::TakeClaim(image) => {
                let mut claim = Key::claim(image.id.owner, &image.title).attributes();
                claim.insert("image_id".into(), s(image.id.key));
                if let Some(at) = image.expires_at() {
                    claim.insert("expires_at".into(), n(at.secs()));
                }
                let put = Put::builder()
                    .table_name(&self.table.name)
                    .set_item(Some(claim))
                    .condition_expression("attribute_not_exists(pk) OR image_id = :mine OR expires_at <= :now")
                    .expression_attribute_values(":mine", s(image.id.key))
                    .expression_attribute_values(":now", n(self.now.secs()));
                let put = TransactWriteItem::builder().put(put.build().map_err(StoreError::internal)?).build();
                self.transact([self.unchanged(image.id, Some(image.version))?, put]).await
            }
            RepairAction::DeleteClaim { claim, image, version } => {
                let delete = Delete::builder()
                    .table_name(&self.table.name)
                    .set_key(Some(claim.attributes()))
                    .condition_expression("image_id = :its")
                    .expression_attribute_values(":its", s(image.key));
                let delete = TransactWriteItem::builder().delete(delete.build().map_err(StoreError::internal)?).build();
                self.transact([self.unchanged(*image, *version)?, delete]).await
            }
            RepairAction::DeleteExpired(key) => {
                let delete = Delete::builder()
                    .table_name(&self.table.name)
                    .set_key(Some(key.attributes()))
                    .condition_expression("expires_at <= :now")
                    .expression_attribute_values(":now", n(self.now.secs()));
                self.transact([TransactWriteItem::builder()
                    .delete(delete.build().map_err(StoreError::internal)?)
                    .build()])
                    .await
            }
            RepairAction::SetFeedEntry(image) => {
                let update = self.update(Key::image(image.id));
                let update = if image.is_published() {
                    let shard = key::feed_shard(image.id, self.table.feed_shards);
                    update
                        .update_expression("SET feed_pk = :pk, feed_sk = :sk ADD #version :one")
                        .expression_attribute_values(":pk", s(key::feed_partition(shard)))
                        .expression_attribute_values(":sk", s(image.id.key))
                } else {
                    update.update_expression("REMOVE feed_pk, feed_sk ADD #version :one")
                };
                self.transact([versioned(update, image.version)?]).await
            }
            RepairAction::SetPlanEntry(profile) => {
                let update = self.update(Key::profile(profile.id));
                let update = match &profile.plan {
                    Some(plan) => update
                        .update_expression("SET plan_pk = :pk ADD #version :one")
                        .expression_attribute_values(":pk", s(key::plan_partition(plan))),
                    None => update.update_expression("REMOVE plan_pk ADD #version :one"),
                };
                self.transact([versioned(update, profile.version)?]).await
            }
            RepairAction::SetCounter { counter, held, right } => {
                // A missing counter counts as 0.
                let unchanged = if held.images == 0 && held.bytes == 0 {
                    "attribute_not_exists(pk) OR (images = :were AND #bytes = :was)"
                } else {
                    "images = :were AND #bytes = :was"
                };
                let update = self
                    .update(counter.clone())
                    .update_expression("SET images = :images, #bytes = :bytes")
                    .condition_expression(unchanged)
                    .expression_attribute_names("#bytes", "bytes")
                    .expression_attribute_values(":images", n(right.images))
                    .expression_attribute_values(":bytes", n(right.bytes))
                    .expression_attribute_values(":were", n(held.images))
                    .expression_attribute_values(":was", n(held.bytes));
                self.transact([TransactWriteItem::builder()
                    .update(update.build().map_err(StoreError::internal)?)
                    .build()])
                    .await
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

    pub(super) async fn transact<const N: usize>(&self, actions: [TransactWriteItem; N]) -> Result<bool, StoreError> {
        Ok(self.table.transact(&actions).await?.is_committed())
    }

    fn update(&self, key: Key) -> UpdateBuilder {
        Update::builder().table_name(&self.table.name).set_key(Some(key.attributes()))
    }

    /// A condition: the image has this version; `None`: it does not exist.
    fn unchanged(&self, id: ImageId, version: Option<u64>) -> Result<TransactWriteItem, StoreError> {
        let check = ConditionCheck::builder().table_name(&self.table.name).set_key(Some(Key::image(id).attributes()));
        let check = match version {
            Some(version) => check
                .condition_expression("#version = :version")
                .expression_attribute_names("#version", "version")
                .expression_attribute_values(":version", n(version)),
            None => check.condition_expression("attribute_not_exists(pk)"),
        };
        Ok(TransactWriteItem::builder().condition_check(check.build().map_err(StoreError::internal)?).build())
    }
}

fn versioned(update: UpdateBuilder, version: u64) -> Result<TransactWriteItem, StoreError> {
    let update = update
        .condition_expression("#version = :version")
        .expression_attribute_names("#version", "version")
        .expression_attribute_values(":version", n(version))
        .expression_attribute_values(":one", n(1));
    Ok(TransactWriteItem::builder().update(update.build().map_err(StoreError::internal)?).build())
}
