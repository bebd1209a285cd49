use tintype_model::Email;

use crate::error::Problem;
use crate::fields::Text;
use crate::reply::Reply;
use crate::request::Request;

body! {
    pub(crate) struct Confirm {
        email: Email,
        code: Text,
    }
}

/// Confirms an e-mail. Where this is cut off after the pool has noted it, the first login makes the profile.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let Confirm { email, code } = request.body()?;
    let accounts = &request.app.accounts;
    accounts.confirm(&email, &code.0).await?;
    if let Some(user) = accounts.find(&email).await? {
        super::create_profile(request.app, user.id, user.email, user.name, request.now).await?;
        request.app.table.forget_sign_up(user.id).await?;
    }
    Ok(Reply::no_content())
}
