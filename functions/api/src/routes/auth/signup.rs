use std::time::Duration;

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tintype_model::{Email, PersonName, UserId};
use tintype_store::{AccountError, Key};

use crate::error::Problem;
use crate::fields::Password;
use crate::operation::{Operation, ResponseDoc, of};
use crate::passwords;
use crate::request::Request;
use crate::response::{self, Response};

input! {
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
    #[schemars(example = &"code_sent")]
    confirmation: &'static str,
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Accounts",
    summary: "Sign up",
    body: Some(of::<SignUp>),
    responses: &[ResponseDoc::json(201, "A confirmation code was sent by e-mail.", of::<SignedUp>)],
    problems: &[(409, "email_taken", "An account with this e-mail address exists.")],
    ..Operation::DEFAULT
};

/// A request that takes longer was interrupted: Lambda stops the function after 29 s.
const INTERRUPTED_AFTER: Duration = Duration::from_secs(60);

/// An unconfirmed account releases its address when it expires, or if its creation was interrupted before the client got
/// a response. A retry with the same password and name gets the first response again.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let SignUp { email, password, name } = request.body()?;
    let (accounts, store) = (&request.app.accounts, &request.app.store);
    let user = match accounts.sign_up(&email, &password.0, &name).await {
        Err(AccountError::EmailTaken) => {
            let holder = accounts.find(&email).await?;
            if let Some(holder) = holder.filter(|holder| !holder.confirmed) {
                let older_than = |age| holder.created_at + age <= request.now;
                if !older_than(request.app.pending) {
                    let items = store.read([Key::sign_up(holder.id)]).await?;
                    match items.sign_up_hash(holder.id) {
                        Some(hash) if holder.name == name && passwords::matches(&password.0, hash) => {
                            match accounts.resend_code(&email).await {
                                // The client knows the password, so that the account exists is no secret.
                                Err(error @ AccountError::MailNotSent(_)) => return Err(error.into()),
                                sent => super::hide_account_existence(sent)?,
                            }
                            return Ok(signed_up(holder.id));
                        }
                        Some(_) => return Err(unconfirmed_account(request)),
                        None if !older_than(INTERRUPTED_AFTER) => {
                            return Err(Problem::unavailable("a sign-up without its password hash"));
                        }
                        None => {}
                    }
                }
                accounts.delete(holder.id).await?;
            }
            accounts.sign_up(&email, &password.0, &name).await?
        }
        made => made?,
    };
    let expires_at = request.now + request.app.pending;
    store.profiles.keep_sign_up(user, &passwords::hash(&password.0)?, expires_at).await?;
    Ok(signed_up(user))
}

/// An unconfirmed account with this address has another password or name. The code shows who owns the address.
fn unconfirmed_account(request: &Request<'_>) -> Problem {
    let hours = request.app.pending.as_secs() / 3600;
    let detail = format!(
        "An account with this e-mail address is not confirmed. Confirm it with the code that was sent by e-mail; \
         POST /api/auth/resend-code sends another. Or sign up again when it expires, {hours} hours after its creation."
    );
    Problem::conflict("email_taken", detail)
}

fn signed_up(user: UserId) -> Response {
    response::json(StatusCode::CREATED, &SignedUp { user_id: user, confirmation: "code_sent" })
}
