pub(super) mod begin_export;
pub(super) mod delete_me;
pub(super) mod get_export;
pub(super) mod get_me;
pub(super) mod update_me;

use schemars::JsonSchema;
use serde::Serialize;
use tintype_model::{Email, PersonName, PlanName, Profile, Timestamp, Usage, UserId};
use tintype_store::Profiles;

use crate::caller::Caller;
use crate::error::Problem;
use crate::request::Request;
use crate::response::{self, Response, WithHeader, etag};

#[derive(Serialize, JsonSchema)]
struct Me<'a> {
    id: UserId,
    email: &'a Email,
    name: &'a PersonName,
    plan: Option<&'a PlanName>,
    is_admin: bool,
    usage: Usage,
    created_at: Timestamp,
}

impl<'a> Me<'a> {
    fn new(caller: &Caller, profile: &'a Profile, usage: Usage) -> Self {
        Self {
            id: profile.id,
            email: &profile.email,
            name: &profile.name,
            plan: profile.plan.as_ref(),
            is_admin: caller.claims.is_admin(),
            usage,
            created_at: profile.created_at,
        }
    }
}

fn account_response(caller: &Caller, profile: &Profile, usage: Usage) -> Response {
    let me = Me::new(caller, profile, usage);
    let rest = [usage.images, usage.bytes, u64::from(me.is_admin)];
    response::ok(&me).with_header("etag", etag(profile.version, &rest))
}

async fn caller_with_usage(request: &Request<'_>) -> Result<(Caller, Usage), Problem> {
    // The token names the counters to read; the same read shows whether it is still valid.
    let user = request.token_subject().await?;
    let (caller, items) = request.authenticate_with(Profiles::usage_keys(user)).await?;
    let usage = items.usage(caller.profile.id)?;
    Ok((caller, usage))
}
