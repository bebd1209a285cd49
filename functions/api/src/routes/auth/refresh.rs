use tintype_model::{Claims, RefreshToken};
use tintype_store::{AccountError, Key};

use super::session_cookie::{self, CROSS_ORIGIN, SESSION_COOKIE};
use super::{RefreshTokenIn, Tokens};
use crate::error::Problem;
use crate::fields::{AsCookie, Text};
use crate::operation::{Operation, ResponseDoc, of};
use crate::request::Request;
use crate::response::Response;

input! {
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
    responses: &[ResponseDoc::json(200, "The new tokens of the session.", of::<Tokens>).with(&["Set-Cookie"])],
    problems: &[(401, "bad_credentials", "The refresh token is invalid, or its session has ended."), CROSS_ORIGIN],
    ..Operation::DEFAULT
};

/// Reads the session after Cognito has issued the token: a session that ended in between gets none.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let Refresh { refresh_token, cookie: AsCookie(cookie) } = request.body()?;
    if cookie {
        session_cookie::check_origin(request)?;
    }
    let app = request.app;
    let in_body = refresh_token.as_ref().map(|token| token.0.as_str());
    // A token that came in a cookie is never returned in a body, which the page's scripts can read.
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
        // These errors say nothing about the token, so the client must keep its session.
        Err(error @ (AccountError::Store(_) | AccountError::RateLimited)) => return Err(error.into()),
        Err(_) => return Err(refused()),
        Ok(renewed) => renewed,
    };
    let session = Key::ended_session(token.user, token.origin_jti);
    let items = app.store.read([Key::profile(token.user), session.clone()]).await?;
    let profile = items.profile(token.user)?.ok_or_else(refused)?;
    // The start of the session is that of its first token: Cognito may set a new auth_time at a refresh.
    let began = Claims { auth_time: token.auth_time, ..renewed.claims.clone() };
    if items.has(&session) || began.ended_by(&profile, request.now) || renewed.claims.origin_jti != token.origin_jti {
        return Err(refused());
    }
    Ok(super::tokens_response(request, renewed, &token, place))
}

fn refused() -> Problem {
    Problem::bad_credentials("The refresh token is invalid, or its session has ended.")
}
