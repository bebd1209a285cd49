use tintype_model::Email;

use crate::error::Problem;
use crate::fields::Text;
use crate::openapi::{Answer, Operation, PLAIN, of};
use crate::reply::Reply;
use crate::request::Request;

body! {
    pub(crate) struct Confirm {
        email: Email,
        code: Text,
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Accounts",
    summary: "Confirm an e-mail with the code that was sent to it",
    body: Some(of::<Confirm>),
    replies: &[Answer::empty(204, "Confirmed.")],
    problems: &[(422, "bad_code", "The code is not right."), (422, "expired_code", "The code has expired.")],
    ..PLAIN
};

/// Confirms an e-mail. Where this is cut off after the pool has noted it, the first login makes the profile.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let Confirm { email, code } = request.body()?;
    let accounts = &request.app.accounts;
    accounts.confirm(&email, &code.0).await?;
    if let Some(user) = accounts.find(&email).await? {
        super::create_profile(request.app, user.id, user.email, user.name, request.now).await?;
        request.app.table.forget_sign_up(user.id).await?;
    }
    Ok(Reply::no_content())
}
