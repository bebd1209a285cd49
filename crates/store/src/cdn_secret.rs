use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_types::SdkConfig;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use crate::StoreError;
use crate::secret::Secret;

/// The value of a header that the CDN adds to each request, in Secrets Manager. Only requests that have it came through the CDN.
pub struct CdnSecret {
    secret: Secret,
    kept: Mutex<Option<(Instant, [u8; 32])>>,
}

const REREAD: Duration = Duration::from_secs(5 * 60);
/// How old a value may be where a request has another: a deployment may have replaced it.
const DOUBTED: Duration = Duration::from_secs(60);

impl CdnSecret {
    /// `secret`: its ARN or name.
    pub fn new(config: &SdkConfig, secret: impl Into<String>) -> Self {
        Self { secret: Secret::new(config, secret), kept: Mutex::default() }
    }

    /// Returns true if `given` is the value.
    pub async fn is(&self, given: &str) -> Result<bool, StoreError> {
        let given: [u8; 32] = Sha256::digest(given).into();
        let mut kept = self.kept.lock().await;
        if let Some((read_at, value)) = *kept
            && read_at.elapsed() < if value == given { REREAD } else { DOUBTED }
        {
            return Ok(value == given);
        }
        let value = Sha256::digest(parse(&self.secret.read().await?)?).into();
        *kept = Some((Instant::now(), value));
        Ok(value == given)
    }
}

/// The text is JSON, an object with one value. Errors do not contain it, because it is secret.
fn parse(text: &str) -> Result<String, StoreError> {
    let values: BTreeMap<String, String> = serde_json::from_str(text).unwrap_or_default();
    match values.into_values().collect::<Vec<_>>().as_slice() {
        [value] if !value.is_empty() => Ok(value.clone()),
        _ => Err(StoreError::Internal("the secret of the CDN is invalid".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_without_one_value_is_refused() {
        assert_eq!(parse(r#"{"value2": "x"}"#).unwrap(), "x");
        for bad in ["", "{}", r#"{"value1": ""}"#, r#"{"value1": 1}"#, r#"{"value1": "x", "value2": "y"}"#, "x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
