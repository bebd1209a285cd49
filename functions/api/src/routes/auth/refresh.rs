use tintype_model::{Claims, RefreshToken};
use tintype_store::{AccountError, Key};

use super::session_cookie::{self, CROSS_ORIGIN, SESSION_COOKIE};
use super::{RefreshTokenIn, Tokens};
use crate::error::Problem;
use crate::fields::{AsCookie, Text};
use crate::openapi::{Answer, Operation, PLAIN, of};
use crate::reply::Reply;
use crate::request::Request;

body! {
    pub(crate) struct Refresh {
        refresh_token: Option<Text> = None,
        cookie: AsCookie = AsCookie(false),
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Accounts",
    summary: "Renew the access token of a session",
    cookie: Some(SESSION_COOKIE),
    body: Some(of::<Refresh>),
    replies: &[Answer::json(200, "The new tokens of the session.", of::<Tokens>).with(&["Set-Cookie"])],
    problems: &[(401, "bad_credentials", "The refresh token is invalid, or its session has ended."), CROSS_ORIGIN],
    ..PLAIN
};

/// Renews a session's access token. The session is read after the pool has made the new token: one that ended in
/// between gives nothing.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let Refresh { refresh_token, cookie: AsCookie(cookie) } = request.body()?;
    if cookie {
        session_cookie::check_origin(request)?;
    }
    let app = request.app;
    let in_body = refresh_token.as_ref().map(|token| token.0.as_str());
    // A token that came in a cookie is never given to the page's scripts.
    let place = match in_body {
        _ if cookie => RefreshTokenIn::NewCookie,
        Some(_) => RefreshTokenIn::Body,
        None => RefreshTokenIn::KeptCookie,
    };
    let missing = || Problem::invalid_field("refresh_token", "required", "is required without the session cookie");
    let sealed = match in_body {
        Some(token) => token,
        None => session_cookie::read(request)?.ok_or_else(|| if cookie { refused() } else { missing() })?,
    };
    let token = RefreshToken::open(sealed, request.signing()).map_err(|_| refused())?;
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
    Ok(super::reply_tokens(request, renewed, &token, place))
}

fn refused() -> Problem {
    Problem::bad_credentials("The refresh token is invalid, or its session has ended.")
}
