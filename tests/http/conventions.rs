//! What holds for every route.

use std::collections::HashMap;
use std::io::Read;

use flate2::read::GzDecoder;
use http::Method;
use serde_json::{Value, json};

use crate::fixtures::Picture;
use crate::harness::{Answer, Body, eventually, on_stack, unknown_id};

/// Every path that the API's document has, and what may be done to it, sorted.
fn routes(id: &str) -> Vec<(String, Vec<String>)> {
    let document: Value = serde_json::from_str(include_str!("../../docs/openapi.json")).expect("the document is JSON");
    let paths = document["paths"].as_object().expect("paths");
    let examples =
        [("{id}", id), ("{name}", "Basic"), ("{token}", "x"), ("{owner}", "x"), ("{image}", "x"), ("{file}", "x.jpg")];
    let example = |pattern: &str| examples.iter().fold(pattern.to_owned(), |path, (name, it)| path.replace(name, it));
    let all = paths.keys().map(|pattern| {
        let path = example(pattern);
        let operations = paths.iter().filter(|(pattern, _)| matches(pattern, &path)).flat_map(|(_, operations)| {
            operations.as_object().expect("operations").keys().map(|method| method.to_uppercase())
        });
        let mut methods: Vec<String> = operations.filter(|method| method != "HEAD").collect();
        methods.sort();
        (path, methods)
    });
    all.collect()
}

/// Returns true if a path matches a pattern. `/api/images/batch` also matches `/api/images/{id}`.
fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    pattern.len() == path.len() && pattern.iter().zip(&path).all(|(a, b)| a.starts_with('{') || a == b)
}

#[test]
fn a_route_that_does_not_exist_is_a_404_for_every_method() {
    on_stack(async |stack| {
        let user = stack.user().await;
        for path in [
            "/nothing",
            "/api",
            "/api/nothing",
            "/api/images/a/b/c",
            "/media",
            "/media/nothing/x.jpg",
            "/api/auth",
            "/API/images",
        ] {
            for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                stack.call(method.clone(), path).await.problem(404);
                stack.call(method, path).by(&user).await.problem(404);
            }
        }
    });
}

#[test]
fn a_wrong_method_is_a_405_that_names_the_right_ones() {
    on_stack(async |stack| {
        let user = stack.user().await;
        for (path, methods) in routes(&unknown_id(&user.id)) {
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
                if methods.iter().any(|allowed| allowed == method) {
                    continue;
                }
                let method: Method = method.parse().expect("a method");
                let answer = stack.call(method, &path).by(&user).await;
                assert_eq!(answer.status, 405, "{answer}");
                let allow = answer.must_header("allow").to_owned();
                answer.problem(405);
                let mut allowed: Vec<&str> = allow.split(',').map(str::trim).collect();
                allowed.retain(|method| !["HEAD", "OPTIONS"].contains(method));
                allowed.sort_unstable();
                assert_eq!(allowed, methods, "{path}");
            }
        }
    });
}

#[test]
fn a_trailing_slash_is_redirected_away_and_the_query_kept() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let id = user.pending("Harbour").await.id;
        for (path, target) in [
            ("/api/images/".to_owned(), "/api/images".to_owned()),
            ("/api/images/?limit=1".to_owned(), "/api/images?limit=1".to_owned()),
            (format!("/api/images/{id}/"), format!("/api/images/{id}")),
            ("/api/explore/?limit=2&cursor=%2F".to_owned(), "/api/explore?limit=2&cursor=%2F".to_owned()),
            ("/api/auth/login/".to_owned(), "/api/auth/login".to_owned()),
        ] {
            for method in [Method::GET, Method::POST] {
                let answer = stack.call(method, &path).by(&user).await.assert_status(308);
                let location = answer.must_header("location");
                let location = location.strip_prefix(&stack.url).unwrap_or(location);
                assert_eq!(location, target, "{answer}");
            }
        }
    });
}

#[test]
fn a_redirect_never_leads_to_another_host() {
    on_stack(async |stack| {
        for path in ["//elsewhere.example/", "/%2F/elsewhere.example/", "/\\elsewhere.example/"] {
            let answer = stack.get(path).await;
            if let Some(location) = answer.header("location") {
                assert!(
                    location.starts_with(&stack.url)
                        || (location.starts_with('/') && !location.starts_with("//") && !location.starts_with("/\\")),
                    "{path} leads to {location}"
                );
            } else {
                assert!(matches!(answer.status, 400 | 404), "{answer}");
            }
        }
    });
}

