//! What a client is told when a request fails: RFC 9457 problems. What is logged is another matter: see [`Problem::cause`].

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tintype_store::{AccountError, StoreError};

/// One field that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct FieldError {
    pub(crate) field: String,
    /// A stable word for programs.
    pub(crate) code: &'static str,
    /// What must be otherwise, to follow the field's name.
    pub(crate) message: String,
}

/// Why a request was not done.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// A stable word for programs.
    pub(crate) code: &'static str,
    /// A sentence for people. Never names anything internal.
    pub(crate) detail: String,
    pub(crate) errors: Vec<FieldError>,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// For the log alone.
    pub(crate) cause: Option<String>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new(), headers: Vec::new(), cause: None }
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
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
        Self::forbidden("plan_required", "Your account has no plan, which this needs.")
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing here.")
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
        Self::conflict("in_progress", "A request with this Idempotency-Key is at work: ask again in a moment.")
            .with_header("retry-after", "1")
    }

    pub(crate) fn precondition_failed() -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", "It has changed since you read it.")
    }

    pub(crate) fn unprocessable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }

    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        let names: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        let detail = format!("Some fields are not as they must be: {}.", names.join(", "));
        Self { errors, ..Self::unprocessable("invalid", detail) }
    }

    pub(crate) fn invalid_field(field: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError { field: field.into(), code, message: message.into() }])
    }

    pub(crate) fn too_many() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "Too many tries: wait a while.")
            .with_header("retry-after", "60")
    }

    /// Several others changed the same thing at the same time, each time it was tried.
    pub(crate) fn busy() -> Self {
        Self::unavailable("changed by others at every try")
    }

    pub(crate) fn unavailable(cause: impl Into<String>) -> Self {
        let problem =
            Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The service is busy: try again in a moment.");
        Self { cause: Some(cause.into()), ..problem.with_header("retry-after", "1") }
    }

    pub(crate) fn internal(cause: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side.");
        Self { cause: Some(cause.into()), ..problem }
    }

    pub(crate) fn document(&self) -> Document<'_> {
        Document {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            errors: &self.errors,
        }
    }
}

/// An RFC 9457 problem.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct Document<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    /// A stable word for programs.
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
            AccountError::EmailTaken => Self::conflict("email_taken", "There is an account with this e-mail."),
            AccountError::WeakPassword(rule) => Self::invalid_field("password", "weak_password", rule),
            AccountError::BadCode => Self::unprocessable("bad_code", "The code is not right."),
            AccountError::ExpiredCode => {
                Self::unprocessable("expired_code", "The code has expired: ask for a new one.")
            }
            AccountError::BadCredentials => Self::bad_credentials("The e-mail or the password is not right."),
            AccountError::NotConfirmed => {
                Self::forbidden("not_confirmed", "Confirm the e-mail with the code that was sent to it.")
            }
            AccountError::PasswordChangeRequired => {
                Self::forbidden("password_change_required", "Log in with a new password in new_password.")
            }
            AccountError::TooMany => Self::too_many(),
            AccountError::Store(error) => error.into(),
        }
    }
}
