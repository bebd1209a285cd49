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
use crate::reply::Reply;
use crate::request::Request;

/// What a session is used with.
#[derive(Serialize, JsonSchema)]
struct Tokens {
    access_token: String,
    /// Left out when it is set as a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    /// `Bearer`.
    token_type: &'static str,
    /// Seconds.
    expires_in: u32,
}

/// Where the client finds the refresh token of its session.
#[derive(Clone, Copy)]
enum RefreshTokenIn {
    Body,
    NewCookie,
    /// The client has the cookie already.
    KeptCookie,
}

/// Answers with the tokens of a session that has begun or been renewed.
fn reply_tokens(request: &Request<'_>, session: LoggedIn, refresh: &RefreshToken, place: RefreshTokenIn) -> Reply {
    let tokens = Tokens {
        access_token: session.access_token,
        refresh_token: matches!(place, RefreshTokenIn::Body).then(|| refresh.seal(request.signing())),
        token_type: "Bearer",
        expires_in: session.expires_in,
    };
    let reply = Reply::ok(&tokens);
    match place {
        RefreshTokenIn::NewCookie => reply.with_header("set-cookie", session_cookie::set(request, refresh)),
        RefreshTokenIn::Body | RefreshTokenIn::KeptCookie => reply,
    }
}

/// The profile of a user whose address has just been confirmed. Only confirm and login make profiles: a token that
/// is still alive must not bring back a deleted account.
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
        epoch: 0,
        signed_out_before: None,
        reset_begun_at: None,
        created_at: now,
        version: 1,
    };
    if app.table.create_profile(&profile).await? { Ok(profile) } else { Err(AccountError::BadCredentials.into()) }
}

/// Hides from the client what became of a code, except that the service was out of reach. That no mail can be sent is only
/// logged: the pool says so of addresses that have an account and of no others.
fn keep_quiet(sent: Result<(), AccountError>) -> Result<(), Problem> {
    match sent {
        Err(AccountError::Store(error)) => Err(error.into()),
        Err(AccountError::MailNotSent(cause)) => {
            error!(cause, "Mail not sent");
            Ok(())
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Ends every session of a user, here and at once; then in the pool too, so that its own interfaces refuse them as well.
async fn end_all_sessions(request: &Request<'_>, user: UserId) -> Result<(), Problem> {
    request.app.table.end_all_sessions(user, Timestamp::now()).await?;
    // Ours is what counts: nobody but this program can renew a session.
    if let Err(error) = request.app.accounts.sign_out_everywhere(user).await {
        warn!(cause = %error, "The pool did not end the user's sessions");
    }
    Ok(())
}
