//! Expiring links. A link has three items, written together: the link itself, beside the images of its owner; a pointer
//! to it under the hash of its token; and an entry in the list of links of its image. They expire together. The link
//! itself decides: without it, the others are ignored.

use std::time::Duration;

use aws_sdk_dynamodb::types::{ConditionCheck, Delete, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update};
use tintype_model::{
    Cursor, Description, FirstRequest, Idempotency, ImageId, ImageKey, Lifetime, Link, LinkId, LinkKey, LinkToken,
    Sha256, SigningKeys, Status, Timestamp, UserId,
};

use crate::item::{self, Item, n, s};
use crate::key::Key;
use crate::table::{TransactOutcome, read_page};
use crate::{Items, StoreError, Table};

/// The result of creating a link.
#[derive(Debug, PartialEq, Eq)]
pub enum LinkCreated {
    Created,
    /// The image was deleted, or is not ready.
    NotReady,
    /// A request with this idempotency key was performed before.
    Repeated(FirstRequest),
}

/// The fields that an owner can change. `None` leaves a field unchanged.
#[derive(Debug, Clone, Default)]
pub struct LinkChange {
    /// Restarts the lifetime.
    pub lifetime: Option<Lifetime>,
    pub description: Option<Description>,
    pub max_downloads: Option<Option<u32>>,
    pub password: Option<Password>,
    /// Replaces the URL.
    pub rotate: bool,
}

#[derive(Debug, Clone)]
pub enum Password {
    None,
    /// An argon2id hash in PHC string format.
    Hash(String),
}

/// The result of a change.
#[derive(Debug)]
pub enum LinkChanged {
    Changed(Link),
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
pub enum Try {
    /// The attempt counts as failed until [`Table::forgive_try`] is called.
    Admitted,
    /// The next attempt is possible at this time.
    TooMany { until: Timestamp },
}

/// The failed attempts at one link that an address has ...
const MAX_MISSES: u32 = 10;
/// ... in this time, which starts at the first.
const MISSES_WINDOW: Duration = Duration::from_secs(15 * 60);

fn place(link: LinkKey) -> Cursor {
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
        match self.password {
            None => {}
            Some(Password::None) => next.password_hash = None,
            Some(Password::Hash(hash)) => next.password_hash = Some(hash),
        }
        if self.rotate {
            next.rotation += 1;
            next.token_hash = None;
        }
        next
    }
}

