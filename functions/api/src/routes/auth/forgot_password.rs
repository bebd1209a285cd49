use http::StatusCode;
use tintype_model::Email;

use crate::error::Problem;
use crate::openapi::{Answer, Operation, PLAIN, of};
use crate::reply::Reply;
use crate::request::Request;

body! {
    pub(crate) struct ForgotPassword {
        email: Email,
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Accounts",
    summary: "Request a code for resetting the password",
    body: Some(of::<ForgotPassword>),
    replies: &[Answer::empty(202, "If the account exists, a code is sent.")],
    ..PLAIN
};

/// Sends a code where there is someone to send it to; the answer does not tell.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let ForgotPassword { email } = request.body()?;
    super::keep_quiet(request.app.accounts.forgot_password(&email).await)?;
    Ok(Reply::empty(StatusCode::ACCEPTED))
}
