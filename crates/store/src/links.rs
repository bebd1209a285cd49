//! Expiring links. A link has three items, written together: the link itself, beside the images of its owner; a pointer
//! to it under the hash of its token; and an entry in the list of links of its image. They expire together. The link
//! itself decides: without it, the others are ignored.

use std::time::Duration;

use tintype_model::{
    Cursor, Description, Idempotency, IdempotencyRecord, ImageId, ImageKey, Lifetime, Link, LinkId, LinkKey, LinkToken,
    Sha256, SigningKeys, Status, Timestamp, UserId,
};

use crate::dynamo::{Dynamo, Item, ItemPage, Query, ReadSet, TransactOutcome, Updated, Write, n, s};
use crate::key::{self, Key};
use crate::retries::Retries;
use crate::{StoreError, idempotency, item};

/// The result of creating a link.
#[derive(Debug, PartialEq, Eq)]
pub enum CreateLinkOutcome {
    Created,
    /// The image was deleted, or is not ready.
    NotReady,
    /// A request with this idempotency key was performed before.
    Repeated(IdempotencyRecord),
}

/// The fields that an owner can change. `None` leaves a field unchanged.
#[derive(Debug, Clone, Default)]
pub struct LinkChange {
    /// Restarts the lifetime.
    pub lifetime: Option<Lifetime>,
    pub description: Option<Description>,
    pub max_downloads: Option<Option<u32>>,
    /// An argon2id hash in PHC string format; `Some(None)` removes the password.
    pub password_hash: Option<Option<String>>,
    /// Replaces the URL.
    pub rotate: bool,
}

/// The result of a change.
#[derive(Debug)]
pub enum UpdateLinkOutcome {
    Updated(Link),
    /// The link has changed since it was read: read it again.
    Stale,
}

/// A page of a list, newest first. A page of one image's links can be short, or empty, even if more follow.
#[derive(Debug, Default)]
pub struct LinkPage {
    pub links: Vec<Link>,
    pub next: Option<Cursor>,
}

/// The result of asking for an attempt at a password.
#[derive(Debug, PartialEq, Eq)]
pub enum PasswordAttempt {
    /// The attempt counts as failed until [`Links::refund_attempt`] is called.
    Admitted,
    /// The next attempt is possible at this time.
    TooMany { until: Timestamp },
}

/// The failed attempts at one link that an address has ...
const MAX_FAILED_ATTEMPTS: u32 = 10;
/// ... in this time, which starts at the first.
const ATTEMPT_WINDOW: Duration = Duration::from_secs(15 * 60);

fn cursor(link: LinkKey) -> Cursor {
    Cursor { after: ImageKey::from_uuid(link.uuid()) }
}

impl LinkChange {
    fn apply(self, link: &Link, now: Timestamp) -> Link {
        let mut next = link.clone();
        if let Some(lifetime) = self.lifetime {
            next.lifetime = lifetime;
            next.expires_at = lifetime.end(now);
        }
        next.description = self.description.unwrap_or(next.description);
        next.max_downloads = self.max_downloads.unwrap_or(next.max_downloads);
        next.password_hash = self.password_hash.unwrap_or(next.password_hash);
        if self.rotate {
            next.rotations += 1;
            next.token_hash = None;
        }
        next
    }
}

/// The links of images.
#[derive(Debug, Clone)]
pub struct Links {
    pub(crate) dynamo: Dynamo,
}

impl Links {
    /// Creates a link of a ready image and, with an idempotency key, the record of the request.
    pub async fn create(
        &self,
        link: &Link,
        key: &SigningKeys,
        request: Option<&Idempotency>,
        now: Timestamp,
    ) -> Result<CreateLinkOutcome, StoreError> {
        let token = link.token(key).hash();
        let mut writes = vec![
            Write::check(Key::image(link.image_id()), "#state = :ready").value(":ready", s(Status::Ready.as_str())),
            Write::create(item::from_link(link, token)),
            Write::put(token_item(link, token)),
            Write::put(index_item(link)),
        ];
        let record = writes.len();
        writes.extend(request.map(|request| idempotency::put_record(request, None, now)));
        match self.dynamo.transact(&writes).await? {
            TransactOutcome::Committed => Ok(CreateLinkOutcome::Created),
            TransactOutcome::Cancelled(cancelled) if cancelled.contains(&record) => {
                idempotency::read_record(&self.dynamo, request).await.map(CreateLinkOutcome::Repeated)
            }
            TransactOutcome::Cancelled(cancelled) if cancelled.contains(&0) => Ok(CreateLinkOutcome::NotReady),
            _ => Err(StoreError::internal("a new link's id was taken")),
        }
    }

