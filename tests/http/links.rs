//! /api/expiring-links

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use crate::fixtures::Picture;
use crate::harness::{Body, User, eventually, on_stack, parts, unique, unknown_id};

const LINKS: &str = "/api/expiring-links";

fn of(link: &Value) -> String {
    format!("{LINKS}/{}", link.str("id"))
}

fn seconds(time: &str) -> i64 {
    DateTime::from_str(time, DateTimeFormat::DateTime).expect("a time is RFC 3339").secs()
}

/// A user on Enterprise with a ready image.
async fn owner_with_image(stack: &'static crate::harness::Stack) -> (User, Value) {
    let user = stack.user_on("Enterprise").await;
    let image = user.hide("Harbour", Picture::small()).await;
    (user, image)
}

#[test]
fn a_link_is_made_shown_listed_and_revoked() {
    on_stack(async |stack| {
        let (user, image) = owner_with_image(stack).await;
        let body = json!({"base_image": image["id"], "expiry_in_seconds": 300, "description": "For Ada"});
        let answer = user.post(LINKS, body).await;
        let location = answer.must_header("location").to_owned();
        let tag = answer.must_header("etag").to_owned();
        let link = answer.assert_json(201);
        assert_eq!(link["base_image"], image["id"]);
        assert_eq!(link["description"], "For Ada");
        assert_eq!(link["expiry_in_seconds"], 300);
        assert_eq!(link["downloads"], 0);
        assert_eq!(link["has_password"], false);
        assert!(link.get("max_downloads").is_none() && link.get("password").is_none(), "{link}");
        assert_eq!(seconds(link.str("expires_at")), seconds(link.str("created_at")) + 300);
        assert!(location.ends_with(&of(&link)), "{location}");
        let url = link.str("link_url");
        assert!(url.starts_with(&stack.url) && url.contains("/media/exp/") && url.ends_with(".jpg"), "{url}");

        let shown = user.get(of(&link)).await;
        assert_eq!(shown.must_header("etag"), tag);
        assert_eq!(shown.assert_json(200), link);
        user.get(of(&link)).header("if-none-match", &tag).await.assert_status(304);
        for list in [LINKS.to_owned(), format!("{LINKS}?base_image={}", image.str("id"))] {
            assert_eq!(user.get(&list).await.assert_json(200)["results"], json!([link]));
        }
        user.delete(of(&link)).await.assert_status(204);
        user.get(of(&link)).await.assert_problem(404, "not_found");
        user.delete(of(&link)).await.assert_problem(404, "not_found");
        assert_eq!(user.pages(LINKS).await, Vec::<Value>::new());
        stack.get(url).await.assert_problem(410, "gone");
    });
}

#[test]
fn links_are_listed_newest_first_page_by_page_and_by_image() {
    on_stack(async |stack| {
        let (user, one) = owner_with_image(stack).await;
        let other = user.hide("Quay", Picture::small()).await;
        let mut made = Vec::new();
        for at in 0..7 {
            made.push(user.link(if at % 3 == 0 { &other } else { &one }, json!({})).await["id"].clone());
        }
        made.reverse();
        let ids = |links: Vec<Value>| links.iter().map(|link| link["id"].clone()).collect::<Vec<_>>();
        assert_eq!(ids(user.pages(&format!("{LINKS}?limit=3")).await), made);
        let of_other = format!("{LINKS}?base_image={}", other.str("id"));
        let expected: Vec<Value> = made.iter().step_by(3).cloned().collect();
        assert_eq!(ids(user.pages(&of_other).await), expected);
        assert_eq!(ids(user.pages(&format!("{of_other}&limit=2")).await), expected);

        let page = user.get(format!("{LINKS}?limit=3")).await.assert_json(200);
        let cursor = page.str("next_cursor");
        user.get(format!("{of_other}&cursor={cursor}")).await.assert_problem(400, "bad_cursor");
        user.get(format!("/api/images?cursor={cursor}")).await.assert_problem(400, "bad_cursor");
        let stranger = stack.user_on("Enterprise").await;
        stranger.get(format!("{LINKS}?cursor={cursor}")).await.assert_problem(400, "bad_cursor");
        assert!(stranger.pages(LINKS).await.is_empty());
        assert!(stranger.pages(&of_other).await.is_empty());
        assert_eq!(user.get(format!("{LINKS}?base_image=x")).await.invalid_fields(), ["base_image"]);
    });
}