impl Table {
    /// Creates a link of a ready image and, with an idempotency key, the record of the request.
    pub async fn create_link(
        &self,
        link: &Link,
        key: &SigningKeys,
        idempotency: Option<&Idempotency>,
        now: Timestamp,
    ) -> Result<LinkCreated, StoreError> {
        let token = link.token(key);
        let image = ConditionCheck::builder()
            .table_name(&self.name)
            .set_key(Some(Key::image(link.image_id()).attributes()))
            .condition_expression("#state = :ready")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":ready", s(Status::Ready.as_str()))
            .build()
            .map_err(StoreError::internal)?;
        let mut actions = vec![
            TransactWriteItem::builder().condition_check(image).build(),
            self.put(item::from_link(link, token.hash()), true)?,
            self.put(pointer(link, token.hash()), false)?,
            self.put(entry(link), false)?,
        ];
        let record = actions.len();
        if let Some(request) = idempotency {
            actions.push(self.put_idempotency_record(request, None, now)?);
        }
        match self.transact(&actions).await? {
            TransactOutcome::Committed => Ok(LinkCreated::Created),
            TransactOutcome::Cancelled(cancelled) if cancelled.contains(&record) => {
                self.idempotency_record(idempotency).await.map(LinkCreated::Repeated)
            }
            TransactOutcome::Cancelled(cancelled) if cancelled.contains(&0) => Ok(LinkCreated::NotReady),
            _ => Err(StoreError::internal("a new link's id was taken")),
        }
    }

    /// Changes a link if its version is still the one that was read. Downloads continue to be counted meanwhile.
    pub async fn change_link(
        &self,
        link: &Link,
        change: LinkChange,
        key: &SigningKeys,
        now: Timestamp,
    ) -> Result<LinkChanged, StoreError> {
        let mut next = change.apply(link, now);
        if next == *link {
            return Ok(LinkChanged::Changed(next));
        }
        next.version += 1;
        let before = stored_token(link)?;
        let after = next.token_hash.unwrap_or_else(|| next.token(key).hash());
        next.token_hash = Some(after);

        let mut set = "SET description = :description, lifetime = :lifetime, expires_at = :expires_at, \
                       #rotation = :rotation, #token = :token, #version = :next"
            .to_owned();
        let mut remove = Vec::new();
        let mut update = Update::builder().table_name(&self.name).set_key(Some(Key::link(link.id).attributes()));
        match next.max_downloads {
            Some(most) => {
                set.push_str(", max_downloads = :most");
                update = update.expression_attribute_values(":most", n(most));
            }
            None => remove.push("max_downloads"),
        }
        match &next.password_hash {
            Some(hash) => {
                set.push_str(", password_hash = :hash");
                update = update.expression_attribute_values(":hash", s(hash));
            }
            None => remove.push("password_hash"),
        }
        if !remove.is_empty() {
            set.push_str(" REMOVE ");
            set.push_str(&remove.join(", "));
        }
        let update = update
            .update_expression(set)
            .condition_expression("#version = :version AND expires_at > :now")
            .expression_attribute_names("#rotation", "rotation")
            .expression_attribute_names("#token", "token")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":description", s(&next.description))
            .expression_attribute_values(":lifetime", n(next.lifetime.secs()))
            .expression_attribute_values(":expires_at", n(next.expires_at.secs()))
            .expression_attribute_values(":rotation", n(next.rotation))
            .expression_attribute_values(":token", s(after))
            .expression_attribute_values(":version", n(link.version))
            .expression_attribute_values(":next", n(next.version))
            .expression_attribute_values(":now", n(now.secs()));
        let mut actions = vec![
            TransactWriteItem::builder().update(update.build().map_err(StoreError::internal)?).build(),
            self.put(pointer(&next, after), false)?,
            self.put(entry(&next), false)?,
        ];
        if before != after {
            actions.push(self.delete(Key::token_hash(before))?);
        }
        let committed = self.transact(&actions).await?.is_committed();
        Ok(if committed { LinkChanged::Changed(next) } else { LinkChanged::Stale })
    }

    /// Deletes a link. Returns false if it has changed since it was read.
    pub async fn delete_link(&self, link: &Link) -> Result<bool, StoreError> {
        let delete = Delete::builder()
            .table_name(&self.name)
            .set_key(Some(Key::link(link.id).attributes()))
            .condition_expression("#version = :version")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":version", n(link.version));
        let actions = [
            TransactWriteItem::builder().delete(delete.build().map_err(StoreError::internal)?).build(),
            self.delete(Key::token_hash(stored_token(link)?))?,
            self.delete(Key::link_of(link.image_id(), link.id))?,
        ];
        Ok(self.transact(&actions).await?.is_committed())
    }

    /// Counts a download. Returns false if the link admits no more downloads, or has another URL than when it was read.
    /// A retry after a lost response counts twice, so there can be fewer downloads than allowed, never more.
    pub async fn count_download(&self, link: &Link, now: Timestamp) -> Result<bool, StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(Key::link(link.id).attributes()))
            .update_expression("ADD downloads :one")
            .condition_expression(
                "#rotation = :rotation AND expires_at > :now \
                 AND (attribute_not_exists(max_downloads) OR downloads < max_downloads)",
            )
            .expression_attribute_names("#rotation", "rotation")
            .expression_attribute_values(":rotation", n(link.rotation))
            .expression_attribute_values(":now", n(now.secs()))
            .expression_attribute_values(":one", n(1));
        match update.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => {
                Ok(false)
            }
            Err(error) => Err(StoreError::from_sdk("UpdateItem", error)),
        }
    }

    /// Reads a page of the owner's links, at most `limit`, strongly consistent.
    pub async fn list_links(
        &self,
        owner: UserId,
        after: Option<Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> Result<LinkPage, StoreError> {
        let (items, next) = self.query_links(Key::images_of(owner), after, limit, now).await?;
        let links = items.iter().map(item::link).collect::<Result<_, _>>()?;
        Ok(LinkPage { links, next })
    }

    /// Reads a page of an image's links, strongly consistent.
    pub async fn list_links_of(
        &self,
        image: ImageId,
        after: Option<Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> Result<LinkPage, StoreError> {
        let (entries, next) = self.query_links(Key::links_of(image), after, limit, now).await?;
        let ids: Vec<LinkId> = entries.iter().map(|entry| listed(image, entry)).collect::<Result<_, _>>()?;
        let items = self.read(ids.iter().map(|id| Key::link(*id))).await?;
        let links = ids.iter().map(|id| items.link(*id)).collect::<Result<Vec<_>, _>>()?;
        Ok(LinkPage { links: links.into_iter().flatten().filter(|link| !link.is_expired(now)).collect(), next })
    }

    async fn query_links(
        &self,
        partition: String,
        after: Option<Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> Result<(Vec<Item>, Option<Cursor>), StoreError> {
        let start = after.map(|cursor| Key::stored(&partition, format!("LINK#{}", cursor.after)).attributes());
        let query = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .scan_index_forward(false)
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .filter_expression("expires_at > :now")
            .expression_attribute_values(":pk", s(&partition))
            .expression_attribute_values(":sk", s("LINK#"))
            .expression_attribute_values(":now", n(now.secs()))
            .set_exclusive_start_key(start);
        let (items, next) = read_page(query, limit).await?;
        let place_of = |key: Key| key.link_key().map(place).ok_or_else(|| StoreError::internal("a link's key"));
        Ok((items, next.map(place_of).transpose()?))
    }

    /// Deletes the links of a deleted image. The stream of the table triggers the deletion of the items that point to
    /// them.
    pub async fn delete_links_of(&self, image: ImageId) -> Result<(), StoreError> {
        loop {
            let query = self
                .client
                .query()
                .table_name(&self.name)
                .consistent_read(true)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", s(Key::links_of(image)));
            let answer = query.send().await.map_err(|e| StoreError::from_sdk("Query", e))?;
            let more = answer.last_evaluated_key.is_some();
            for entry in answer.items.unwrap_or_default() {
                let id = listed(image, &entry)?;
                self.delete_item(Key::link(id)).await?;
                self.delete_item(Key::link_of(image, id)).await?;
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// Deletes the items that point to a deleted link.
    pub async fn delete_link_traces(&self, id: LinkId, image: ImageKey, token: Sha256) -> Result<(), StoreError> {
        self.delete_item(Key::token_hash(token)).await?;
        self.delete_item(Key::link_of(ImageId { owner: id.owner, key: image }, id)).await
    }

    async fn delete_item(&self, key: Key) -> Result<(), StoreError> {
        let delete = self.client.delete_item().table_name(&self.name).set_key(Some(key.attributes()));
        delete.send().await.map(|_| ()).map_err(|e| StoreError::from_sdk("DeleteItem", e))
    }

    /// Takes an attempt of `address` at the password of a link before the password is verified, so that concurrent
    /// requests cannot exceed the limit.
    pub async fn try_password(&self, id: LinkId, address: &str, now: Timestamp) -> Result<Try, StoreError> {
        let key = Key::misses(id, address);
        for _ in 0..crate::table::TRIES {
            let again = self
                .client
                .update_item()
                .table_name(&self.name)
                .set_key(Some(key.attributes()))
                .update_expression("ADD misses :one")
                .condition_expression("expires_at > :now AND misses < :most")
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
                .expression_attribute_values(":one", n(1))
                .expression_attribute_values(":most", n(MAX_MISSES))
                .expression_attribute_values(":now", n(now.secs()));
            let Err(error) = again.send().await else { return Ok(Try::Admitted) };
            let held = match error.as_service_error() {
                Some(aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException(
                    failed,
                )) => failed.item().map(item::misses).transpose()?,
                _ => return Err(StoreError::from_sdk("UpdateItem", error)),
            };
            if let Some((misses, until)) = held
                && until.secs() > now.secs()
                && misses >= MAX_MISSES
            {
                return Ok(Try::TooMany { until });
            }
            let first = self
                .client
                .update_item()
                .table_name(&self.name)
                .set_key(Some(key.attributes()))
                .update_expression("SET misses = :one, expires_at = :until")
                .condition_expression("attribute_not_exists(pk) OR expires_at <= :now")
                .expression_attribute_values(":one", n(1))
                .expression_attribute_values(":until", n((now + MISSES_WINDOW).secs()))
                .expression_attribute_values(":now", n(now.secs()));
            match first.send().await {
                Ok(_) => return Ok(Try::Admitted),
                // Another request began this window.
                Err(error) if error.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => {}
                Err(error) => return Err(StoreError::from_sdk("UpdateItem", error)),
            }
        }
        Err(StoreError::Unavailable("tries of a password: contended".into()))
    }

    /// Refunds an attempt with the right password.
    pub async fn forgive_try(&self, id: LinkId, address: &str) -> Result<(), StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(Key::misses(id, address).attributes()))
            .update_expression("ADD misses :less")
            .condition_expression("misses > :none")
            .expression_attribute_values(":less", n(-1))
            .expression_attribute_values(":none", n(0));
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(()),
            Err(error) => Err(StoreError::from_sdk("UpdateItem", error)),
        }
    }
}

impl Items {
    pub fn link(&self, id: LinkId) -> Result<Option<Link>, StoreError> {
        self.get(&Key::link(id)).map(item::link).transpose()
    }

    /// Returns the link and the image of the item at [`Key::token`].
    pub fn pointer(&self, token: &LinkToken) -> Result<Option<(LinkId, ImageId)>, StoreError> {
        self.get(&Key::token(token)).map(item::pointer).transpose()
    }
}

fn stored_token(link: &Link) -> Result<Sha256, StoreError> {
    link.token_hash.ok_or_else(|| StoreError::internal("a link that is not stored"))
}

fn pointer(link: &Link, token: Sha256) -> Item {
    let mut item = Key::token_hash(token).attributes();
    item.insert("owner".into(), s(link.id.owner));
    item.insert("link".into(), s(link.id.key));
    item.insert("image".into(), s(link.image));
    item.insert("expires_at".into(), n(link.expires_at.secs()));
    item
}

fn entry(link: &Link) -> Item {
    let mut item = Key::link_of(link.image_id(), link.id).attributes();
    item.insert("expires_at".into(), n(link.expires_at.secs()));
    item
}

/// Returns the link of an entry in the list of an image.
fn listed(image: ImageId, entry: &Item) -> Result<LinkId, StoreError> {
    let key = item::key(entry)?.link_key();
    Ok(LinkId { owner: image.owner, key: key.ok_or_else(|| StoreError::internal("a link's key"))? })
}