    /// Changes a link if its version is still the one that was read. Downloads continue to be counted meanwhile.
    pub async fn update(
        &self,
        link: &Link,
        change: LinkChange,
        key: &SigningKeys,
        now: Timestamp,
    ) -> Result<UpdateLinkOutcome, StoreError> {
        let mut next = change.apply(link, now);
        if next == *link {
            return Ok(UpdateLinkOutcome::Updated(next));
        }
        next.version += 1;
        let before = stored_token(link)?;
        let after = next.token_hash.unwrap_or_else(|| next.token(key).hash());
        next.token_hash = Some(after);

        let (mut set, mut remove, mut values) = (String::new(), Vec::new(), Item::new());
        let optional =
            [("max_downloads", next.max_downloads.map(n)), ("password_hash", next.password_hash.as_ref().map(s))];
        for (name, value) in optional {
            match value {
                Some(value) => {
                    set.push_str(&format!(", {name} = :{name}"));
                    values.insert(format!(":{name}"), value);
                }
                None => remove.push(name),
            }
        }
        let remove = if remove.is_empty() { String::new() } else { format!(" REMOVE {}", remove.join(", ")) };
        let update = Write::update(
            Key::link(link.id),
            format!(
                "SET description = :description, lifetime = :lifetime, expires_at = :expires_at, \
                 #rotation = :rotation, #token = :token, #version = :next{set}{remove}"
            ),
        )
        .only_if("#version = :version AND expires_at > :now")
        .value(":description", s(&next.description))
        .value(":lifetime", n(next.lifetime.secs()))
        .value(":expires_at", n(next.expires_at.secs()))
        .value(":rotation", n(next.rotations))
        .value(":token", s(after))
        .value(":version", n(link.version))
        .value(":next", n(next.version))
        .value(":now", n(now.secs()));
        let update = values.into_iter().fold(update, |update, (name, value)| update.value(name, value));
        let mut writes = vec![update, Write::put(token_item(&next, after)), Write::put(index_item(&next))];
        if before != after {
            writes.push(Write::delete(Key::token_hash(before)));
        }
        let committed = self.dynamo.transact(&writes).await?.is_committed();
        Ok(if committed { UpdateLinkOutcome::Updated(next) } else { UpdateLinkOutcome::Stale })
    }

    /// Deletes a link. Returns false if it has changed since it was read.
    pub async fn delete(&self, link: &Link) -> Result<bool, StoreError> {
        let writes = [
            Write::delete(Key::link(link.id)).only_if("#version = :version").value(":version", n(link.version)),
            Write::delete(Key::token_hash(stored_token(link)?)),
            Write::delete(Key::index_of_link(link.image_id(), link.id)),
        ];
        Ok(self.dynamo.transact(&writes).await?.is_committed())
    }

    /// Counts a download. Returns false if the link admits no more downloads, or has another URL than when it was read.
    /// A retry after a lost response counts twice, so there can be fewer downloads than allowed, never more.
    pub async fn count_download(&self, link: &Link, now: Timestamp) -> Result<bool, StoreError> {
        let update = Write::update(Key::link(link.id), "ADD downloads :one")
            .only_if(
                "#rotation = :rotation AND expires_at > :now \
                 AND (attribute_not_exists(max_downloads) OR downloads < max_downloads)",
            )
            .value(":rotation", n(link.rotations))
            .value(":now", n(now.secs()))
            .value(":one", n(1));
        self.dynamo.write(update).await
    }

