use tintype_model::PersonName;

use crate::error::Problem;
use crate::openapi::{Answer, Header, Login, Operation, PLAIN, of};
use crate::reply::Reply;
use crate::request::Request;

body! {
    pub(crate) struct UpdateMe {
        name: Option<PersonName> = None,
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Accounts",
    summary: "Change the caller's name",
    login: Login::Required,
    body: Some(of::<UpdateMe>),
    headers: &[Header::IfMatch],
    replies: &[Answer::json(200, "The account.", of::<super::Me<'static>>).with(&["ETag"])],
    ..PLAIN
};

/// Changes the caller's name.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let UpdateMe { name } = request.body()?;
    for _ in 0..crate::request::CHANGE_TRIES {
        let (caller, usage) = super::caller_with_usage(request).await?;
        request.check_if_match(caller.profile.version)?;
        let renamed = match &name {
            Some(name) => request.app.table.rename_user(&caller.profile, name.clone()).await?,
            None => Some(caller.profile.clone()),
        };
        if let Some(profile) = renamed {
            return Ok(super::reply(&caller, &profile, usage));
        }
    }
    Err(Problem::busy())
}
