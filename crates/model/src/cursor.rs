use uuid::Uuid;

use crate::{ImageKey, SigningKeys, encoding};

/// A position in a list, newest first: the last key that was read. It stays valid while items are created and deleted,
/// because it names a position, not an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub after: ImageKey,
}

/// The cursor was not issued for this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this list")]
pub struct BadCursor;

const TAG: usize = 16;

impl Cursor {
    /// `list` names the list and its owner; a cursor is valid for one list only.
    pub fn seal(self, key: &SigningKeys, list: &str) -> String {
        let place = self.after.uuid().into_bytes();
        let tag = key.sign("cursor", &[list.as_bytes(), &place]);
        encoding::encode(&[&place[..], &tag[..TAG]].concat())
    }

    pub fn open(text: &str, key: &SigningKeys, list: &str) -> Result<Self, BadCursor> {
        let bytes: [u8; 16 + TAG] = encoding::decode_array(text).ok_or(BadCursor)?;
        let (place, tag) = bytes.split_at(16);
        if !key.verify("cursor", &[list.as_bytes(), place], tag) {
            return Err(BadCursor);
        }
        Ok(Self { after: ImageKey::from_uuid(Uuid::from_slice(place).map_err(|_| BadCursor)?) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_opens_for_its_own_list_alone(place: u128) {
            let key = SigningKeys::new("k");
            let cursor = Cursor { after: ImageKey::from_uuid(Uuid::from_u128(place)) };
            let text = cursor.seal(&key, "explore");
            prop_assert_eq!(Cursor::open(&text, &key, "explore"), Ok(cursor));
            prop_assert_eq!(Cursor::open(&text, &key, "images"), Err(BadCursor));
        }

        #[test]
        fn a_changed_cursor_is_refused(place: u128, at in 0usize..52, with in "[A-Za-z0-9_-]") {
            let key = SigningKeys::new("k");
            let text = Cursor { after: ImageKey::from_uuid(Uuid::from_u128(place)) }.seal(&key, "explore");
            let mut changed = text.clone();
            changed.replace_range(at..=at, &with);
            prop_assume!(changed != text);
            prop_assert_eq!(Cursor::open(&changed, &key, "explore"), Err(BadCursor));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}") {
            let _ = Cursor::open(&text, &SigningKeys::new("k"), "explore");
        }
    }
}
