use tintype_model::JobId;
use tintype_store::AccountError;
use tracing::warn;

use crate::error::Problem;
use crate::fields::Text;
use crate::openapi::{Answer, Login, Operation, PLAIN, of};
use crate::reply::Reply;
use crate::request::Request;
use crate::routes::jobs;

body! {
    pub(crate) struct DeleteMe {
        password: Text,
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Accounts",
    summary: "Delete the account and all its data",
    login: Login::Required,
    body: Some(of::<DeleteMe>),
    replies: &[
        Answer::json(202, "Account closed; its data is being deleted.", of::<jobs::Accepted>).with(&["Location"])
    ],
    problems: &[(401, "bad_credentials", "Wrong password.")],
    ..PLAIN
};

/// Deletes the caller's account: from the answer on no token of it is accepted, nobody can log in to it, and nothing of
/// it is shown. Everything that it stored follows.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let DeleteMe { password } = request.body()?;
    let app = request.app;
    let user = request.caller().await?.profile;
    match app.accounts.log_in(&user.email, &password.0, None).await {
        Err(AccountError::BadCredentials) => return Err(Problem::bad_credentials("Wrong password.")),
        confirmed => confirmed?,
    };
    let id = JobId::generate(user.id);
    jobs::announce(request, id).await?;
    if !app.table.begin_deleting_account(user.id, id, request.now).await? {
        return Err(Problem::unauthenticated());
    }
    // The job does it again: what counts is that the account has no profile.
    if let Err(error) = app.accounts.delete(user.id).await {
        warn!(cause = %error, "The pool did not delete the user");
    }
    let accepted = jobs::Accepted { job: jobs::begun(request, id).await? };
    Ok(jobs::reply_accepted(request, id, &accepted))
}
