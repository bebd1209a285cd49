use tintype_model::{Claims, RefreshToken};
use tintype_store::{AccountError, Key};

use super::Tokens;
use crate::error::Problem;
use crate::fields::Text;
use crate::openapi::{Answer, Operation, PLAIN, of};
use crate::reply::Reply;
use crate::request::Request;

body! {
    pub(crate) struct Refresh {
        refresh_token: Text,
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Accounts",
    summary: "Renew the access token of a session",
    body: Some(of::<Refresh>),
    replies: &[Answer::json(200, "The session's new tokens.", of::<Tokens>)],
    problems: &[(401, "bad_credentials", "The refresh token is not valid, or its session has ended.")],
    ..PLAIN
};

/// Renews a session's access token. The session is read after the pool has made the new token: one that ended in
/// between gives nothing.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let Refresh { refresh_token } = request.body()?;
    let app = request.app;
    let token = RefreshToken::open(&refresh_token.0, &app.signing).map_err(|_| refused())?;
    let renewed = match app.accounts.refresh(token.user, &token.pool_token).await {
        // What says nothing about the token must not end its session.
        Err(error @ (AccountError::Store(_) | AccountError::TooMany)) => return Err(error.into()),
        Err(_) => return Err(refused()),
        Ok(renewed) => renewed,
    };
    let session = Key::ended_session(token.user, token.origin_jti);
    let items = app.table.read([Key::profile(token.user), session.clone()]).await?;
    let profile = items.profile(token.user)?.ok_or_else(refused)?;
    // When it began is what the first token of the session said; the pool may call a renewal a new beginning.
    let began = Claims { auth_time: token.auth_time, ..renewed.claims.clone() };
    if items.has(&session) || began.ended_by(&profile, request.now) || renewed.claims.origin_jti != token.origin_jti {
        return Err(refused());
    }
    Ok(Reply::ok(&Tokens::new(app, renewed, token)))
}

fn refused() -> Problem {
    Problem::bad_credentials("The refresh token is not valid, or its session has ended.")
}
