//! Errors as RFC 9457 problems. The log has the [`Problem::cause`], which clients do not see.

use http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use tintype_store::{AccountError, StoreError};

use crate::response::{self, Response, WithHeader};

/// An invalid field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct FieldError {
    pub(crate) field: String,
    /// A stable identifier for programs.
    pub(crate) code: &'static str,
    /// The fault, as a phrase that follows the name of the field.
    pub(crate) message: String,
}

/// The error of a request.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// A stable identifier for programs.
    pub(crate) code: &'static str,
    /// A sentence for people, without internal details.
    pub(crate) detail: String,
    pub(crate) errors: Vec<FieldError>,
    pub(crate) headers: Box<HeaderMap>,
    /// For the log only.
    pub(crate) cause: Option<String>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new(), headers: Box::default(), cause: None }
    }

    pub(crate) fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    pub(crate) fn unauthenticated() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "Log in: the access token is missing, invalid, expired or signed out.",
        )
        .with_header("www-authenticate", "Bearer")
    }

    pub(crate) fn bad_credentials(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "bad_credentials", detail)
    }

    pub(crate) fn forbidden(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, detail)
    }

    pub(crate) fn not_owner() -> Self {
        Self::forbidden("not_owner", "This belongs to another user.")
    }

    pub(crate) fn plan_required() -> Self {
        Self::forbidden("plan_required", "This requires a plan, and your account has none.")
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found.")
    }

    pub(crate) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    pub(crate) fn title_taken() -> Self {
        Self::conflict("title_taken", "You already have an image with this title.")
    }

    pub(crate) fn idempotency_mismatch() -> Self {
        Self::unprocessable("idempotency_mismatch", "This Idempotency-Key was used for another request.")
    }

    pub(crate) fn in_progress() -> Self {
        Self::conflict("in_progress", "A request with this Idempotency-Key is still in progress. Retry shortly.")
            .with_header("retry-after", "1")
    }

    pub(crate) fn precondition_failed() -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", "The resource has changed since you read it.")
    }

    pub(crate) fn unprocessable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }

    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        let names: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        let detail = format!("Some fields are invalid: {}.", names.join(", "));
        Self { errors, ..Self::unprocessable("invalid", detail) }
    }

    pub(crate) fn invalid_field(field: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError { field: field.into(), code, message: message.into() }])
    }

    pub(crate) fn too_many() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "Too many attempts. Try again later.")
            .with_header("retry-after", "60")
    }

    /// Concurrent changes made every attempt fail.
    pub(crate) fn busy() -> Self {
        Self::unavailable("changed by others at every try")
    }

    pub(crate) fn unavailable(cause: impl Into<String>) -> Self {
        let problem =
            Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The service is busy. Try again shortly.");
        Self { cause: Some(cause.into()), ..problem.with_header("retry-after", "1") }
    }

    /// E-mails cannot be sent to any address.
    pub(crate) fn mail_not_sent(cause: impl Into<String>) -> Self {
        let detail = "E-mails cannot be sent at the moment. Try again later.";
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail);
        Self { cause: Some(cause.into()), ..problem.with_header("retry-after", "3600") }
    }

    pub(crate) fn internal(cause: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error.");
        Self { cause: Some(cause.into()), ..problem }
    }

    pub(crate) fn body(&self) -> ProblemBody<'_> {
        ProblemBody {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            errors: &self.errors,
        }
    }
}

impl WithHeader for Problem {
    fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }
}

impl From<Problem> for Response {
    fn from(problem: Problem) -> Self {
        let response = response::json(problem.status, &problem.body());
        let mut response = response.with_header("content-type", "application/problem+json");
        response.headers_mut().extend(*problem.headers);
        response
    }
}

/// An RFC 9457 problem.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct ProblemBody<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    /// A stable identifier for programs.
    code: &'static str,
    /// A sentence for people.
    detail: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(cause) => Self::unavailable(cause),
            StoreError::Internal(cause) => Self::internal(cause),
        }
    }
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::EmailTaken => Self::conflict("email_taken", "An account with this e-mail address exists."),
            AccountError::WeakPassword(rule) => Self::invalid_field("password", "weak_password", rule),
            AccountError::BadCode => Self::unprocessable("bad_code", "The code is wrong."),
            AccountError::ExpiredCode => {
                Self::unprocessable("expired_code", "The code has expired. Request a new one.")
            }
            AccountError::BadCredentials => Self::bad_credentials("Wrong e-mail address or password."),
            AccountError::NotConfirmed => {
                Self::forbidden("not_confirmed", "Confirm your e-mail address with the code that was sent to it.")
            }
            AccountError::PasswordChangeRequired => {
                Self::forbidden("password_change_required", "Log in with a new password in new_password.")
            }
            AccountError::RateLimited => Self::too_many(),
            AccountError::BadEmail => {
                Self::invalid_field("email", "malformed", "is not an e-mail address that mail can be sent to")
            }
            AccountError::MailNotSent(cause) => Self::mail_not_sent(cause),
            AccountError::InvalidParameter(cause) => Self::internal(cause.to_string()),
            AccountError::Store(error) => error.into(),
        }
    }
}
