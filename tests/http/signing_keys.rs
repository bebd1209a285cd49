//! The keys that sign links, cursors and sessions, before, during and after a change of them

use reqwest::Url;
use serde_json::{Value, json};

use crate::fixtures::Picture;
use crate::harness::{Answer, Body, Fault, FunctionUnderTest, Stack, User, on_stack};

/// A function that finds these keys in the secret: texts and the times from which they sign.
async fn function(stack: &Stack, operation: &str, keys: &[(&str, i64)]) -> FunctionUnderTest {
    let function = stack.function(operation).await;
    let keys: Vec<Value> = keys.iter().map(|(key, from)| json!({"key": key, "from": from})).collect();
    let secret = json!({"ARN": stack.signing_keys, "SecretString": json!({"keys": keys}).to_string()});
    let answer = Fault::Answer { status: 200, kind: "application/x-amz-json-1.1", body: secret.to_string() };
    function.proxy.rule("GetSecretValue", ALWAYS, answer);
    function
}

const ALWAYS: usize = usize::MAX;
const NEW: &str = "a-key-that-was-added-later";
const FAR: i64 = 4_000_000_000;

/// Opens a link at a function of its own.
async fn open(function: &FunctionUnderTest, link: &Value) -> Answer {
    let path = Url::parse(link.str("link_url")).expect("a URL").path().to_owned();
    function.call(None, "GET", &path, None).await
}

async fn get(function: &FunctionUnderTest, user: &User, target: &str) -> Answer {
    function.call(Some(user), "GET", target, None).await
}

#[test]
fn links_keep_their_urls_whichever_key_signs() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let image = user.publish("Harbour", Picture::small()).await;
        let old = user.link(&image, json!({})).await;
        let rotated = [(NEW, 1), (stack.signing_key.as_str(), 0)];

        let body = json!({"base_image": image["id"], "expiry_in_seconds": 300});
        let create = function(stack, "create_link", &rotated).await;
        let made = create.call(Some(&user), "POST", "/api/expiring-links", Some(body)).await.assert_json(201);
        let show = function(stack, "get_link", &rotated).await;
        let visit = function(stack, "visit_link", &rotated).await;
        for link in [&old, &made] {
            let shown = get(&show, &user, &format!("/api/expiring-links/{}", link.str("id"))).await.assert_json(200);
            assert_eq!(shown["link_url"], link["link_url"]);
            open(&visit, link).await.assert_status(302);
        }
        let listed =
            get(&function(stack, "list_links", &rotated).await, &user, "/api/expiring-links").await.assert_json(200);
        let urls: Vec<&Value> = listed.list("results").iter().map(|link| &link["link_url"]).collect();
        assert_eq!(urls, [&made["link_url"], &old["link_url"]]);

        // A change that is none of the URL keeps it; another URL is signed by the key of now.
        let update = function(stack, "update_link", &rotated).await;
        let change = async |body: Value| {
            let target = format!("/api/expiring-links/{}", old.str("id"));
            update.call(Some(&user), "PATCH", &target, Some(body)).await.assert_json(200)
        };
        assert_eq!(change(json!({"description": "Boats"})).await["link_url"], old["link_url"]);
        let moved = change(json!({"rotate": true})).await;
        assert_ne!(moved["link_url"], old["link_url"]);
        open(&visit, &old).await.assert_problem(410, "gone");
        open(&visit, &moved).await.assert_status(302);
        // The service of before the change has never heard of the new key: its owner can revoke the link all the same.
        user.delete(format!("/api/expiring-links/{}", old.str("id"))).await.assert_status(204);
        open(&visit, &moved).await.assert_problem(410, "gone");
        user.delete(format!("/api/expiring-links/{}", made.str("id"))).await.assert_status(204);
    });
}

#[test]
fn links_of_a_key_that_is_no_longer_accepted_work_again_with_another_url() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let image = user.publish("Harbour", Picture::small()).await;
        let link = user.link(&image, json!({})).await;
        let at = format!("/api/expiring-links/{}", link.str("id"));
        let alone = [(NEW, 1)];
        let visit = function(stack, "visit_link", &alone).await;
        open(&visit, &link).await.assert_problem(410, "gone");
        // The URL that is shown then is not the link's yet.
        let shown = get(&function(stack, "get_link", &alone).await, &user, &at).await.assert_json(200);
        open(&visit, &shown).await.assert_problem(410, "gone");
        let update = function(stack, "update_link", &alone).await;
        let moved = update.call(Some(&user), "PATCH", &at, Some(json!({"rotate": true}))).await.assert_json(200);
        open(&visit, &moved).await.assert_status(302);
        user.delete(at).await.assert_status(204);
    });
}