#[test]
fn a_body_that_is_not_json_is_a_400() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let id = user.pending("Harbour").await.id;
        let deep = "[".repeat(20_000);
        for body in
            ["", "{", "{'title': 'x'}", "{\"title\": \"x\",}", "title=x", "\u{0}", "{\"title\": \"\\ud800\"}", &deep]
        {
            for (method, path) in [
                (Method::POST, "/api/images".to_owned()),
                (Method::PATCH, format!("/api/images/{id}")),
                (Method::PATCH, "/api/me".to_owned()),
                (Method::POST, "/api/auth/login".to_owned()),
                (Method::POST, "/api/auth/signup".to_owned()),
            ] {
                stack
                    .call(method, path)
                    .by(&user)
                    .header("content-type", "application/json")
                    .body(body.as_bytes().to_vec())
                    .await
                    .problem(400);
            }
        }
    });
}

#[test]
fn json_that_is_no_object_is_refused() {
    on_stack(async |stack| {
        let user = stack.user().await;
        for body in [json!([]), json!("text"), json!(7), json!(null)] {
            for path in ["/api/images", "/api/auth/login"] {
                user.post(path, body.clone()).await.assert_problem(422, "invalid");
            }
        }
    });
}

#[test]
fn another_content_type_than_json_is_a_415() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let body = Picture::small().draft("Harbour").to_string().into_bytes();
        for content_type in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "image/jpeg",
            "application/jsonp",
        ] {
            stack
                .call(Method::POST, "/api/images")
                .by(&user)
                .header("content-type", content_type)
                .body(body.clone())
                .await
                .problem(415);
        }
        stack.call(Method::POST, "/api/images").by(&user).body(body.clone()).await.problem(415);
        stack
            .call(Method::POST, "/api/images")
            .by(&user)
            .header("content-type", "Application/JSON; charset=UTF-8")
            .body(body)
            .await
            .assert_status(201);
    });
}

#[test]
fn a_body_over_the_limit_is_a_413() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let body = json!({"title": "t", "description": "d".repeat(2 << 20)});
        user.post("/api/images", body.clone()).await.problem(413);
        stack.post("/api/auth/login", body).await.problem(413);
    });
}

#[test]
fn every_answer_has_a_request_id_of_its_own() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let mut ids = Vec::new();
        for call in [
            stack.get("/api/health"),
            stack.get("/api/health"),
            user.get("/api/me"),
            user.get("/api/images"),
            stack.get("/nothing"),
            user.post("/api/images", json!({})),
            stack.get("/api/images/"),
            stack.get("/api/explore"),
            user.delete("/api/images/nonsense"),
        ] {
            ids.push(call.await.must_header("x-request-id").to_owned());
        }
        // Where the gateway itself answers, it gives its own.
        ids.push(stack.get("/api/me").await.assert_status(401).must_header("apigw-requestid").to_owned());
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count, "{ids:?}");
    });
}

#[test]
fn a_problem_gives_nothing_of_the_inside_away() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let id = user.pending("Harbour").await.id;
        for answer in [
            user.post("/api/images", Picture::small().draft("Harbour")).await,
            user.get(format!("/api/images/{}", unknown_id(&user.id))).await,
            user.patch(format!("/api/images/{id}"), json!({"title": 1})).await,
            user.get("/api/images?cursor=x").await,
            stack.login("nobody@example.com", "Wrong-Password-1").await,
            stack.post("/api/auth/refresh", json!({"refresh_token": "x"})).await,
            stack.post("/api/auth/confirm", json!({"email": "nobody@example.com", "code": "1"})).await,
            stack.get("/media/thumbnail/x/y/z.jpg").await,
        ] {
            let text = answer.to_string().to_lowercase();
            for word in [
                "dynamodb",
                "cognito",
                "arn:",
                "exception",
                "panicked",
                ".rs",
                "profile#",
                "user#",
                "image#",
                "bucket",
                &stack.table.to_lowercase(),
            ] {
                let told = text.split_once("->").expect("an exchange").1;
                assert!(!told.contains(word), "{word} in {answer}");
            }
        }
    });
}

#[test]
fn the_service_says_it_is_well() {
    on_stack(async |stack| {
        stack.get("/api/health").await.assert_json(200);
    });
}

#[test]
fn times_are_rfc_3339_in_utc() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let created = user.pending("Harbour").await;
        let me = user.get("/api/me").await.assert_json(200);
        for time in [
            created.image.str("created_at"),
            created.image.str("updated_at"),
            created.upload.str("expires_at"),
            me.str("created_at"),
        ] {
            assert!(time.len() >= 20 && time.as_bytes()[10] == b'T' && time.ends_with('Z'), "{time}");
        }
    });
}

