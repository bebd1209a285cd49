//! Browser sessions: the refresh token in a cookie that no script can read.

use std::collections::HashMap;

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Body, Call, PASSWORD, Stack, User, on_stack};

const COOKIE: &str = "tintype-refresh";
const LOGIN: &str = "/api/auth/login";
const REFRESH: &str = "/api/auth/refresh";
const LOGOUT: &str = "/api/auth/logout";

/// A browser that is logged in: its page has the access token, its cookie jar the refresh token.
struct Browser {
    stack: &'static Stack,
    user: User,
    access_token: String,
    /// As a request carries it.
    cookie: String,
}

impl Browser {
    async fn new(stack: &'static Stack) -> Self {
        let user = stack.user().await;
        Self::logged_in(user).await
    }

    async fn logged_in(user: User) -> Self {
        let body = json!({"email": user.email, "password": PASSWORD, "cookie": true});
        let answer = user.stack.post(LOGIN, body).await.assert_status(200);
        let (cookie, access_token) = (pair(&answer), answer.json().str("access_token").to_owned());
        Self { stack: user.stack, user, access_token, cookie }
    }

    fn post(&self, path: &str, body: Value) -> Call {
        self.stack.post(path, body).header("cookie", &self.cookie)
    }

    fn log_out(&self, body: Value) -> Call {
        self.post(LOGOUT, body).token(&self.access_token)
    }

    async fn is_alive(&self) {
        self.post(REFRESH, json!({})).await.assert_status(200);
        self.stack.get("/api/me").token(&self.access_token).await.assert_status(200);
    }

    async fn is_ended(&self) {
        self.post(REFRESH, json!({})).await.assert_problem(401, "bad_credentials");
        self.post(REFRESH, json!({"cookie": true})).await.assert_problem(401, "bad_credentials");
        self.stack.get("/api/me").token(&self.access_token).await.assert_status(401);
    }
}

/// The part of a `Set-Cookie` that a browser sends back.
fn pair(answer: &Answer) -> String {
    let pair = answer.must_header("set-cookie").split(';').next().expect("a pair");
    assert!(pair.starts_with(&format!("{COOKIE}=")), "{pair}");
    pair.to_owned()
}

/// The attributes of a `Set-Cookie`, in lower case.
fn attributes(answer: &Answer) -> Vec<String> {
    let header = answer.must_header("set-cookie").to_ascii_lowercase();
    header.split(';').skip(1).map(|part| part.trim().to_owned()).collect()
}

fn max_age(answer: &Answer) -> u64 {
    let attributes = attributes(answer);
    let age = attributes.iter().find_map(|part| part.strip_prefix("max-age=")).expect("a Max-Age");
    age.parse().expect("a number of seconds")
}

fn has_no_refresh_token(answer: &Answer) {
    assert!(answer.json().get("refresh_token").is_none(), "{answer}");
    assert!(!answer.text().contains(COOKIE), "{answer}");
}

#[test]
fn a_login_with_cookie_gives_the_refresh_token_as_a_cookie_alone() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let body = json!({"email": user.email, "password": PASSWORD, "cookie": true});
        let answer = stack.post(LOGIN, body).await.assert_status(200);
        has_no_refresh_token(&answer);
        let attributes = attributes(&answer);
        for part in ["httponly", "samesite=strict", "path=/api/auth"] {
            assert!(attributes.iter().any(|attribute| attribute == part), "{part} is missing in {attributes:?}");
        }
        // Of the whole host it would reach every route; this origin is not https.
        assert!(!attributes.iter().any(|part| part.starts_with("domain") || part == "secure"), "{attributes:?}");
        let month = 30 * 86_400;
        assert!((month - 60..=month).contains(&max_age(&answer)), "{attributes:?}");
        let value = pair(&answer);
        let token = value.split_once('=').expect("a pair").1;
        stack.post(REFRESH, json!({"refresh_token": token})).await.assert_status(200);
    });
}

