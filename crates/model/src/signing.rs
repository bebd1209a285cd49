use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The secrets that sign cursors and refresh tokens, and derive link tokens: the one that signs now, and others whose
/// signatures are accepted, because they signed before or will sign soon.
#[derive(Clone)]
pub struct SigningKeys {
    current: Vec<u8>,
    others: Vec<Vec<u8>>,
}

fn mac(key: &[u8], purpose: &str, parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in std::iter::once(purpose.as_bytes()).chain(parts.iter().copied()) {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac
}

impl SigningKeys {
    pub fn new(current: impl Into<Vec<u8>>) -> Self {
        Self { current: current.into(), others: Vec::new() }
    }

    /// Accepts signatures of this key too.
    pub fn accepting(mut self, other: impl Into<Vec<u8>>) -> Self {
        self.others.push(other.into());
        self
    }

    fn all(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.current).chain(&self.others).map(Vec::as_slice)
    }

    /// HMAC-SHA-256 of `purpose` and `parts`, each with its length, so that different lists have different signatures.
    pub fn sign(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        mac(&self.current, purpose, parts).finalize().into_bytes().into()
    }

    /// The signature of `parts` by each key, that of the current one first.
    pub(crate) fn signatures(&self, purpose: &str, parts: &[&[u8]]) -> impl Iterator<Item = [u8; 32]> {
        self.all().map(move |key| mac(key, purpose, parts).finalize().into_bytes().into())
    }

    /// Returns true if `tag` is a prefix of the signature of `parts` by one of the keys. Compares in constant time. Tags have at least 16
    /// bytes.
    pub fn verify(&self, purpose: &str, parts: &[&[u8]], tag: &[u8]) -> bool {
        tag.len() >= 16 && self.all().any(|key| mac(key, purpose, parts).verify_truncated_left(tag).is_ok())
    }
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKeys(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_purpose_and_parts_alone() {
        let keys = SigningKeys::new("secret");
        let tag = keys.sign("cursor", &[b"ab", b"c"]);
        assert!(keys.verify("cursor", &[b"ab", b"c"], &tag));
        assert!(keys.verify("cursor", &[b"ab", b"c"], &tag[..16]));
        assert!(!keys.verify("cursor", &[b"a", b"bc"], &tag));
        assert!(!keys.verify("session", &[b"ab", b"c"], &tag));
        assert!(!keys.verify("cursor", &[b"ab", b"c"], &tag[..15]));
        assert!(!SigningKeys::new("other").verify("cursor", &[b"ab", b"c"], &tag));
    }

    #[test]
    fn another_key_is_accepted_and_does_not_sign() {
        let (old, new) = (SigningKeys::new("old"), SigningKeys::new("new"));
        let both = new.clone().accepting("old");
        assert_eq!(both.sign("cursor", &[b"a"]), new.sign("cursor", &[b"a"]));
        assert!(both.verify("cursor", &[b"a"], &old.sign("cursor", &[b"a"])));
        assert!(!new.verify("cursor", &[b"a"], &old.sign("cursor", &[b"a"])));
    }
}