#[test]
fn all_invalid_fields_of_a_link_are_reported_at_once() {
    on_stack(async |stack| {
        let (user, image) = owner_with_image(stack).await;
        for wrong in [json!(299), json!(30_001), json!(-300), json!("300"), json!(300.5), json!(null)] {
            let body = json!({"base_image": image["id"], "expiry_in_seconds": wrong});
            assert_eq!(user.post(LINKS, body).await.invalid_fields(), ["expiry_in_seconds"], "{wrong}");
        }
        let body = json!({
            "base_image": 7, "expiry_in_seconds": 1, "description": "x".repeat(1025), "max_downloads": 0,
            "password": "", "more": 1,
        });
        assert_eq!(
            user.post(LINKS, body).await.invalid_fields(),
            ["base_image", "description", "expiry_in_seconds", "max_downloads", "more", "password"]
        );
        for right in [300, 30_000] {
            let body = json!({"base_image": image["id"], "expiry_in_seconds": right, "max_downloads": null});
            user.post(LINKS, body).await.assert_json(201);
        }
    });
}

#[test]
fn only_ones_own_ready_images_have_links() {
    on_stack(async |stack| {
        let (user, image) = owner_with_image(stack).await;
        let other = stack.user_on("Enterprise").await;
        let theirs = other.publish("Harbour", Picture::small()).await;
        let pending = user.pending("Pending").await;
        let gone = user.hide("Gone", Picture::small()).await;
        user.delete(format!("/api/images/{}", gone.str("id"))).await.assert_status(204);
        let draft = |id: &str| json!({"base_image": id, "expiry_in_seconds": 300});
        for id in [theirs.str("id"), gone.str("id"), &unknown_id(&user.id), "nonsense", ""] {
            user.post(LINKS, draft(id)).await.assert_problem(404, "not_found");
        }
        user.post(LINKS, draft(&pending.id)).await.assert_problem(409, "not_ready");
        stack.post(LINKS, draft(image.str("id"))).await.assert_status(401);

        let link = user.link(&image, json!({})).await;
        for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE] {
            let call = stack.call(method, of(&link)).by(&other).json(&json!({"expiry_in_seconds": 300}));
            call.await.assert_problem(404, "not_found");
        }
        stack.get(link.str("link_url")).await.assert_status(302);
    });
}

#[test]
fn links_need_a_plan_that_has_them_but_can_be_revoked_without() {
    on_stack(async |stack| {
        let (user, image) = owner_with_image(stack).await;
        let link = user.link(&image, json!({})).await;
        let body = json!({"base_image": image["id"], "expiry_in_seconds": 300});
        for (plan, code) in [(Some("Premium"), "plan_forbids_links"), (None, "plan_required")] {
            stack.set_plan(&user.id, plan).await;
            user.post(LINKS, body.clone()).await.assert_problem(403, code);
            user.patch(of(&link), json!({"rotate": true})).await.assert_problem(403, code);
            stack.get(link.str("link_url")).await.assert_problem(410, "gone");
            assert_eq!(user.get(of(&link)).await.assert_json(200), link);
        }
        stack.set_plan(&user.id, Some("Enterprise")).await;
        stack.get(link.str("link_url")).await.assert_status(302);
        stack.set_plan(&user.id, None).await;
        user.delete(of(&link)).await.assert_status(204);
    });
}

#[test]
fn link_change_keeps_url_and_restarts_lifetime_if_given() {
    on_stack(async |stack| {
        let (user, image) = owner_with_image(stack).await;
        let link = user.link(&image, json!({"description": "First", "max_downloads": 5, "password": "x"})).await;
        stack.link_expires_in(link.str("id"), 100).await;

        let changed = user.patch(of(&link), json!({"description": "Second"})).await.assert_json(200);
        assert_eq!(changed["description"], "Second");
        assert_eq!(changed["max_downloads"], 5);
        assert_eq!(changed["has_password"], true);
        assert_eq!(changed["link_url"], link["link_url"]);
        assert!(seconds(changed.str("expires_at")) < seconds(link.str("expires_at")), "the clock went on");

        let changed = user.patch(of(&link), json!({"expiry_in_seconds": 600})).await.assert_json(200);
        assert_eq!(changed["expiry_in_seconds"], 600);
        assert_eq!(changed["link_url"], link["link_url"]);
        assert!(seconds(changed.str("expires_at")) >= seconds(link.str("created_at")) + 600);

        let changed = user.patch(of(&link), json!({"max_downloads": null, "password": null})).await.assert_json(200);
        assert!(changed.get("max_downloads").is_none(), "{changed}");
        assert_eq!(changed["has_password"], false);
        stack.get(link.str("link_url")).await.assert_status(302);
        assert_eq!(
            user.patch(of(&link), json!({"base_image": "x", "downloads": 0})).await.invalid_fields(),
            ["base_image", "downloads"]
        );
    });
}

