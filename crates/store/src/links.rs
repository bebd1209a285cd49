//! Expiring links. A link is three items, written together: the link itself, beside its owner's images; a pointer to it
//! under the hash of its token; and an entry in its image's list of links. They expire together, and who finds only one
//! of them finds nothing: the link itself decides.

use std::time::Duration;

use aws_sdk_dynamodb::types::{
    ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use tintype_model::{
    Cursor, Description, FirstRequest, Idempotency, ImageId, ImageKey, Lifetime, Link, LinkId, LinkKey, LinkToken,
    Sha256, SigningKey, Status, Timestamp, UserId,
};

use crate::item::{self, Item, n, s};
use crate::key::Key;
use crate::{Items, StoreError, Table};

/// What became of a new link.
#[derive(Debug, PartialEq, Eq)]
pub enum LinkCreated {
    Created,
    /// The image is not there any more, or not ready.
    NotReady,
    /// The idempotency key was used before, for this request.
    Repeated(FirstRequest),
}

/// What an owner may change of a link; nothing where `None`.
#[derive(Debug, Clone, Default)]
pub struct LinkChange {
    /// Begins anew.
    pub lifetime: Option<Lifetime>,
    pub description: Option<Description>,
    pub max_downloads: Option<Option<u32>>,
    pub password: Option<Password>,
    /// Another URL instead of the one it has.
    pub rotate: bool,
}

#[derive(Debug, Clone)]
pub enum Password {
    None,
    /// argon2id in PHC form.
    Hash(String),
}

/// What became of a change.
#[derive(Debug)]
pub enum LinkChanged {
    Changed(Link),
    /// The link is not any more as it was read: read it again.
    Stale,
}

/// A part of a list, newest first. Of one image's links it may be short, or empty, while more follow.
#[derive(Debug, Default)]
pub struct LinkPage {
    pub links: Vec<Link>,
    pub next: Option<Cursor>,
}

/// Whether a password may be tried.
#[derive(Debug, PartialEq, Eq)]
pub enum Try {
    /// It counts as a miss until [`Table::forgive_try`] says that it was none.
    Admitted,
    /// Not before then.
    TooMany { until: Timestamp },
}

/// Wrong passwords that one address may give to one link ...
const MAX_MISSES: u32 = 10;
/// ... within this time from the first.
const MISSES_WINDOW: Duration = Duration::from_secs(15 * 60);

fn broken(error: impl std::fmt::Display) -> StoreError {
    StoreError::Internal(error.to_string())
}

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
        }
        next
    }
}

impl Table {
    /// Writes a new link of an image that is there and ready and, where the request can be repeated, the note that it
    /// was made.
    pub async fn create_link(
        &self,
        link: &Link,
        key: &SigningKey,
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
            .map_err(broken)?;
        let mut actions = vec![
            TransactWriteItem::builder().condition_check(image).build(),
            self.put(item::from_link(link, token.hash()), true)?,
            self.put(pointer(link, &token), false)?,
            self.put(entry(link), false)?,
        ];
        let note = actions.len();
        if let Some(request) = idempotency {
            actions.push(self.note_first_request(request, None, now)?);
        }
        match self.transact(&actions).await? {
            Ok(()) => Ok(LinkCreated::Created),
            Err(refused) if refused.contains(&note) => {
                let key = idempotency.map(Key::first_request).ok_or_else(|| broken("a repetition of nothing"))?;
                let first = self.read([key.clone()]).await?.get(&key).map(item::first_request).transpose()?;
                // Expired and deleted in between: as good as new, for the client's next try.
                first.map(LinkCreated::Repeated).ok_or_else(|| StoreError::Unavailable("an expired key".into()))
            }
            Err(refused) if refused.contains(&0) => Ok(LinkCreated::NotReady),
            Err(_) => Err(broken("a new link's id was taken")),
        }
    }

    /// Applies `change` to `link` as it was read. Downloads are counted on meanwhile.
    pub async fn change_link(
        &self,
        link: &Link,
        change: LinkChange,
        key: &SigningKey,
        now: Timestamp,
    ) -> Result<LinkChanged, StoreError> {
        let mut next = change.apply(link, now);
        if next == *link {
            return Ok(LinkChanged::Changed(next));
        }
        next.version += 1;
        let (before, after) = (link.token(key), next.token(key));

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
            .expression_attribute_values(":token", s(after.hash()))
            .expression_attribute_values(":version", n(link.version))
            .expression_attribute_values(":next", n(next.version))
            .expression_attribute_values(":now", n(now.secs()));
        let mut actions = vec![
            TransactWriteItem::builder().update(update.build().map_err(broken)?).build(),
            self.put(pointer(&next, &after), false)?,
            self.put(entry(&next), false)?,
        ];
        if before != after {
            actions.push(self.delete(Key::token(&before))?);
        }
        Ok(match self.transact(&actions).await? {
            Ok(()) => LinkChanged::Changed(next),
            Err(_) => LinkChanged::Stale,
        })
    }

