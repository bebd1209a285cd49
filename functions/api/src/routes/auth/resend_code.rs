use http::StatusCode;
use tintype_model::Email;

use crate::error::Problem;
use crate::operation::{Operation, ResponseDoc, of};
use crate::request::Request;
use crate::response::{self, Response};

input! {
    pub(crate) struct ResendCode {
        email: Email,
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Accounts",
    summary: "Send the confirmation code again",
    body: Some(of::<ResendCode>),
    responses: &[ResponseDoc::empty(202, "If an unconfirmed account exists, a code is sent.")],
    ..Operation::DEFAULT
};

/// The response does not tell whether the account exists.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let ResendCode { email } = request.body()?;
    super::hide_account_existence(request.app.accounts.resend_code(&email).await)?;
    Ok(response::empty(StatusCode::ACCEPTED))
}
