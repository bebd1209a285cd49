use std::time::Duration;

use tintype_model::{Email, RefreshToken, Timestamp};
use tintype_store::{AccountError, Key, LoggedIn};

use super::session_cookie::{self, CROSS_ORIGIN};
use super::{RefreshTokenIn, Tokens};
use crate::app::App;
use crate::error::Problem;
use crate::fields::{AsCookie, Password, Text};
use crate::operation::{Operation, ResponseDoc, of};
use crate::passwords;
use crate::request::Request;
use crate::response::Response;

input! {
    pub(crate) struct LogIn {
        email: Email,
        password: Text,
        new_password: Option<Password> = None,
        cookie: AsCookie = AsCookie(false),
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Accounts",
    summary: "Log in",
    body: Some(of::<LogIn>),
    responses: &[ResponseDoc::json(200, "Logged in.", of::<Tokens>).with(&["Set-Cookie"])],
    problems: &[
        (401, "bad_credentials", "Wrong e-mail address or password."),
        (403, "not_confirmed", "The password is right, but the e-mail address is not confirmed."),
        (
            403,
            "password_change_required",
            "The password is right, but must be changed: send a new one in new_password.",
        ),
        CROSS_ORIGIN,
    ],
    ..Operation::DEFAULT
};

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let LogIn { email, password, new_password, cookie: AsCookie(cookie) } = request.body()?;
    if cookie {
        session_cookie::check_origin(request)?;
    }
    let app = request.app;
    let new_password = new_password.as_ref().map(|text| text.0.as_str());
    let mut session = match app.accounts.log_in(&email, &password.0, new_password).await {
        Err(AccountError::NotConfirmed) => return Err(not_confirmed(app, &email, &password.0).await?),
        begun => begun?,
    };
    if ended_at_start(app, &session, request.now).await? {
        // All sessions that began in this second have ended: begin one in the next.
        let second = Duration::from_millis(1000 - Timestamp::now().millis().rem_euclid(1000).unsigned_abs());
        tokio::time::sleep(second).await;
        let password = new_password.unwrap_or(&password.0);
        session = app.accounts.log_in(&email, password, None).await?;
    }
    let refresh = RefreshToken {
        user: session.claims.user,
        origin_jti: session.claims.origin_jti,
        auth_time: session.claims.auth_time,
        pool_token: session.refresh_token.take().unwrap_or_default(),
    };
    let place = if cookie { RefreshTokenIn::NewCookie } else { RefreshTokenIn::Body };
    Ok(super::tokens_response(request, session, &refresh, place))
}

/// Cognito reports an unconfirmed address before it checks the password; this service reports it only for the right one.
async fn not_confirmed(app: &App, email: &Email, password: &str) -> Result<Problem, Problem> {
    let Some(user) = app.accounts.find(email).await? else { return Ok(AccountError::BadCredentials.into()) };
    let items = app.store.read([Key::sign_up(user.id)]).await?;
    let right = items.sign_up_hash(user.id).is_some_and(|hash| passwords::matches(password, hash));
    Ok(if right { AccountError::NotConfirmed } else { AccountError::BadCredentials }.into())
}

/// Returns true if the new session has ended already. Creates the profile that an interrupted confirmation did not create.
async fn ended_at_start(app: &App, session: &LoggedIn, now: Timestamp) -> Result<bool, Problem> {
    let user = session.claims.user;
    let profile = match app.store.read([Key::profile(user)]).await?.profile(user)? {
        Some(profile) => profile,
        None => super::create_profile(app, user, session.email.clone(), session.name.clone(), now).await?,
    };
    Ok(session.claims.ended_by(&profile, now))
}
