//! Images: every change is one transaction, worked out from what the image was and what it becomes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem, Update};
use tintype_model::{
    Cursor, Description, FirstRequest, Idempotency, Image, ImageId, ImageKey, Ready, State, Status, Timestamp, Title,
    UserId, Visibility,
};

use crate::item::{self, n, s};
use crate::key::Key;
use crate::table::{Table, Transacted, backoff};
use crate::{StoreError, feed};

/// What became of a new image.
#[derive(Debug, PartialEq, Eq)]
pub enum Created {
    Created,
    /// The owner has an image of this title.
    TitleTaken,
    /// The idempotency key was used before, for this request.
    Repeated(FirstRequest),
}

/// What an owner may change of an image; nothing where `None`.
#[derive(Debug, Clone, Default)]
pub struct Change {
    pub title: Option<Title>,
    pub description: Option<Description>,
    pub visibility: Option<Visibility>,
}

/// What became of a change.
#[derive(Debug)]
pub enum Changed {
    Changed(Box<Image>),
    TitleTaken,
    /// The image is not any more as it was read: read it again.
    Stale,
}

/// What became of an image whose thumbnails were built.
#[derive(Debug, PartialEq, Eq)]
pub enum Built {
    Stored,
    /// The image is not any more as it was read: read it again.
    Stale,
    /// The title went to another image while this one waited.
    TitleLost,
}

#[derive(Debug, Clone, Default)]
pub struct ImageFilter {
    pub visibility: Option<Visibility>,
    pub status: Option<Status>,
    pub title_prefix: Option<String>,
}

/// A part of a list, newest first. Where there is a filter it may be short, or empty, while more follow.
#[derive(Debug)]
pub struct Page {
    pub images: Vec<Image>,
    pub next: Option<Cursor>,
}

/// How a transition failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The image's version moved.
    Stale,
    /// The title it would take is another's.
    TitleTaken,
    /// The title it would give up is another's by now.
    ClaimLost,
    /// The request was made before.
    Repeated,
}

/// The attribute that names the set of thumbnails that an image's last change replaced.
pub const REPLACED: &str = "replaced";

/// How long a request can be repeated with its idempotency key.
const REPEATABLE: Duration = Duration::from_secs(24 * 3600);

/// One image's part of a transaction: what it was (as it was read; `None`: there was none) and what it becomes (`None`:
/// it goes).
#[derive(Clone, Copy)]
pub(crate) struct Step<'a> {
    pub(crate) old: Option<&'a Image>,
    pub(crate) new: Option<&'a Image>,
}

/// The actions of a transaction; by action, which step is refused with it, and why.
#[derive(Default)]
pub(crate) struct Transition {
    pub(crate) actions: Vec<TransactWriteItem>,
    pub(crate) refusals: Vec<(usize, Refusal)>,
}

pub(crate) fn broken(error: impl std::fmt::Display) -> StoreError {
    StoreError::Internal(error.to_string())
}

impl Table {
    /// Writes a new image with its claim on its title and, where the request can be repeated, the note that it was made.
    pub async fn create_image(
        &self,
        image: &Image,
        idempotency: Option<&Idempotency>,
        now: Timestamp,
    ) -> Result<Created, StoreError> {
        let note = idempotency.map(|request| self.note_first_request(request, None, now)).transpose()?;
        match self.transition_with(None, Some(image), now, note).await? {
            Ok(()) => Ok(Created::Created),
            Err(Refusal::TitleTaken) => Ok(Created::TitleTaken),
            Err(Refusal::Repeated) => {
                let key = idempotency.map(Key::first_request).ok_or_else(|| broken("a repetition of nothing"))?;
                let items = self.read([key.clone()]).await?;
                let first = items.get(&key).map(item::first_request).transpose()?;
                // Expired and deleted in between: as good as new, for the client's next try.
                first.map(Created::Repeated).ok_or_else(|| StoreError::Unavailable("an expired key".into()))
            }
            Err(Refusal::Stale | Refusal::ClaimLost) => Err(broken("a new image's id was taken")),
        }
    }

    /// `lease`: until when the request may be at work, where it is more than this one transaction.
    pub(crate) fn note_first_request(
        &self,
        request: &Idempotency,
        lease: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<TransactWriteItem, StoreError> {
        let mut note = Key::first_request(request).attributes();
        note.insert("body".into(), s(request.body()));
        note.insert("started_at".into(), n(now.millis()));
        note.insert("expires_at".into(), n((now + REPEATABLE).secs()));
        if let Some(lease) = lease {
            note.insert("lease".into(), n(lease.millis()));
        }
        let put = Put::builder()
            .table_name(&self.name)
            .set_item(Some(note))
            .condition_expression("attribute_not_exists(pk) OR expires_at <= :now")
            .expression_attribute_values(":now", n(now.secs()));
        Ok(TransactWriteItem::builder().put(put.build().map_err(broken)?).build())
    }

    /// Applies `change` to `image` as it was read.
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

    /// Lets a pending image, as it was read, wait for its upload until `expires_at`.
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
        Ok(match self.transition(Some(image), Some(&next), now).await? {
            Ok(()) => Changed::Changed(Box::new(next)),
            Err(Refusal::TitleTaken) => Changed::TitleTaken,
            Err(Refusal::Stale | Refusal::ClaimLost | Refusal::Repeated) => Changed::Stale,
        })
    }

