use tintype_model::{RefreshToken, Timestamp};

use crate::error::Problem;
use crate::fields::Text;
use crate::openapi::{Answer, Login, Operation, PLAIN, of};
use crate::reply::Reply;
use crate::request::Request;

body! {
    pub(crate) struct LogOut {
        refresh_token: Option<Text> = None,
        everywhere: bool = false,
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Accounts",
    summary: "End this session, or all: its tokens are refused from now on",
    login: Login::Required,
    body: Some(of::<LogOut>),
    replies: &[Answer::empty(204, "Ended.")],
    ..PLAIN
};

/// Ends the session of the caller's token, with `everywhere` all of the caller's sessions, for every token at once.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let LogOut { refresh_token, everywhere } = request.body_or_none()?;
    let app = request.app;
    let claims = request.caller().await?.claims;
    if everywhere {
        super::end_all_sessions(request, claims.user).await?;
        return Ok(Reply::no_content());
    }
    let forget_at = Timestamp::now() + app.session;
    app.table.end_session(claims.user, claims.origin_jti, forget_at).await?;
    let token = refresh_token.and_then(|text| RefreshToken::open(&text.0, &app.signing).ok());
    if let Some(token) = token.filter(|token| token.user == claims.user) {
        if token.origin_jti != claims.origin_jti {
            app.table.end_session(token.user, token.origin_jti, forget_at).await?;
        }
        // Ours is what counts; this makes the pool's own interfaces refuse the session too.
        if let Err(error) = app.accounts.revoke(&token.pool_token).await {
            crate::serve::warn(request, &error);
        }
    }
    Ok(Reply::no_content())
}
