use crate::{ImageKey, SigningKey, Timestamp, UserId};
use sha2::{Digest, Sha256};

/// A request that its client may repeat: the same key and body mean the same request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// Names the caller, the route and the client's key.
    id: [u8; 32],
    body: [u8; 32],
}

/// What is kept of the first request with a key: never its answer, which is made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstRequest {
    /// SHA-256, hexadecimal.
    pub body: String,
    pub started_at: Timestamp,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Idempotency {
    pub fn new(signing: &SigningKey, user: UserId, operation: &str, key: &str, body: &[u8]) -> Self {
        Self {
            id: signing.sign("idempotency", &[user.uuid().as_bytes(), operation.as_bytes(), key.as_bytes()]),
            body: Sha256::digest(body).into(),
        }
    }

    /// What the table knows it by.
    pub fn id(&self) -> String {
        hex(&self.id)
    }

    pub fn body(&self) -> String {
        hex(&self.body)
    }

    /// The key of the image at `index` of a request that started at `started_at`: the same whenever it is asked, so
    /// that a repetition after a crash finds what it had made.
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
        let (signing, user) = (SigningKey::new("k"), UserId::from_uuid(Uuid::from_u128(1)));
        let of = |operation, key| Idempotency::new(&signing, user, operation, key, b"{}");
        let now = Timestamp::from_millis(1_700_000_000_123);
        let first = of("create_image", "a").image_key(now, 0);
        assert_eq!(first, of("create_image", "a").image_key(now, 0));
        assert_eq!(first.made_at(), now);
        assert_ne!(first, of("create_image", "a").image_key(now, 1));
        assert_ne!(first, of("create_image", "b").image_key(now, 0));
        assert_ne!(first, of("create_batch", "a").image_key(now, 0));
    }
}