#[test]
fn a_replacement_leaves_nothing_of_before_but_the_url() {
    on_stack(async |stack| {
        let (user, image) = owner_with_image(stack).await;
        let link = user.link(&image, json!({"description": "First", "max_downloads": 5, "password": "x"})).await;
        let put = |body: Value| stack.call(Method::PUT, of(&link)).by(&user).json(&body);
        assert_eq!(put(json!({})).await.invalid_fields(), ["expiry_in_seconds"]);
        let other = json!({"expiry_in_seconds": 600, "base_image": unknown_id(&user.id)});
        assert_eq!(put(other).await.invalid_fields(), ["base_image"]);
        let replaced = put(json!({"expiry_in_seconds": 600, "base_image": image["id"]})).await.assert_json(200);
        assert_eq!(replaced["description"], "");
        assert_eq!(replaced["has_password"], false);
        assert!(replaced.get("max_downloads").is_none(), "{replaced}");
        assert_eq!(replaced["link_url"], link["link_url"]);
        assert_eq!(replaced["created_at"], link["created_at"]);
        assert_eq!(user.get(of(&link)).await.assert_json(200), replaced);
    });
}

#[test]
fn the_response_of_get_link_can_be_sent_back_with_put() {
    on_stack(async |stack| {
        let (user, image) = owner_with_image(stack).await;
        for more in [json!({}), json!({"description": "First", "max_downloads": 5, "password": "x"})] {
            let link = user.link(&image, more).await;
            let put = |body: &Value| stack.call(Method::PUT, of(&link)).by(&user).json(body);
            let read = user.get(of(&link)).await.assert_json(200);
            let mut replaced = put(&read).await.assert_json(200);
            replaced["expires_at"] = read["expires_at"].clone();
            assert_eq!(replaced, read, "nothing changes but the clock");
            stack.get(link.str("link_url")).await.assert_status(if read["has_password"] == true { 401 } else { 302 });

            // Read-only fields are ignored whatever their value; the others are checked.
            let mut changed = read.clone();
            for field in ["id", "created_at", "expires_at", "link_url", "downloads"] {
                changed[field] = json!({"not": "looked at"});
            }
            put(&changed).await.assert_status(200);
            changed["base_image"] = json!("x");
            changed["has_password"] = json!("x");
            changed["colour"] = json!("x");
            assert_eq!(put(&changed).await.invalid_fields(), ["base_image", "colour", "has_password"]);
        }
    });
}

#[test]
fn rotating_gives_another_url_and_ends_the_old_one() {
    on_stack(async |stack| {
        let (user, image) = owner_with_image(stack).await;
        let link = user.link(&image, json!({})).await;
        let mut urls = vec![link.str("link_url").to_owned()];
        for _ in 0..3 {
            let rotated = user.patch(of(&link), json!({"rotate": true})).await.assert_json(200);
            assert_eq!(rotated["id"], link["id"]);
            assert_eq!(rotated["expires_at"], link["expires_at"]);
            assert!(!urls.contains(&rotated.str("link_url").to_owned()));
            urls.push(rotated.str("link_url").to_owned());
        }
        stack.get(urls.pop().expect("the newest")).await.assert_status(302);
        for url in urls {
            stack.get(url).await.assert_problem(410, "gone");
        }
        assert_eq!(user.pages(LINKS).await.len(), 1);
    });
}

#[test]
fn of_two_changes_of_one_link_the_later_hears_that_it_is_late() {
    on_stack(async |stack| {
        let (user, image) = owner_with_image(stack).await;
        let link = user.link(&image, json!({})).await;
        let tag = user.get(of(&link)).await.must_header("etag").to_owned();
        // A download is no change.
        stack.get(link.str("link_url")).await.assert_status(302);
        let change = |text: &str| user.patch(of(&link), json!({"description": text})).header("if-match", &tag);
        let answers = join_all((0..8).map(|at| change(&at.to_string()).send())).await;
        let (done, late): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
        assert_eq!(done.len(), 1);
        for answer in late {
            answer.assert_problem(412, "precondition_failed");
        }
        user.delete(of(&link)).header("if-match", &tag).await.assert_problem(412, "precondition_failed");

        let answers = join_all((0..8).map(|_| user.patch(of(&link), json!({"rotate": true})).send())).await;
        let mut urls: Vec<String> =
            answers.into_iter().map(|answer| answer.assert_json(200).str("link_url").to_owned()).collect();
        urls.sort();
        urls.dedup();
        assert_eq!(urls.len(), 8, "each rotation had its own");
        let mut working = 0;
        for url in urls {
            working += usize::from(stack.get(url).await.status == 302);
        }
        assert_eq!(working, 1);
    });
}

