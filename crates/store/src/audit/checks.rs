//! The checks of images, claims, users and blobs. Each returns findings by index of its subject.
//!
//! [`Audit::items`] reports unreadable items. The checks skip the subjects whose state depends on one, so that it does not
//! end the audit of the others.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use tintype_model::{Image, ImageId, ImageKey, ImageState, JobStatus, Title, Usage, UserId, Work};

use super::{Audit, COUNTS, Finding, Repair, RepairAction};
use crate::blobs::{Bucket, Listed};
use crate::dynamo::{Item, Query};
use crate::key::{self, Key};
use crate::{AccountError, BlobStore, Profiles, StoreError, image_id_of_key, item};

impl Audit<'_> {
    pub(super) async fn check_images(&self, ids: &[ImageId]) -> Result<Vec<(usize, Finding)>, StoreError> {
        let owners = ids.iter().map(|id| Key::profile(id.owner));
        let items = self.store.read(ids.iter().map(|&id| Key::image(id)).chain(owners)).await?;
        let mut images = Vec::with_capacity(ids.len());
        for (index, &id) in ids.iter().enumerate() {
            // The next audit checks images that are deleted or unreadable by now.
            if let Ok(Some(image)) = items.image(id) {
                images.push((index, image));
            }
        }
        let claims = self.store.read(images.iter().map(|(_, i)| Key::claim(i.id.owner, &i.title))).await?;
        let blobs = self.blobs_of(images.iter().map(|(_, image)| image)).await?;
        let mut findings = Vec::new();
        for (index, image) in images {
            let mut found = |kind, repair| findings.push((index, Finding::new(kind, image.id, repair)));
            let fix = |fix| Repair::Store(fix);
            if image.is_expired(self.now) {
                found(Finding::EXPIRED, fix(RepairAction::DeleteImage(Box::new(image.clone()))));
                continue;
            }
            if !self.is_settled(image.updated_at) {
                continue;
            }
            if !items.has(&Key::profile(image.id.owner)) && !self.is_being_deleted(image.id.owner).await? {
                found("image_without_owner", Repair::Manual);
            }
            let claim = claims.get(&Key::claim(image.id.owner, &image.title)).map(item::claim);
            let live = |claim: &item::Claim| claim.expires_at.is_none_or(|at| at.secs() > self.now.secs());
            match claim {
                Some(Err(_)) => {}
                Some(Ok(claim)) if claim.image == image.id.key => {
                    // `check_claims` checks the claim of a rejected image.
                    if image.holds_claim() && claim.expires_at != image.expires_at() {
                        found("claim_expires_otherwise", fix(RepairAction::TakeClaim(Box::new(image.clone()))));
                    }
                }
                _ if !image.holds_claim() => {}
                Some(Ok(claim)) if live(&claim) => found("title_held_by_another", Repair::Manual),
                _ => found("title_not_held", fix(RepairAction::TakeClaim(Box::new(image.clone())))),
            }
            let place = items.get(&Key::image(image.id)).map(feed_entry).unwrap_or_default();
            if !self.is_feed_entry_right(&image, place) {
                found("wrong_feed_entry", fix(RepairAction::SetFeedEntry(Box::new(image.clone()))));
            }
            match &image.state {
                ImageState::Processing { .. } => found("stuck_in_processing", Repair::Build(image.id)),
                ImageState::Ready(ready) => {
                    let has = |key: &str| blobs.get(&image.id).is_some_and(|keys| keys.contains(key));
                    if !has(&BlobStore::original_key(image.id)) {
                        found("original_missing", Repair::Manual);
                    } else if BlobStore::thumbnail_keys(&image, ready).any(|key| !has(&key)) {
                        found("thumbnail_missing", Repair::Build(image.id));
                    }
                }
                ImageState::Pending { .. } | ImageState::Rejected { .. } => {}
            }
        }
        Ok(findings)
    }

    /// Lists the blobs of these images.
    async fn blobs_of(
        &self,
        images: impl Iterator<Item = &Image>,
    ) -> Result<HashMap<ImageId, HashSet<String>>, StoreError> {
        let mut by_owner: BTreeMap<UserId, BTreeSet<ImageKey>> = BTreeMap::new();
        for image in images.filter(|image| image.is_ready()) {
            by_owner.entry(image.id.owner).or_default().insert(image.id.key);
        }
        let mut found: HashMap<ImageId, HashSet<String>> = HashMap::new();
        for (owner, images) in by_owner {
            for bucket in [Bucket::Originals, Bucket::Thumbnails] {
                for key in self.blobs.list_images(bucket, owner, &images).await? {
                    if let Some(id) = image_id_of_key(&key) {
                        found.entry(id).or_default().insert(key);
                    }
                }
            }
        }
        Ok(found)
    }

    fn is_feed_entry_right(&self, image: &Image, (pk, sk): (Option<&str>, Option<&str>)) -> bool {
        match (pk, sk) {
            (None, None) => !image.is_published(),
            (Some(pk), Some(sk)) => {
                // The number of shards may have grown since.
                let known = (0..self.store.images.feed_shards).any(|shard| key::feed_partition(shard) == pk);
                image.is_published() && known && sk == image.id.key.to_string()
            }
            _ => false,
        }
    }

    pub(super) async fn check_claims(
        &self,
        claims: &[(Key, UserId, Title)],
    ) -> Result<Vec<(usize, Finding)>, StoreError> {
        let items = self.store.read(claims.iter().map(|(key, ..)| key.clone())).await?;
        let mut held = Vec::with_capacity(claims.len());
        for (index, (key, owner, title)) in claims.iter().enumerate() {
            if let Some(Ok(claim)) = items.get(key).map(item::claim) {
                held.push((index, key, title, claim.expires_at, ImageId { owner: *owner, key: claim.image }));
            }
        }
        let images = self.store.read(held.iter().map(|&(.., id)| Key::image(id))).await?;
        let mut findings = Vec::new();
        for (index, key, title, expires_at, id) in held {
            let Ok(image) = images.image(id) else { continue };
            if image.as_ref().is_some_and(|image| image.holds_claim() && image.title == *title) {
                continue;
            }
            // A claim is written with its image, so it is at least as old.
            if !self.is_settled(image.as_ref().map_or(id.key.created_at(), |image| image.updated_at)) {
                continue;
            }
            let over = expires_at.is_some_and(|at| at.secs() <= self.now.secs());
            let kind = if over { Finding::EXPIRED } else { "title_held_for_nothing" };
            let version = image.map(|image| image.version);
            let fix = RepairAction::DeleteClaim { claim: key.clone(), image: id, version };
            findings.push((index, Finding::new(kind, id, Repair::Store(fix))));
        }
        Ok(findings)
    }

    pub(super) async fn check_users(&self, users: &[UserId]) -> Result<Vec<(usize, Finding)>, StoreError> {
        let items = self.store.read(users.iter().map(|&user| Key::profile(user))).await?;
        let mut findings = Vec::new();
        for (index, &user) in users.iter().enumerate() {
            let mut found = |kind, repair| findings.push((index, Finding::new(kind, user, repair)));
            let Ok(profile) = items.profile(user) else { continue };
            let Some(profile) = profile else {
                if !self.is_being_deleted(user).await? {
                    found("counters_without_owner", Repair::Manual);
                }
                continue;
            };
            let place = items.get(&Key::profile(user)).and_then(|item| item::text(item, "plan_pk"));
            if place != profile.plan.as_ref().map(key::plan_partition).as_deref() {
                found("wrong_plan_entry", Repair::Store(RepairAction::SetPlanEntry(Box::new(profile.clone()))));
            }
            if self.is_settled(profile.created_at) && !self.has_account(user).await? {
                // A user can delete their account in the pool with an access token.
                found("profile_without_account", Repair::CloseAccount(user));
            }
            for (counter, held, right) in self.miscounted(user).await? {
                found("miscounted", Repair::Store(RepairAction::SetCounter { counter, held, right }));
            }
        }
        Ok(findings)
    }

    /// Returns true while a job deletes the rest of an account that has no profile.
    async fn is_being_deleted(&self, user: UserId) -> Result<bool, StoreError> {
        let jobs = self.store.jobs.of_user(user).await?;
        Ok(jobs
            .iter()
            .any(|job| job.work == Work::DeleteAccount && matches!(job.status, JobStatus::Queued | JobStatus::Running)))
    }

    async fn has_account(&self, user: UserId) -> Result<bool, StoreError> {
        self.accounts.exists(user).await.map_err(|error| match error {
            AccountError::Store(error) => error,
            error => StoreError::Unavailable(error.to_string()),
        })
    }

    /// Returns the wrong counters of a user with their values and the right ones.
    async fn miscounted(&self, user: UserId) -> Result<Vec<(Key, Usage, Usage)>, StoreError> {
        for _ in 0..COUNTS {
            let Some(held) = self.counters(user).await? else { return Ok(Vec::new()) };
            let mut right: HashMap<Key, Usage> = HashMap::new();
            let mut after = None;
            loop {
                let query = Query::prefix(Key::images_of(user), key::IMAGE).after(after);
                let page = self.store.dynamo.query(query).await?;
                for item in &page.items {
                    let Ok(image) = item::image(item) else { return Ok(Vec::new()) };
                    if image.is_ready() {
                        let counter = right.entry(Key::usage_of(image.id)).or_default();
                        counter.images += 1;
                        counter.bytes += image.blob.size;
                    }
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            // The counters did not change during the count.
            if self.counters(user).await?.as_ref() == Some(&held) {
                let compared = Profiles::usage_keys(user).map(|key| {
                    let of = |counts: &HashMap<Key, Usage>| counts.get(&key).copied().unwrap_or_default();
                    (key.clone(), of(&held), of(&right))
                });
                return Ok(compared.filter(|(_, held, right)| held != right).collect());
            }
        }
        Ok(Vec::new())
    }

    /// Reads the counters of a user; `None` if one is unreadable.
    async fn counters(&self, user: UserId) -> Result<Option<HashMap<Key, Usage>>, StoreError> {
        let items = self.store.read(Profiles::usage_keys(user)).await?;
        let counter = |key: Key| items.get(&key).map(|item| Some((key, item::usage(item).ok()?)));
        Ok(Profiles::usage_keys(user).filter_map(counter).collect())
    }

    pub(super) async fn check_blobs(
        &self,
        bucket: Bucket,
        blobs: &[Listed],
    ) -> Result<Vec<(usize, Finding)>, StoreError> {
        let owners: HashSet<ImageId> = blobs.iter().filter_map(|blob| image_id_of_key(&blob.key)).collect();
        let items = self.store.read(owners.into_iter().map(Key::image)).await?;
        let mut findings = Vec::new();
        for (index, blob) in blobs.iter().enumerate() {
            let mut found = |kind, repair| findings.push((index, Finding::new(kind, &blob.key, repair)));
            let delete = || Repair::Store(RepairAction::DeleteBlob(bucket, blob.key.clone()));
            let Some(id) = image_id_of_key(&blob.key) else {
                found("blob_of_no_kind", Repair::Manual);
                continue;
            };
            let Ok(image) = items.image(id) else { continue };
            let image = image.filter(|image| !image.is_expired(self.now));
            match image.as_ref().map(|image| (image, &image.state)) {
                None => found("blob_without_image", delete()),
                Some((_, ImageState::Rejected { .. })) => found("blob_of_rejected_image", delete()),
                Some((_, ImageState::Pending { .. })) if bucket == Bucket::Originals => {
                    found("upload_not_built", Repair::Build(id));
                }
                // An image in processing is built again, or expires with its blobs.
                Some((_, ImageState::Pending { .. } | ImageState::Processing { .. })) => {}
                Some((image, ImageState::Ready(ready))) => {
                    let known = match bucket {
                        Bucket::Originals => blob.key == BlobStore::original_key(id),
                        Bucket::Thumbnails => BlobStore::thumbnail_keys(image, ready).any(|key| key == blob.key),
                    };
                    if !known {
                        found("blob_not_recorded", delete());
                    }
                }
            }
        }
        Ok(findings)
    }
}

fn feed_entry(item: &Item) -> (Option<&str>, Option<&str>) {
    (item::text(item, "feed_pk"), item::text(item, "feed_sk"))
}
