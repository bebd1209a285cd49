use std::time::Duration;

use tintype_model::Email;
use tintype_store::{AccountError, Key};

use crate::error::Problem;
use crate::fields::Code;
use crate::operation::{Operation, ResponseDoc, of};
use crate::request::Request;
use crate::response::{self, Response};

input! {
    pub(crate) struct Confirm {
        email: Email,
        code: Code,
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Accounts",
    summary: "Confirm an e-mail address with the code that was sent to it",
    body: Some(of::<Confirm>),
    responses: &[ResponseDoc::empty(204, "Confirmed.")],
    problems: &[(422, "bad_code", "The code is wrong."), (422, "expired_code", "The code has expired.")],
    ..Operation::DEFAULT
};

/// A confirmation can be retried for this long.
const RETRY_WINDOW: Duration = Duration::from_secs(15 * 60);

/// Cognito accepts a code once. A retry, after a lost response or an interrupted confirmation, finds the address
/// confirmed and does the rest; without a retry, the first login does it.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
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
        let items = app.store.read([Key::profile(user.id), Key::sign_up(user.id)]).await?;
        let unfinished = items.sign_up_hash(user.id).is_some();
        let recent = items.profile(user.id)?.is_some_and(|profile| request.now < profile.created_at + RETRY_WINDOW);
        if !unfinished && !recent {
            return Err(error.into());
        }
    }
    if let Some(user) = user {
        super::create_profile(app, user.id, user.email, user.name, request.now).await?;
        app.store.profiles.forget_sign_up(user.id).await?;
    }
    Ok(response::no_content())
}
