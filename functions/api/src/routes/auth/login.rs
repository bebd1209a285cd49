use std::time::Duration;

use tintype_model::{Email, RefreshToken, Timestamp};
use tintype_store::{Key, LoggedIn};

use super::Tokens;
use crate::app::App;
use crate::error::Problem;
use crate::fields::Text;
use crate::reply::Reply;
use crate::request::Request;

body! {
    pub(crate) struct LogIn {
        email: Email,
        password: Text,
        new_password: Option<Text> = None,
    }
}

/// Begins a session.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let LogIn { email, password, new_password } = request.body()?;
    let app = request.app;
    let new_password = new_password.as_ref().map(|text| text.0.as_str());
    let mut session = app.accounts.log_in(&email, &password.0, new_password).await?;
    if ended_as_it_began(app, &session, request.now).await? {
        // All sessions of this very second have been ended. The next second is another matter.
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
    Ok(Reply::ok(&Tokens::new(app, session, refresh)))
}

/// Whether nothing would accept the new session. Makes the profile that a confirmation was cut off before making.
async fn ended_as_it_began(app: &App, session: &LoggedIn, now: Timestamp) -> Result<bool, Problem> {
    let user = session.claims.user;
    let profile = match app.table.read([Key::profile(user)]).await?.profile(user)? {
        Some(profile) => profile,
        None => super::create_profile(app, user, session.email.clone(), session.name.clone(), now).await?,
    };
    Ok(session.claims.ended_by(&profile))
}
