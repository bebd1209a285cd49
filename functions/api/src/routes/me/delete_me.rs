use tintype_model::JobId;

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
    summary: "Delete the account and everything that it stored",
    login: Login::Required,
    body: Some(of::<DeleteMe>),
    replies: &[Answer::json(202, "Closed; what it stored is being deleted.", of::<jobs::Accepted>).with(&["Location"])],
    problems: &[(401, "bad_credentials", "The password is not right.")],
    ..PLAIN
};

/// Deletes the caller's account: from the answer on no token of it is accepted, nobody can log in to it, and nothing of
/// it is shown. Everything that it stored follows.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let DeleteMe { password } = request.body()?;
    let app = request.app;
    let user = request.caller().await?.profile;
    app.accounts.log_in(&user.email, &password.0, None).await?;
    let id = JobId::generate(user.id);
    jobs::announce(request, id).await?;
    if !app.table.begin_deleting_account(user.id, id, request.now).await? {
        return Err(Problem::unauthenticated());
    }
    // The job does it again: what counts is that the account has no profile.
    if let Err(error) = app.accounts.delete(user.id).await {
        crate::serve::warn(request, &error);
    }
    let accepted = jobs::Accepted { job: jobs::begun(request, id).await? };
    Ok(jobs::reply_accepted(request, id, &accepted))
}