    /// Reads a page of the owner's links, at most `limit`, strongly consistent.
    pub async fn list(
        &self,
        owner: UserId,
        after: Option<Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> Result<LinkPage, StoreError> {
        let (items, next) = self.query(Key::images_of(owner), after, limit, now).await?;
        let links = items.iter().map(item::link).collect::<Result<_, _>>()?;
        Ok(LinkPage { links, next })
    }

    /// Reads a page of an image's links, strongly consistent.
    pub async fn list_of_image(
        &self,
        image: ImageId,
        after: Option<Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> Result<LinkPage, StoreError> {
        let (entries, next) = self.query(Key::links_of(image), after, limit, now).await?;
        let ids: Vec<LinkId> = entries.iter().map(|entry| indexed_link(image, entry)).collect::<Result<_, _>>()?;
        let items = self.dynamo.get(ids.iter().map(|id| Key::link(*id))).await?;
        let links = ids.iter().map(|id| items.link(*id)).collect::<Result<Vec<_>, _>>()?;
        Ok(LinkPage { links: links.into_iter().flatten().filter(|link| !link.is_expired(now)).collect(), next })
    }

    async fn query(
        &self,
        partition: String,
        after: Option<Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> Result<(Vec<Item>, Option<Cursor>), StoreError> {
        let after = after.map(|cursor| Key::link_in(&partition, cursor.after));
        let query = Query::prefix(&partition, key::LINK).filter("expires_at > :now").value(":now", n(now.secs()));
        let ItemPage { items, next } = self.dynamo.query_filtered(query.descending().after(after), limit).await?;
        let cursor_of = |key: Key| key.link_key().map(cursor).ok_or_else(|| StoreError::internal("a link's key"));
        Ok((items, next.map(cursor_of).transpose()?))
    }

    /// Deletes the links of a deleted image. The stream of the table triggers the deletion of the items that point to
    /// them.
    pub async fn delete_of_image(&self, image: ImageId) -> Result<(), StoreError> {
        loop {
            let page = self.dynamo.query(Query::partition(Key::links_of(image))).await?;
            for entry in page.items {
                let id = indexed_link(image, &entry)?;
                self.dynamo.write(Write::delete(Key::link(id))).await?;
                self.dynamo.write(Write::delete(Key::index_of_link(image, id))).await?;
            }
            if page.next.is_none() {
                return Ok(());
            }
        }
    }

    /// Deletes the items that point to a deleted link.
    pub async fn delete_token_and_index(&self, id: LinkId, image: ImageKey, token: Sha256) -> Result<(), StoreError> {
        self.dynamo.write(Write::delete(Key::token_hash(token))).await?;
        let entry = Key::index_of_link(ImageId { owner: id.owner, key: image }, id);
        self.dynamo.write(Write::delete(entry)).await.map(|_| ())
    }

    /// Takes an attempt of `address` at the password of a link before the password is verified, so that concurrent
    /// requests cannot exceed the limit.
    pub async fn take_attempt(&self, id: LinkId, address: &str, now: Timestamp) -> Result<PasswordAttempt, StoreError> {
        let key = Key::failed_attempts(id, address);
        let mut retries = Retries::new("attempts at a password");
        loop {
            let again = Write::update(key.clone(), "ADD misses :one")
                .only_if("expires_at > :now AND misses < :most")
                .value(":one", n(1))
                .value(":most", n(MAX_FAILED_ATTEMPTS))
                .value(":now", n(now.secs()));
            let held = match self.dynamo.update_or_read(again).await? {
                Updated::Written => return Ok(PasswordAttempt::Admitted),
                Updated::Refused(item) => item.as_ref().map(item::failed_attempts).transpose()?,
            };
            if let Some((failed, until)) = held
                && until.secs() > now.secs()
                && failed >= MAX_FAILED_ATTEMPTS
            {
                return Ok(PasswordAttempt::TooMany { until });
            }
            let first = Write::update(key.clone(), "SET misses = :one, expires_at = :until")
                .only_if("attribute_not_exists(pk) OR expires_at <= :now")
                .value(":one", n(1))
                .value(":until", n((now + ATTEMPT_WINDOW).secs()))
                .value(":now", n(now.secs()));
            if self.dynamo.write(first).await? {
                return Ok(PasswordAttempt::Admitted);
            }
            // Another request began this window.
            retries.pause().await?;
        }
    }

    /// Refunds an attempt with the right password.
    pub async fn refund_attempt(&self, id: LinkId, address: &str) -> Result<(), StoreError> {
        let update = Write::update(Key::failed_attempts(id, address), "ADD misses :less")
            .only_if("misses > :none")
            .value(":less", n(-1))
            .value(":none", n(0));
        self.dynamo.write(update).await.map(|_| ())
    }
}

impl ReadSet {
    /// Returns the link and the image of the item at [`Key::token`].
    pub fn token_target(&self, token: &LinkToken) -> Result<Option<(LinkId, ImageId)>, StoreError> {
        self.get(&Key::token(token)).map(item::token_target).transpose()
    }
}

fn stored_token(link: &Link) -> Result<Sha256, StoreError> {
    link.token_hash.ok_or_else(|| StoreError::internal("a link that is not stored"))
}

fn token_item(link: &Link, token: Sha256) -> Item {
    let mut item = Key::token_hash(token).attributes();
    item.insert("owner".into(), s(link.id.owner));
    item.insert("link".into(), s(link.id.key));
    item.insert("image".into(), s(link.image));
    item.insert("expires_at".into(), n(link.expires_at.secs()));
    item
}

fn index_item(link: &Link) -> Item {
    let mut item = Key::index_of_link(link.image_id(), link.id).attributes();
    item.insert("expires_at".into(), n(link.expires_at.secs()));
    item
}

/// Returns the link of an entry in the list of an image.
fn indexed_link(image: ImageId, entry: &Item) -> Result<LinkId, StoreError> {
    let key = Key::of(entry)?.link_key();
    Ok(LinkId { owner: image.owner, key: key.ok_or_else(|| StoreError::internal("a link's key"))? })
}
