//! For how long caches may keep the answer of each route. The CDN caches by these headers, and only below `/assets` and
//! `/media/thumbnail` (`tests/template.py`).

use std::collections::BTreeSet;

use http::Method;
use reqwest::Url;
use serde_json::{Value, json};

use crate::fixtures::Picture;
use crate::harness::{Answer, Body, PASSWORD, Stack, User, on_stack, parts, unknown_id};
use crate::plan_changes::new_plan;

const NEVER: &str = "no-store";
const ASK_EACH_TIME: &str = "no-cache";
const A_MINUTE: &str = "public, max-age=60, must-revalidate, stale-if-error=0";
const FIVE_MINUTES: &str = "public, max-age=300";
const FOR_EVER: &str = "public, max-age=31536000, immutable";

const WORKERS: [&str; 5] = ["audit", "build_thumbnails", "operate", "run_job", "sweep"];

/// A route's function, a request to it, the status of the answer and its Cache-Control.
type Row<'a> = (&'static str, Option<&'a User>, &'static str, String, Value, u16, &'static str);

async fn send(stack: &Stack, row: &Row<'_>) -> Answer {
    let (handler, user, method, target, body, ..) = row;
    let call = stack.call(Method::from_bytes(method.as_bytes()).expect("a method"), target);
    // A browser that opens a page.
    let call = if *handler == "page" { call.header("accept", "text/html") } else { call };
    let call = if body.is_null() { call } else { call.json(body) };
    match user {
        Some(user) => call.by(user).await,
        None => call.await,
    }
}

