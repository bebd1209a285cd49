//! Passwords that the service verifies itself. It stores only argon2id hashes in PHC string format.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

use crate::error::Problem;

/// Hashes a password with a random salt: 19 MiB and two passes, which takes tens of milliseconds.
pub(crate) fn hash(password: &str) -> Result<String, Problem> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|e| Problem::internal(format!("argon2: {e}")))
}

/// Returns true if `password` matches the hash.
pub(crate) fn matches(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_matches_only_its_own_password() {
        let kept = hash("correct horse").unwrap();
        assert!(matches("correct horse", &kept));
        assert!(!matches("Correct horse", &kept));
        assert!(!matches("correct horse", "no hash"));
        assert_ne!(kept, hash("correct horse").unwrap());
    }
}
