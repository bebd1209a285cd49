//! Creates, reads, changes and deletes single images. Each change is one transaction (see [`crate::transaction`]).

use std::collections::HashSet;

use tintype_model::{
    Cursor, Description, Idempotency, IdempotencyRecord, Image, ImageId, ImageState, Ready, RejectCode, Status,
    Timestamp, Title, UserId, Visibility,
};

use crate::dynamo::{Dynamo, ItemPage, Query, TransactOutcome, Write, n, s};
use crate::key::Key;
use crate::retries::Retries;
use crate::transaction::{Conflict, ImageChange, ImageTransaction};
use crate::{StoreError, feed, idempotency, item, key};

/// The result of creating an image.
#[derive(Debug, PartialEq, Eq)]
pub enum CreateOutcome {
    Created,
    /// The owner has another image with this title.
    TitleTaken,
    /// A request with this idempotency key was performed before.
    Repeated(IdempotencyRecord),
}

/// The fields that an owner can change. `None` leaves a field unchanged.
#[derive(Debug, Clone, Default)]
pub struct Change {
    pub title: Option<Title>,
    pub description: Option<Description>,
    pub visibility: Option<Visibility>,
    pub photo_public: Option<bool>,
}

/// The result of a change.
#[derive(Debug)]
pub enum UpdateOutcome {
    Updated(Box<Image>),
    TitleTaken,
    /// The image has changed since it was read: read it again.
    Stale,
}

/// The result of storing thumbnails.
#[derive(Debug, PartialEq, Eq)]
pub enum PublishOutcome {
    Published,
    /// The image has changed since it was read: read it again.
    Stale,
    /// Another image took the title meanwhile.
    TitleLost,
}

#[derive(Debug, Clone, Default)]
pub struct ImageFilter {
    pub visibility: Option<Visibility>,
    pub status: Option<Status>,
    pub title_prefix: Option<String>,
}

/// A page of a list, newest first. A filter can make it short, or empty, even if more follow.
#[derive(Debug)]
pub struct ImagePage {
    pub images: Vec<Image>,
    pub next: Option<Cursor>,
}

/// The images, with the claims on their titles and the usage of their owners.
#[derive(Debug, Clone)]
pub struct Images {
    pub(crate) dynamo: Dynamo,
    /// The number of partitions of the public feed.
    pub(crate) feed_shards: u8,
}

impl Images {
    /// Creates an image with the claim on its title and, with an idempotency key, the record of the request.
    pub async fn create(
        &self,
        image: &Image,
        request: Option<&Idempotency>,
        now: Timestamp,
    ) -> Result<CreateOutcome, StoreError> {
        let mut transaction = self.transaction(&[ImageChange { before: None, after: Some(image) }], now)?;
        if let Some(request) = request {
            transaction.push(0, Conflict::AlreadyDone, idempotency::put_record(request, None, now));
        }
        let mut retries = Retries::new("TransactWriteItems");
        loop {
            match self.dynamo.transact_once(&transaction.writes).await? {
                TransactOutcome::Committed => return Ok(CreateOutcome::Created),
                TransactOutcome::Cancelled(cancelled) => {
                    return match first(&transaction.conflicts(&cancelled)) {
                        Some(Conflict::AlreadyDone) => {
                            idempotency::read_record(&self.dynamo, request).await.map(CreateOutcome::Repeated)
                        }
                        Some(Conflict::TitleTaken) => Ok(CreateOutcome::TitleTaken),
                        _ => Err(StoreError::internal("a new image's id was taken")),
                    };
                }
                TransactOutcome::Conflict if self.title_is_taken(image, now).await? => {
                    return Ok(CreateOutcome::TitleTaken);
                }
                TransactOutcome::Conflict => retries.pause().await?,
            }
        }
    }