#[test]
fn a_page_of_another_origin_may_call_every_route() {
    on_stack(async |stack| {
        let origin = "https://app.example.org";
        let preflight = async |path: &str, method: &str, headers: &str| {
            let answer = stack
                .call(Method::OPTIONS, path)
                .header("origin", origin)
                .header("access-control-request-method", method)
                .header("access-control-request-headers", headers)
                .await;
            // The browser asks without a token.
            assert_eq!(answer.status, 204, "{answer}");
            let allowed = answer.must_header("access-control-allow-origin").to_owned();
            assert!(["*", origin].contains(&allowed.as_str()), "{path}: {allowed}");
            for (list, asked) in [("access-control-allow-methods", method), ("access-control-allow-headers", headers)] {
                let allowed = answer.must_header(list).to_ascii_lowercase();
                let allowed: Vec<&str> = allowed.split(',').map(str::trim).collect();
                for word in asked.to_ascii_lowercase().split(',') {
                    assert!(allowed.contains(&word), "{method} {path}: {word} is not among {allowed:?}");
                }
            }
        };
        for (path, methods) in routes("x") {
            assert!(!methods.is_empty(), "{path}");
            for method in methods {
                preflight(&path, &method, "authorization,content-type,idempotency-key,if-match,if-none-match").await;
            }
        }
        // The headers that a page of another origin can read.
        let answer = stack.get("/api/explore?limit=1").header("origin", origin).await.assert_status(200);
        answer.must_header("access-control-allow-origin");
        let exposed = answer.must_header("access-control-expose-headers").to_ascii_lowercase();
        for header in ["etag", "link", "location", "retry-after", "x-request-id"] {
            assert!(exposed.split(',').any(|exposed| exposed.trim() == header), "{header} is not among {exposed}");
        }
    });
}

#[test]
fn fallback_answers_preflights() {
    on_stack(async |stack| {
        let asks = |origin: &str| {
            let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            HashMap::from([header("origin", origin), header("access-control-request-method", "PATCH")])
        };
        let (own, other) = ("https://app.example.org", "https://evil.example.org");
        for (allowed, origin, expected) in
            [("*", other, Some("*")), (own, own, Some(own)), (own, other, None), ("", own, None)]
        {
            let function = stack.function_with("fallback", &[("ALLOWED_ORIGIN", allowed)]).await;
            for path in ["/api/me", "/api/images/x", "/nothing/here"] {
                let answer = function.call_with(None, "OPTIONS", path, asks(origin), None).await.assert_status(204);
                assert_eq!(answer.header("access-control-allow-origin"), expected, "{allowed}: {answer}");
                let methods = answer.header("access-control-allow-methods");
                assert_eq!(methods.is_some_and(|methods| methods.contains("PATCH")), expected.is_some(), "{answer}");
                assert_eq!(answer.header("vary").is_some(), expected == Some(own), "{answer}");
            }
            // A request for the methods of a path is no preflight.
            function
                .call_with(None, "OPTIONS", "/api/me", HashMap::new(), None)
                .await
                .assert_problem(405, "method_not_allowed");
            function
                .call_with(None, "OPTIONS", "/nothing/here", HashMap::new(), None)
                .await
                .assert_problem(404, "not_found");
        }
    });
}

#[test]
fn ids_and_tokens_are_letters_and_digits_64_at_most() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let image = user.publish("Harbour", Picture::small()).await;
        user.pending("Quay").await;
        let link = user.link(&image, json!({})).await;
        user.link(&image, json!({})).await;
        let job = user.post("/api/images/delete", json!({"all": true})).await.assert_json(202)["job"].clone();
        let mut ids = vec![
            user.get("/api/me").await.assert_json(200).str("id").to_owned(),
            image["owner"].str("id").to_owned(),
            image.str("id").to_owned(),
            link.str("id").to_owned(),
            link.str("base_image").to_owned(),
            link.str("link_url").rsplit('/').nth(1).expect("a token").to_owned(),
            job.str("id").to_owned(),
        ];
        let other = stack.user().await;
        other.pending("One").await;
        other.pending("Two").await;
        for list in ["/api/images?limit=1", "/api/explore?limit=1"] {
            let page = other.get(list).await.assert_json(200);
            ids.extend(page["next_cursor"].as_str().map(str::to_owned));
        }
        assert!(ids.len() > 5);
        for id in ids {
            assert!((1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
        }
    });
}

