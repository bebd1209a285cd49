//! Retries: those of the SDK, which are logged, and those of calls that conflict with others.

use std::time::Duration;

use aws_sdk_dynamodb::config::interceptors::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::retries::RequestAttempts;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tracing::warn;

use crate::StoreError;

/// The attempts of a throttled or conflicting call. The pause before the second is 15 to 30 ms; each is twice as long as
/// the one before, until about a second.
#[derive(Debug)]
pub(crate) struct Retries {
    call: &'static str,
    pauses: ExponentialBackoff,
}

/// The retries before the service counts as unavailable.
const RETRIES: usize = 7;

impl Retries {
    pub(crate) fn new(call: &'static str) -> Self {
        Self { call, pauses: pauses().with_max_times(RETRIES).build() }
    }

    /// For a caller that limits the time and not the attempts.
    pub(crate) fn unlimited(call: &'static str) -> Self {
        Self { call, pauses: pauses().without_max_times().build() }
    }

    /// Waits before the next attempt. Fails after the last.
    pub(crate) async fn pause(&mut self) -> Result<(), StoreError> {
        let unavailable = || StoreError::Unavailable(format!("{}: contended", self.call));
        tokio::time::sleep(self.pauses.next().ok_or_else(unavailable)?).await;
        Ok(())
    }
}

fn pauses() -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(15))
        .with_max_delay(Duration::from_secs(1))
        .with_jitter()
}

/// Logs each call that the SDK retries, with the kind of the failure and nothing of the request's or answer's content.
#[derive(Debug)]
pub(crate) struct LogRetries;

/// Why the last attempt failed.
#[derive(Debug)]
struct AttemptError(String);

impl Storable for AttemptError {
    type Storer = StoreReplace<Self>;
}

impl Intercept for LogRetries {
    fn name(&self) -> &'static str {
        "LogRetries"
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let attempt = config.load::<RequestAttempts>().map_or(1, RequestAttempts::attempts);
        if attempt > 1 {
            let (service, operation) =
                config.load::<Metadata>().map_or(("", ""), |metadata| (metadata.service(), metadata.name()));
            let cause = config.load::<AttemptError>().map(|failure| failure.0.as_str());
            warn!(service, operation, attempt, cause, "The SDK retries a call");
        }
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(Err(error)) = context.output_or_error() else { return Ok(()) };
        let failure = match context.response().map(|response| response.status().as_u16()) {
            Some(status) => format!("status {status}"),
            None if error.is_timeout_error() => "timeout".to_owned(),
            None => "no answer".to_owned(),
        };
        config.interceptor_state().store_put(AttemptError(failure));
        Ok(())
    }
}
