//! Events of all that can call a function for a request: an HTTP API, `sam local`, a Function URL and an Application Load
//! Balancer. The files are also for `cargo lambda invoke`.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::harness::{FunctionUnderTest, on_stack};

const EVENTS: [(&str, &str); 4] = [
    ("HTTP API", include_str!("../events/http-api.json")),
    ("sam local", include_str!("../events/sam-local.json")),
    ("Function URL", include_str!("../events/function-url.json")),
    ("ALB", include_str!("../events/alb.json")),
];

/// An event of the file with another method, path, body and more headers.
fn event(file: &str, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Value {
    let mut event: Value = serde_json::from_str(file).expect("JSON");
    if event["httpMethod"].is_string() {
        event["httpMethod"] = method.into();
        event["path"] = path.into();
    } else {
        event["rawPath"] = path.into();
        event["requestContext"]["http"]["method"] = method.into();
        event["requestContext"]["http"]["path"] = path.into();
    }
    for (name, value) in headers {
        event["headers"][name] = (*value).into();
    }
    if let Some(body) = body {
        event["body"] = body.to_string().into();
    }
    event
}

fn body(answer: &Value) -> Value {
    serde_json::from_str(answer["body"].as_str().unwrap_or_else(|| panic!("{answer} has no body"))).expect("JSON")
}

#[test]
fn requests_of_every_event_source_are_served() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let token = format!("Bearer {}", user.access_token);
        let session = stack
            .post("/api/auth/login", json!({"email": user.email, "password": crate::harness::PASSWORD, "cookie": true}))
            .await
            .assert_status(200);
        let cookie = session.must_header("set-cookie").split(';').next().expect("a pair");
        let (update_me, list_images, refresh) = tokio::join!(
            stack.function("update_me"),
            stack.function_with("list_images", &[("PUBLIC_URL", "")]),
            stack.function("refresh")
        );
        for (number, title) in ["a", "b"].into_iter().enumerate() {
            user.pending(&format!("{title} {number}")).await;
        }
        for (name, file) in EVENTS {
            let new = json!({"name": format!("Ada of {name}")});
            let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
            let answer = update_me.invoke(event(file, "PATCH", "/api/me", &headers, Some(&new))).await;
            let answer = answer.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(answer["statusCode"], 200, "{name}: {answer}");
            assert_eq!(body(&answer)["name"], new["name"], "{name}");
            assert_eq!(answer["headers"]["content-type"], "application/json", "{name}: {answer}");
            assert!(answer["headers"]["x-request-id"].is_string(), "{name}: {answer}");

            // The query, and the host that the next page's address begins with.
            let listing = event(file, "GET", "/api/images", &headers[..1], None);
            let headers = listing["headers"].as_object().expect("headers");
            let host = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host")).expect("a host").1.clone();
            let answer = list_images.invoke(listing).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(body(&answer)["results"].as_array().map(Vec::len), Some(1), "{name}: {answer}");
            let next = answer["headers"]["link"].as_str().expect("a next page");
            let origin = format!("<https://{}/api/images?limit=1&", host.as_str().expect("text"));
            assert!(next.starts_with(&origin), "{name}: {next}");

            let renewal = event(
                file,
                "POST",
                "/api/auth/refresh",
                &[("content-type", "application/json"), ("cookie", cookie)],
                Some(&json!({"cookie": true})),
            );
            let answer = refresh.invoke(renewal).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(answer["statusCode"], 200, "{name}: {answer}");
            let set = if name == "ALB" { &answer["multiValueHeaders"]["set-cookie"] } else { &answer["cookies"] };
            assert!(set[0].as_str().is_some_and(|set| set.starts_with("tintype-refresh=")), "{name}: {answer}");
        }
        let mut encoded = event(EVENTS[0].1, "PATCH", "/api/me", &[("authorization", &token)], None);
        encoded["headers"]["content-type"] = "application/json".into();
        encoded["body"] = "eyJuYW1lIjogIkFkYSBpbiBiYXNlNjQifQ==".into();
        encoded["isBase64Encoded"] = true.into();
        let answer = update_me.invoke(encoded).await.expect("an answer");
        assert_eq!(body(&answer)["name"], "Ada in base64", "{answer}");
        // API Gateway takes cookies out of the headers.
        let mut renewal = event(EVENTS[0].1, "POST", "/api/auth/refresh", &[], Some(&json!({})));
        renewal["headers"]["content-type"] = "application/json".into();
        renewal["cookies"] = json!(["other=1", cookie]);
        assert_eq!(refresh.invoke(renewal).await.expect("an answer")["statusCode"], 200);
    });
}

async fn status(function: &FunctionUnderTest, event: Value) -> (Value, Value) {
    let what = event.to_string();
    let answer = function.invoke(event).await.unwrap_or_else(|error| panic!("{what}: it failed: {error}"));
    (answer["statusCode"].clone(), body(&answer)["code"].clone())
}

