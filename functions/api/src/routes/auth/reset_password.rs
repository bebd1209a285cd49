use tintype_model::Email;
use tintype_store::{AccountError, Key, ResetError};

use crate::error::{FieldError, Problem};
use crate::fields::{Code, Password};
use crate::operation::{Operation, ResponseDoc, of};
use crate::request::Request;
use crate::response::{self, Response};

input! {
    pub(crate) struct ResetPassword {
        email: Email,
        code: Code,
        new_password: Password,
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Accounts",
    summary: "Set a new password with a code, and end all sessions",
    body: Some(of::<ResetPassword>),
    responses: &[ResponseDoc::empty(204, "Set.")],
    problems: &[(422, "bad_code", "The code is wrong."), (422, "expired_code", "The code has expired.")],
    ..Operation::DEFAULT
};

/// Cognito sets the password and the table ends the sessions. The reset is recorded first, so that the sessions end even
/// if the request is interrupted.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let ResetPassword { email, code, new_password } = request.body()?;
    let app = request.app;
    // Before the code is used: what follows needs the user.
    let user = app.accounts.find(&email).await?.ok_or(AccountError::BadCode)?.id;
    if let Some(profile) = app.store.read([Key::profile(user)]).await?.profile(user)?
        && !app.store.profiles.begin_reset(&profile, request.now).await?
    {
        return Err(Problem::busy());
    }
    if let Err(ResetError { error, refused }) = app.accounts.reset_password(&email, &code.0, &new_password.0).await {
        if refused {
            app.store.profiles.drop_reset(user, request.now).await?;
        }
        return Err(match error {
            AccountError::WeakPassword(message) => {
                Problem::invalid(vec![FieldError { field: "new_password".into(), code: "weak_password", message }])
            }
            error => error.into(),
        });
    }
    super::end_all_sessions(request, user).await?;
    Ok(response::no_content())
}