#[test]
fn the_cookie_is_secure_if_the_origin_is_https() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let function = stack.function_with("login", &[("PUBLIC_URL", "https://images.example.org")]).await;
        let body = json!({"email": user.email, "password": PASSWORD, "cookie": true});
        let answer = function.call(None, "POST", LOGIN, Some(body)).await.assert_status(200);
        assert!(attributes(&answer).iter().any(|part| part == "secure"), "{answer}");
        // Without an address of its own the gateway's counts, which is https always.
        let function = stack.function_with("refresh", &[("PUBLIC_URL", "")]).await;
        let headers = [("content-type", "application/json".to_owned()), ("cookie", pair(&answer))];
        let headers: HashMap<_, _> = headers.map(|(name, value)| (name.to_owned(), value)).into();
        let answer =
            function.call_with(None, "POST", REFRESH, headers, Some(json!({"cookie": true}))).await.assert_status(200);
        assert!(attributes(&answer).iter().any(|part| part == "secure"), "{answer}");
    });
}

#[test]
fn clients_that_ask_for_no_cookie_get_none() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let login = stack.login(&user.email, PASSWORD).await.assert_status(200);
        let refresh = stack.post(REFRESH, json!({"refresh_token": user.refresh_token})).await.assert_status(200);
        let logout = user.post(LOGOUT, json!({"refresh_token": user.refresh_token})).await.assert_status(204);
        for answer in [login, refresh, logout] {
            assert_eq!(answer.header("set-cookie"), None, "{answer}");
        }
    });
}

#[test]
fn the_cookie_renews_the_access_token_and_is_never_shown() {
    on_stack(async |stack| {
        let browser = Browser::new(stack).await;
        let kept = browser.post(REFRESH, json!({})).await.assert_status(200);
        assert_eq!(kept.header("set-cookie"), None, "{kept}");
        let renewed = browser.post(REFRESH, json!({"cookie": true})).await.assert_status(200);
        assert!(max_age(&renewed) <= 30 * 86_400);
        for answer in [&kept, &renewed] {
            has_no_refresh_token(answer);
            let me = stack.get("/api/me").token(answer.json().str("access_token")).await.assert_json(200);
            assert_eq!(me["email"], browser.user.email);
        }
        stack.post(REFRESH, json!({})).header("cookie", pair(&renewed)).await.assert_status(200);
    });
}

#[test]
fn a_refresh_token_can_move_into_the_cookie() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let moved =
            stack.post(REFRESH, json!({"refresh_token": user.refresh_token, "cookie": true})).await.assert_status(200);
        has_no_refresh_token(&moved);
        stack.post(REFRESH, json!({})).header("cookie", pair(&moved)).await.assert_status(200);
    });
}

#[test]
fn a_refresh_without_a_session_is_refused() {
    on_stack(async |stack| {
        stack.post(REFRESH, json!({"cookie": true})).await.assert_problem(401, "bad_credentials");
        assert_eq!(stack.post(REFRESH, json!({})).await.invalid_fields(), ["refresh_token"]);
        for value in ["", "nonsense", "a.b.c"] {
            let answer = stack.post(REFRESH, json!({})).header("cookie", format!("{COOKIE}={value}")).await;
            answer.assert_problem(401, "bad_credentials");
        }
    });
}

#[test]
fn five_tabs_that_refresh_at_once_all_stay_logged_in() {
    on_stack(async |stack| {
        let browser = Browser::new(stack).await;
        for body in [json!({}), json!({"cookie": true})] {
            let answers = join_all((0..5).map(|_| browser.post(REFRESH, body.clone()).send())).await;
            for answer in answers {
                let token = answer.assert_status(200).json().str("access_token").to_owned();
                stack.get("/api/me").token(&token).await.assert_status(200);
            }
        }
        browser.is_alive().await;
    });
}

#[test]
fn logging_out_ends_the_session_and_deletes_the_cookie() {
    on_stack(async |stack| {
        for body in [json!({}), json!({"cookie": true}), json!({"everywhere": true})] {
            let browser = Browser::new(stack).await;
            let answer = browser.log_out(body).await.assert_status(204);
            assert_eq!((pair(&answer).as_str(), max_age(&answer)), (&*format!("{COOKIE}="), 0));
            let attributes = attributes(&answer);
            for part in ["httponly", "samesite=strict", "path=/api/auth"] {
                assert!(attributes.iter().any(|attribute| attribute == part), "{part} is missing in {attributes:?}");
            }
            browser.is_ended().await;
        }
    });
}

