//! What each route costs in calls to AWS, however much there is; and that no function may do more than that takes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::fixtures::Picture;
use crate::harness::{Answer, Body, PASSWORD, Stack, Twin, User, on_stack, parts, unique};

/// What a function's role allows and the function itself does not do: what it signs for others to do, and what it does
/// only where something is wrong or left over.
const UNUSED: [(&str, &[&str]); 8] = [
    ("create_image", &["s3:PutObject"]),
    ("get_image", &["s3:GetObject"]),
    ("get_original", &["s3:GetObject"]),
    // So that S3 says of a missing blob that it is missing, and not that it is forbidden.
    ("get_thumbnail", &["s3:ListBucket"]),
    ("list_images", &["s3:GetObject"]),
    ("renew_upload", &["s3:PutObject"]),
    ("signup", &["cognito-idp:AdminDeleteUser", "cognito-idp:AdminGetUser"]),
    ("update_image", &["s3:GetObject"]),
];

/// What the functions of this run were seen to do.
struct Ledger {
    stack: &'static Stack,
    roles: BTreeMap<String, BTreeSet<String>>,
    done: BTreeMap<String, BTreeSet<String>>,
    costs: Vec<String>,
}

impl Ledger {
    fn new(stack: &'static Stack) -> Self {
        let roles = std::env::var("TINTYPE_ROLES").expect("the stack says what its roles allow");
        Self {
            stack,
            roles: serde_json::from_str(&roles).expect("a list of actions for each function"),
            done: BTreeMap::new(),
            costs: Vec::new(),
        }
    }

    async fn twin(&self, operation: &str) -> Twin {
        self.stack.twin(operation).await
    }

    /// Sends a request and holds its calls to the budget. What a function keeps, as the plans, it has by then.
    async fn costs(&mut self, twin: &Twin, ask: Ask<'_>, status: u16, budget: &[&str]) -> Answer {
        twin.proxy.take_calls();
        let answer = twin.call(ask.user, ask.method, &ask.target, ask.body).await.is(status);
        let mut calls = self.note(twin);
        let mut budget = budget.to_vec();
        calls.sort_unstable();
        budget.sort_unstable();
        assert_eq!(calls, budget, "{answer}");
        self.costs.push(format!("{} {}: {}", ask.method, ask.target, calls.join(" + ")));
        answer
    }

    /// Sends a request for what it leaves, at any cost.
    async fn first(&mut self, twin: &Twin, ask: Ask<'_>, status: u16) -> Answer {
        let answer = twin.call(ask.user, ask.method, &ask.target, ask.body).await.is(status);
        self.note(twin);
        answer
    }

    fn note(&mut self, twin: &Twin) -> Vec<String> {
        let calls = twin.proxy.take_calls();
        let done = self.done.entry(twin.operation.clone()).or_default();
        done.extend(calls.iter().flat_map(|call| call.actions.iter().cloned()));
        calls.into_iter().map(|call| call.operation).collect()
    }

    fn compare(self) {
        for (operation, done) in &self.done {
            let role = &self.roles[operation];
            let missing: Vec<_> = done.difference(role).collect();
            assert!(missing.is_empty(), "the role of {operation} lacks {missing:?}");
            let unused: Vec<&str> = role.difference(done).map(String::as_str).collect();
            let expected = UNUSED.iter().find(|(name, _)| name == operation).map_or(&[][..], |(_, actions)| actions);
            assert_eq!(unused, expected, "the role of {operation} allows what it does not need");
        }
        println!("{}", self.costs.join("\n"));
    }
}

struct Ask<'a> {
    user: Option<&'a User>,
    method: &'static str,
    target: String,
    body: Option<Value>,
}

fn get(user: Option<&User>, target: impl Into<String>) -> Ask<'_> {
    Ask { user, method: "GET", target: target.into(), body: None }
}

fn post(user: Option<&User>, target: impl Into<String>, body: Value) -> Ask<'_> {
    Ask { user, method: "POST", target: target.into(), body: Some(body) }
}

const READ: &str = "BatchGetItem";
const WRITE: &str = "TransactWriteItems";

