use tintype_model::PersonName;

use crate::error::Problem;
use crate::operation::{AuthRequirement, Operation, RequestHeader, ResponseDoc, of};
use crate::request::Request;
use crate::response::Response;

input! {
    pub(crate) struct UpdateMe {
        name: Option<PersonName> = None,
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Accounts",
    summary: "Change the caller's name",
    auth: AuthRequirement::Required,
    body: Some(of::<UpdateMe>),
    headers: &[RequestHeader::IfMatch],
    responses: &[ResponseDoc::json(200, "The account.", of::<super::Me<'static>>).with(&["ETag"])],
    ..Operation::DEFAULT
};

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let UpdateMe { name } = request.body()?;
    for _ in 0..crate::request::CHANGE_TRIES {
        let (caller, usage) = super::caller_with_usage(request).await?;
        request.check_if_match(caller.profile.version)?;
        let renamed = match &name {
            Some(name) => request.app.store.profiles.rename(&caller.profile, name.clone()).await?,
            None => Some(caller.profile.clone()),
        };
        if let Some(profile) = renamed {
            return Ok(super::account_response(&caller, &profile, usage));
        }
    }
    Err(Problem::busy())
}
