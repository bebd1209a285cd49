use std::time::Duration;

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tintype_model::{Email, PersonName, UserId};
use tintype_store::{AccountError, Key};

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
    replies: &[Answer::json(201, "A confirmation code was sent by e-mail.", of::<SignedUp>)],
    problems: &[(409, "email_taken", "An account with this e-mail address exists.")],
    ..PLAIN
};

/// A function that has not ended its request by then is not running any more: Lambda stops it after 29 s.
const CUT_OFF: Duration = Duration::from_secs(60);

/// Makes an account that waits for its confirmation. One that waited too long gives its e-mail up, and so does one whose
/// making was cut off before anybody was told of it. A repetition, after an answer that was lost, is no stranger.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let SignUp { email, password, name } = request.body()?;
    let (accounts, table) = (&request.app.accounts, &request.app.table);
    let user = match accounts.sign_up(&email, &password.0, &name).await {
        Err(AccountError::EmailTaken) => {
            let holder = accounts.find(&email).await?;
            if let Some(holder) = holder.filter(|holder| !holder.confirmed) {
                let older_than = |age| holder.created_at + age <= request.now;
                if !older_than(request.app.pending) {
                    let items = table.read([Key::sign_up(holder.id)]).await?;
                    match items.sign_up_hash(holder.id) {
                        Some(hash) if holder.name == name && passwords::is(&password.0, hash) => {
                            match accounts.resend_code(&email).await {
                                // Who knows the password hears of it: there is nothing to hide from them.
                                Err(error @ AccountError::MailNotSent(_)) => return Err(error.into()),
                                sent => super::keep_quiet(sent)?,
                            }
                            return Ok(signed_up(holder.id));
                        }
                        Some(_) => return Err(waits_for_confirmation(request)),
                        None if !older_than(CUT_OFF) => return Err(Problem::unavailable("a sign-up without its note")),
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
    table.keep_sign_up(user, &passwords::hash(&password.0)?, expires_at).await?;
    Ok(signed_up(user))
}

/// Someone signed up with this e-mail before, with another password or name: the code tells who owns the e-mail.
fn waits_for_confirmation(request: &Request<'_>) -> Problem {
    let hours = request.app.pending.as_secs() / 3600;
    let detail = format!(
        "There is a sign-up with this e-mail that was not confirmed. Confirm it with the code that was mailed; \
         POST /api/auth/resend-code mails another. Or sign up again when it expires, {hours} hours after it was made."
    );
    Problem::conflict("email_taken", detail)
}

fn signed_up(user: UserId) -> Reply {
    Reply::json(StatusCode::CREATED, &SignedUp { user_id: user, confirmation: "code_sent" })
}