    /// Returns true if another image holds the title of a new one.
    async fn title_is_taken(&self, image: &Image, now: Timestamp) -> Result<bool, StoreError> {
        let key = Key::claim(image.id.owner, &image.title);
        let Some(claim) = self.dynamo.get([key.clone()]).await?.get(&key).map(item::claim).transpose()? else {
            return Ok(false);
        };
        let live = claim.expires_at.is_none_or(|at| at.secs() > now.secs());
        Ok(live && claim.image != image.id.key)
    }

    /// Changes an image if its version is still the one that was read.
    pub async fn update(&self, image: &Image, change: Change, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        let mut next = image.clone();
        next.title = change.title.unwrap_or(next.title);
        next.description = change.description.unwrap_or(next.description);
        next.visibility = change.visibility.unwrap_or(next.visibility);
        next.photo_public = change.photo_public.unwrap_or(next.photo_public);
        if next == *image {
            return Ok(UpdateOutcome::Updated(Box::new(next)));
        }
        next.updated_at = now;
        next.version += 1;
        self.replace(image, next, now).await
    }

    /// Extends the time that a pending image waits for its upload to `expires_at`.
    pub async fn extend_pending(
        &self,
        image: &Image,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<UpdateOutcome, StoreError> {
        let next = Image {
            state: ImageState::Pending { expires_at },
            updated_at: now,
            version: image.version + 1,
            ..image.clone()
        };
        self.replace(image, next, now).await
    }

    async fn replace(&self, image: &Image, next: Image, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        Ok(match self.apply_one(image, Some(&next), now).await? {
            None => UpdateOutcome::Updated(Box::new(next)),
            Some(Conflict::TitleTaken) => UpdateOutcome::TitleTaken,
            Some(Conflict::VersionChanged | Conflict::TitleLost | Conflict::AlreadyDone) => UpdateOutcome::Stale,
        })
    }

    /// Deletes an image. Returns false if it has changed since it was read. The stream of the table triggers the
    /// deletion of its blobs.
    pub async fn delete(&self, image: &Image, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.apply_one(image, None, now).await?.is_none())
    }

    /// Marks a pending image as processing. Returns `None` if it has changed since it was read.
    pub async fn begin_processing(&self, image: &Image, now: Timestamp) -> Result<Option<Image>, StoreError> {
        let ImageState::Pending { expires_at } = image.state else { return Ok(Some(image.clone())) };
        let next = Image {
            state: ImageState::Processing { expires_at },
            updated_at: now,
            version: image.version + 1,
            ..image.clone()
        };
        Ok(self.apply_one(image, Some(&next), now).await?.is_none().then_some(next))
    }

    /// Makes an image ready, or replaces the thumbnails of a ready one.
    pub async fn publish(&self, image: &Image, ready: Ready, now: Timestamp) -> Result<PublishOutcome, StoreError> {
        let next =
            Image { state: ImageState::Ready(ready), updated_at: now, version: image.version + 1, ..image.clone() };
        Ok(match self.apply_one(image, Some(&next), now).await? {
            None => PublishOutcome::Published,
            Some(Conflict::VersionChanged | Conflict::AlreadyDone) => PublishOutcome::Stale,
            Some(Conflict::TitleTaken | Conflict::TitleLost) => PublishOutcome::TitleLost,
        })
    }

    /// Rejects an image that is not ready, and frees its title. Returns false if it has changed since it was read.
    pub async fn reject(
        &self,
        image: &Image,
        code: RejectCode,
        reason: String,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let state = ImageState::Rejected { code: Some(code), reason };
        let next = Image { state, updated_at: now, version: image.version + 1, ..image.clone() };
        Ok(self.apply_one(image, Some(&next), now).await?.is_none())
    }

