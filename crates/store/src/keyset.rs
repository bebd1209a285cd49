//! Verifies access tokens with the user pool's public keys, on routes without API Gateway's authorizer.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Mutex as SyncMutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::error::DisplayErrorContext;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;
use tintype_model::{Claims, Timestamp};
use tokio::sync::Mutex;

use crate::StoreError;
use crate::calls::RecordCalls;

/// The user pool's keys. They are fetched at first use, and again for an unknown key id, at most once a minute.
pub struct Jwks {
    get: Operation<(), Vec<u8>, Infallible>,
    issuer: String,
    client_id: String,
    keys: Mutex<Option<(Instant, HashMap<String, DecodingKey>)>>,
    verified: SyncMutex<VerifiedTokens>,
}

/// Tokens that were verified, with their claims, until they expire.
#[derive(Debug, Default)]
struct VerifiedTokens(HashMap<String, (Timestamp, Claims)>);

/// Why a token was not verified.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It is not a valid access token of this pool and client, or it has expired.
    #[error("not a valid access token")]
    Invalid,
    /// The keys could not be fetched.
    #[error(transparent)]
    Store(#[from] StoreError),
}

const REFETCH: Duration = Duration::from_secs(60);

/// The most tokens that are remembered. A function has one user at a time, and a token is 1 kB.
const VERIFIED_TOKENS: usize = 64;

impl VerifiedTokens {
    fn get(&self, token: &str, now: Timestamp) -> Option<Claims> {
        self.0.get(token).filter(|(expires_at, _)| now <= *expires_at).map(|(_, claims)| claims.clone())
    }

    fn insert(&mut self, token: &str, expires_at: Timestamp, claims: &Claims) {
        if self.0.len() >= VERIFIED_TOKENS {
            self.0.clear();
        }
        self.0.insert(token.to_owned(), (expires_at, claims.clone()));
    }
}

impl Jwks {
    /// `issuer`: the pool's URL in its tokens: the service's origin and the pool's id.
    pub fn new(config: &SdkConfig, issuer: impl Into<String>, client_id: impl Into<String>) -> Self {
        let issuer = issuer.into();
        let (origin, pool) = issuer.rsplit_once('/').unwrap_or((&issuer, ""));
        let base = config.endpoint_url().unwrap_or(origin);
        let path = format!("/{pool}/.well-known/jwks.json");
        Self {
            get: get(config, base, path),
            issuer,
            client_id: client_id.into(),
            keys: Mutex::default(),
            verified: SyncMutex::default(),
        }
    }

    /// Verifies a token's signature, issuer, client, use and times, and returns its claims.
    pub async fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        if let Some(claims) = self.verified_tokens().get(token, Timestamp::now()) {
            return Ok(claims);
        }
        let Ok(header) = jsonwebtoken::decode_header(token) else { return Err(TokenError::Invalid) };
        let Some(kid) = header.kid.filter(|_| header.alg == Algorithm::RS256) else { return Err(TokenError::Invalid) };
        let Some(key) = self.key(&kid).await? else { return Err(TokenError::Invalid) };
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[&self.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        validation.validate_aud = false;
        validation.leeway = 0;
        let Ok(decoded) = jsonwebtoken::decode::<Value>(token, &key, &validation) else {
            return Err(TokenError::Invalid);
        };
        let claims = self.claims_from_gateway(&decoded.claims).ok_or(TokenError::Invalid)?;
        if let Some(expires_at) = decoded.claims["exp"].as_i64().map(Timestamp::from_secs) {
            self.verified_tokens().insert(token, expires_at, &claims);
        }
        Ok(claims)
    }

    fn verified_tokens(&self) -> MutexGuard<'_, VerifiedTokens> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the claims of a verified token if it is an access token for this client.
    pub fn claims_from_gateway(&self, verified: &Value) -> Option<Claims> {
        let is = |name: &str, value: &str| verified[name] == value;
        (is("token_use", "access") && is("client_id", &self.client_id)).then(|| claims(verified)).flatten()
    }