#[test]
fn paths_that_no_url_has_are_not_found() {
    on_stack(async |stack| {
        let (fallback, get_image) = tokio::join!(stack.function("fallback"), stack.function("get_image"));
        for (_, file) in EVENTS {
            for path in [
                "/api/../api/nothing",
                "/../../etc/passwd",
                "/api//images/.",
                "/%2e%2e/api",
                "/%252e%252e/api",
                "/api/nothing/%",
                "/api/nothing/\u{fffd}\u{fffd}",
                "/a b\t|^`{}<>\"\\",
                "/a?b#c",
                "//evil.example.com/x",
                "/",
            ] {
                let (status, code) = status(&fallback, event(file, "DELETE", path, &[], None)).await;
                let expected = if path == "/" { (405, "method_not_allowed") } else { (404, "not_found") };
                assert_eq!((status, code), (expected.0.into(), expected.1.into()), "{path}");
            }
            for id in ["..", ".", "%2e%2e", "%252e", "\u{fffd}", "a b", "a?b#c", "\0", "\u{1f4f7}"] {
                let path = format!("/api/images/{id}");
                let (status, code) = status(&get_image, event(file, "GET", &path, &[], None)).await;
                assert_eq!((status, code), (404.into(), "not_found".into()), "{path}");
            }
        }
    });
}

#[test]
fn malformed_hosts_paths_queries_and_bodies_are_bad_requests() {
    on_stack(async |stack| {
        let health = stack.function("health").await;
        let bad = (Value::from(400), Value::from("bad_request"));
        for (name, file) in EVENTS {
            let hosts = if name == "sam local" { "Host" } else { "host" };
            for host in ["", "a b", "a:b", "[::1", "xn--", "a/b", "a:99999"] {
                assert_eq!(
                    status(&health, event(file, "GET", "/api/health", &[(hosts, host)], None)).await,
                    bad,
                    "{host}"
                );
            }
            assert_eq!(status(&health, event(file, "GET", "no-slash", &[], None)).await, bad, "{name}");
            for body in ["%", "e30", "e30=e30="] {
                let mut event = event(file, "GET", "/api/health", &[], None);
                (event["body"], event["isBase64Encoded"]) = (body.into(), true.into());
                assert_eq!(status(&health, event).await, bad, "{name}: {body}");
            }
            if ["ALB", "Function URL"].contains(&name) {
                for path in ["/api/%ff", "/%c3%28"] {
                    assert_eq!(status(&health, event(file, "GET", path, &[], None)).await, bad, "{name}: {path}");
                }
            }
            if name != "ALB" {
                for query in ["a b", "a=\u{e9}\u{7f}", "a\u{0}"] {
                    let mut event = event(file, "GET", "/api/health", &[], None);
                    event["rawQueryString"] = query.into();
                    assert_eq!(status(&health, event).await, bad, "{query}");
                }
            }
            // Decoded by the route, not by the address.
            let mut odd = event(file, "GET", "/api/health", &[], None);
            odd["rawQueryString"] = "a=%ff%2&&=&%".into();
            odd["queryStringParameters"] = json!(HashMap::from([("a", "%ff%2"), ("%", "")]));
            let answer = health.invoke(odd).await.expect("an answer");
            assert_eq!(answer["statusCode"], 200, "{name}: {answer}");
        }
    });
}

#[test]
fn function_urls_and_load_balancers_send_the_path_encoded() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let token = format!("Bearer {}", user.access_token);
        let (get_image, list_images) = tokio::join!(stack.function("get_image"), stack.function("list_images"));
        let id = user.pending("a&b=c+d %26").await.id;
        user.pending("a").await;

        let path = format!("/api/images/%{:02X}{}", id.as_bytes()[0], &id[1..]);
        for (name, file) in EVENTS {
            let answer = get_image.invoke(event(file, "GET", &path, &[("authorization", &token)], None)).await;
            let answer = answer.expect("an answer");
            if ["ALB", "Function URL"].contains(&name) {
                assert_eq!(body(&answer)["id"], id.as_str(), "{name}");
            } else {
                assert_eq!(answer["statusCode"], 404, "{name}: {answer}");
            }
        }

        // A load balancer sends the query encoded too, in parts.
        let (_, alb) = EVENTS[3];
        for prefix in ["a%26b%3Dc%2Bd+%2526", "a%26b=c%2bd%20%25"] {
            let mut listing = event(alb, "GET", "/api/images", &[("authorization", &token)], None);
            listing["queryStringParameters"] = json!({"limit": "10", "title_prefix": prefix});
            let answer = list_images.invoke(listing).await.expect("an answer");
            let results = body(&answer)["results"].clone();
            assert_eq!(
                (results.as_array().map(Vec::len), &results[0]["id"]),
                (Some(1), &id.as_str().into()),
                "{prefix}"
            );
        }
    });
}
