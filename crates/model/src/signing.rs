use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A secret of the deployment with which it signs what it hands out and takes back (cursors, sessions).
#[derive(Clone)]
pub struct SigningKey(Vec<u8>);

impl SigningKey {
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self(secret.into())
    }

    fn mac(&self, purpose: &str, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        for part in std::iter::once(purpose.as_bytes()).chain(parts.iter().copied()) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }

    /// HMAC-SHA-256 over `purpose` and `parts`, each with its length, so that no two lists sign alike.
    pub fn sign(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        self.mac(purpose, parts).finalize().into_bytes().into()
    }

    /// Whether `tag` begins the signature of `parts`, compared in constant time. Tags have at least 16 bytes.
    pub fn verify(&self, purpose: &str, parts: &[&[u8]], tag: &[u8]) -> bool {
        tag.len() >= 16 && self.mac(purpose, parts).verify_truncated_left(tag).is_ok()
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_purpose_and_parts_alone() {
        let key = SigningKey::new("secret");
        let tag = key.sign("cursor", &[b"ab", b"c"]);
        assert!(key.verify("cursor", &[b"ab", b"c"], &tag));
        assert!(key.verify("cursor", &[b"ab", b"c"], &tag[..16]));
        assert!(!key.verify("cursor", &[b"a", b"bc"], &tag));
        assert!(!key.verify("session", &[b"ab", b"c"], &tag));
        assert!(!key.verify("cursor", &[b"ab", b"c"], &tag[..15]));
        assert!(!SigningKey::new("other").verify("cursor", &[b"ab", b"c"], &tag));
    }
}
