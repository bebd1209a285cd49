use http::StatusCode;
use tintype_model::Email;

use crate::error::Problem;
use crate::operation::{Operation, ResponseDoc, of};
use crate::request::Request;
use crate::response::{self, Response};

input! {
    pub(crate) struct ForgotPassword {
        email: Email,
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Accounts",
    summary: "Request a code for resetting the password",
    body: Some(of::<ForgotPassword>),
    responses: &[ResponseDoc::empty(202, "If the account exists, a code is sent.")],
    ..Operation::DEFAULT
};

/// The response does not tell whether the account exists.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let ForgotPassword { email } = request.body()?;
    super::hide_account_existence(request.app.accounts.forgot_password(&email).await)?;
    Ok(response::empty(StatusCode::ACCEPTED))
}