#[test]
fn a_link_that_is_asked_for_again_is_the_same_link() {
    on_stack(async |stack| {
        let (user, image) = owner_with_image(stack).await;
        let key = unique();
        let create = |seconds: u64| {
            let body = json!({"base_image": image["id"], "expiry_in_seconds": seconds, "password": "x"});
            user.post(LINKS, body).header("idempotency-key", &key)
        };
        let answers = join_all((0..10).map(|_| create(300).send())).await;
        let links: Vec<Value> = answers.into_iter().map(|answer| answer.assert_json(201)).collect();
        assert!(links.iter().all(|link| *link == links[0]), "{links:?}");
        create(301).await.assert_problem(422, "idempotency_mismatch");
        assert_eq!(user.pages(LINKS).await, [links[0].clone()]);
        stack.head(links[0].str("link_url")).await.assert_status(401);
    });
}

#[test]
fn an_expired_link_is_gone() {
    on_stack(async |stack| {
        let (user, image) = owner_with_image(stack).await;
        let link = user.link(&image, json!({})).await;
        stack.link_expires_in(link.str("id"), -1).await;
        stack.get(link.str("link_url")).await.assert_problem(410, "gone");
        stack.head(link.str("link_url")).await.assert_status(410);
        for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE] {
            let call = stack.call(method, of(&link)).by(&user).json(&json!({"expiry_in_seconds": 300}));
            call.await.assert_problem(404, "not_found");
        }
        for list in [LINKS.to_owned(), format!("{LINKS}?base_image={}", image.str("id"))] {
            assert!(user.pages(&list).await.is_empty());
        }
    });
}

#[test]
fn the_table_holds_neither_a_links_url_nor_its_password() {
    on_stack(async |stack| {
        let (user, image) = owner_with_image(stack).await;
        let link = user.link(&image, json!({"password": "open sesame"})).await;
        let token = link.str("link_url").split('/').rev().nth(1).expect("a token").to_owned();
        let item = format!("{:?}", stack.link_item(link.str("id")).await.expect("a link"));
        assert!(!item.contains(&token) && !item.contains("open sesame"), "{item}");
        assert!(item.contains("$argon2id$"), "{item}");
        let (owner, id) = parts(link.str("id"));
        assert!(stack.item(format!("USER#{owner}"), format!("LINK#{id}")).await.is_some());
    });
}

#[test]
fn nothing_is_left_of_a_link_that_was_removed() {
    on_stack(async |stack| {
        let (user, image) = owner_with_image(stack).await;
        let link = user.link(&image, json!({})).await;
        assert_eq!(stack.link_traces(&link).await, 3);
        user.patch(of(&link), json!({"rotate": true})).await.assert_status(200);
        let link = user.get(of(&link)).await.assert_json(200);
        assert_eq!(stack.link_traces(&link).await, 3);
        user.delete(of(&link)).await.assert_status(204);
        assert_eq!(stack.link_traces(&link).await, 0);
    });
}

#[test]
fn the_links_of_a_removed_image_go_with_it() {
    on_stack(async |stack| {
        let (user, image) = owner_with_image(stack).await;
        let other = user.hide("Quay", Picture::small()).await;
        let links = join_all((0..5).map(|_| user.link(&image, json!({})))).await;
        let kept = user.link(&other, json!({})).await;
        user.delete(format!("/api/images/{}", image.str("id"))).await.assert_status(204);
        for link in &links {
            stack.get(link.str("link_url")).await.assert_problem(410, "gone");
        }
        for link in &links {
            eventually("the image's links to go", async || (stack.link_traces(link).await == 0).then_some(())).await;
            user.get(of(link)).await.assert_problem(404, "not_found");
        }
        assert_eq!(stack.link_traces(&kept).await, 3);
        stack.get(kept.str("link_url")).await.assert_status(302);
    });
}
