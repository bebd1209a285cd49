//! /api/me/export

use std::collections::HashMap;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::fixtures::Picture;
use crate::harness::{Body, Fault, Rule, User, id_of, number, on_stack};

const EXPORT: &str = "/api/me/export";
/// The key of a user's export, among their jobs.
const NIL: &str = "00000000-0000-0000-0000-000000000000";

/// The pages of an export.
async fn pages(user: &User, limit: usize) -> Vec<Value> {
    let mut pages = vec![user.get(format!("{EXPORT}?limit={limit}")).await.assert_json(200)];
    while let Some(cursor) = pages.last().expect("one page")["next_cursor"].as_str() {
        let target = format!("{EXPORT}?limit={limit}&cursor={cursor}");
        pages.push(user.get(target).await.assert_json(200));
    }
    pages
}

fn all<'a>(pages: &'a [Value], part: &str) -> Vec<&'a Value> {
    pages.iter().flat_map(|page| page.list(part)).collect()
}

async fn end_export(user: &User) {
    let at = (format!("USER#{}", user.id), format!("JOB#{NIL}"));
    let update = "SET started_at = started_at - :week, expires_at = expires_at - :seconds";
    let week = 7 * 86_400;
    let values = [(":week", number(week * 1000)), (":seconds", number(week))];
    user.stack.change(at, "pk", update, &values).await;
}

#[test]
fn an_export_has_all_records_and_originals_whatever_the_plan() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let (small, large) = (Picture::small(), Picture::png(200, 100));
        let harbour = user.publish("Harbour", small).await;
        user.hide("2024/Pier.png", &large).await;
        user.pending("Quay").await;
        let fake = Picture::text_as_jpeg();
        let rejected = user.create("Fake", &fake).await;
        rejected.put(stack, &fake.bytes).await.assert_status(200);
        user.rejected(&rejected.id).await;
        for description in ["one", "two", "three"] {
            user.link(&harbour, json!({"description": description, "password": "open sesame"})).await;
        }
        stack.set_plan(&user.id, Some("Basic")).await;
        // What a plan without originals shows otherwise.
        assert!(user.pages("/api/images").await.iter().all(|image| image["image_url"].is_null()));

        let begun = user.post(EXPORT, json!({})).await.assert_json(202);
        let job = &begun["job"];
        assert_eq!((job.str("kind"), job.str("status"), job.number("done")), ("export", "done", 2), "{job}");
        let read = user.get(format!("/api/jobs/{}", job.str("id"))).await.assert_json(200);
        assert_eq!(read, *job);
        assert_eq!(user.get(begun.str("url")).await.assert_json(200).list("images").len(), 4);

        let listed = user.pages("/api/images").await;
        for limit in [1, 2, 3, 100] {
            let pages = pages(&user, limit).await;
            let accounts: Vec<&Value> = pages.iter().map(|page| &page["account"]).collect();
            assert_eq!(*accounts[0], user.get("/api/me").await.assert_json(200));
            assert!(accounts[1..].iter().all(|account| account.is_null()), "{accounts:?}");
            let (images, links) = (all(&pages, "images"), all(&pages, "links"));
            assert_eq!(images.len(), listed.len());
            for (image, listed) in images.iter().zip(&listed) {
                let plain = |image: &Value| {
                    let mut image = image.clone();
                    let fields = image.as_object_mut().expect("an object");
                    fields.retain(|name, _| !["image_url", "url_expires_at", "thumbnails"].contains(&name.as_str()));
                    image
                };
                assert_eq!(plain(image), plain(listed));
                assert_eq!(image["image_url"].is_string(), image["status"] == "ready", "{image}");
            }
            assert_eq!(links, user.pages("/api/expiring-links").await.iter().collect::<Vec<_>>());
            assert_eq!(links.len(), 3);
        }

        let pages = pages(&user, 100).await;
        let by_title: HashMap<&str, &Value> =
            all(&pages, "images").into_iter().map(|image| (image.str("title"), image)).collect();
        for (title, picture, name) in [("Harbour", small, "Harbour.jpg"), ("2024/Pier.png", &large, "2024_Pier.png")] {
            let url = by_title[title].str("image_url");
            assert!(url.contains("X-Amz-Expires=900"), "15 minutes: {url}");
            let original = stack.get(url).await.assert_status(200);
            assert!(original.body == picture.bytes);
            assert!(original.must_header("content-disposition").contains(name), "{original}");
        }
    });
}

#[test]
fn an_export_begins_once_until_it_ends() {
    on_stack(async |stack| {
        let (user, other) = (stack.user_without_plan().await, stack.user().await);
        user.get(EXPORT).await.assert_problem(404, "no_export");
        let begun = join_all((0..8).map(async |_| user.post(EXPORT, json!({})).await.assert_json(202))).await;
        assert!(begun.iter().all(|export| *export == begun[0]), "{begun:?}");
        assert_eq!(pages(&user, 1).await.len(), 1);
        other.get(EXPORT).await.assert_problem(404, "no_export");
        other.get(format!("/api/jobs/{}", begun[0]["job"].str("id"))).await.assert_status(404);

        end_export(&user).await;
        user.get(EXPORT).await.assert_problem(404, "no_export");
        let next = user.post(EXPORT, json!({})).await.assert_json(202);
        assert!(next.str("expires_at") > begun[0].str("expires_at"), "{next}");
        user.get(EXPORT).await.assert_status(200);
    });
}

#[test]
fn cursors_of_an_export_are_its_owners_alone() {
    on_stack(async |stack| {
        let (user, other) = (stack.user().await, stack.user().await);
        for user in [&user, &other] {
            user.pending("Harbour").await;
            user.pending("Pier").await;
            user.post(EXPORT, json!({})).await.assert_status(202);
        }
        let page = other.get(format!("{EXPORT}?limit=1")).await.assert_json(200);
        let listed = user.get("/api/images?limit=1").await.assert_json(200);
        for cursor in [page.str("next_cursor"), listed.str("next_cursor"), "nonsense"] {
            user.get(format!("{EXPORT}?cursor={cursor}")).await.assert_problem(400, "bad_cursor");
        }
    });
}

#[test]
fn an_export_that_is_cut_off_begins_at_the_next_try() {
    on_stack(async |stack| {
        for fault in [Fault::HangBefore, Fault::HangAfter] {
            for call in 0..2 {
                let user = stack.user().await;
                let function = stack.function("begin_export").await;
                let event = function.event(Some(&user), "POST", EXPORT, Some(json!({})));
                function.kill_at(Rule::once("*", call, fault.clone()), event).await.expect("it makes this call");
                user.post(EXPORT, json!({})).await.assert_status(202);
                user.get(EXPORT).await.assert_status(200);
            }
        }
        // A write that succeeded, and whose response was lost, meets its own export when the SDK repeats it.
        let user = stack.user().await;
        let function = stack.function("begin_export").await;
        function.proxy.rule("PutItem", 1, Fault::LoseAnswer);
        function.call(Some(&user), "POST", EXPORT, Some(json!({}))).await.assert_status(202);
        user.get(EXPORT).await.assert_status(200);
    });
}

#[test]
fn the_id_of_an_export_is_its_owners_and_nil() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let begun = user.post(EXPORT, json!({})).await.assert_json(202);
        assert_eq!(begun["job"].str("id"), id_of(&user.id, NIL));
        let item = stack.item(format!("USER#{}", user.id), format!("JOB#{NIL}")).await.expect("it is there");
        assert!(item["expires_at"].as_n().is_ok(), "TTL removes it: {item:?}");
    });
}
