//! Identifiers. The id of an image contains its owner, so the owner is known before anything is read, and one
//! consistent read finds the image.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::{Timestamp, encoding};

/// A user: the `sub` of the user pool. Keys and media URLs contain it as a UUID; the API [encodes](encoding) it, like
/// all ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(Uuid);

impl UserId {
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    pub const fn uuid(self) -> Uuid {
        self.0
    }

    /// The id in the API.
    pub fn to_api(self) -> String {
        encoding::encode(self.0.as_bytes())
    }

    /// Parses an id of the API.
    pub fn from_api(text: &str) -> Result<Self, BadId> {
        encoding::decode_array(text).map(|bytes| Self(Uuid::from_bytes(bytes))).ok_or(BadId)
    }
}

/// An image of an owner: a UUIDv7, so that keys sort by creation time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageKey(Uuid);

impl ImageKey {
    /// Generates a key that is greater than all earlier keys of this process.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    pub const fn uuid(self) -> Uuid {
        self.0
    }

    /// The creation time in the key.
    pub fn created_at(self) -> Timestamp {
        let (secs, nanos) = self.0.get_timestamp().map_or((0, 0), |at| at.to_unix());
        Timestamp::from_millis(secs as i64 * 1000 + i64::from(nanos / 1_000_000))
    }
}

/// An image's id in the API: the [encoded](encoding) UUIDs of the owner and of the image, 52 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageId {
    pub owner: UserId,
    pub key: ImageKey,
}

/// The text is not an id of this system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id")]
pub struct BadId;

/// Accepts only the hyphenated lower-case form, so that a user has one spelling.
fn parse_uuid(text: &str) -> Result<Uuid, BadId> {
    let uuid = Uuid::try_parse(text).map_err(|_| BadId)?;
    let mut buffer = Uuid::encode_buffer();
    (uuid.as_hyphenated().encode_lower(&mut buffer) == text).then_some(uuid).ok_or(BadId)
}

/// Formats the id of an object of `owner` with this `key`.
pub(crate) fn format_pair(owner: UserId, key: Uuid) -> String {
    encoding::encode(&[*owner.0.as_bytes(), *key.as_bytes()].concat())
}

/// Parses the output of [`format_pair`].
pub(crate) fn parse_pair(text: &str) -> Result<(UserId, Uuid), BadId> {
    let bytes: [u8; 32] = encoding::decode_array(text).ok_or(BadId)?;
    let half = |range: std::ops::Range<usize>| Uuid::from_slice(&bytes[range]).map_err(|_| BadId);
    Ok((UserId(half(0..16)?), half(16..32)?))
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
        let (owner, key) = parse_pair(text)?;
        Ok(Self { owner, key: ImageKey(key) })
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
        f.write_str(&format_pair(self.owner, self.key.0))
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
serialize_as_text!(ImageKey, ImageId);

impl serde::Serialize for UserId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_api())
    }
}

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
            prop_assert_eq!(text.len(), 52);
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric()));
            prop_assert_eq!(text.parse::<ImageId>(), Ok(id));
        }

        #[test]
        fn what_parses_as_an_id_is_spelled_in_one_way(text in "[A-Za-z0-9_=-]{51,53}|[0-9a-hjkmnp-tv-z]{52}") {
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
    fn a_users_id_in_the_api_reads_back() {
        let user = UserId(Uuid::from_u128(0x7d44_4840_9dc0_41d1_b245_5ffd_ce74_fad2));
        assert_eq!(user.to_api(), "fn24gg4xr10x3cj5bzywwx7tt8");
        assert_eq!(UserId::from_api("fn24gg4xr10x3cj5bzywwx7tt8"), Ok(user));
        assert_eq!(UserId::from_api(&user.to_string()), Err(BadId));
    }

    #[test]
    fn keys_made_later_sort_later() {
        let keys: Vec<_> = (0..1000).map(|_| ImageKey::generate().to_string()).collect();
        assert!(keys.is_sorted());
        let created_at = ImageKey::generate().created_at();
        assert!((Timestamp::now().millis() - created_at.millis()).abs() < 60_000);
    }
}