#[test]
fn a_link_made_twice_with_one_idempotency_key_keeps_its_url_when_the_key_changes() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let image = user.publish("Harbour", Picture::small()).await;
        let body = json!({"base_image": image["id"], "expiry_in_seconds": 300});
        let first =
            user.post("/api/expiring-links", body.clone()).header("idempotency-key", "one").await.assert_json(201);
        let again = function(stack, "create_link", &[(NEW, 1), (stack.signing_key.as_str(), 0)]).await;
        let headers = [("content-type", "application/json"), ("idempotency-key", "one")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let repeated =
            again.call_with(Some(&user), "POST", "/api/expiring-links", headers, Some(body)).await.assert_json(201);
        assert_eq!(repeated, first);
    });
}

#[test]
fn cursors_and_sessions_of_an_accepted_key_live_on() {
    on_stack(async |stack| {
        let user = stack.user().await;
        for title in ["One", "Two", "Three"] {
            user.pending(title).await;
        }
        let old = stack.signing_key.as_str();
        let rotated = function(stack, "list_images", &[(NEW, 1), (old, 0)]).await;
        let announced = function(stack, "list_images", &[(NEW, FAR), (old, 0)]).await;
        let alone = function(stack, "list_images", &[(NEW, 1)]).await;
        let cursor = |page: Value| format!("/api/images?limit=1&cursor={}", page.str("next_cursor"));
        let of_old = cursor(user.get("/api/images?limit=1").await.assert_json(200));
        let of_new = cursor(get(&rotated, &user, "/api/images?limit=1").await.assert_json(200));
        assert_ne!(of_old, of_new);
        assert_eq!(cursor(get(&announced, &user, "/api/images?limit=1").await.assert_json(200)), of_old);
        let second = user.get(&of_old).await.assert_json(200);
        for (function, target) in [(&rotated, &of_old), (&rotated, &of_new), (&announced, &of_new), (&alone, &of_new)] {
            assert_eq!(get(function, &user, target).await.assert_json(200)["results"], second["results"]);
        }
        get(&alone, &user, &of_old).await.assert_problem(400, "bad_cursor");

        let refresh = async |keys: &[(&str, i64)]| {
            let body = json!({"refresh_token": user.refresh_token});
            function(stack, "refresh", keys).await.call(None, "POST", "/api/auth/refresh", Some(body)).await
        };
        refresh(&[(NEW, 1), (old, 0)]).await.assert_status(200);
        refresh(&[(NEW, 1)]).await.assert_problem(401, "bad_credentials");
    });
}

#[test]
fn keys_are_read_once_and_their_absence_is_no_answer() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let function = stack.function("list_images").await;
        function.proxy.rule("GetSecretValue", ALWAYS, Fault::json(500, "InternalServiceError"));
        get(&function, &user, "/api/images").await.assert_problem(503, "unavailable");
        function.proxy.clear();
        for reads in [1, 0, 0] {
            get(&function, &user, "/api/images").await.assert_status(200);
            let calls = function.proxy.take_calls();
            assert_eq!(calls.iter().filter(|call| call.operation == "GetSecretValue").count(), reads);
        }
        let function = stack.function("login").await;
        let body = json!({"email": user.email, "password": crate::harness::PASSWORD});
        function.proxy.rule("DescribeUserPoolClient", ALWAYS, Fault::json(400, "TooManyRequestsException"));
        function.call(None, "POST", "/api/auth/login", Some(body.clone())).await.assert_problem(503, "unavailable");
        function.proxy.clear();
        function.call(None, "POST", "/api/auth/login", Some(body)).await.assert_status(200);
    });
}

#[test]
fn no_function_has_a_secret_in_its_environment() {
    on_stack(async |stack| {
        let environments = stack.environments.to_string();
        assert!(environments.contains(&stack.signing_keys));
        for secret in [&stack.client_secret, &stack.signing_key] {
            assert!(!environments.contains(secret.as_str()), "a secret is in an environment");
        }
    });
}