    /// Removes an image as it was read; false where it has changed since. Its blobs follow by the table's stream.
    pub async fn delete_image(&self, image: &Image, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.transition(Some(image), None, now).await?.is_ok())
    }

    /// Says that the upload of a pending image is being worked on; false where the image has changed since.
    pub async fn begin_processing(&self, image: &Image, now: Timestamp) -> Result<Option<Image>, StoreError> {
        let State::Pending { expires_at } = image.state else { return Ok(Some(image.clone())) };
        let next = Image {
            state: State::Processing { expires_at },
            updated_at: now,
            version: image.version + 1,
            ..image.clone()
        };
        Ok(self.transition(Some(image), Some(&next), now).await?.is_ok().then_some(next))
    }

    /// Makes an image ready, or stores a new set of thumbnails of a ready one.
    pub async fn make_ready(&self, image: &Image, ready: Ready, now: Timestamp) -> Result<Built, StoreError> {
        let next = Image { state: State::Ready(ready), updated_at: now, version: image.version + 1, ..image.clone() };
        Ok(match self.transition(Some(image), Some(&next), now).await? {
            Ok(()) => Built::Stored,
            Err(Refusal::Stale | Refusal::Repeated) => Built::Stale,
            Err(Refusal::TitleTaken | Refusal::ClaimLost) => Built::TitleLost,
        })
    }

    /// Rejects an image that is not ready and frees its title; false where it has changed since.
    pub async fn reject(&self, image: &Image, reason: String, now: Timestamp) -> Result<bool, StoreError> {
        let next =
            Image { state: State::Rejected { reason }, updated_at: now, version: image.version + 1, ..image.clone() };
        Ok(self.transition(Some(image), Some(&next), now).await?.is_ok())
    }

    /// A page of the owner's images that are not expired, at most `limit`, strongly consistent: one query.
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
            .expression_attribute_values(":now", n(now.secs()))
            // One more than is shown tells whether more follow.
            .limit(i32::try_from(limit + 1).unwrap_or(i32::MAX));
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
        let answer = query
            .filter_expression(conditions.join(" AND "))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("Query", e))?;
        let mut images: Vec<Image> =
            answer.items.unwrap_or_default().iter().map(item::image).collect::<Result<_, _>>()?;
        let looked_at = |key: ImageKey| Some(Cursor { after: key });
        let next = if images.len() > limit {
            images.truncate(limit);
            images.last().and_then(|image| looked_at(image.id.key))
        } else {
            let last = answer.last_evaluated_key.map(|key| item::key(&key)).transpose()?;
            last.and_then(|key| key.as_image()).and_then(|id| looked_at(id.key))
        };
        Ok(Page { images, next })
    }

    /// Takes an image from `old` (as it was read; `None`: there was none) to `new` (`None`: it goes), with its claim
    /// and its owner's usage, in one transaction, tried again while contended.
    async fn transition(
        &self,
        old: Option<&Image>,
        new: Option<&Image>,
        now: Timestamp,
    ) -> Result<Result<(), Refusal>, StoreError> {
        self.transition_with(old, new, now, None).await
    }

    /// Like [`Self::transition`]; `note` is written with it, and says by its condition that this was done before.
    async fn transition_with(
        &self,
        old: Option<&Image>,
        new: Option<&Image>,
        now: Timestamp,
        note: Option<TransactWriteItem>,
    ) -> Result<Result<(), Refusal>, StoreError> {
        let refused = self.transit(&[Step { old, new }], now, note).await?;
        Ok(refused.map_err(|refused| {
            let by_weight = [Refusal::Repeated, Refusal::Stale, Refusal::TitleTaken];
            let heaviest = by_weight.into_iter().find(|why| refused.iter().any(|(_, refusal)| refusal == why));
            heaviest.unwrap_or(Refusal::ClaimLost)
        }))
    }

    /// Takes several images of one owner through their steps in one transaction, all or none, tried again while
    /// contended. `Err`: the steps that were refused. No two of them may take the same title.
    pub(crate) async fn transit(
        &self,
        steps: &[Step<'_>],
        now: Timestamp,
        note: Option<TransactWriteItem>,
    ) -> Result<Result<(), Vec<(usize, Refusal)>>, StoreError> {
        let mut lost = HashSet::new();
        for attempt in 1..=crate::table::TRIES {
            let mut plan = self.plan(steps, now, &lost)?;
            if let Some(note) = &note {
                plan.push(0, Refusal::Repeated, note.clone());
            }
            let Transition { actions, refusals } = plan;
            match self.try_transact(&actions).await? {
                Transacted::Done => return Ok(Ok(())),
                Transacted::Refused(refused) => {
                    let refused: Vec<(usize, Refusal)> =
                        refused.iter().filter_map(|&action| refusals.get(action).copied()).collect();
                    if refused.is_empty() {
                        return Err(broken("a condition of no action was refused"));
                    }
                    if refused.iter().any(|(_, refusal)| *refusal != Refusal::ClaimLost) {
                        return Ok(Err(refused));
                    }
                    // These titles are others' by now: then their claims are not ours to delete.
                    let titles = refused.iter().filter_map(|(step, _)| steps[*step].old);
                    lost.extend(titles.map(|image| image.title.clone()));
                }
                Transacted::Contended => {
                    if let [Step { old: None, new: Some(new) }] = steps
                        && self.title_is_held_by_another(new, now).await?
                    {
                        return Ok(Err(vec![(0, Refusal::TitleTaken)]));
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

    /// `lost`: titles whose claims are known to be others'.
    pub(crate) fn plan(
        &self,
        steps: &[Step<'_>],
        now: Timestamp,
        lost: &HashSet<Title>,
    ) -> Result<Transition, StoreError> {
        let mut plan = Transition::default();
        // An item may occur in a transaction only once, so what several steps do to one is put together.
        let mut dropped: HashMap<Title, Vec<(usize, ImageId)>> = HashMap::new();
        let mut usage: BTreeMap<Key, (i64, i64)> = BTreeMap::new();
        for (step, Step { old, new }) in steps.iter().copied().enumerate() {
            let id = old.or(new).map(|image| image.id).ok_or_else(|| broken("a transition from nothing to nothing"))?;
            plan.push(step, Refusal::Stale, self.image_action(id, old, new)?);

            let held = |image: Option<&Image>| {
                image.filter(|image| image.holds_claim()).map(|image| (image.title.clone(), image.expires_at()))
            };
            let (before, after) = (held(old), held(new));
            if let Some((title, expires_at)) = after.as_ref().filter(|_| before != after) {
                plan.push(step, Refusal::TitleTaken, self.take_claim(id, title, *expires_at, now)?);
            }
            if let Some((title, _)) = before.filter(|(title, _)| after.is_none_or(|(kept, _)| kept != *title))
                && !lost.contains(&title)
            {
                dropped.entry(title).or_default().push((step, id));
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
            plan.push(holders[0].0, Refusal::ClaimLost, self.drop_claim(&title, &holders)?);
        }
        for (key, (images, bytes)) in usage {
            let update = Update::builder()
                .table_name(&self.name)
                .set_key(Some(key.attributes()))
                .update_expression("ADD images :images, #bytes :bytes")
                .expression_attribute_names("#bytes", "bytes")
                .expression_attribute_values(":images", n(images))
                .expression_attribute_values(":bytes", n(bytes));
            let update = update.build().map_err(broken)?;
            plan.push(0, Refusal::Stale, TransactWriteItem::builder().update(update).build());
        }
        Ok(plan)
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
                    // For the table's stream, which tells `sweep`.
                    stored.insert(REPLACED.to_owned(), s(was.built_for.as_str()));
                }
                let mut put =
                    Put::builder().table_name(&self.name).set_item(Some(stored)).condition_expression(condition);
                if let Some(old) = old {
                    put = put
                        .expression_attribute_names("#version", "version")
                        .expression_attribute_values(":version", n(old.version));
                }
                action.put(put.build().map_err(broken)?)
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
                action.delete(delete.build().map_err(broken)?)
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
        Ok(TransactWriteItem::builder().put(put.build().map_err(broken)?).build())
    }

    /// Drops the claim on a title that one of these images may hold.
    fn drop_claim(&self, title: &Title, holders: &[(usize, ImageId)]) -> Result<TransactWriteItem, StoreError> {
        let (_, first) = holders.first().ok_or_else(|| broken("a claim that nobody drops"))?;
        let names: Vec<String> = (0..holders.len()).map(|index| format!(":mine{index}")).collect();
        let mut delete = Delete::builder()
            .table_name(&self.name)
            .set_key(Some(Key::claim(first.owner, title).attributes()))
            .condition_expression(format!("attribute_not_exists(pk) OR image_id IN ({})", names.join(", ")));
        for (name, (_, id)) in names.iter().zip(holders) {
            delete = delete.expression_attribute_values(name, s(id.key));
        }
        Ok(TransactWriteItem::builder().delete(delete.build().map_err(broken)?).build())
    }

    /// Deletes the claim that a removed image may have left (an expired one's, say), if it is still that image's.
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

    /// Image ids of a page of the public feed with the place after it; see [`feed`].
    pub async fn feed_page(
        &self,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<(Vec<ImageId>, Option<Cursor>), StoreError> {
        feed::page(self, after, limit).await
    }
}

impl Transition {
    fn push(&mut self, step: usize, refusal: Refusal, action: TransactWriteItem) {
        self.actions.push(action);
        self.refusals.push((step, refusal));
    }
}