    /// Reads a page of the owner's images that are not expired, at most `limit`, strongly consistent. A filter that
    /// excludes thousands of images can make it short.
    pub async fn list(
        &self,
        owner: UserId,
        filter: &ImageFilter,
        after: Option<Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> Result<ImagePage, StoreError> {
        let mut query = Query::prefix(Key::images_of(owner), key::IMAGE)
            .filter("(attribute_not_exists(expires_at) OR expires_at > :now)")
            .value(":now", n(now.secs()))
            .descending()
            .after(after.map(|cursor| Key::image(ImageId { owner, key: cursor.after })));
        if let Some(visibility) = filter.visibility {
            query = query.filter("visibility = :visibility").value(":visibility", s(visibility.as_str()));
        }
        if let Some(status) = filter.status {
            query = query.filter("#state = :state").value(":state", s(status.as_str()));
        }
        if let Some(prefix) = &filter.title_prefix {
            query = query.filter("begins_with(title, :prefix)").value(":prefix", s(prefix));
        }
        let ItemPage { items, next } = self.dynamo.query_filtered(query, limit).await?;
        let images = items.iter().map(item::image).collect::<Result<_, _>>()?;
        let next = next.and_then(|key| key.as_image()).map(|id| Cursor { after: id.key });
        Ok(ImagePage { images, next })
    }

    /// Deletes the claim of a deleted image if that image still holds it. An expired image leaves its claim behind.
    pub async fn release_claim(&self, id: ImageId, title: &Title) -> Result<(), StoreError> {
        let delete = Write::delete(Key::claim(id.owner, title))
            .only_if("attribute_not_exists(pk) OR image_id = :mine")
            .value(":mine", s(id.key));
        self.dynamo.write(delete).await.map(|_| ())
    }

    /// Reads the ids of a page of the public feed, and the cursor of the next page; see [`feed`].
    pub async fn feed_page(
        &self,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<(Vec<ImageId>, Option<Cursor>), StoreError> {
        feed::page(&self.dynamo, self.feed_shards, after, limit).await
    }

    /// Applies a change of one image. Returns the conflict if it was not applied. `after`: `None` to delete it.
    async fn apply_one(
        &self,
        before: &Image,
        after: Option<&Image>,
        now: Timestamp,
    ) -> Result<Option<Conflict>, StoreError> {
        Ok(first(&self.apply(&[ImageChange { before: Some(before), after }], now, None).await?))
    }

    /// Applies changes of images of one owner in one transaction, and retries while other transactions conflict. No two
    /// changes may take the same title. Writes `record` in the same transaction; its condition fails if the changes were
    /// applied before. Returns the conflicts, by index of the change: with any, nothing was applied.
    pub(crate) async fn apply(
        &self,
        changes: &[ImageChange<'_>],
        now: Timestamp,
        record: Option<Write>,
    ) -> Result<Vec<(usize, Conflict)>, StoreError> {
        let mut lost = HashSet::new();
        let mut retries = Retries::new("TransactWriteItems");
        loop {
            let mut transaction = ImageTransaction::build(changes, now, &lost, self.feed_shards)?;
            if let Some(record) = &record {
                transaction.push(0, Conflict::AlreadyDone, record.clone());
            }
            match self.dynamo.transact_once(&transaction.writes).await? {
                TransactOutcome::Committed => return Ok(Vec::new()),
                TransactOutcome::Conflict => retries.pause().await?,
                TransactOutcome::Cancelled(cancelled) => {
                    let conflicts = transaction.conflicts(&cancelled);
                    if conflicts.is_empty() {
                        return Err(StoreError::internal("the cancelled write is not part of the transaction"));
                    }
                    if conflicts.iter().any(|(_, conflict)| *conflict != Conflict::TitleLost) {
                        return Ok(conflicts);
                    }
                    // Their claims belong to other images by now, and stay.
                    let images = conflicts.iter().filter_map(|(change, _)| changes[*change].before);
                    lost.extend(images.map(|image| image.title.clone()));
                }
            }
        }
    }

    pub(crate) fn transaction(
        &self,
        changes: &[ImageChange<'_>],
        now: Timestamp,
    ) -> Result<ImageTransaction, StoreError> {
        ImageTransaction::build(changes, now, &HashSet::new(), self.feed_shards)
    }
}

/// Returns the conflict that decides.
fn first(conflicts: &[(usize, Conflict)]) -> Option<Conflict> {
    conflicts.iter().map(|(_, conflict)| *conflict).min()
}
