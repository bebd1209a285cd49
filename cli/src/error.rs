//! Errors, as users see them, and exit statuses.

use std::{fmt, io};

use crate::api::{FieldError, Problem};

/// Exit statuses, as `tintype --help` lists them.
pub(crate) mod exit {
    pub(crate) const DONE: u8 = 0;
    pub(crate) const FAILED: u8 = 1;
    /// clap uses it, too.
    pub(crate) const USAGE: u8 = 2;
    pub(crate) const NOT_LOGGED_IN: u8 = 3;
    pub(crate) const SOME_FAILED: u8 = 4;
    pub(crate) const UNREACHABLE: u8 = 5;
    pub(crate) const NOT_SETTLED: u8 = 6;
    pub(crate) const ALREADY_RUNNING: u8 = 7;
    /// 128 + SIGINT, as in shells.
    pub(crate) const INTERRUPTED: u8 = 130;
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command or an argument is invalid or missing.
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    NotLoggedIn(String),
    #[error("{0}")]
    Refused(ApiProblem),
    /// All retries failed.
    #[error("{0}")]
    Unreachable(String),
    /// Another upload or export is in progress.
    #[error("{0}")]
    AlreadyRunning(String),
    #[error("{what}: {}", reason(source))]
    File { what: String, source: io::Error },
    #[error("{0}")]
    Other(String),
}

/// A problem document of the service.
#[derive(Debug, Clone)]
pub(crate) struct ApiProblem {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) detail: String,
    pub(crate) errors: Vec<FieldError>,
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn file(what: impl fmt::Display, source: io::Error) -> Self {
        Self::File { what: what.to_string(), source }
    }

    /// Names the file of an error that does not know it.
    pub(crate) fn in_file(self, what: impl fmt::Display) -> Self {
        match self {
            Self::File { source, .. } => Self::file(what, source),
            error => error,
        }
    }

    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::Usage(_) => exit::USAGE,
            Self::NotLoggedIn(_) => exit::NOT_LOGGED_IN,
            Self::Refused(refusal) if refusal.status == 401 => exit::NOT_LOGGED_IN,
            Self::Unreachable(_) => exit::UNREACHABLE,
            Self::AlreadyRunning(_) => exit::ALREADY_RUNNING,
            Self::Refused(_) | Self::File { .. } | Self::Other(_) => exit::FAILED,
        }
    }

    /// Stable, for programs.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Usage(_) => "usage",
            Self::NotLoggedIn(_) => "not_logged_in",
            Self::Refused(refusal) => &refusal.code,
            Self::Unreachable(_) => "unreachable",
            Self::AlreadyRunning(_) => "already_running",
            Self::File { .. } => "file",
            Self::Other(_) => "failed",
        }
    }

    pub(crate) fn refused_with(&self, code: &str) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code == code)
    }
}

/// The text of an operating system's error, without its number: "permission denied".
pub(crate) fn reason(error: &io::Error) -> String {
    sentence_part(&error.to_string())
}

/// The text of an error as a part of a sentence.
pub(crate) fn sentence_part(text: &str) -> String {
    let text = text.split(" (os error ").next().unwrap_or_default();
    let mut letters = text.chars();
    match letters.next() {
        // Not an abbreviation.
        Some(first) if !letters.clone().next().is_some_and(char::is_uppercase) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

impl From<Problem> for ApiProblem {
    fn from(problem: Problem) -> Self {
        Self {
            status: problem.status,
            code: problem.code,
            detail: problem.detail,
            errors: problem.errors.unwrap_or_default(),
        }
    }
}

impl fmt::Display for ApiProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)?;
        for error in &self.errors {
            write!(f, " `{}` {}.", error.field, error.message)?;
        }
        match advice(&self.code) {
            Some(advice) => write!(f, " {advice}"),
            None => Ok(()),
        }
    }
}

/// Advice for problems whose detail contains none.
fn advice(code: &str) -> Option<&'static str> {
    Some(match code {
        "not_confirmed" => "Do so on the web page, then log in again.",
        "plan_required" => "Ask who runs the service to give you one.",
        "image_limit" => "Remove images (`tintype rm`), or ask for a larger plan (`tintype plans` lists them).",
        "plan_forbids_links" => "`tintype plans` lists those that have them.",
        "title_taken" => "Rename the file, or remove that image first.",
        "not_ready" => "Wait until `tintype show` says that it is.",
        "not_owner" => "Only what `tintype list` shows is yours to change.",
        "too_many_requests" => "Try again in a minute.",
        _ => return None,
    })
}
