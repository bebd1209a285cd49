pub(super) mod confirm;
pub(super) mod forgot_password;
pub(super) mod login;
pub(super) mod logout;
pub(super) mod refresh;
pub(super) mod resend_code;
pub(super) mod reset_password;
mod session_cookie;
pub(super) mod signup;

use schemars::JsonSchema;
use serde::Serialize;
use tintype_model::{Email, PersonName, Profile, RefreshToken, Timestamp, UserId};
use tintype_store::{AccountError, LoggedIn};
use tracing::{error, warn};

use crate::app::App;
use crate::error::Problem;
use crate::request::Request;
use crate::response::{self, Response, WithHeader};

/// The tokens of a session.
#[derive(Serialize, JsonSchema)]
struct Tokens {
    #[schemars(example = &"eyJraWQiOiJ4b0...")]
    access_token: String,
    /// Absent if it is set as a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"fn24gg4xr10x3cj5bzywwx7tt...eyJjdHkiOiJKV1Qi...")]
    refresh_token: Option<String>,
    /// `Bearer`.
    #[schemars(example = &"Bearer")]
    token_type: &'static str,
    /// Seconds.
    #[schemars(example = 3600)]
    expires_in: u32,
}

/// The place of the refresh token in a response.
#[derive(Clone, Copy)]
enum RefreshTokenIn {
    Body,
    NewCookie,
    /// The client has the cookie already.
    KeptCookie,
}

/// Returns the tokens of a session.
fn tokens_response(
    request: &Request<'_>,
    session: LoggedIn,
    refresh: &RefreshToken,
    place: RefreshTokenIn,
) -> Response {
    let tokens = Tokens {
        access_token: session.access_token,
        refresh_token: matches!(place, RefreshTokenIn::Body).then(|| refresh.seal(request.signing())),
        token_type: "Bearer",
        expires_in: session.expires_in,
    };
    let response = response::ok(&tokens);
    match place {
        RefreshTokenIn::NewCookie => response.with_header("set-cookie", session_cookie::set(request, refresh)),
        RefreshTokenIn::Body | RefreshTokenIn::KeptCookie => response,
    }
}

/// Creates the profile of a user whose address was just confirmed. Only confirm and login create profiles: a token that
/// has not expired must not restore a deleted account.
async fn create_profile(
    app: &App,
    id: UserId,
    email: Email,
    name: PersonName,
    now: Timestamp,
) -> Result<Profile, Problem> {
    let profile = Profile {
        id,
        email,
        name,
        plan: app.default_plan.clone(),
        plan_revision: 0,
        deletion_epoch: 0,
        signed_out_before: None,
        reset_started_at: None,
        created_at: now,
        version: 1,
    };
    if app.store.profiles.create(&profile).await? { Ok(profile) } else { Err(AccountError::BadCredentials.into()) }
}

/// Hides from the client whether an account exists: reports only that the service is unavailable. Mail that cannot be sent
/// is only logged, because Cognito tries it only for addresses that have an account.
fn hide_account_existence(sent: Result<(), AccountError>) -> Result<(), Problem> {
    match sent {
        Err(AccountError::Store(error)) => Err(error.into()),
        Err(AccountError::MailNotSent(cause)) => {
            error!(cause, "Mail not sent");
            Ok(())
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Ends every session of a user, in the table at once; then in Cognito, so that its own API rejects them too.
async fn end_all_sessions(request: &Request<'_>, user: UserId) -> Result<(), Problem> {
    request.app.store.profiles.end_all_sessions(user, Timestamp::now()).await?;
    // The table decides: only this service can refresh a session.
    if let Err(error) = request.app.accounts.sign_out_everywhere(user).await {
        warn!(cause = %error, "Cognito did not end the user's sessions");
    }
    Ok(())
}