#[test]
fn a_stolen_access_token_ends_with_its_session() {
    on_stack(async |stack| {
        let browser = Browser::new(stack).await;
        let stolen = browser.access_token.clone();
        // It cannot be made into more: no route gives the refresh token for it.
        stack.post(REFRESH, json!({"cookie": true})).token(&stolen).await.assert_problem(401, "bad_credentials");
        let answer = browser.post(REFRESH, json!({})).await.assert_status(200);
        let renewed = answer.json().str("access_token").to_owned();
        browser.log_out(json!({})).await.assert_status(204);
        for token in [stolen, renewed] {
            for path in ["/api/me", "/api/images", "/api/expiring-links"] {
                stack.get(path).token(&token).await.assert_status(401);
            }
        }
    });
}

#[test]
fn a_password_reset_and_a_logout_everywhere_end_browser_sessions() {
    on_stack(async |stack| {
        let browser = Browser::new(stack).await;
        let email = &browser.user.email;
        stack.post("/api/auth/forgot-password", json!({"email": email})).await.assert_status(202);
        let code = stack.mailed_code(email, 2).await;
        let reset = json!({"email": email, "code": code, "new_password": "Loud-Harbour-43"});
        stack.post("/api/auth/reset-password", reset).await.assert_status(204);
        browser.is_ended().await;

        let browser = Browser::new(stack).await;
        browser.user.post(LOGOUT, json!({"everywhere": true})).await.assert_status(204);
        browser.is_ended().await;
    });
}

#[test]
fn logout_keeps_cookie_of_next_user() {
    on_stack(async |stack| {
        let before = Browser::new(stack).await;
        let now = Browser::new(stack).await;
        let answer = stack
            .post(LOGOUT, json!({}))
            .header("cookie", &now.cookie)
            .token(&before.access_token)
            .await
            .assert_status(204);
        assert_eq!(answer.header("set-cookie"), None, "{answer}");
        now.is_alive().await;
        before.is_ended().await;
    });
}

#[test]
fn pages_of_other_origins_cannot_use_the_cookie() {
    on_stack(async |stack| {
        let browser = Browser::new(stack).await;
        let login = json!({"email": browser.user.email, "password": PASSWORD, "cookie": true});
        let origin = ("origin", "https://elsewhere.example");
        // A sandboxed frame, a look-alike, another port, and what the browser itself says of where the page came from.
        let look_alike = format!("{}.elsewhere.example", stack.url);
        for (name, value) in [
            origin,
            ("origin", "null"),
            ("origin", &look_alike),
            ("origin", "http://127.0.0.2:1"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "none"),
        ] {
            for call in [
                browser.post(REFRESH, json!({})),
                browser.post(REFRESH, json!({"cookie": true})),
                browser.log_out(json!({})),
                stack.post(LOGIN, login.clone()),
            ] {
                let answer = call.header(name, value).await;
                assert_eq!(answer.header("set-cookie"), None, "{answer}");
                assert!(!answer.text().contains("access_token"), "{answer}");
                answer.assert_problem(403, "cross_origin");
            }
        }
        browser.is_alive().await;
        // Its own page may, and so may a client that is no browser.
        browser.post(REFRESH, json!({})).header("origin", &stack.url).await.assert_status(200);
        browser.post(REFRESH, json!({})).header("sec-fetch-site", "same-origin").await.assert_status(200);
        // Tokens that no browser sends by itself work from every origin.
        let token = browser.user.refresh_token.as_str();
        stack.post(REFRESH, json!({"refresh_token": token})).header(origin.0, origin.1).await.assert_status(200);
    });
}

#[test]
fn a_form_cannot_use_the_cookie() {
    on_stack(async |stack| {
        let browser = Browser::new(stack).await;
        for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
            let call = stack.call(Method::POST, REFRESH).header("cookie", &browser.cookie);
            let answer = call.header("content-type", content_type).body(b"{}".to_vec()).await;
            answer.assert_problem(415, "unsupported_media_type");
        }
        // Nor can a page that another site embeds: the answer may not be read with credentials.
        let answer = browser.post(REFRESH, json!({})).header("sec-fetch-site", "same-origin").await.assert_status(200);
        assert_eq!(answer.header("access-control-allow-credentials"), None, "{answer}");
    });
}

#[test]
fn the_cookie_is_no_login_to_anything_else() {
    on_stack(async |stack| {
        let browser = Browser::new(stack).await;
        for path in ["/api/me", "/api/images", "/api/expiring-links"] {
            stack.get(path).header("cookie", &browser.cookie).await.assert_status(401);
        }
        browser.post(LOGOUT, json!({})).await.assert_status(401);
        browser.post("/api/images/delete", json!({"all": true})).await.assert_status(401);
        browser.is_alive().await;
    });
}
