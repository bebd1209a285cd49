use tintype_model::JobId;
use tintype_store::AccountError;
use tracing::warn;

use crate::error::Problem;
use crate::fields::Text;
use crate::operation::{AuthRequirement, Operation, ResponseDoc, of};
use crate::request::Request;
use crate::response::Response;
use crate::routes::jobs;

input! {
    pub(crate) struct DeleteMe {
        password: Text,
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Accounts",
    summary: "Delete the account and all its data",
    auth: AuthRequirement::Required,
    body: Some(of::<DeleteMe>),
    responses: &[
        ResponseDoc::json(202, "Account closed; its data is being deleted.", of::<jobs::Accepted>).with(&["Location"])
    ],
    problems: &[(401, "bad_credentials", "Wrong password.")],
    ..Operation::DEFAULT
};

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let DeleteMe { password } = request.body()?;
    let app = request.app;
    let user = request.caller().await?.profile;
    match app.accounts.log_in(&user.email, &password.0, None).await {
        Err(AccountError::BadCredentials) => return Err(Problem::bad_credentials("Wrong password.")),
        confirmed => confirmed?,
    };
    let id = JobId::generate(user.id);
    jobs::enqueue(request, id).await?;
    if !app.store.jobs.begin_deleting_account(user.id, id, request.now).await? {
        return Err(Problem::unauthenticated());
    }
    // The job retries it; the account is closed because it has no profile.
    if let Err(error) = app.accounts.delete(user.id).await {
        warn!(cause = %error, "Cognito did not delete the user");
    }
    let accepted = jobs::Accepted { job: jobs::load_started(request, id).await? };
    Ok(jobs::accepted_response(request, id, &accepted))
}
