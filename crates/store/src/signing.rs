use std::time::{Duration, Instant};

use aws_types::SdkConfig;
use serde::Deserialize;
use tintype_model::{SigningKeys, Timestamp};
use tokio::sync::Mutex;

use crate::StoreError;
use crate::secret::Secret;

/// The deployment's signing keys, in Secrets Manager. They are read at first use, and again at a request after five
/// minutes. A new key is stored ten minutes before it signs (`infra/operate.py`), so every function
/// accepts it by then.
pub struct KeyRing {
    secret: Secret,
    kept: Mutex<Option<(Instant, Vec<DatedKey>)>>,
}

const REREAD: Duration = Duration::from_secs(5 * 60);
/// The age up to which keys are used while Secrets Manager does not respond.
const STALE: Duration = Duration::from_secs(9 * 60);

#[derive(Deserialize)]
struct DatedKey {
    key: String,
    /// The time from which it signs, in seconds since 1970.
    #[serde(default)]
    from: i64,
}

/// The secret's text, JSON: the single key that CloudFormation generated, or a list after a rotation.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Rotated { keys: Vec<DatedKey> },
    First(DatedKey),
}

impl KeyRing {
    /// `secret`: its ARN or name.
    pub fn new(config: &SdkConfig, secret: impl Into<String>) -> Self {
        Self { secret: Secret::new(config, secret), kept: Mutex::default() }
    }

    /// Returns the keys that are valid at this time.
    pub async fn at(&self, now: Timestamp) -> Result<SigningKeys, StoreError> {
        let mut kept = self.kept.lock().await;
        let age = kept.as_ref().map(|(read_at, _)| read_at.elapsed());
        if age.is_none_or(|age| age >= REREAD) {
            match self.read().await {
                Ok(keys) => *kept = Some((Instant::now(), keys)),
                Err(_) if age.is_some_and(|age| age < STALE) => {}
                Err(error) => return Err(error),
            }
        }
        let keys = kept.as_ref().map_or(&[][..], |(_, keys)| keys);
        choose(keys, now).ok_or_else(|| StoreError::Internal("no signing key".into()))
    }

    async fn read(&self) -> Result<Vec<DatedKey>, StoreError> {
        parse(&self.secret.read().await?)
    }
}

/// Parses the text. Errors do not contain it, because it is secret.
fn parse(text: &str) -> Result<Vec<DatedKey>, StoreError> {
    match serde_json::from_str(text) {
        Ok(Stored::Rotated { keys }) => Ok(keys),
        Ok(Stored::First(key)) => Ok(vec![key]),
        Err(_) => Err(StoreError::Internal("the secret with the signing keys is invalid".into())),
    }
}

/// The latest key whose time has come signs; all keys are accepted.
fn choose(keys: &[DatedKey], now: Timestamp) -> Option<SigningKeys> {
    let begun = keys.iter().enumerate().filter(|(_, key)| key.from <= now.secs());
    let (current, key) = begun.max_by_key(|(_, key)| key.from)?;
    let others = keys.iter().enumerate().filter(|(index, _)| *index != current);
    Some(others.fold(SigningKeys::new(key.key.as_str()), |all, (_, other)| all.accepting(other.key.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_accepted_before_it_signs_and_the_old_one_afterwards() {
        let rotated = r#"{"keys": [{"key": "new", "from": 2000}, {"key": "old", "from": 1000}]}"#;
        for (text, now, current, accepted) in [
            (r#"{"key": "old"}"#, 0, "old", vec!["old"]),
            (rotated, 1999, "old", vec!["old", "new"]),
            (rotated, 2000, "new", vec!["old", "new"]),
        ] {
            let keys = choose(&parse(text).unwrap(), Timestamp::from_secs(now)).unwrap();
            let sign = |key: &str| SigningKeys::new(key).sign("cursor", &[b"a"]);
            assert_eq!(keys.sign("cursor", &[b"a"]), sign(current), "{text} at {now}");
            for key in ["old", "new"] {
                assert_eq!(
                    keys.verify("cursor", &[b"a"], &sign(key)),
                    accepted.contains(&key),
                    "{key}: {text} at {now}"
                );
            }
        }
        assert!(choose(&parse(rotated).unwrap(), Timestamp::from_secs(999)).is_none());
        for bad in ["", "{}", "[]", r#"{"keys": [{}]}"#, "key"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
