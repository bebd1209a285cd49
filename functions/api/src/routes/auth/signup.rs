use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tintype_model::{Email, PersonName, UserId};
use tintype_store::AccountError;

use crate::error::Problem;
use crate::fields::Password;
use crate::openapi::{Answer, Operation, PLAIN, of};
use crate::passwords;
use crate::reply::Reply;
use crate::request::Request;

body! {
    pub(crate) struct SignUp {
        email: Email,
        password: Password,
        name: PersonName,
    }
}

#[derive(Serialize, JsonSchema)]
struct SignedUp {
    user_id: UserId,
    /// `code_sent`.
    confirmation: &'static str,
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Accounts",
    summary: "Sign up",
    body: Some(of::<SignUp>),
    replies: &[Answer::json(201, "A code was mailed, with which to confirm.", of::<SignedUp>)],
    problems: &[(409, "email_taken", "There is an account with this e-mail.")],
    ..PLAIN
};

/// Makes an account that waits for its confirmation. One that waited too long gives its e-mail up.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let SignUp { email, password, name } = request.body()?;
    let accounts = &request.app.accounts;
    let user = match accounts.sign_up(&email, &password.0, &name).await {
        Err(AccountError::EmailTaken) => {
            let holder = accounts.find(&email).await?;
            let given_up = |at| at + request.app.pending <= request.now;
            if let Some(holder) = holder.filter(|holder| !holder.confirmed && given_up(holder.created_at)) {
                accounts.delete(holder.id).await?;
            }
            accounts.sign_up(&email, &password.0, &name).await?
        }
        made => made?,
    };
    let expires_at = request.now + request.app.pending;
    request.app.table.keep_sign_up(user, &passwords::hash(&password.0)?, expires_at).await?;
    Ok(Reply::json(StatusCode::CREATED, &SignedUp { user_id: user, confirmation: "code_sent" }))
}
