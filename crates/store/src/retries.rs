use aws_sdk_dynamodb::config::interceptors::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::retries::RequestAttempts;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use tracing::warn;

/// Logs each call that the SDK retries, with the kind of the failure and nothing of the request's or answer's content.
#[derive(Debug)]
pub(crate) struct LogRetries;

/// Why the last attempt failed.
#[derive(Debug)]
struct Failure(String);

impl Storable for Failure {
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
            let cause = config.load::<Failure>().map(|failure| failure.0.as_str());
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
        config.interceptor_state().store_put(Failure(failure));
        Ok(())
    }
}
