//! The configuration of the AWS clients, from the environment that Lambda gives a function ("Using Lambda environment
//! variables"). `aws-config` would also look for profiles, web identities and instance metadata, at each start.

use std::env;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext};
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;

use crate::trust::trust_store;

/// The timeout of a call, retries included, after which the service counts as unavailable. API Gateway waits 30 s.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(12);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// TCP retransmits a lost SYN after one second, and after three.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3500);

/// The environment has no region or no credentials.
#[derive(Debug, thiserror::Error)]
#[error("the environment lacks {0}")]
pub struct ConfigError(&'static str);

/// Returns the configuration for all clients of a process. Its credentials live as long as the process: Lambda replaces the
/// process before they end. `AWS_ENDPOINT_URL` names another service in place of AWS.
pub fn aws_config() -> Result<SdkConfig, ConfigError> {
    let required = |name| env::var(name).map_err(|_| ConfigError(name));
    let (key, secret) = (required("AWS_ACCESS_KEY_ID")?, required("AWS_SECRET_ACCESS_KEY")?);
    let credentials = Credentials::new(key, secret, env::var("AWS_SESSION_TOKEN").ok(), None, "Environment");
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    let region = required("AWS_REGION")?;
    let tls =
        TlsContext::builder().with_trust_store(trust_store(&region)).build().expect("nothing in it can be invalid");
    // One for all clients. The SDK's own HTTP client builds one for each client, only to check that it can, and parses the
    // certificates each time.
    let connector = Connector::builder()
        .connector_settings(HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).build())
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(tls)
        .build();
    let connector = SharedHttpConnector::new(connector);
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        // They are in memory already.
        .identity_cache(IdentityCache::no_cache())
        // Sending a request and reading all of its answer is part of an attempt, which has a timeout. `BlobStore` reads streams.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .retry_config(RetryConfig::standard())
        .timeout_config(timeouts)
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .time_source(SharedTimeSource::new(SystemTimeSource::new()))
        .http_client(http_client_fn(move |_, _| connector.clone()));
    config.set_endpoint_url(env::var("AWS_ENDPOINT_URL").ok());
    Ok(config.build())
}
