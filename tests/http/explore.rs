//! /api/explore

use serde_json::{Value, json};

use crate::fixtures::Picture;
use crate::harness::{Body, Stack, User, eventually, on_stack};

/// The whole feed, as somebody sees it who never logged in.
async fn feed(stack: &Stack) -> Vec<Value> {
    let mut images = Vec::new();
    let mut target = "/api/explore?limit=100".to_owned();
    loop {
        let page = stack.get(&target).await.assert_json(200);
        images.extend_from_slice(page.list("results"));
        match page["next_cursor"].as_str() {
            None => return images,
            Some(cursor) => target = format!("/api/explore?limit=100&cursor={cursor}"),
        }
    }
}

fn position(feed: &[Value], id: &str) -> Option<usize> {
    feed.iter().position(|image| image["id"] == id)
}

async fn is_shown(stack: &Stack, id: &str) -> Value {
    eventually(&format!("{id} in the feed"), async || {
        let feed = feed(stack).await;
        position(&feed, id).map(|at| feed[at].clone())
    })
    .await
}

async fn is_not_shown(stack: &Stack, id: &str) {
    assert_eq!(position(&feed(stack).await, id), None, "{id} is in the feed");
}

async fn publish_several(user: &User, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        let image = user.publish(&format!("Feed {number}"), Picture::small()).await;
        ids.push(image.str("id").to_owned());
    }
    ids
}

#[test]
fn anyone_sees_every_ready_public_image_newest_first() {
    on_stack(async |stack| {
        let (one, other) = (stack.user().await, stack.user().await);
        let first = one.publish("First", Picture::small()).await;
        let second = other.publish("Second", Picture::small()).await;
        let third = one.publish("Third", Picture::small()).await;
        let ids = [&third, &second, &first].map(|image| image.str("id"));
        for id in ids {
            is_shown(stack, id).await;
        }
        let feed = feed(stack).await;
        let places = ids.map(|id| position(&feed, id).expect("shown above"));
        assert!(places.is_sorted(), "{places:?}");
        let times: Vec<&str> = feed.iter().map(|image| image.str("created_at")).collect();
        assert!(times.is_sorted_by(|newer, older| newer >= older), "not newest first: {times:?}");
        for image in &feed {
            assert_eq!(image["status"], "ready");
            assert_eq!(image["visibility"], "public");
        }
    });
}

#[test]
fn an_image_in_the_feed_names_its_owner_and_nothing_more_of_them() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let image = user.publish("Harbour", Picture::small()).await;
        let shown = is_shown(stack, image.str("id")).await;
        assert_eq!(shown["owner"], json!({"id": user.api_id, "name": user.name}));
        assert_eq!(shown["title"], "Harbour");
        assert_eq!(shown["thumbnails"], image["thumbnails"]);
        assert!(!shown.to_string().contains(&user.email));
    });
}

#[test]
fn private_pending_and_rejected_images_are_not_shown() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let hidden = user.hide("Hidden", Picture::small()).await;
        let pending = user.pending("Pending").await;
        let fake = Picture::text_as_jpeg();
        let rejected = user.create("Rejected", &fake).await;
        rejected.put(stack, &fake.bytes).await.assert_status(200);
        user.rejected(&rejected.id).await;
        let shown = user.publish("Shown", Picture::small()).await;
        is_shown(stack, shown.str("id")).await;
        for id in [hidden.str("id"), &pending.id, &rejected.id] {
            is_not_shown(stack, id).await;
        }
    });
}

#[test]
fn feed_follows_visibility_and_deletion() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let ids = publish_several(&user, 2).await;
        for id in &ids {
            is_shown(stack, id).await;
        }
        let path = format!("/api/images/{}", ids[0]);
        user.patch(&path, json!({"visibility": "private"})).await.assert_status(200);
        is_not_shown(stack, &ids[0]).await;
        user.delete(format!("/api/images/{}", ids[1])).await.assert_status(204);
        is_not_shown(stack, &ids[1]).await;
        user.patch(&path, json!({"visibility": "public"})).await.assert_status(200);
        is_shown(stack, &ids[0]).await;
    });
}

#[test]
fn feed_pages_repeat_and_skip_nothing_during_changes() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let ids = publish_several(&user, 8).await;
        for id in &ids {
            is_shown(stack, id).await;
        }
        let mut seen: Vec<String> = Vec::new();
        let mut target = "/api/explore?limit=2".to_owned();
        let mut deleted = None;
        for round in 0.. {
            let page = stack.get(&target).await.assert_json(200);
            assert!(page.list("results").len() <= 2);
            seen.extend(page.list("results").iter().map(|image| image.str("id").to_owned()));
            if ids.iter().all(|id| seen.contains(id) || Some(id) == deleted.as_ref()) {
                break;
            }
            let cursor =
                page["next_cursor"].as_str().unwrap_or_else(|| panic!("the feed ended before {ids:?}, after {seen:?}"));
            target = format!("/api/explore?limit=2&cursor={cursor}");
            match round {
                0 => {
                    user.publish("Meanwhile", Picture::small()).await;
                }
                1 => {
                    let victim = ids.iter().find(|id| !seen.contains(*id)).cloned();
                    if let Some(id) = &victim {
                        user.delete(format!("/api/images/{id}")).await.assert_status(204);
                    }
                    deleted = victim;
                }
                _ => {}
            }
        }
        let mut once = seen.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), seen.len(), "an image came twice");
    });
}

#[test]
fn a_login_changes_nothing() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let image = user.hide("Hidden", Picture::small()).await;
        user.get("/api/explore").await.assert_status(200);
        let seen = user.pages("/api/explore?limit=100").await;
        assert_eq!(position(&seen, image.str("id")), None);
    });
}

#[test]
fn a_bad_limit_or_cursor_is_refused() {
    on_stack(async |stack| {
        for limit in ["0", "101", "many"] {
            assert_eq!(stack.get(format!("/api/explore?limit={limit}")).await.invalid_fields(), ["limit"]);
        }
        for cursor in ["nonsense", "AAAAAAAAAAAAAAAAAAAAAAAA"] {
            stack.get(format!("/api/explore?cursor={cursor}")).await.assert_problem(400, "bad_cursor");
        }
    });
}
