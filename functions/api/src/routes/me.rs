pub(super) mod delete_me;
pub(super) mod get_me;
pub(super) mod update_me;

use schemars::JsonSchema;
use serde::Serialize;
use tintype_model::{Email, PersonName, PlanName, Profile, Timestamp, Usage, UserId};
use tintype_store::Table;

use crate::caller::Caller;
use crate::error::Problem;
use crate::reply::{Reply, etag};
use crate::request::Request;

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

fn reply(caller: &Caller, profile: &Profile, usage: Usage) -> Reply {
    let me = Me {
        id: profile.id,
        email: &profile.email,
        name: &profile.name,
        plan: profile.plan.as_ref(),
        is_admin: caller.claims.is_admin(),
        usage,
        created_at: profile.created_at,
    };
    let rest = [usage.images, usage.bytes, u64::from(me.is_admin)];
    Reply::ok(&me).with_header("etag", etag(profile.version, &rest))
}

async fn caller_with_usage(request: &Request<'_>) -> Result<(Caller, Usage), Problem> {
    // Whose counters to read stands in the token; the read itself shows whether that still holds.
    let user = request.claimed_user().await?;
    let (caller, items) = request.caller_and(Table::usage_keys(user)).await?;
    let usage = items.usage(caller.profile.id)?;
    Ok((caller, usage))
}