    /// Removes a link as it was read; false where it has changed since.
    pub async fn delete_link(&self, link: &Link, key: &SigningKey) -> Result<bool, StoreError> {
        let delete = Delete::builder()
            .table_name(&self.name)
            .set_key(Some(Key::link(link.id).attributes()))
            .condition_expression("#version = :version")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":version", n(link.version));
        let actions = [
            TransactWriteItem::builder().delete(delete.build().map_err(broken)?).build(),
            self.delete(Key::token(&link.token(key)))?,
            self.delete(Key::link_of(link.image_id(), link.id))?,
        ];
        Ok(self.transact(&actions).await?.is_ok())
    }

    /// Counts a download; false where the link does not admit one more, or not under the URL that it had when it was
    /// read. A call that is repeated because its answer was lost counts twice: too few downloads may be had, never too
    /// many.
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

    /// A page of the owner's links, at most `limit`, strongly consistent: one query.
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

    /// A page of an image's links, strongly consistent: one query and a read.
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
            .set_exclusive_start_key(start)
            // One more than is shown tells whether more follow.
            .limit(i32::try_from(limit + 1).unwrap_or(i32::MAX));
        let answer = query.send().await.map_err(|e| StoreError::from_sdk("Query", e))?;
        let key_of = |item: &Item| {
            let key = item::key(item)?;
            key.sk.strip_prefix("LINK#").and_then(|key| key.parse().ok()).ok_or_else(|| broken("a link's key"))
        };
        let mut items = answer.items.unwrap_or_default();
        let last = if items.len() > limit {
            items.truncate(limit);
            items.last().map(key_of).transpose()?
        } else {
            answer.last_evaluated_key.as_ref().map(key_of).transpose()?
        };
        Ok((items, last.map(place)))
    }

    /// Deletes the links of an image that is gone; what points to them follows by the table's stream.
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

    /// Deletes what pointed to a removed link.
    pub async fn delete_link_traces(&self, id: LinkId, image: ImageKey, token: Sha256) -> Result<(), StoreError> {
        self.delete_item(Key::token_hash(token)).await?;
        self.delete_item(Key::link_of(ImageId { owner: id.owner, key: image }, id)).await
    }

    async fn delete_item(&self, key: Key) -> Result<(), StoreError> {
        let delete = self.client.delete_item().table_name(&self.name).set_key(Some(key.attributes()));
        delete.send().await.map(|_| ()).map_err(|e| StoreError::from_sdk("DeleteItem", e))
    }

    /// Takes one of the tries that `address` has at the password of a link, before the password is looked at: however
    /// many try at once, no more than the allowed ones are answered.
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
                // Another was first in this window.
                Err(error) if error.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => {}
                Err(error) => return Err(StoreError::from_sdk("UpdateItem", error)),
            }
        }
        Err(StoreError::Unavailable("tries of a password: contended".into()))
    }

    /// Gives back a try that was no miss.
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

    fn put(&self, item: Item, new: bool) -> Result<TransactWriteItem, StoreError> {
        let put = Put::builder().table_name(&self.name).set_item(Some(item));
        let put = put.set_condition_expression(new.then(|| "attribute_not_exists(pk)".to_owned()));
        Ok(TransactWriteItem::builder().put(put.build().map_err(broken)?).build())
    }

    fn delete(&self, key: Key) -> Result<TransactWriteItem, StoreError> {
        let delete = Delete::builder().table_name(&self.name).set_key(Some(key.attributes()));
        Ok(TransactWriteItem::builder().delete(delete.build().map_err(broken)?).build())
    }
}

impl Items {
    pub fn link(&self, id: LinkId) -> Result<Option<Link>, StoreError> {
        self.get(&Key::link(id)).map(item::link).transpose()
    }

    /// The link and the image that the item at [`Key::token`] names.
    pub fn pointer(&self, token: &LinkToken) -> Result<Option<(LinkId, ImageId)>, StoreError> {
        self.get(&Key::token(token)).map(item::pointer).transpose()
    }
}

fn pointer(link: &Link, token: &LinkToken) -> Item {
    let mut item = Key::token(token).attributes();
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

/// The link that an entry of `image`'s list names.
fn listed(image: ImageId, entry: &Item) -> Result<LinkId, StoreError> {
    let key = item::key(entry)?;
    let link = key.sk.strip_prefix("LINK#").and_then(|key| key.parse().ok());
    Ok(LinkId { owner: image.owner, key: link.ok_or_else(|| broken("a link's key"))? })
}