#[test]
fn each_route_says_for_how_long_its_answers_may_be_kept() {
    on_stack(async |stack| {
        let admin = stack.admin().await;
        stack.set_plan(&admin.id, Some("Enterprise")).await;
        let other = stack.user_on("Enterprise").await;
        let plan = new_plan(&admin, &[100]).await;
        let picture = Picture::small();
        let image = admin.publish("Harbour", picture).await;
        let hidden = admin.hide("Diary", picture).await;
        let pending = admin.pending("Quay").await;
        let link = admin.link(&image, json!({})).await;
        let locked = admin.link(&hidden, json!({"password": "x"})).await;
        let leaving = stack.user().await;
        let session = admin.another_session().await;
        let assigned =
            admin.put(format!("/api/users/{}/plan", other.api_id), json!({"plan": plan})).await.assert_json(202);

        let path = |url: &str| Url::parse(url).expect("a URL").path().to_owned();
        let (owner, key) = parts(image.str("id"));
        let (_, hidden_key) = parts(hidden.str("id"));
        let at = |value: &Value| format!("/api/images/{}", value.str("id"));
        let link_at = format!("/api/expiring-links/{}", link.str("id"));
        let index = stack.get("/").await.assert_status(200).text();
        let asset =
            index.split('"').find(|part| part.starts_with("/assets/")).expect("the page names assets").to_owned();
        let (admin, no) = (&admin, Value::Null);
        let by = Some(admin);
        let rows: Vec<Row<'_>> = vec![
            // Public: caches may keep it.
            ("get_thumbnail", None, "GET", path(image.list("thumbnails")[0].str("url")), no.clone(), 200, A_MINUTE),
            ("get_openapi", None, "GET", "/api/openapi.json".into(), no.clone(), 200, FIVE_MINUTES),
            ("page", None, "GET", asset, no.clone(), 200, FOR_EVER),
            ("page", None, "GET", "/".into(), no.clone(), 200, ASK_EACH_TIME),
            ("page", None, "GET", "/jobs/x".into(), no.clone(), 200, ASK_EACH_TIME),
            ("page", None, "GET", "/robots.txt".into(), no.clone(), 200, ASK_EACH_TIME),
            ("page", None, "GET", "/api/docs".into(), no.clone(), 200, ASK_EACH_TIME),
            ("page", None, "GET", "/assets/none.js".into(), no.clone(), 404, NEVER),
            // The page, which says that it does not exist.
            ("page", None, "GET", "/nothing".into(), no.clone(), 404, ASK_EACH_TIME),
            ("image_page", None, "GET", format!("/i/{}", image.str("id")), no.clone(), 200, ASK_EACH_TIME),
            ("image_page", None, "GET", format!("/i/{}", hidden.str("id")), no.clone(), 200, ASK_EACH_TIME),
            // Private or deleted: no cache keeps it.
            (
                "get_thumbnail",
                by,
                "GET",
                format!("/media/thumbnail/{owner}/{hidden_key}/200.jpg"),
                no.clone(),
                404,
                NEVER,
            ),
            ("get_thumbnail", None, "GET", format!("/media/thumbnail/{owner}/{key}/1.jpg"), no.clone(), 404, NEVER),
            ("get_original", None, "GET", path(image.str("image_url")), no.clone(), 302, NEVER),
            ("get_original", by, "GET", format!("/media/imageupload/{owner}/{hidden_key}.jpg"), no.clone(), 404, NEVER),
            ("visit_link", None, "GET", path(link.str("link_url")), no.clone(), 302, NEVER),
            ("visit_link", None, "GET", path(locked.str("link_url")), no.clone(), 401, NEVER),
            ("visit_link", None, "GET", "/media/exp/none/x.jpg".into(), no.clone(), 410, NEVER),
            ("get_image", None, "GET", at(&image), no.clone(), 200, NEVER),
            ("get_image", by, "GET", at(&hidden), no.clone(), 200, NEVER),
            ("get_image", None, "GET", at(&hidden), no.clone(), 404, NEVER),
            ("explore", None, "GET", "/api/explore".into(), no.clone(), 200, NEVER),
            ("list_images", by, "GET", "/api/images".into(), no.clone(), 200, NEVER),
            ("list_links", by, "GET", "/api/expiring-links".into(), no.clone(), 200, NEVER),
            ("get_link", by, "GET", link_at.clone(), no.clone(), 200, NEVER),
            ("get_me", by, "GET", "/api/me".into(), no.clone(), 200, NEVER),
            ("begin_export", by, "POST", "/api/me/export".into(), json!({}), 202, NEVER),
            ("get_export", by, "GET", "/api/me/export".into(), no.clone(), 200, NEVER),
            ("get_job", by, "GET", format!("/api/jobs/{}", assigned["job"].str("id")), no.clone(), 200, NEVER),
            ("list_plans", None, "GET", "/api/plans".into(), no.clone(), 200, NEVER),
            ("get_plan", None, "GET", format!("/api/plans/{plan}"), no.clone(), 200, NEVER),
            ("list_users", by, "GET", "/api/users?limit=1".into(), no.clone(), 200, NEVER),
            ("health", None, "GET", "/api/health".into(), no.clone(), 200, NEVER),
            ("fallback", None, "GET", "/api/nothing".into(), no.clone(), 404, NEVER),
            ("page", None, "GET", "/images/".into(), no.clone(), 308, NEVER),
            // Changes.
            ("signup", None, "POST", "/api/auth/signup".into(), json!({}), 422, NEVER),
            ("confirm", None, "POST", "/api/auth/confirm".into(), json!({}), 422, NEVER),
            ("resend_code", None, "POST", "/api/auth/resend-code".into(), json!({"email": other.email}), 202, NEVER),
            ("forgot_password", None, "POST", "/api/auth/forgot-password".into(), json!({}), 422, NEVER),
            ("reset_password", None, "POST", "/api/auth/reset-password".into(), json!({}), 422, NEVER),
            (
                "login",
                None,
                "POST",
                "/api/auth/login".into(),
                json!({"email": other.email, "password": PASSWORD}),
                200,
                NEVER,
            ),
            (
                "refresh",
                None,
                "POST",
                "/api/auth/refresh".into(),
                json!({"refresh_token": session.refresh_token}),
                200,
                NEVER,
            ),
            ("logout", Some(&session), "POST", "/api/auth/logout".into(), json!({}), 204, NEVER),
            ("update_me", by, "PATCH", "/api/me".into(), json!({"name": "Grace"}), 200, NEVER),
            ("create_image", by, "POST", "/api/images".into(), picture.draft("Pier"), 201, NEVER),
            (
                "create_batch",
                by,
                "POST",
                "/api/images/batch".into(),
                json!({"images": [picture.draft("Mole")]}),
                207,
                NEVER,
            ),
            ("renew_upload", by, "POST", format!("/api/images/{}/upload", pending.id), json!({}), 200, NEVER),
            ("update_image", by, "PATCH", at(&hidden), json!({"title": "Notes"}), 200, NEVER),
            (
                "create_link",
                by,
                "POST",
                "/api/expiring-links".into(),
                json!({"base_image": image["id"], "expiry_in_seconds": 300}),
                201,
                NEVER,
            ),
            ("update_link", by, "PATCH", link_at.clone(), json!({"description": "Boats"}), 200, NEVER),
            ("replace_link", by, "PUT", link_at.clone(), json!({}), 422, NEVER),
            ("delete_link", by, "DELETE", link_at, no.clone(), 204, NEVER),
            ("create_plan", by, "POST", "/api/plans".into(), json!({}), 422, NEVER),
            ("replace_plan", by, "PUT", format!("/api/plans/{plan}"), json!({}), 422, NEVER),
            ("delete_plan", by, "DELETE", format!("/api/plans/{plan}"), no.clone(), 409, NEVER),
            ("assign_plan", by, "PUT", format!("/api/users/{}/plan", other.api_id), json!({}), 422, NEVER),
            ("delete_image", by, "DELETE", at(&image), no.clone(), 204, NEVER),
            ("delete_image", by, "DELETE", format!("/api/images/{}", unknown_id(&admin.id)), no.clone(), 404, NEVER),
            ("delete_images", by, "POST", "/api/images/delete".into(), json!({}), 422, NEVER),
            ("delete_me", Some(&leaving), "DELETE", "/api/me".into(), json!({"password": PASSWORD}), 202, NEVER),
        ];
        for row in &rows {
            let (_, _, method, _, _, status, expected) = row;
            let answer = send(stack, row).await.assert_status(*status);
            assert_eq!(answer.must_header("cache-control"), *expected, "{answer}");
            if *method == "GET" && answer.asked.contains("/media/exp/") {
                continue;
            }
            if *method == "GET" {
                let (handler, user, _, target, body, ..) = row;
                let head = (*handler, *user, "HEAD", target.clone(), body.clone(), *status, *expected);
                let head = send(stack, &head).await.assert_status(*status);
                assert_eq!(head.must_header("cache-control"), *expected, "{head}");
            }
        }
        let seen: BTreeSet<&str> = rows.iter().map(|row| row.0).collect();
        let deployed = stack.environments.as_object().expect("each function").keys().map(String::as_str);
        let deployed: BTreeSet<&str> = deployed.filter(|name| !WORKERS.contains(name)).collect();
        assert_eq!(seen, deployed, "the table names other functions than are deployed");
    });
}

#[test]
fn a_cached_thumbnail_is_confirmed_until_its_image_is_private() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let image = user.publish("Harbour", Picture::small()).await;
        let url = image.list("thumbnails")[0].str("url");
        let tag = stack.get(url).await.assert_status(200).must_header("etag").to_owned();
        let confirmed = stack.get(url).header("if-none-match", &tag).await.assert_status(304);
        assert_eq!(confirmed.must_header("cache-control"), A_MINUTE);
        user.patch(format!("/api/images/{}", image.str("id")), json!({"visibility": "private"}))
            .await
            .assert_status(200);
        let refused = stack.get(url).header("if-none-match", &tag).await.assert_status(404);
        assert_eq!(refused.must_header("cache-control"), NEVER);
    });
}
