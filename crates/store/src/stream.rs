//! Records of the table's stream.

use serde_json::Value;
use tintype_model::{ImageId, ImageKey, LinkId, Sha256, ThumbnailSetId, Timestamp, Title};

use crate::item::ATTR_REPLACED_SET;
use crate::key::Key;

/// The remains of a change of the table, which have to be deleted.
#[derive(Debug)]
pub enum Cleanup {
    /// An image was deleted: its blobs and links.
    Image {
        id: ImageId,
        /// The claim on its title, if the image expired: only then it is left.
        claim: Option<Title>,
    },
    /// A link was deleted: the items that point to it.
    Link { id: LinkId, image: ImageKey, token: Sha256 },
    /// An image has another set of thumbnails: the blobs of this set.
    Thumbnails { id: ImageId, set: ThumbnailSetId },
}

impl Cleanup {
    /// Reads a record. `change`: its field `dynamodb`. Returns `None` if nothing is left.
    pub fn of(event_name: &str, change: &Value, now: Timestamp) -> Option<Self> {
        let text = |item: &Value, name: &str| item[name]["S"].as_str().map(str::to_owned);
        let (keys, old, new) = (&change["Keys"], &change["OldImage"], &change["NewImage"]);
        let key = Key::stored(text(keys, "pk")?, text(keys, "sk")?);
        if event_name != "REMOVE" {
            return Some(Self::Thumbnails {
                id: key.as_image()?,
                set: ThumbnailSetId::from_stored(text(new, ATTR_REPLACED_SET)?),
            });
        }
        if let Some(id) = key.as_image() {
            let expires_at = old["expires_at"]["N"].as_str().and_then(|at| at.parse::<i64>().ok());
            let expired = expires_at.is_some_and(|at| at <= now.secs());
            return Some(Self::Image { id, claim: text(old, "title").filter(|_| expired).map(Title::from_stored) });
        }
        let (image, token) = (text(old, "image")?.parse().ok()?, Sha256::parse(&text(old, "token")?)?);
        Some(Self::Link { id: key.as_link()?, image, token })
    }
}
