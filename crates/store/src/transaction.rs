//! Transactions over images. A transaction is computed from the images before and after it, and covers with each image
//! its claim on its title and the owner's usage.

use std::collections::{BTreeMap, HashMap, HashSet};

use tintype_model::{Image, ImageId, ImageState, Timestamp, Title};

use crate::StoreError;
use crate::dynamo::{Write, n, s};
use crate::item::{self, ATTR_REPLACED_SET};
use crate::key::Key;

/// A change of one image.
#[derive(Clone, Copy)]
pub(crate) struct ImageChange<'a> {
    /// The image as it was read; `None` to create it.
    pub(crate) before: Option<&'a Image>,
    /// `None` to delete it.
    pub(crate) after: Option<&'a Image>,
}

/// Why a change was not applied. If there are several reasons, the first decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Conflict {
    /// The record that is written with the changes exists: they were applied before.
    AlreadyDone,
    /// The image has another version than the one that was read.
    VersionChanged,
    /// Another image holds the new title.
    TitleTaken,
    /// Another image holds the old title by now.
    TitleLost,
}

/// The writes of one transaction.
#[derive(Default)]
pub(crate) struct ImageTransaction {
    pub(crate) writes: Vec<Write>,
    /// By write: the index of its change, and the conflict if its condition does not hold.
    conflicts: Vec<(usize, Conflict)>,
}

impl ImageTransaction {
    /// Computes the writes. `lost`: titles whose claims belong to other images by now.
    pub(crate) fn build(
        changes: &[ImageChange<'_>],
        now: Timestamp,
        lost: &HashSet<Title>,
        feed_shards: u8,
    ) -> Result<Self, StoreError> {
        let mut transaction = Self::default();
        // A transaction may contain an item only once, so what several changes do to one item is combined.
        let mut dropped: HashMap<Title, Vec<(usize, ImageId)>> = HashMap::new();
        let mut usage: BTreeMap<Key, (i64, i64)> = BTreeMap::new();
        for (change, ImageChange { before: old, after: new }) in changes.iter().copied().enumerate() {
            let id =
                old.or(new).map(|image| image.id).ok_or_else(|| StoreError::internal("a change without an image"))?;
            transaction.push(change, Conflict::VersionChanged, write_image(id, old, new, feed_shards));

            let held = |image: Option<&Image>| {
                image.filter(|image| image.holds_claim()).map(|image| (image.title.clone(), image.expires_at()))
            };
            let (before, after) = (held(old), held(new));
            if let Some((title, expires_at)) = after.as_ref().filter(|_| before != after) {
                transaction.push(change, Conflict::TitleTaken, take_claim(id, title, *expires_at, now));
            }
            if let Some((title, _)) = before.filter(|(title, _)| after.is_none_or(|(kept, _)| kept != *title))
                && !lost.contains(&title)
            {
                dropped.entry(title).or_default().push((change, id));
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
            transaction.push(holders[0].0, Conflict::TitleLost, drop_claim(&title, &holders)?);
        }
        for (key, (images, bytes)) in usage {
            let add = Write::update(key, "ADD images :images, #bytes :bytes");
            let add = add.value(":images", n(images)).value(":bytes", n(bytes));
            transaction.push(0, Conflict::VersionChanged, add);
        }
        Ok(transaction)
    }

    pub(crate) fn push(&mut self, change: usize, conflict: Conflict, write: Write) {
        self.writes.push(write);
        self.conflicts.push((change, conflict));
    }

    /// The changes of the cancelled writes with their conflicts.
    pub(crate) fn conflicts(&self, cancelled: &[usize]) -> Vec<(usize, Conflict)> {
        cancelled.iter().filter_map(|&write| self.conflicts.get(write).copied()).collect()
    }
}

fn write_image(id: ImageId, old: Option<&Image>, new: Option<&Image>, feed_shards: u8) -> Write {
    let write = match (old, new) {
        (Some(old), Some(new)) => update_image(old, new, feed_shards),
        (None, Some(new)) => Write::put(item::from_image(new, feed_shards)),
        (_, None) => Write::delete(Key::image(id)),
    };
    match old {
        Some(old) => write.only_if("#version = :version").value(":version", n(old.version)),
        None => write.only_if("attribute_not_exists(pk)"),
    }
}

/// Writes the attributes that differ. A put would delete those that a newer version of this code has added: during a gradual
/// deployment, and after a rollback, an older version changes the same items.
fn update_image(old: &Image, new: &Image, feed_shards: u8) -> Write {
    let (before, mut after) = (item::from_image(old, feed_shards), item::from_image(new, feed_shards));
    if let (ImageState::Ready(was), ImageState::Ready(is)) = (&old.state, &new.state)
        && was.built_for != is.built_for
    {
        // Read by `sweep` from the stream of the table.
        after.insert(ATTR_REPLACED_SET.to_owned(), s(was.built_for.as_str()));
    }
    let known = before.keys().map(String::as_str).chain([ATTR_REPLACED_SET]);
    let removed: Vec<String> = known.filter(|&name| !after.contains_key(name)).map(|name| format!("#{name}")).collect();
    after.retain(|name, value| before.get(name) != Some(value));
    let set: Vec<String> = after.keys().map(|name| format!("#{name} = :new_{name}")).collect();
    let mut expression = format!("SET {}", set.join(", "));
    if !removed.is_empty() {
        expression += &format!(" REMOVE {}", removed.join(", "));
    }
    let update = Write::update(Key::image(new.id), expression);
    after.into_iter().fold(update, |update, (name, value)| update.value(format!(":new_{name}"), value))
}

/// Writes the claim of an image on its title, unless another image holds it.
pub(crate) fn take_claim(id: ImageId, title: &Title, expires_at: Option<Timestamp>, now: Timestamp) -> Write {
    let mut claim = Key::claim(id.owner, title).attributes();
    claim.insert("image_id".into(), s(id.key));
    if let Some(at) = expires_at {
        claim.insert("expires_at".into(), n(at.secs()));
    }
    Write::put(claim)
        .only_if("attribute_not_exists(pk) OR image_id = :mine OR expires_at <= :now")
        .value(":mine", s(id.key))
        .value(":now", n(now.secs()))
}

/// Deletes the claim on a title if one of these images holds it.
fn drop_claim(title: &Title, holders: &[(usize, ImageId)]) -> Result<Write, StoreError> {
    let (_, first) = holders.first().ok_or_else(|| StoreError::internal("a claim without a holder"))?;
    let names: Vec<String> = (0..holders.len()).map(|index| format!(":mine{index}")).collect();
    let delete = Write::delete(Key::claim(first.owner, title))
        .only_if(format!("attribute_not_exists(pk) OR image_id IN ({})", names.join(", ")));
    Ok(names.iter().zip(holders).fold(delete, |delete, (name, (_, id))| delete.value(name, s(id.key))))
}