#[test]
fn each_route_of_images_costs_what_it_may() {
    on_stack(async |stack| {
        let mut ledger = Ledger::new(stack);
        let user = stack.user_on("Premium").await;
        let picture = Picture::small();
        let image = user.publish("Harbour", picture).await;
        let (id, (owner, key)) = (image.str("id").to_owned(), parts(image.str("id")));
        let at = format!("/api/images/{id}");

        let twin = ledger.twin("create_image").await;
        let created = ledger.first(&twin, post(Some(&user), "/api/images", picture.draft("One")), 201).await;
        ledger.costs(&twin, post(Some(&user), "/api/images", picture.draft("Two")), 201, &[READ, WRITE]).await;
        ledger.costs(&twin, post(Some(&user), "/api/images", picture.draft("Two")), 409, &[READ, WRITE]).await;

        let twin = ledger.twin("renew_upload").await;
        let renew = format!("/api/images/{}/upload", created.json()["image"].str("id"));
        ledger.first(&twin, post(Some(&user), &renew, json!({})), 200).await;
        ledger.costs(&twin, post(Some(&user), &renew, json!({})), 200, &[READ, WRITE]).await;

        let twin = ledger.twin("list_images").await;
        ledger.first(&twin, get(Some(&user), "/api/images"), 200).await;
        for limit in [1, 100] {
            let list = get(Some(&user), format!("/api/images?limit={limit}"));
            ledger.costs(&twin, list, 200, &[READ, "Query"]).await;
        }

        let twin = ledger.twin("get_image").await;
        ledger.first(&twin, get(None, &at), 200).await;
        ledger.costs(&twin, get(None, &at), 200, &[READ]).await;
        ledger.costs(&twin, get(Some(&user), &at), 200, &[READ]).await;

        let twin = ledger.twin("explore").await;
        ledger.first(&twin, get(None, "/api/explore"), 200).await;
        let feed = ["Query", "Query", "Query", "Query", READ];
        for limit in [1, 50] {
            ledger.costs(&twin, get(None, format!("/api/explore?limit={limit}")), 200, &feed).await;
        }

        let twin = ledger.twin("get_original").await;
        let original = format!("/media/imageupload/{owner}/{key}.jpg");
        ledger.first(&twin, get(None, &original), 302).await;
        ledger.costs(&twin, get(None, &original), 302, &[READ]).await;

        let twin = ledger.twin("get_thumbnail").await;
        let thumbnail = format!("/media/thumbnail/{owner}/{key}/200.jpg");
        ledger.costs(&twin, get(None, &thumbnail), 200, &[READ, "GetObject"]).await;

        let twin = ledger.twin("update_image").await;
        let change = |body| Ask { user: Some(&user), method: "PATCH", target: at.clone(), body: Some(body) };
        ledger.first(&twin, change(json!({"title": "Quay"})), 200).await;
        ledger.costs(&twin, change(json!({"title": "Pier", "visibility": "private"})), 200, &[READ, WRITE]).await;

        let twin = ledger.twin("delete_image").await;
        let delete = || Ask { user: Some(&user), method: "DELETE", target: at.clone(), body: None };
        ledger.costs(&twin, delete(), 204, &[READ, WRITE]).await;
        ledger.costs(&twin, delete(), 404, &[READ]).await;

        let twin = ledger.twin("list_plans").await;
        ledger.costs(&twin, get(None, "/api/plans"), 200, &["Query"]).await;
        let twin = ledger.twin("health").await;
        ledger.costs(&twin, get(None, "/api/health"), 200, &[]).await;
        let twin = ledger.twin("fallback").await;
        ledger.costs(&twin, get(None, "/api/nothing"), 404, &[]).await;
        ledger.compare();
    });
}

#[test]
fn each_route_of_accounts_costs_what_it_may() {
    on_stack(async |stack| {
        let mut ledger = Ledger::new(stack);
        let email = format!("ada-{}@example.com", unique());
        let signup = json!({"email": email, "password": PASSWORD, "name": "Ada"});
        let twin = ledger.twin("signup").await;
        ledger.costs(&twin, post(None, "/api/auth/signup", signup), 201, &["SignUp", "PutItem"]).await;
        let twin = ledger.twin("resend_code").await;
        let resend = post(None, "/api/auth/resend-code", json!({"email": email}));
        ledger.costs(&twin, resend, 202, &["ResendConfirmationCode"]).await;
        let code = stack.mailed_code(&email, 2).await;

        let login = || post(None, "/api/auth/login", json!({"email": email, "password": PASSWORD}));
        let to_login = ledger.twin("login").await;
        ledger.costs(&to_login, login(), 403, &["AdminInitiateAuth", "AdminGetUser", READ]).await;
        let twin = ledger.twin("confirm").await;
        let confirm = post(None, "/api/auth/confirm", json!({"email": email, "code": code}));
        ledger.costs(&twin, confirm, 204, &["ConfirmSignUp", "AdminGetUser", "TransactWriteItems", "DeleteItem"]).await;
        let session = ledger.costs(&to_login, login(), 200, &["AdminInitiateAuth", READ]).await.json();
        let user = User { refresh_token: session.str("refresh_token").into(), ..stack.user().await };

        let twin = ledger.twin("refresh").await;
        let refresh = post(None, "/api/auth/refresh", json!({"refresh_token": user.refresh_token}));
        ledger.costs(&twin, refresh, 200, &["AdminInitiateAuth", READ]).await;
        let twin = ledger.twin("forgot_password").await;
        let forgot = post(None, "/api/auth/forgot-password", json!({"email": email}));
        ledger.costs(&twin, forgot, 202, &["ForgotPassword"]).await;
        let twin = ledger.twin("reset_password").await;
        let code = stack.mailed_code(&email, 3).await;
        let reset = json!({"email": email, "code": code, "new_password": format!("{PASSWORD}!")});
        let budget =
            ["AdminGetUser", READ, "UpdateItem", "ConfirmForgotPassword", "UpdateItem", "AdminUserGlobalSignOut"];
        ledger.costs(&twin, post(None, "/api/auth/reset-password", reset), 204, &budget).await;

        let twin = ledger.twin("get_me").await;
        ledger.costs(&twin, get(Some(&user), "/api/me"), 200, &[READ]).await;
        let twin = ledger.twin("update_me").await;
        let rename = Ask {
            user: Some(&user),
            method: "PATCH",
            target: "/api/me".into(),
            body: Some(json!({"name": "Augusta"})),
        };
        ledger.costs(&twin, rename, 200, &[READ, WRITE]).await;
        let twin = ledger.twin("logout").await;
        let another = user.another_session().await;
        let logout = post(Some(&another), "/api/auth/logout", json!({}));
        ledger.costs(&twin, logout, 204, &[READ, "PutItem"]).await;
        let everywhere = post(Some(&user), "/api/auth/logout", json!({"everywhere": true}));
        ledger.costs(&twin, everywhere, 204, &[READ, "UpdateItem", "AdminUserGlobalSignOut"]).await;
        ledger.done.get_mut("login").expect("it ran").insert("cognito-idp:AdminRespondToAuthChallenge".into());
        // A first login after a confirmation that was cut off.
        for action in ["dynamodb:ConditionCheckItem", "dynamodb:PutItem"] {
            ledger.done.get_mut("login").expect("it ran").insert(action.into());
        }
        ledger.compare();
    });
}
