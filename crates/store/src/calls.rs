//! What the functions record of their calls to AWS: each attempt for the log and the metrics, and retries in the log.

use std::time::{Duration, Instant, SystemTime};

use aws_sdk_dynamodb::config::interceptors::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::retries::RequestAttempts;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use tintype_telemetry::{Call, record_call};
use tracing::warn;

/// Records each attempt of a call, and logs each call that the SDK retries with the kind of the failure and nothing of the
/// request's or answer's content.
#[derive(Debug)]
pub(crate) struct RecordCalls;

/// Why the last attempt failed.
#[derive(Debug)]
struct AttemptError(String);

impl Storable for AttemptError {
    type Storer = StoreReplace<Self>;
}

/// The start of the present attempt.
#[derive(Debug)]
struct AttemptStart(SystemTime, Instant);

impl Storable for AttemptStart {
    type Storer = StoreReplace<Self>;
}

fn attempt(config: &ConfigBag) -> u32 {
    config.load::<RequestAttempts>().map_or(1, RequestAttempts::attempts)
}

// The SDK then calls only these hooks.
#[dyn_dispatch_hint]
impl Intercept for RecordCalls {
    fn name(&self) -> &'static str {
        "RecordCalls"
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let attempt = attempt(config);
        if attempt > 1 {
            let (service, operation) = named(config);
            let cause = config.load::<AttemptError>().map(|failure| failure.0.as_str());
            warn!(service, operation, attempt, cause, "The SDK retries a call");
        }
        Ok(())
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        config.interceptor_state().store_put(AttemptStart(SystemTime::now(), Instant::now()));
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // A presigned request was not sent.
        let Some(result) = context.output_or_error() else { return Ok(()) };
        let error = result.err();
        if let Some(AttemptStart(started_at, began)) = config.load::<AttemptStart>() {
            let (service, operation) = named(config);
            let (started_at, duration): (_, Duration) = (*started_at, began.elapsed());
            let (is_retry, failed) = (attempt(config) > 1, error.is_some());
            record_call(&Call { service, operation, started_at, duration, is_retry, failed });
        }
        let Some(error) = error else { return Ok(()) };
        let failure = match context.response().map(|response| response.status().as_u16()) {
            Some(status) => format!("status {status}"),
            None if error.is_timeout_error() => "timeout".to_owned(),
            None => "no answer".to_owned(),
        };
        config.interceptor_state().store_put(AttemptError(failure));
        Ok(())
    }
}

fn named(config: &ConfigBag) -> (&str, &str) {
    config.load::<Metadata>().map_or(("", ""), |metadata| (metadata.service(), metadata.name()))
}