#[test]
fn head_works_wherever_get_does() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let job = user.post("/api/images/delete", json!({"all": true})).await.assert_json(202)["job"].clone();
        let path = format!("/api/jobs/{}", job.str("id"));
        eventually("the job to be done", async || {
            (user.get(&path).await.assert_json(200)["status"] == "done").then_some(())
        })
        .await;
        let other = user.publish("Quay", Picture::small()).await;
        let link = user.link(&other, json!({})).await;
        user.post("/api/me/export", json!({})).await.assert_status(202);
        for target in [
            "/api/me".to_owned(),
            "/api/me/export".to_owned(),
            "/api/images".to_owned(),
            format!("/api/images/{}", other.str("id")),
            "/api/expiring-links".to_owned(),
            format!("/api/expiring-links/{}", link.str("id")),
            "/api/explore".to_owned(),
            path.clone(),
            "/api/plans".to_owned(),
            "/api/plans/Basic".to_owned(),
            "/api/users".to_owned(),
            "/api/openapi.json".to_owned(),
            "/api/docs".to_owned(),
            "/api/health".to_owned(),
            other.str("image_url").to_owned(),
            other.list("thumbnails")[0].str("url").to_owned(),
        ] {
            let get = user.get(&target).await;
            let head = stack.head(&target).by(&user).await;
            assert_eq!(head.status, get.status, "{target}");
            assert!(head.body.is_empty(), "{head}");
            for header in ["content-type", "etag"] {
                assert_eq!(head.header(header), get.header(header), "{header} of {target}");
            }
        }
        stack.head("/api/me").await.assert_status(401);
        stack.head(format!("/api/images/{}", unknown_id(&user.id))).await.assert_status(404);
    });
}

#[test]
fn answers_over_4_kb_are_compressed_for_clients_that_accept_it() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let path = format!("/api/images/{}", user.pending("Harbour").await.id);
        user.patch(&path, json!({"description": "\u{e9}".repeat(1024)})).await.assert_status(200);
        for index in 0..4 {
            let description = format!("{index} ").repeat(300);
            user.create_with(&format!("Photo {index}"), Picture::small(), json!({"description": description})).await;
        }
        let unpacked = |answer: Answer| {
            assert_eq!(answer.must_header("content-encoding"), "gzip");
            let mut text = String::new();
            GzDecoder::new(&answer.body[..]).read_to_string(&mut text).expect("gzip");
            text
        };
        for target in ["/api/images", "/api/openapi.json"] {
            let plain = user.get(target).await.assert_status(200);
            assert!(plain.body.len() > 4096 && plain.header("content-encoding").is_none(), "{target}");
            assert!(plain.must_header("vary").contains("Accept-Encoding"), "{target}");
            let packed =
                user.get(target).header("accept-encoding", "br;q=1.0, gzip;q=0.8, *;q=0.1").await.assert_status(200);
            assert_eq!(packed.must_header("content-type"), "application/json");
            assert!(packed.must_header("vary").contains("Accept-Encoding"), "{target}");
            assert!(packed.body.len() * 2 < plain.body.len(), "{target}");
            assert_eq!(unpacked(packed), plain.text(), "{target}");
            let refused = user.get(target).header("accept-encoding", "gzip;q=0, identity").await.assert_status(200);
            assert!(refused.header("content-encoding").is_none(), "{target}");
        }
        let short = user.get("/api/me").header("accept-encoding", "gzip").await.assert_status(200);
        assert!(short.header("content-encoding").is_none());
    });
}

#[test]
fn a_page_of_another_origin_can_read_every_401_of_a_function() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let image = user.hide("Harbour", Picture::small()).await;
        let locked = user.link(&image, json!({"password": "x"})).await;
        user.post("/api/auth/logout", json!({})).await.assert_status(204);
        let origin = "https://app.example.org";
        for call in [
            stack.post("/api/auth/login", json!({"email": user.email, "password": "Wrong-Harbour-1"})),
            stack.post("/api/auth/refresh", json!({"refresh_token": user.refresh_token})),
            user.get("/api/me"),
            user.get(format!("/api/images/{}", image.str("id"))),
            stack.get(format!("/api/images/{}", image.str("id"))).token("nonsense"),
            stack.get(locked.str("link_url")),
        ] {
            let answer = call.header("origin", origin).await.assert_status(401);
            assert!(["*", origin].contains(&answer.must_header("access-control-allow-origin")), "{answer}");
            answer.must_header("access-control-expose-headers");
        }
    });
}
