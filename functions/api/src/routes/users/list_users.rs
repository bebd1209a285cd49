use schemars::JsonSchema;
use serde::Serialize;
use tintype_model::{Email, PersonName, PlanName, Timestamp, UserId, encoding};
use tintype_store::{AccountError, Key};

use crate::error::Problem;
use crate::fields::{EmailPrefix, Limit, Text};
use crate::operation::{AuthRequirement, Operation, ResponseDoc, of, parameters_of};
use crate::request::{Page, Request};
use crate::response::Response;

input! {
    pub(crate) struct ListUsers {
        limit: Limit = Limit::DEFAULT,
        // Contains Cognito's own token: some 400 characters on AWS, 700 in this encoding.
        cursor: Option<Text> = None,
        email_prefix: Option<EmailPrefix> = None,
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "User")]
struct UserView {
    id: UserId,
    email: Email,
    name: PersonName,
    plan: Option<PlanName>,
    /// True if the e-mail address is confirmed. Unconfirmed users have no plan.
    confirmed: bool,
    created_at: Timestamp,
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Users",
    summary: "List users by the beginning of their e-mail address (administrators only)",
    auth: AuthRequirement::Required,
    query: Some(parameters_of::<ListUsers>),
    responses: &[ResponseDoc::json(200, "A page, of at most 60.", of::<Page<'static, UserView>>).with(&["Link"])],
    problems: &[
        (400, "bad_cursor", "The cursor does not belong to this list."),
        (403, "not_admin", "This requires an administrator."),
    ],
    ..Operation::DEFAULT
};

/// In the order of the user pool.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let admin = request.admin().await?.profile.id;
    let query: ListUsers = request.query()?;
    let prefix = query.email_prefix.map(|prefix| prefix.0).unwrap_or_default();
    let list = format!("users#{admin}#{prefix}");
    let after = query.cursor.map(|cursor| open(request, &cursor.0, &list)).transpose()?;
    let continued = after.is_some();
    let (users, next) = match request.app.accounts.list(&prefix, query.limit.0, after).await {
        // Cognito's tokens expire after an hour.
        Err(AccountError::InvalidParameter(_)) if continued => {
            let detail = "The cursor has expired. Read the list from the beginning.";
            return Err(Problem::bad_request("bad_cursor", detail));
        }
        Err(AccountError::InvalidParameter(_)) if !prefix.is_empty() => {
            return Err(Problem::invalid_field(
                "email_prefix",
                "malformed",
                "is not the beginning of an e-mail address",
            ));
        }
        listed => listed?,
    };
    let items = request.app.store.read(users.iter().map(|user| Key::profile(user.id))).await?;
    let mut results = Vec::with_capacity(users.len());
    for user in users {
        let plan = items.profile(user.id)?.and_then(|profile| profile.plan);
        results.push(UserView {
            id: user.id,
            email: user.email,
            name: user.name,
            plan,
            confirmed: user.confirmed,
            created_at: user.created_at,
        });
    }
    let next = next.map(|token| seal(request, &token, &list));
    Ok(request.sealed_page_response(&results, next))
}

/// Signs Cognito's own token for its list.
fn seal(request: &Request<'_>, token: &str, list: &str) -> String {
    let tag = request.signing().sign("users", &[list.as_bytes(), token.as_bytes()]);
    encoding::encode(&[&tag[..16], token.as_bytes()].concat())
}

fn open(request: &Request<'_>, cursor: &str, list: &str) -> Result<String, Problem> {
    let bad = || Problem::bad_request("bad_cursor", "The cursor does not belong to this list.");
    let bytes = encoding::decode(cursor).ok_or_else(bad)?;
    let (tag, token) = bytes.split_at_checked(16).ok_or_else(bad)?;
    if !request.signing().verify("users", &[list.as_bytes(), token], tag) {
        return Err(bad());
    }
    String::from_utf8(token.to_vec()).map_err(|_| bad())
}
