//! Identifiers. An image's id is its key: it names the owner and the image, so that whoever holds one can
//! read the item with a single consistent read, and knows whose it is before reading anything.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::Timestamp;

/// A user: the `sub` that the user pool gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(Uuid);

impl UserId {
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

/// One image of an owner: a UUIDv7, so that keys sort by the time they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageKey(Uuid);

impl ImageKey {
    /// A new key, greater than every key this process made before.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    pub const fn uuid(self) -> Uuid {
        self.0
    }

    /// The moment that the key carries: keys sort by it.
    pub fn made_at(self) -> Timestamp {
        let (secs, nanos) = self.0.get_timestamp().map_or((0, 0), |at| at.to_unix());
        Timestamp::from_millis(secs as i64 * 1000 + i64::from(nanos / 1_000_000))
    }
}

/// An image as the API names it: base64url of the owner's UUID and the image's, 43 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageId {
    pub owner: UserId,
    pub key: ImageKey,
}

/// Not an id that this system could have given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id")]
pub struct BadId;

/// Accepts the hyphenated lower-case form alone, so that one user has one spelling.
fn parse_uuid(text: &str) -> Result<Uuid, BadId> {
    let uuid = Uuid::try_parse(text).map_err(|_| BadId)?;
    let mut buffer = Uuid::encode_buffer();
    (uuid.as_hyphenated().encode_lower(&mut buffer) == text).then_some(uuid).ok_or(BadId)
}

impl FromStr for UserId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        parse_uuid(text).map(Self)
    }
}

impl FromStr for ImageKey {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        parse_uuid(text).map(Self)
    }
}

impl FromStr for ImageId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(text).ok().and_then(|b| b.try_into().ok()).ok_or(BadId)?;
        let half = |range: std::ops::Range<usize>| Uuid::from_slice(&bytes[range]).map_err(|_| BadId);
        Ok(Self { owner: UserId(half(0..16)?), key: ImageKey(half(16..32)?) })
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Display for ImageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(self.owner.0.as_bytes());
        bytes[16..].copy_from_slice(self.key.0.as_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

macro_rules! serialize_as_text {
    ($($id:ty),+) => {$(
        impl serde::Serialize for $id {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )+};
}
serialize_as_text!(UserId, ImageKey, ImageId);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_image_id_reads_back_as_itself(owner: u128, key: u128) {
            let id = ImageId {
                owner: UserId(Uuid::from_u128(owner)),
                key: ImageKey(Uuid::from_u128(key)),
            };
            let text = id.to_string();
            prop_assert!(text.len() <= 64);
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            prop_assert_eq!(text.parse::<ImageId>(), Ok(id));
        }

        #[test]
        fn what_parses_as_an_id_is_spelled_in_one_way(text in "[A-Za-z0-9_=-]{42,44}") {
            if let Ok(id) = text.parse::<ImageId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn a_user_has_one_spelling() {
        let text = "7d444840-9dc0-11d1-b245-5ffdce74fad2";
        assert!(text.parse::<UserId>().is_ok());
        assert!(text.to_uppercase().parse::<UserId>().is_err());
        assert!(text.replace('-', "").parse::<UserId>().is_err());
        assert!(format!("{{{text}}}").parse::<UserId>().is_err());
    }

    #[test]
    fn keys_made_later_sort_later() {
        let keys: Vec<_> = (0..1000).map(|_| ImageKey::generate().to_string()).collect();
        assert!(keys.is_sorted());
        let made_at = ImageKey::generate().made_at();
        assert!((Timestamp::now().millis() - made_at.millis()).abs() < 60_000);
    }
}
