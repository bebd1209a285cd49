//! Expiring links: what gives anyone an original for a while.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{BadId, ContentType, Description, ImageId, ImageKey, Sha256 as Hash, SigningKey, Timestamp, UserId};

/// A link as the API names it, spelled as image ids are: it says whose it is before anything is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId {
    pub owner: UserId,
    pub key: LinkKey,
}

/// One link of an owner: a UUIDv7, so that keys sort by the time they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkKey(Uuid);

/// A link as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub id: LinkId,
    pub image: ImageKey,
    /// The image's, which never changes.
    pub content_type: ContentType,
    pub description: Description,
    pub lifetime: Lifetime,
    /// In whole seconds. From here on the link is gone.
    pub expires_at: Timestamp,
    /// Raised when the link gets another URL.
    pub rotation: u32,
    pub max_downloads: Option<u32>,
    pub downloads: u64,
    /// argon2id in PHC form.
    pub password_hash: Option<String>,
    pub created_at: Timestamp,
    /// Raised by every change but a download.
    pub version: u64,
}

/// How long a link lives, in seconds: 300 to 30,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime(u32);

/// What a link's URL has in it. It follows from the link and the deployment's key, so that the table need hold no more
/// than its hash.
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

    /// `None` outside the bounds.
    pub fn from_secs(secs: u64) -> Option<Self> {
        u32::try_from(secs).ok().filter(|secs| (Self::MIN..=Self::MAX).contains(secs)).map(Self)
    }

    pub const fn secs(self) -> u32 {
        self.0
    }

    /// When what begins now ends.
    pub fn end(self, now: Timestamp) -> Timestamp {
        now.floor_to(1) + Duration::from_secs(self.0.into())
    }
}

impl Link {
    pub fn image_id(&self) -> ImageId {
        ImageId { owner: self.id.owner, key: self.image }
    }

    pub fn token(&self, key: &SigningKey) -> LinkToken {
        LinkToken::new(key, self.id, self.rotation)
    }

    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.secs() <= now.secs()
    }

    /// Whether as many downloads as it allows have been counted.
    pub fn is_used_up(&self) -> bool {
        self.max_downloads.is_some_and(|most| self.downloads >= most.into())
    }
}

impl LinkToken {
    /// Of 256 bits, kept whole.
    fn new(key: &SigningKey, id: LinkId, rotation: u32) -> Self {
        let tag = key.sign("link", &[id.owner.uuid().as_bytes(), id.key.0.as_bytes(), &rotation.to_be_bytes()]);
        Self(URL_SAFE_NO_PAD.encode(tag))
    }

    /// Whatever stands where a token should: what is none is looked for all the same.
    pub fn given(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the table knows it by.
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
        let ImageId { owner, key } = text.parse()?;
        Ok(Self { owner, key: LinkKey(key.uuid()) })
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ImageId { owner: self.owner, key: ImageKey::from_uuid(self.key.0) }.fmt(f)
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
        let key = SigningKey::new("k");
        let token = LinkToken::new(&key, id(2), 0);
        assert_eq!(token, LinkToken::new(&key, id(2), 0));
        assert_eq!(token.as_str().len(), 43);
        for other in [
            LinkToken::new(&key, id(2), 1),
            LinkToken::new(&key, id(3), 0),
            LinkToken::new(&SigningKey::new("other"), id(2), 0),
        ] {
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
