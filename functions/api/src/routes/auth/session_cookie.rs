//! Keeps the refresh token of a browser session in a cookie that no script can read and that is sent to `/api/auth` alone.

use std::time::Duration;

use http::StatusCode;
use tintype_model::RefreshToken;

use crate::error::Problem;
use crate::request::Request;

const NAME: &str = "tintype-refresh";

/// The parameter as the OpenAPI document has it.
pub(super) const SESSION_COOKIE: (&str, &str) =
    (NAME, "The refresh token of a login with `cookie`; used if the body has no token.");

/// Returns the refresh token that the browser sent, if any.
pub(super) fn read<'a>(request: &'a Request<'_>) -> Result<Option<&'a str>, Problem> {
    match request.cookie(NAME) {
        Some(token) => check_origin(request).map(|()| Some(token)),
        None => Ok(None),
    }
}

/// Returns a `Set-Cookie` that keeps the token until it expires.
pub(super) fn set(request: &Request<'_>, token: &RefreshToken) -> String {
    let used = (request.now.secs() - token.auth_time.secs()).max(0).unsigned_abs();
    let left = request.app.session.saturating_sub(Duration::from_secs(used));
    format(request, &token.seal(request.signing()), left)
}

/// Returns a `Set-Cookie` that deletes the cookie.
pub(super) fn clear(request: &Request<'_>) -> String {
    format(request, "", Duration::ZERO)
}

fn format(request: &Request<'_>, value: &str, lasting: Duration) -> String {
    let secure = if request.base_url().starts_with("https:") { "; Secure" } else { "" };
    format!("{NAME}={value}; Max-Age={}; Path=/api/auth; HttpOnly; SameSite=Strict{secure}", lasting.as_secs())
}

/// Rejects requests made by pages of other origins. `SameSite` leaves out other sites; this also rejects other origins of
/// the same site, such as another subdomain.
pub(super) fn check_origin(request: &Request<'_>) -> Result<(), Problem> {
    let same = match (request.header("sec-fetch-site"), request.header("origin")) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => request.base_url().eq_ignore_ascii_case(origin),
        // Not a browser.
        (None, None) => true,
    };
    if same { Ok(()) } else { Err(Problem::new(StatusCode::FORBIDDEN, CROSS_ORIGIN.1, CROSS_ORIGIN.2)) }
}

pub(super) const CROSS_ORIGIN: (u16, &str, &str) =
    (403, "cross_origin", "The session cookie is accepted only from pages of the service's own origin.");
