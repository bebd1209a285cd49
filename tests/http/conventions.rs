//! What holds for every route.

use http::Method;
use serde_json::json;

use crate::fixtures::Picture;
use crate::harness::{Body, on_stack, unknown_id};

/// Paths that exist, and what may be done to them.
fn routes(id: &str) -> Vec<(String, Vec<&'static str>)> {
    [
        ("/api/auth/signup", vec!["POST"]),
        ("/api/auth/confirm", vec!["POST"]),
        ("/api/auth/resend-code", vec!["POST"]),
        ("/api/auth/login", vec!["POST"]),
        ("/api/auth/refresh", vec!["POST"]),
        ("/api/auth/logout", vec!["POST"]),
        ("/api/auth/forgot-password", vec!["POST"]),
        ("/api/auth/reset-password", vec!["POST"]),
        ("/api/me", vec!["DELETE", "GET", "PATCH"]),
        ("/api/images", vec!["GET", "POST"]),
        ("/api/images/{id}", vec!["DELETE", "GET", "PATCH"]),
        ("/api/images/{id}/upload", vec!["POST"]),
        ("/api/jobs/{id}", vec!["GET"]),
        ("/api/expiring-links", vec!["GET", "POST"]),
        ("/api/explore", vec!["GET"]),
        ("/api/plans", vec!["GET", "POST"]),
        ("/api/plans/Basic", vec!["DELETE", "GET", "PUT"]),
        ("/api/users", vec!["GET"]),
        ("/api/users/{id}/plan", vec!["PUT"]),
        ("/api/health", vec!["GET"]),
    ]
    .map(|(path, methods)| (path.replace("{id}", id), methods))
    .to_vec()
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
                if methods.contains(&method) {
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
                let answer = stack.call(method, &path).by(&user).await.is(308);
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
                let answer = user.post(path, body.clone()).await;
                let status = answer.status;
                assert!(matches!(status, 400 | 422), "{answer}");
                answer.problem(status);
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
            .is(201);
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
        ids.push(stack.get("/api/me").await.is(401).must_header("apigw-requestid").to_owned());
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
        stack.get("/api/health").await.gives(200);
    });
}

#[test]
fn times_are_rfc_3339_in_utc() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let created = user.pending("Harbour").await;
        let me = user.get("/api/me").await.gives(200);
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
            assert!([200, 204].contains(&answer.status), "{answer}");
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
            for method in methods {
                preflight(&path, method, "authorization,content-type,idempotency-key,if-match,if-none-match").await;
            }
        }
        // What the page may read of an answer.
        let answer = stack.get("/api/explore?limit=1").header("origin", origin).await.is(200);
        answer.must_header("access-control-allow-origin");
        let exposed = answer.must_header("access-control-expose-headers").to_ascii_lowercase();
        for header in ["etag", "link", "location", "retry-after", "x-request-id"] {
            assert!(exposed.split(',').any(|exposed| exposed.trim() == header), "{header} is not among {exposed}");
        }
    });
}
