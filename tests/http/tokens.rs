//! Who may do what: every route against every kind of caller.

use aws_sdk_cognitoidentityprovider::types::{
    AuthFlowType, ExplicitAuthFlowsType, MessageActionType, TimeUnitsType, TokenValidityUnitsType,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::fixtures::Picture;
use crate::harness::{Body, Created, PASSWORD, Stack, User, eventually, on_stack, unique, unknown_id};
use crate::jobs::accepted;
use crate::plan_changes::rules;

#[derive(Clone, Copy, PartialEq)]
enum TokenNeed {
    Needed,
    /// Anyone may call, but a token that is given must be good.
    Optional,
}
use TokenNeed::{Needed, Optional};

struct TestedRoute {
    method: Method,
    path: &'static str,
    body: Option<Value>,
    login: TokenNeed,
    /// The answer to the image's owner, to another user, and to an owner who has no plan.
    owner: u16,
    other: u16,
    planless: u16,
}

/// Every route that looks at a token. `{id}` is a pending, `{ready}` a private ready image of the owner's, `{link}` a link
/// to that, `{job}` a job of theirs, and `{none}` an id of theirs that names nothing. No caller is an admin.
fn routes() -> Vec<TestedRoute> {
    let route = |method, path, body, login, [owner, other, planless]: [u16; 3]| TestedRoute {
        method,
        path,
        body,
        login,
        owner,
        other,
        planless,
    };
    let draft = Picture::small().draft(&unique());
    let batch = json!({"images": [Picture::small().draft(&unique())]});
    let link = json!({"base_image": "{ready}", "expiry_in_seconds": 300});
    let plan = json!({
        "name": unique(), "thumbnail_heights": [100], "original_link": false, "expiring_links": false,
        "max_image_bytes": 1_000_000, "max_images": 10,
    });
    vec![
        route(Method::GET, "/api/me", None, Needed, [200, 200, 200]),
        route(Method::PATCH, "/api/me", Some(json!({"name": "Ada"})), Needed, [200, 200, 200]),
        route(Method::GET, "/api/images", None, Needed, [200, 200, 200]),
        route(Method::POST, "/api/images", Some(draft), Needed, [201, 201, 403]),
        route(Method::GET, "/api/images/{id}", None, Optional, [200, 404, 200]),
        route(Method::GET, "/api/images/{ready}", None, Optional, [200, 404, 200]),
        route(Method::PATCH, "/api/images/{ready}", Some(json!({"description": "Changed"})), Needed, [200, 403, 200]),
        route(Method::POST, "/api/images/{id}/upload", Some(json!({})), Needed, [200, 403, 403]),
        route(Method::POST, "/api/images/batch", Some(batch), Needed, [207, 207, 403]),
        route(Method::GET, "/api/jobs/{job}", None, Needed, [200, 404, 200]),
        route(Method::GET, "/api/expiring-links", None, Needed, [200, 200, 200]),
        route(Method::POST, "/api/expiring-links", Some(link.clone()), Needed, [201, 404, 403]),
        route(Method::GET, "/api/expiring-links/{link}", None, Needed, [200, 404, 200]),
        route(Method::PUT, "/api/expiring-links/{link}", Some(link), Needed, [200, 404, 403]),
        route(
            Method::PATCH,
            "/api/expiring-links/{link}",
            Some(json!({"expiry_in_seconds": 600})),
            Needed,
            [200, 404, 403],
        ),
        route(Method::DELETE, "/api/expiring-links/{link}", None, Needed, [204, 404, 204]),
        route(Method::POST, "/api/me/export", Some(json!({})), Needed, [202, 202, 202]),
        route(Method::GET, "/api/me/export", None, Needed, [200, 200, 200]),
        route(Method::POST, "/api/plans", Some(plan), Needed, [403, 403, 403]),
        route(Method::PUT, "/api/plans/Basic", Some(rules(&[100])), Needed, [403, 403, 403]),
        route(Method::DELETE, "/api/plans/Basic", None, Needed, [403, 403, 403]),
        route(Method::GET, "/api/users", None, Needed, [403, 403, 403]),
        route(Method::PUT, "/api/users/{user}/plan", Some(json!({"plan": null})), Needed, [403, 403, 403]),
        route(Method::DELETE, "/api/images/{ready}", None, Needed, [204, 403, 204]),
        route(Method::DELETE, "/api/images/{id}", None, Needed, [204, 403, 204]),
        route(Method::POST, "/api/images/delete", Some(json!({"ids": ["{none}"]})), Needed, [200, 403, 200]),
        route(Method::POST, "/api/images/delete", Some(json!({"all": true})), Needed, [202, 202, 202]),
        route(Method::POST, LOG_OUT, Some(json!({})), Needed, [204, 204, 204]),
        route(Method::DELETE, "/api/me", Some(json!({"password": PASSWORD})), Needed, [202, 202, 202]),
    ]
}

const LOG_OUT: &str = "/api/auth/logout";

#[test]
fn every_route_that_looks_at_a_token_is_in_the_table() {
    let document: Value = serde_json::from_str(include_str!("../../docs/openapi.json")).expect("the document is JSON");
    let mut documented = Vec::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let schemes = operation["security"].as_array().map_or(&[][..], Vec::as_slice);
            if schemes.iter().any(|scheme| scheme.get("bearer").is_some()) {
                documented.push(format!("{} {}", method.to_uppercase(), pattern(path)));
            }
        }
    }
    let mut known: Vec<String> =
        routes().iter().map(|route| format!("{} {}", route.method, pattern(route.path))).collect();
    documented.sort();
    known.sort();
    known.dedup();
    assert_eq!(known, documented);
}

