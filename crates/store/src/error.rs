use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A service that was throttled, slow or out of reach; the same call may succeed later.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// A stored item or an answer that is not as it must be, or a refusal that a retry will not change.
    #[error("{0}")]
    Internal(String),
}

impl StoreError {
    /// Sorts an SDK error by whether a later try may succeed. Keeps the service's code, never a request's content.
    pub(crate) fn from_sdk<E, R>(call: &'static str, error: SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        let SdkError::ServiceError(service) = &error else {
            return Self::Unavailable(format!("{call}: {}", aws_sdk_dynamodb::error::DisplayErrorContext(&error)));
        };
        let code = service.err().code().unwrap_or("unknown");
        let text = format!("{call}: {code}: {}", service.err().message().unwrap_or_default());
        const PASSING: [&str; 16] = [
            "InternalError",
            "InternalErrorException",
            "InternalFailure",
            "InternalServerError",
            "LimitExceededException",
            "ProvisionedThroughputExceededException",
            "RequestLimitExceeded",
            "RequestTimeout",
            "ServiceUnavailable",
            "ServiceUnavailableException",
            "SlowDown",
            "ThrottlingException",
            "Throttling",
            "TooManyRequestsException",
            "TransactionConflictException",
            "TransactionInProgressException",
        ];
        if PASSING.contains(&code) || code == "unknown" { Self::Unavailable(text) } else { Self::Internal(text) }
    }
}
