//! Creates, reads, changes and deletes single images. Each change is one transaction (see [`crate::transaction`]).

use tintype_model::{
    Cursor, Description, FirstRequest, Idempotency, Image, ImageId, Ready, State, Status, Timestamp, Title, UserId,
    Visibility,
};

use crate::item::{self, n, s};
use crate::key::Key;
use crate::table::{Table, read_page};
use crate::transaction::Conflict;
use crate::{StoreError, feed};

/// The result of creating an image.
#[derive(Debug, PartialEq, Eq)]
pub enum Created {
    Created,
    /// The owner has another image with this title.
    TitleTaken,
    /// A request with this idempotency key was performed before.
    Repeated(FirstRequest),
}

/// The fields that an owner can change. `None` leaves a field unchanged.
#[derive(Debug, Clone, Default)]
pub struct Change {
    pub title: Option<Title>,
    pub description: Option<Description>,
    pub visibility: Option<Visibility>,
}

/// The result of a change.
#[derive(Debug)]
pub enum Changed {
    Changed(Box<Image>),
    TitleTaken,
    /// The image has changed since it was read: read it again.
    Stale,
}

/// The result of storing thumbnails.
#[derive(Debug, PartialEq, Eq)]
pub enum Built {
    Stored,
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
pub struct Page {
    pub images: Vec<Image>,
    pub next: Option<Cursor>,
}

impl Table {
    /// Creates an image with the claim on its title and, with an idempotency key, the record of the request.
    pub async fn create_image(
        &self,
        image: &Image,
        idempotency: Option<&Idempotency>,
        now: Timestamp,
    ) -> Result<Created, StoreError> {
        let record = idempotency.map(|request| self.put_idempotency_record(request, None, now)).transpose()?;
        match self.apply_with_record(None, Some(image), now, record).await? {
            None => Ok(Created::Created),
            Some(Conflict::TitleTaken) => Ok(Created::TitleTaken),
            Some(Conflict::AlreadyDone) => self.idempotency_record(idempotency).await.map(Created::Repeated),
            Some(Conflict::VersionChanged | Conflict::TitleLost) => {
                Err(StoreError::internal("a new image's id was taken"))
            }
        }
    }

    /// Changes an image if its version is still the one that was read.
    pub async fn change_image(&self, image: &Image, change: Change, now: Timestamp) -> Result<Changed, StoreError> {
        let mut next = image.clone();
        next.title = change.title.unwrap_or(next.title);
        next.description = change.description.unwrap_or(next.description);
        next.visibility = change.visibility.unwrap_or(next.visibility);
        if next == *image {
            return Ok(Changed::Changed(Box::new(next)));
        }
        next.updated_at = now;
        next.version += 1;
        self.changed(image, next, now).await
    }

    /// Extends the time that a pending image waits for its upload to `expires_at`.
    pub async fn extend_pending(
        &self,
        image: &Image,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Changed, StoreError> {
        let next = Image {
            state: State::Pending { expires_at },
            updated_at: now,
            version: image.version + 1,
            ..image.clone()
        };
        self.changed(image, next, now).await
    }

    async fn changed(&self, image: &Image, next: Image, now: Timestamp) -> Result<Changed, StoreError> {
        Ok(match self.apply(Some(image), Some(&next), now).await? {
            None => Changed::Changed(Box::new(next)),
            Some(Conflict::TitleTaken) => Changed::TitleTaken,
            Some(Conflict::VersionChanged | Conflict::TitleLost | Conflict::AlreadyDone) => Changed::Stale,
        })
    }

    /// Deletes an image. Returns false if it has changed since it was read. The stream of the table triggers the
    /// deletion of its blobs.
    pub async fn delete_image(&self, image: &Image, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.apply(Some(image), None, now).await?.is_none())
    }