/// A path whose parameters have no names.
fn pattern(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') || part == "Basic" { "{}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

struct Owned {
    user: User,
    pending: Created,
    ready: String,
    link: String,
    job: String,
}

impl Owned {
    async fn new(stack: &'static Stack) -> Self {
        let user = stack.user_on("Enterprise").await;
        let job = accepted(&user).await;
        let pending = user.create_with("Pending", Picture::small(), json!({"visibility": "private"})).await;
        let ready = user.hide("Ready", Picture::small()).await;
        let link = user.link(&ready, json!({})).await.str("id").to_owned();
        Self { user, pending, ready: ready.str("id").to_owned(), link, job }
    }

    fn call(&self, route: &TestedRoute) -> crate::harness::Call {
        let named = |text: &str| {
            text.replace("{id}", &self.pending.id)
                .replace("{ready}", &self.ready)
                .replace("{link}", &self.link)
                .replace("{job}", &self.job)
                .replace("{user}", &self.user.id)
                .replace("{none}", &unknown_id(&self.user.id))
        };
        let call = self.user.stack.call(route.method.clone(), named(route.path));
        match &route.body {
            Some(body) => call.header("content-type", "application/json").body(named(&body.to_string()).into_bytes()),
            None => call,
        }
    }

    /// Every route in the table's order, since some of them end what others need.
    async fn answers(&self, caller: &User, expected: impl Fn(&TestedRoute) -> u16) {
        let mut wrong = Vec::new();
        for route in routes() {
            let ended;
            let caller = if route.path == LOG_OUT {
                ended = caller.another_session().await;
                &ended
            } else {
                caller
            };
            let answer = self.call(&route).by(caller).await;
            let fits = answer.status == expected(&route)
                // A fresh upload URL may be given as something made or as something shown.
                || (route.path.ends_with("/upload") && expected(&route) == 200 && answer.status == 201);
            if !fits {
                wrong.push(format!("{answer}\n  where {} was due", expected(&route)));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    async fn all_refuse(&self, token: &str) {
        self.all_refuse_header(Some(&format!("Bearer {token}"))).await;
    }

    async fn all_refuse_header(&self, authorization: Option<&str>) {
        let routes = routes();
        let calls = routes.iter().map(|route| async move {
            let call = self.call(route);
            let call = match authorization {
                Some(authorization) => call.header("authorization", authorization),
                None => call,
            };
            (route, call.await)
        });
        let mut wrong = Vec::new();
        for (route, answer) in join_all(calls).await {
            let expected = match (route.login, authorization) {
                // It is private.
                (Optional, None) => 404,
                _ => 401,
            };
            if answer.status != expected {
                wrong.push(format!("{answer}\n  where {expected} was due"));
            } else if expected == 401 && answer.text().contains(self.user.email.as_str()) {
                wrong.push(format!("{answer}\n  tells of its user"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        // Nothing happened behind the refusals.
        assert_eq!(self.user.image(&self.ready).await["description"], self.pending.image["description"]);
        self.user.image(&self.pending.id).await;
        self.user.get(format!("/api/expiring-links/{}", self.link)).await.assert_status(200);
    }
}

fn segment(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a JWT");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("claims are JSON")
}

fn header(token: &str) -> Value {
    let header = token.split('.').next().expect("a JWT");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).expect("base64url")).expect("a header is JSON")
}

fn signature(token: &str) -> &str {
    token.rsplit('.').next().expect("a JWT")
}

fn hmac(key: &[u8], message: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length will do");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// A whole sign-in with the pool itself, past the API.
async fn id_token(stack: &Stack, user: &User) -> String {
    let secret_hash =
        STANDARD.encode(hmac(stack.client_secret.as_bytes(), &format!("{}{}", user.email, stack.client_id)));
    stack
        .cognito
        .admin_initiate_auth()
        .user_pool_id(&stack.user_pool)
        .client_id(&stack.client_id)
        .auth_flow(AuthFlowType::AdminUserPasswordAuth)
        .auth_parameters("USERNAME", &user.email)
        .auth_parameters("PASSWORD", PASSWORD)
        .auth_parameters("SECRET_HASH", secret_hash)
        .send()
        .await
        .expect("the user can sign in")
        .authentication_result()
        .and_then(|tokens| tokens.id_token())
        .expect("an ID token")
        .to_owned()
}

/// A user of the same e-mail in a pool that is none of ours, and the access token it gives.
async fn foreign_token(stack: &Stack, email: &str) -> String {
    let pool = stack
        .cognito
        .create_user_pool()
        .pool_name(format!("foreign-{}", unique()))
        .send()
        .await
        .expect("a pool")
        .user_pool()
        .and_then(|pool| pool.id())
        .expect("a pool has an id")
        .to_owned();
    let client = stack
        .cognito
        .create_user_pool_client()
        .user_pool_id(&pool)
        .client_name("foreign")
        .explicit_auth_flows(ExplicitAuthFlowsType::AllowAdminUserPasswordAuth)
        .explicit_auth_flows(ExplicitAuthFlowsType::AllowRefreshTokenAuth)
        .send()
        .await
        .expect("a client")
        .user_pool_client()
        .and_then(|client| client.client_id())
        .expect("a client has an id")
        .to_owned();
    stack
        .cognito
        .admin_create_user()
        .user_pool_id(&pool)
        .username(email)
        .message_action(MessageActionType::Suppress)
        .send()
        .await
        .expect("a user");
    stack
        .cognito
        .admin_set_user_password()
        .user_pool_id(&pool)
        .username(email)
        .password(PASSWORD)
        .permanent(true)
        .send()
        .await
        .expect("a password");
    let token = stack
        .cognito
        .admin_initiate_auth()
        .user_pool_id(&pool)
        .client_id(&client)
        .auth_flow(AuthFlowType::AdminUserPasswordAuth)
        .auth_parameters("USERNAME", email)
        .auth_parameters("PASSWORD", PASSWORD)
        .send()
        .await
        .expect("the user can sign in")
        .authentication_result()
        .and_then(|tokens| tokens.access_token())
        .expect("an access token")
        .to_owned();
    stack.cognito.delete_user_pool().user_pool_id(&pool).send().await.expect("the pool goes again");
    token
}

/// A session whose access token lives for one second.
async fn short_lived(stack: &Stack, user: &User) -> String {
    let lifetime = async |value: i32, unit: TimeUnitsType| {
        let client = stack
            .cognito
            .describe_user_pool_client()
            .user_pool_id(&stack.user_pool)
            .client_id(&stack.client_id)
            .send()
            .await
            .expect("the app client")
            .user_pool_client
            .expect("the app client");
        let units = TokenValidityUnitsType::builder()
            .set_refresh_token(client.token_validity_units().and_then(|units| units.refresh_token().cloned()))
            .access_token(unit)
            .build();
        stack
            .cognito
            .update_user_pool_client()
            .user_pool_id(&stack.user_pool)
            .client_id(&stack.client_id)
            .set_explicit_auth_flows(client.explicit_auth_flows)
            .set_refresh_token_validity(Some(client.refresh_token_validity))
            .access_token_validity(value)
            .token_validity_units(units)
            .send()
            .await
            .expect("the lifetime can be changed");
        let minutes = client.token_validity_units.and_then(|units| units.access_token).unwrap_or(TimeUnitsType::Hours);
        (client.access_token_validity.unwrap_or(1), minutes)
    };
    let alone = stack.token_lifetime.write().await;
    let (value, unit) = lifetime(1, TimeUnitsType::Seconds).await;
    let answer = stack.post("/api/auth/login", json!({"email": user.email, "password": PASSWORD})).await;
    lifetime(value, unit).await;
    drop(alone);
    answer.assert_json(200).str("access_token").to_owned()
}

#[test]
fn the_owner_may_do_everything() {
    on_stack(async |stack| {
        let owned = Owned::new(stack).await;
        owned.answers(&owned.user, |route| route.owner).await;
    });
}

#[test]
fn another_user_may_do_nothing_to_it() {
    on_stack(async |stack| {
        let owned = Owned::new(stack).await;
        let other = stack.user_on("Enterprise").await;
        owned.answers(&other, |route| route.other).await;
    });
}

#[test]
fn an_owner_without_a_plan_may_look_and_delete() {
    on_stack(async |stack| {
        let owned = Owned::new(stack).await;
        stack.set_plan(&owned.user.id, None).await;
        owned.answers(&owned.user, |route| route.planless).await;
    });
}

#[test]
fn without_a_token_only_public_resources_are_served() {
    on_stack(async |stack| {
        Owned::new(stack).await.all_refuse_header(None).await;
    });
}

#[test]
fn a_malformed_authorization_is_refused() {
    on_stack(async |stack| {
        let owned = Owned::new(stack).await;
        let good = &owned.user.access_token;
        for authorization in [
            "Bearer".to_owned(),
            "Bearer nonsense".to_owned(),
            "Bearer a.b.c".to_owned(),
            "Bearer ..".to_owned(),
            format!("Basic {good}"),
            format!("Bearer {good}x"),
            format!("Bearer {}", &good[..good.len() - 4]),
            format!("Bearer {good} {good}"),
        ] {
            owned.all_refuse_header(Some(&authorization)).await;
        }
    });
}

#[test]
fn an_id_token_is_refused() {
    on_stack(async |stack| {
        let owned = Owned::new(stack).await;
        owned.all_refuse(&id_token(stack, &owned.user).await).await;
    });
}

#[test]
fn a_refresh_token_is_no_access_token() {
    on_stack(async |stack| {
        let owned = Owned::new(stack).await;
        owned.all_refuse(&owned.user.refresh_token).await;
    });
}

#[test]
fn an_expired_token_is_refused() {
    on_stack(async |stack| {
        let owned = Owned::new(stack).await;
        let token = short_lived(stack, &owned.user).await;
        let until = claims(&token).number("exp");
        eventually("the token to expire", async || {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
            (now > until).then_some(())
        })
        .await;
        owned.all_refuse(&token).await;
    });
}

#[test]
fn a_token_of_another_pool_is_refused() {
    on_stack(async |stack| {
        let owned = Owned::new(stack).await;
        let foreign = foreign_token(stack, &owned.user.email).await;
        owned.all_refuse(&foreign).await;
    });
}

#[test]
fn a_token_signed_with_another_key_is_refused() {
    on_stack(async |stack| {
        let owned = Owned::new(stack).await;
        let own = &owned.user.access_token;
        let foreign = foreign_token(stack, &owned.user.email).await;
        // The claims of a good token under a stranger's signature, with either key's name on it.
        for named in [header(own), header(&foreign)] {
            let token = format!("{}.{}.{}", segment(&named), segment(&claims(own)), signature(&foreign));
            owned.all_refuse(&token).await;
        }
    });
}

#[test]
fn a_changed_token_is_refused() {
    on_stack(async |stack| {
        let owned = Owned::new(stack).await;
        let other = stack.user().await;
        let token = &other.access_token;
        let mut claims = claims(token);
        claims["sub"] = json!(owned.user.id);
        claims["username"] = json!(owned.user.id);
        claims["cognito:groups"] = json!(["admins"]);
        owned.all_refuse(&format!("{}.{}.{}", segment(&header(token)), segment(&claims), signature(token))).await;
    });
}

#[test]
fn a_token_with_no_or_a_symmetric_signature_is_refused() {
    on_stack(async |stack| {
        let owned = Owned::new(stack).await;
        let own = &owned.user.access_token;
        let claims = segment(&claims(own));
        let mut named = header(own);
        for algorithm in ["none", "None", "NONE"] {
            named["alg"] = json!(algorithm);
            for last in ["", signature(own)] {
                let token = format!("{}.{claims}.{last}", segment(&named));
                owned.all_refuse(&token).await;
            }
        }
        // The pool's public key, or nothing, taken for a shared secret.
        named["alg"] = json!("HS256");
        let unsigned = format!("{}.{claims}", segment(&named));
        for key in [b"".as_slice(), named["kid"].to_string().as_bytes(), stack.client_secret.as_bytes()] {
            let signature = URL_SAFE_NO_PAD.encode(hmac(key, &unsigned));
            owned.all_refuse(&format!("{unsigned}.{signature}")).await;
        }
    });
}

#[test]
fn a_signed_out_token_is_refused() {
    on_stack(async |stack| {
        let owned = Owned::new(stack).await;
        let gone = owned.user.another_session().await;
        gone.post("/api/auth/logout", json!({})).await.assert_status(204);
        owned.all_refuse(&gone.access_token).await;
    });
}

#[test]
fn a_token_from_before_a_password_reset_is_refused() {
    on_stack(async |stack| {
        let mut owned = Owned::new(stack).await;
        let email = owned.user.email.clone();
        stack.post("/api/auth/forgot-password", json!({"email": email})).await.assert_status(202);
        let code = stack.mailed_code(&email, 2).await;
        stack
            .post("/api/auth/reset-password", json!({"email": email, "code": code, "new_password": PASSWORD}))
            .await
            .assert_status(204);
        let before = owned.user.access_token.clone();
        owned.user = eventually("a session that began after the reset", async || {
            let session = owned.user.another_session().await;
            (session.get("/api/me").await.status == 200).then_some(session)
        })
        .await;
        owned.all_refuse(&before).await;
    });
}
