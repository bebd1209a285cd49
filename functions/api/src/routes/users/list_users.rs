use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::Serialize;
use tintype_model::{Email, PersonName, PlanName, Timestamp, UserId};
use tintype_store::Key;

use crate::error::Problem;
use crate::fields::{Limit, QueryText};
use crate::openapi::{Answer, Login, Operation, PLAIN, of};
use crate::reply::Reply;
use crate::request::{Page, Request};

body! {
    pub(crate) struct ListUsers {
        limit: Limit = Limit(50),
        cursor: Option<QueryText> = None,
        email_prefix: Option<QueryText> = None,
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "User")]
struct UserView {
    id: UserId,
    email: Email,
    name: PersonName,
    plan: Option<PlanName>,
    /// Whether the e-mail is. Who has not confirmed it has no plan yet.
    confirmed: bool,
    created_at: Timestamp,
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Users",
    summary: "Users, by how their e-mail begins; for admins",
    login: Login::Required,
    query: Some(of::<ListUsers>),
    replies: &[Answer::json(200, "A page, of at most 60.", of::<Page<'static, UserView>>).with(&["Link"])],
    problems: &[(400, "bad_cursor", "The cursor is not of this list."), (403, "not_admin", "Only admins may do this.")],
    ..PLAIN
};

/// Users, by how their e-mail begins, in the user pool's order; for admins.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let admin = request.admin().await?.profile.id;
    let query: ListUsers = request.query()?;
    let prefix = query.email_prefix.map(|text| text.0.trim().to_lowercase()).unwrap_or_default();
    if prefix.contains(['"', '\\']) {
        let message = "must not contain quotation marks or backslashes";
        return Err(Problem::invalid_field("email_prefix", "malformed", message));
    }
    let list = format!("users#{admin}#{prefix}");
    let after = query.cursor.map(|cursor| open(request, &cursor.0, &list)).transpose()?;
    let (users, next) = request.app.accounts.list(&prefix, query.limit.0, after).await?;
    let items = request.app.table.read(users.iter().map(|user| Key::profile(user.id))).await?;
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
    Ok(request.reply_sealed_page(&results, next))
}

/// The pool's own token, signed for its list.
fn seal(request: &Request<'_>, token: &str, list: &str) -> String {
    let tag = request.app.signing.sign("users", &[list.as_bytes(), token.as_bytes()]);
    URL_SAFE_NO_PAD.encode([&tag[..16], token.as_bytes()].concat())
}

fn open(request: &Request<'_>, cursor: &str, list: &str) -> Result<String, Problem> {
    let bad = || Problem::bad_request("bad_cursor", "The cursor is not of this list.");
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| bad())?;
    let (tag, token) = bytes.split_at_checked(16).ok_or_else(bad)?;
    if !request.app.signing.verify("users", &[list.as_bytes(), token], tag) {
        return Err(bad());
    }
    String::from_utf8(token.to_vec()).map_err(|_| bad())
}
