use crate::error::Problem;
use crate::reply::Reply;
use crate::request::Request;

/// The caller's account.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let (caller, usage) = super::caller_with_usage(request).await?;
    Ok(super::reply(&caller, &caller.profile, usage))
}
