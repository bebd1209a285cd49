//! Expiring links, which give anyone access to an original until they expire.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::ids::{format_pair, parse_pair};
use crate::{
    BadId, ContentType, Description, ImageId, ImageKey, Sha256 as Hash, SigningKeys, Timestamp, UserId, encoding,
};

/// The id of a link, formatted like the id of an image: it contains the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId {
    pub owner: UserId,
    pub key: LinkKey,
}

/// A link of an owner: a UUIDv7, so that keys sort by creation time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkKey(Uuid);

/// A link as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub id: LinkId,
    pub image: ImageKey,
    /// The content type of the image, which never changes.
    pub content_type: ContentType,
    pub description: Description,
    pub lifetime: Lifetime,
    /// In whole seconds. The link does not work from this time on.
    pub expires_at: Timestamp,
    /// Increases when the link gets another URL.
    pub rotations: u32,
    /// The hash of the URL's token; `None` before the link is stored.
    pub token_hash: Option<Hash>,
    pub max_downloads: Option<u32>,
    pub downloads: u64,
    /// An argon2id hash in PHC string format.
    pub password_hash: Option<String>,
    pub created_at: Timestamp,
    /// Increases with every change, but not with downloads.
    pub version: u64,
}

/// The lifetime of a link in seconds: 300 to 30,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime(u32);

/// The token in the URL of a link. It is derived from the link and the signing key, so that the table stores only its
/// hash.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkToken(String);

impl LinkKey {
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl Lifetime {
    pub const MIN: u32 = 300;
    pub const MAX: u32 = 30_000;

    /// Returns `None` outside of the bounds.
    pub fn from_secs(secs: u64) -> Option<Self> {
        u32::try_from(secs).ok().filter(|secs| (Self::MIN..=Self::MAX).contains(secs)).map(Self)
    }

    pub const fn secs(self) -> u32 {
        self.0
    }

    /// The end of a lifetime that begins now.
    pub fn end(self, now: Timestamp) -> Timestamp {
        now.floor_to(1) + Duration::from_secs(self.0.into())
    }
}

impl Link {
    pub fn image_id(&self) -> ImageId {
        ImageId { owner: self.id.owner, key: self.image }
    }

    /// Returns the token of the link's URL. It was signed by the key that signed when the link got the URL; a new link's, or
    /// one whose key is no longer accepted, is signed by the current one.
    pub fn token(&self, keys: &SigningKeys) -> LinkToken {
        let mut tokens = LinkToken::by_each(keys, self.id, self.rotations);
        let current = tokens.next().expect("there is a key");
        match self.token_hash {
            Some(hash) if current.hash() != hash => tokens.find(|token| token.hash() == hash).unwrap_or(current),
            _ => current,
        }
    }

    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.secs() <= now.secs()
    }

    /// Returns true if its downloads are used up.
    pub fn is_used_up(&self) -> bool {
        self.max_downloads.is_some_and(|most| self.downloads >= most.into())
    }
}

impl LinkToken {
    /// 256 bits, not truncated; that of the current key first.
    fn by_each(keys: &SigningKeys, id: LinkId, rotations: u32) -> impl Iterator<Item = Self> {
        let (owner, rotations) = (id.owner.uuid(), rotations.to_be_bytes());
        let parts = [owner.as_bytes().as_slice(), id.key.0.as_bytes(), &rotations];
        let tags: Vec<_> = keys.signatures("link", &parts).collect();
        tags.into_iter().map(|tag| Self(encoding::encode(&tag)))
    }

    /// Accepts any text; an invalid token is still looked up, so that timing reveals nothing.
    pub fn given(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key of its pointer in the table.
    pub fn hash(&self) -> Hash {
        Hash(Sha256::digest(&self.0).into())
    }
}

impl fmt::Debug for LinkToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkToken(…)")
    }
}

impl FromStr for LinkId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        parse_pair(text).map(|(owner, key)| Self { owner, key: LinkKey(key) })
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_pair(self.owner, self.key.0))
    }
}

impl FromStr for LinkKey {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        text.parse::<ImageKey>().map(|key| Self(key.uuid()))
    }
}

impl fmt::Display for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl serde::Serialize for LinkId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(key: u128) -> LinkId {
        LinkId { owner: UserId::from_uuid(Uuid::from_u128(1)), key: LinkKey(Uuid::from_u128(key)) }
    }

    #[test]
    fn a_token_belongs_to_one_link_one_rotation_and_one_deployment() {
        let of = |key: &str, id, rotation| LinkToken::by_each(&SigningKeys::new(key), id, rotation).next().unwrap();
        let token = of("k", id(2), 0);
        assert_eq!(token, of("k", id(2), 0));
        assert_eq!(token.as_str().len(), 52);
        for other in [of("k", id(2), 1), of("k", id(3), 0), of("other", id(2), 0)] {
            assert_ne!(token, other);
            assert_ne!(token.hash(), other.hash());
        }
    }

    #[test]
    fn a_link_lives_300_to_30000_seconds_from_a_whole_second_on() {
        assert_eq!(Lifetime::from_secs(299), None);
        assert_eq!(Lifetime::from_secs(30_001), None);
        assert_eq!(Lifetime::from_secs(u64::MAX), None);
        let shortest = Lifetime::from_secs(300).unwrap();
        assert_eq!(shortest.end(Timestamp::from_millis(1_700_000_000_999)), Timestamp::from_secs(1_700_000_300));
        assert!(Lifetime::from_secs(30_000).is_some());
    }

    #[test]
    fn a_link_id_reads_back() {
        let text = id(5).to_string();
        assert_eq!(text.parse(), Ok(id(5)));
        assert!("x".parse::<LinkId>().is_err());
    }
}
