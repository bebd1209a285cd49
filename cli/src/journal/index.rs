//! The content of the lines in memory: the entries and their indexes.

use std::collections::HashMap;

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tintype_model::{ImageId, Title};

/// SHA-256 of a file.
pub(crate) type Content = [u8; 32];

/// Half of the SHA-256 of a title.
pub(crate) type TitleDigest = [u8; 16];

/// A hash of a file's device, inode, size and times when it was read. A file with the same stamp is not read again.
pub(crate) type Stamp = [u8; 16];

/// The entries by content, by stamp and by image. An index into `entries` stands for an entry.
#[derive(Default)]
pub(super) struct Index {
    pub(super) entries: Vec<Entry>,
    by_content: HashTable<u32>,
    by_stamp: HashTable<u32>,
    by_image: HashTable<u32>,
    pub(super) reasons: HashMap<u32, String>,
    /// True if the same content may be uploaded under several titles.
    copies: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) content: Content,
    pub(super) title: TitleDigest,
    pub(super) stamp: Option<Stamp>,
    pub(super) image: Option<ImageId>,
    pub(super) state: FileState,
    /// True if this run has seen its file.
    pub(super) seen: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FileState {
    /// About to be registered by this run. Not written to the file.
    Planned,
    Registered,
    Uploaded,
    Ready,
    Rejected,
    /// The image does not exist, or no longer exists.
    Gone,
}

/// The state of a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownFile {
    pub(crate) state: FileState,
    pub(crate) image: Option<ImageId>,
    pub(crate) same_title: bool,
    pub(crate) reason: Option<String>,
}

pub(crate) fn title_digest(title: &Title) -> TitleDigest {
    first_16(&Sha256::digest(title.as_str()))
}

pub(crate) fn first_16(hash: &[u8]) -> [u8; 16] {
    hash[..16].try_into().expect("a hash has more")
}

/// A hash for the tables: contents, stamps and the ends of UUIDs are random already.
fn hash_prefix(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"))
}

fn image_hash_key(id: ImageId) -> u64 {
    hash_prefix(&id.key.uuid().as_bytes()[8..])
}

impl Entry {
    /// True if the bucket has the file, or had it when the service rejected it.
    pub(super) fn is_uploaded(&self) -> bool {
        matches!(self.state, FileState::Uploaded | FileState::Ready | FileState::Rejected)
    }
}

impl Index {
    pub(super) fn new(copies: bool) -> Self {
        Self { copies, ..Self::default() }
    }

    pub(super) fn index_of(&self, content: Content, title: TitleDigest) -> Option<u32> {
        let is = |index: &&u32| {
            let entry = &self.entries[**index as usize];
            entry.content == content && entry.title == title
        };
        self.by_content.iter_hash(hash_prefix(&content)).find(is).copied()
    }

    pub(super) fn index_of_image(&self, id: ImageId) -> Option<u32> {
        self.by_image.find(image_hash_key(id), |&index| self.entries[index as usize].image == Some(id)).copied()
    }

    /// Creates or updates the entry of a content and a title, and returns its index.
    pub(super) fn put(
        &mut self,
        content: Content,
        title: TitleDigest,
        stamp: Option<Stamp>,
        image: Option<ImageId>,
    ) -> u32 {
        let index = self.index_of(content, title).unwrap_or_else(|| {
            let index = u32::try_from(self.entries.len()).expect("fewer than four billion files");
            self.entries.push(Entry { content, title, stamp: None, image: None, state: FileState::Gone, seen: false });
            let entries = &self.entries;
            self.by_content
                .insert_unique(hash_prefix(&content), index, |&index| hash_prefix(&entries[index as usize].content));
            index
        });
        if let Some(stamp) = stamp {
            self.set_stamp(index, stamp);
        }
        if let Some(image) = image.filter(|_| self.entries[index as usize].image != image) {
            self.entries[index as usize].image = Some(image);
            let entries = &self.entries;
            let key_of = |&index: &u32| entries[index as usize].image.map_or(0, image_hash_key);
            self.by_image.insert_unique(image_hash_key(image), index, key_of);
        }
        index
    }

    pub(super) fn set_stamp(&mut self, index: u32, stamp: Stamp) {
        if self.entries[index as usize].stamp != Some(stamp) {
            self.entries[index as usize].stamp = Some(stamp);
            let entries = &self.entries;
            let key_of = |&index: &u32| entries[index as usize].stamp.map_or(0, |stamp| hash_prefix(&stamp));
            self.by_stamp.insert_unique(hash_prefix(&stamp), index, key_of);
        }
    }

    pub(super) fn set(&mut self, index: u32, state: FileState, reason: Option<String>) {
        self.entries[index as usize].state = state;
        match reason {
            Some(reason) => self.reasons.insert(index, reason),
            None => self.reasons.remove(&index),
        };
    }

    /// Returns the state of a content under this title or, unless copies are allowed, under another.
    pub(super) fn known(&self, content: Content, title: &Title) -> Option<KnownFile> {
        let title = title_digest(title);
        let mut other = None;
        for &index in self.by_content.iter_hash(hash_prefix(&content)) {
            let entry = &self.entries[index as usize];
            if entry.content != content || entry.state == FileState::Gone {
                continue;
            }
            if entry.title == title {
                return Some(self.known_state(index, true));
            }
            if !self.copies && entry.state != FileState::Rejected {
                other = Some(self.known_state(index, false));
            }
        }
        other
    }

    fn known_state(&self, index: u32, same_title: bool) -> KnownFile {
        let entry = &self.entries[index as usize];
        KnownFile { state: entry.state, image: entry.image, same_title, reason: self.reasons.get(&index).cloned() }
    }

    /// Returns the content of an uploaded file by its stamp.
    pub(super) fn finished(&self, stamp: Stamp) -> Option<Content> {
        let is = |&index: &u32| self.entries[index as usize].stamp == Some(stamp);
        let entry = &self.entries[*self.by_stamp.find(hash_prefix(&stamp), is)? as usize];
        entry.is_uploaded().then_some(entry.content)
    }
}
