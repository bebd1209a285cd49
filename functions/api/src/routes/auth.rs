pub(super) mod confirm;
pub(super) mod forgot_password;
pub(super) mod login;
pub(super) mod logout;
pub(super) mod refresh;
pub(super) mod resend_code;
pub(super) mod reset_password;
pub(super) mod signup;

use schemars::JsonSchema;
use serde::Serialize;
use tintype_model::{Email, PersonName, Profile, RefreshToken, Timestamp, UserId};
use tintype_store::{AccountError, LoggedIn};

use crate::app::App;
use crate::error::Problem;
use crate::request::Request;

/// What a session is used with.
#[derive(Serialize, JsonSchema)]
struct Tokens {
    access_token: String,
    refresh_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// Seconds.
    expires_in: u32,
}

impl Tokens {
    fn new(app: &App, session: LoggedIn, refresh: RefreshToken) -> Self {
        Self {
            access_token: session.access_token,
            refresh_token: refresh.seal(&app.signing),
            token_type: "Bearer",
            expires_in: session.expires_in,
        }
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

/// Hides from the client what became of a code, except that the service was out of reach.
fn keep_quiet(sent: Result<(), AccountError>) -> Result<(), Problem> {
    match sent {
        Err(AccountError::Store(error)) => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Ends every session of a user, here and at once; then in the pool too, so that its own interfaces refuse them as well.
async fn end_all_sessions(request: &Request<'_>, user: UserId) -> Result<(), Problem> {
    request.app.table.end_all_sessions(user, Timestamp::now()).await?;
    // Ours is what counts: nobody but this program can renew a session.
    if let Err(error) = request.app.accounts.sign_out_everywhere(user).await {
        crate::serve::warn(request, &error);
    }
    Ok(())
}
