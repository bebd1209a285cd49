use std::time::Duration;

use tintype_model::Email;
use tintype_store::{AccountError, Key};

use crate::error::Problem;
use crate::fields::Code;
use crate::openapi::{Answer, Operation, PLAIN, of};
use crate::reply::Reply;
use crate::request::Request;

body! {
    pub(crate) struct Confirm {
        email: Email,
        code: Code,
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Accounts",
    summary: "Confirm an e-mail address with the code that was sent to it",
    body: Some(of::<Confirm>),
    replies: &[Answer::empty(204, "Confirmed.")],
    problems: &[(422, "bad_code", "The code is wrong."), (422, "expired_code", "The code has expired.")],
    ..PLAIN
};

/// How long after a confirmation a repetition of it may come.
const REPEATABLE: Duration = Duration::from_secs(15 * 60);

/// Confirms an e-mail. The pool takes a code once: a repetition, after an answer that was lost or a confirmation that was
/// cut off, finds its e-mail confirmed, and finishes what is left. Where none comes, the first login does.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let Confirm { email, code } = request.body()?;
    let app = request.app;
    let refused = app.accounts.confirm(&email, &code.0).await.err();
    let refused = match refused {
        None => None,
        Some(error @ (AccountError::BadCode | AccountError::ExpiredCode)) => Some(error),
        Some(error) => return Err(error.into()),
    };
    let user = app.accounts.find(&email).await?;
    if let Some(error) = refused {
        let Some(user) = user.as_ref().filter(|user| user.confirmed) else { return Err(error.into()) };
        let items = app.table.read([Key::profile(user.id), Key::sign_up(user.id)]).await?;
        let unfinished = items.sign_up_hash(user.id).is_some();
        let lately = items.profile(user.id)?.is_some_and(|profile| request.now < profile.created_at + REPEATABLE);
        if !unfinished && !lately {
            return Err(error.into());
        }
    }
    if let Some(user) = user {
        super::create_profile(app, user.id, user.email, user.name, request.now).await?;
        app.table.forget_sign_up(user.id).await?;
    }
    Ok(Reply::no_content())
}
