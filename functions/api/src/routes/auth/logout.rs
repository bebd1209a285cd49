use tintype_model::{RefreshToken, Timestamp};
use tracing::warn;

use super::session_cookie::{self, CROSS_ORIGIN, SESSION_COOKIE};
use crate::error::Problem;
use crate::fields::{DeleteCookie, Text};
use crate::operation::{AuthRequirement, Operation, ResponseDoc, of};
use crate::request::Request;
use crate::response::{self, Response, WithHeader};

input! {
    pub(crate) struct LogOut {
        refresh_token: Option<Text> = None,
        everywhere: bool = false,
        cookie: DeleteCookie = DeleteCookie(false),
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Accounts",
    summary: "End this session, or all sessions of the user; their tokens are refused from then on",
    auth: AuthRequirement::Required,
    body: Some(of::<LogOut>),
    body_optional: true,
    cookie: Some(SESSION_COOKIE),
    responses: &[ResponseDoc::empty(204, "Ended.").with(&["Set-Cookie"])],
    problems: &[CROSS_ORIGIN],
    ..Operation::DEFAULT
};

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let LogOut { refresh_token, everywhere, cookie: DeleteCookie(cookie) } = request.body_or_none()?;
    let app = request.app;
    let claims = request.caller().await?.claims;
    let in_cookie = session_cookie::read(request)?;
    let token = refresh_token.as_ref().map(|text| text.0.as_str()).or(in_cookie);
    let token = token.map(|token| RefreshToken::open(token, request.signing()));
    let response = match &token {
        // Another user has logged in with this browser since then.
        Some(Ok(token)) if token.user != claims.user => response::no_content(),
        _ if cookie || in_cookie.is_some() => {
            response::no_content().with_header("set-cookie", session_cookie::clear(request))
        }
        _ => response::no_content(),
    };
    if everywhere {
        super::end_all_sessions(request, claims.user).await?;
        return Ok(response);
    }
    let forget_at = Timestamp::now() + app.session;
    app.store.profiles.end_session(claims.user, claims.origin_jti, forget_at).await?;
    if let Some(Ok(token)) = token
        && token.user == claims.user
    {
        if token.origin_jti != claims.origin_jti {
            app.store.profiles.end_session(token.user, token.origin_jti, forget_at).await?;
        }
        // The table decides; this makes Cognito's own API reject the session too.
        if let Err(error) = app.accounts.revoke(&token.pool_token).await {
            warn!(cause = %error, "Cognito did not revoke the refresh token");
        }
    }
    Ok(response)
}