    /// Marks a pending image as processing. Returns `None` if it has changed since it was read.
    pub async fn begin_processing(&self, image: &Image, now: Timestamp) -> Result<Option<Image>, StoreError> {
        let State::Pending { expires_at } = image.state else { return Ok(Some(image.clone())) };
        let next = Image {
            state: State::Processing { expires_at },
            updated_at: now,
            version: image.version + 1,
            ..image.clone()
        };
        Ok(self.apply(Some(image), Some(&next), now).await?.is_none().then_some(next))
    }

    /// Makes an image ready, or replaces the thumbnails of a ready one.
    pub async fn make_ready(&self, image: &Image, ready: Ready, now: Timestamp) -> Result<Built, StoreError> {
        let next = Image { state: State::Ready(ready), updated_at: now, version: image.version + 1, ..image.clone() };
        Ok(match self.apply(Some(image), Some(&next), now).await? {
            None => Built::Stored,
            Some(Conflict::VersionChanged | Conflict::AlreadyDone) => Built::Stale,
            Some(Conflict::TitleTaken | Conflict::TitleLost) => Built::TitleLost,
        })
    }

    /// Rejects an image that is not ready, and frees its title. Returns false if it has changed since it was read.
    pub async fn reject(&self, image: &Image, reason: String, now: Timestamp) -> Result<bool, StoreError> {
        let next =
            Image { state: State::Rejected { reason }, updated_at: now, version: image.version + 1, ..image.clone() };
        Ok(self.apply(Some(image), Some(&next), now).await?.is_none())
    }

    /// Reads a page of the owner's images that are not expired, at most `limit`, strongly consistent. A filter that
    /// excludes thousands of images can make it short.
    pub async fn list_images(
        &self,
        owner: UserId,
        filter: &ImageFilter,
        after: Option<Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Page, StoreError> {
        let mut conditions = vec!["(attribute_not_exists(expires_at) OR expires_at > :now)"];
        let mut query = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .scan_index_forward(false)
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .expression_attribute_values(":pk", s(Key::images_of(owner)))
            .expression_attribute_values(":sk", s("IMAGE#"))
            .expression_attribute_values(":now", n(now.secs()));
        if let Some(visibility) = filter.visibility {
            conditions.push("visibility = :visibility");
            query = query.expression_attribute_values(":visibility", s(visibility.as_str()));
        }
        if let Some(status) = filter.status {
            conditions.push("#state = :state");
            query = query
                .expression_attribute_names("#state", "state")
                .expression_attribute_values(":state", s(status.as_str()));
        }
        if let Some(prefix) = &filter.title_prefix {
            conditions.push("begins_with(title, :prefix)");
            query = query.expression_attribute_values(":prefix", s(prefix));
        }
        if let Some(cursor) = after {
            let start = Key::image(ImageId { owner, key: cursor.after });
            query = query.set_exclusive_start_key(Some(start.attributes()));
        }
        let (items, next) = read_page(query.filter_expression(conditions.join(" AND ")), limit).await?;
        let images = items.iter().map(item::image).collect::<Result<_, _>>()?;
        let next = next.and_then(|key| key.as_image()).map(|id| Cursor { after: id.key });
        Ok(Page { images, next })
    }

    /// Deletes the claim of a deleted image if that image still holds it. An expired image leaves its claim behind.
    pub async fn release_claim(&self, id: ImageId, title: &Title) -> Result<(), StoreError> {
        let delete = self
            .client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(Key::claim(id.owner, title).attributes()))
            .condition_expression("attribute_not_exists(pk) OR image_id = :mine")
            .expression_attribute_values(":mine", s(id.key));
        match delete.send().await {
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(()),
            Err(error) => Err(StoreError::from_sdk("DeleteItem", error)),
        }
    }

    /// Reads the ids of a page of the public feed, and the cursor of the next page; see [`feed`].
    pub async fn feed_page(
        &self,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<(Vec<ImageId>, Option<Cursor>), StoreError> {
        feed::page(self, after, limit).await
    }
}
