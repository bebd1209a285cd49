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
pub(crate) fn is(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_itself_is_the_one_that_was_hashed() {
        let kept = hash("correct horse").unwrap();
        assert!(is("correct horse", &kept));
        assert!(!is("Correct horse", &kept));
        assert!(!is("correct horse", "no hash"));
        assert_ne!(kept, hash("correct horse").unwrap());
    }
}
