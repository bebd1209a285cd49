use crate::{ImageKey, Timestamp, UserId};
use sha2::{Digest, Sha256};

/// A request with an idempotency key: the same key and body mean the same request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// Identifies the caller, the route and the key of the client.
    id: [u8; 32],
    body: [u8; 32],
}

/// The record of the first request with a key. It does not include the response, which is computed again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// The SHA-256 of the body, in hexadecimal.
    pub body: String,
    pub started_at: Timestamp,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Idempotency {
    /// No key signs it: a request that is repeated after the keys were changed is the same request.
    pub fn new(user: UserId, operation: &str, key: &str, body: &[u8]) -> Self {
        let mut id = Sha256::new();
        let user = user.uuid();
        for part in [user.as_bytes().as_slice(), operation.as_bytes(), key.as_bytes()] {
            id.update((part.len() as u64).to_be_bytes());
            id.update(part);
        }
        Self { id: id.finalize().into(), body: Sha256::digest(body).into() }
    }

    /// The id of its record in the table.
    pub fn id(&self) -> String {
        hex(&self.id)
    }

    pub fn body(&self) -> String {
        hex(&self.body)
    }

    /// The key of the image at `index` of a request that started at `started_at`. It is always the same, so a retry
    /// after a crash finds the images that exist.
    pub fn image_key(&self, started_at: Timestamp, index: u64) -> ImageKey {
        let random = Sha256::digest([&self.id[..], &index.to_be_bytes()].concat());
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&random[..10]);
        let millis = u64::try_from(started_at.millis()).unwrap_or_default();
        ImageKey::from_uuid(uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_repetition_has_the_same_keys_and_another_request_has_others() {
        let user = UserId::from_uuid(Uuid::from_u128(1));
        let of = |operation, key| Idempotency::new(user, operation, key, b"{}");
        let now = Timestamp::from_millis(1_700_000_000_123);
        let first = of("create_image", "a").image_key(now, 0);
        assert_eq!(first, of("create_image", "a").image_key(now, 0));
        assert_eq!(first.created_at(), now);
        assert_ne!(first, of("create_image", "a").image_key(now, 1));
        assert_ne!(first, of("create_image", "b").image_key(now, 0));
        assert_ne!(first, of("create_batch", "a").image_key(now, 0));
    }
}