    async fn key(&self, kid: &str) -> Result<Option<DecodingKey>, StoreError> {
        let mut kept = self.keys.lock().await;
        if let Some((at, keys)) = kept.as_ref()
            && (keys.contains_key(kid) || at.elapsed() < REFETCH)
        {
            return Ok(keys.get(kid).cloned());
        }
        let keys = self.fetch().await?;
        let key = keys.get(kid).cloned();
        *kept = Some((Instant::now(), keys));
        Ok(key)
    }

    async fn fetch(&self) -> Result<HashMap<String, DecodingKey>, StoreError> {
        let unavailable = |e: &dyn std::fmt::Display| StoreError::Unavailable(format!("user pool keys: {e}"));
        let body = self.get.invoke(()).await.map_err(|e| unavailable(&DisplayErrorContext(&e)))?;
        let set: JwkSet = serde_json::from_slice(&body).map_err(|e| unavailable(&e))?;
        let keys =
            set.keys.iter().filter_map(|key| Some((key.common.key_id.clone()?, DecodingKey::from_jwk(key).ok()?)));
        Ok(keys.collect())
    }
}

/// A GET of a small public document, with the connections and timeouts of the SDK's clients.
fn get(config: &SdkConfig, base: &str, path: String) -> Operation<(), Vec<u8>, Infallible> {
    let mut operation = Operation::builder()
        .service_name("user pool")
        .operation_name("keys")
        .endpoint_url(base)
        .no_auth()
        .interceptor(RecordCalls)
        .standard_retry(&RetryConfig::standard());
    if let Some(http) = config.http_client() {
        operation = operation.http_client(http);
    }
    if let Some(sleep) = config.sleep_impl() {
        operation = operation.sleep_impl(sleep);
    }
    if let Some(timeouts) = config.timeout_config() {
        operation = operation.timeout_config(timeouts.clone());
    }
    operation
        .serializer(move |()| {
            let mut request = HttpRequest::empty();
            request.set_uri(path.clone())?;
            Ok(request)
        })
        .deserializer(|answer| Ok(answer.body().bytes().unwrap_or_default().to_vec()))
        .build()
}

/// The claims of an access token. The gateway passes numbers and lists as strings, a list as `[a b]`.
pub(crate) fn claims(of: &Value) -> Option<Claims> {
    let number = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
    let groups = match &of["cognito:groups"] {
        Value::Array(groups) => groups.iter().filter_map(|g| g.as_str().map(str::to_owned)).collect(),
        Value::String(groups) => {
            let groups = groups.strip_prefix('[').and_then(|g| g.strip_suffix(']')).unwrap_or(groups);
            groups.split([' ', ',']).filter(|g| !g.is_empty()).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    };
    Some(Claims {
        user: of["sub"].as_str()?.parse().ok()?,
        origin_jti: of["origin_jti"].as_str()?.parse().ok()?,
        auth_time: Timestamp::from_secs(number(&of["auth_time"])?),
        groups,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_verified_token_is_remembered_until_it_expires() {
        let user = "7d444840-9dc0-11d1-b245-5ffdce74fad2";
        let of_user = claims(&json!({"sub": user, "origin_jti": user, "auth_time": 1_700_000_000})).unwrap();
        let (mut tokens, at) = (VerifiedTokens::default(), Timestamp::from_secs);
        tokens.insert("token", at(100), &of_user);
        assert_eq!(tokens.get("token", at(100)), Some(of_user.clone()));
        assert_eq!(tokens.get("token", at(101)), None);
        assert_eq!(tokens.get("tokem", at(1)), None);
        for number in 0..1000 {
            tokens.insert(&number.to_string(), at(100), &of_user);
        }
        assert!(tokens.0.len() <= VERIFIED_TOKENS && tokens.get("999", at(1)).is_some());
    }

    #[test]
    fn claims_read_alike_from_a_token_and_from_the_gateway() {
        let user = "7d444840-9dc0-11d1-b245-5ffdce74fad2";
        let token =
            json!({"sub": user, "origin_jti": user, "auth_time": 1_700_000_000, "cognito:groups": ["admins", "x"]});
        let gateway =
            json!({"sub": user, "origin_jti": user, "auth_time": "1700000000", "cognito:groups": "[admins x]"});
        assert!(claims(&token).unwrap().is_admin());
        assert_eq!(claims(&token), claims(&gateway));
        assert_eq!(claims(&json!({"sub": "someone"})), None);
    }
}
