use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// Why a call of the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A service was throttled, slow or unreachable; the same call may succeed later.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// A stored item or a response is invalid, or the service refused the call for good.
    #[error("{0}")]
    Internal(String),
}

impl StoreError {
    pub(crate) fn internal(error: impl std::fmt::Display) -> Self {
        Self::Internal(error.to_string())
    }

    /// Converts an SDK error: [`Self::Unavailable`] if a retry may succeed. The text has the service's error code and no
    /// content of the request.
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
        const TRANSIENT: [&str; 17] = [
            "InternalError",
            "InternalErrorException",
            "InternalFailure",
            "InternalServerError",
            "InternalServiceError",
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
        if TRANSIENT.contains(&code) || code == "unknown" { Self::Unavailable(text) } else { Self::Internal(text) }
    }
}
