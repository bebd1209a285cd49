//! What S3 tells of uploads comes at least once, late and in any order.

use aws_sdk_dynamodb::types::AttributeValue;
use http::Method;
use serde_json::{Value, json};

use crate::fixtures::Picture;
use crate::harness::{Body, FunctionUnderTest, Stack, User, on_stack, parts, unique, unknown_id};
use crate::kills::{told_of, unbuild};

#[test]
fn an_event_that_comes_again_changes_nothing() {
    on_stack(async |stack| {
        let user = stack.user_on("Premium").await;
        let image = user.publish("Harbour", &Picture::jpeg(640, 480)).await;
        let id = image.str("id");
        let key = stack.original_key(id).await;
        let blobs = stack.blobs(id).await;
        for _ in 0..3 {
            stack.announce(&[&key, &key]).await;
        }
        stack.builder_is_idle().await;
        assert_eq!(user.image(id).await, image);
        assert_eq!(stack.blobs(id).await, blobs);
        let me = user.get("/api/me").await.assert_json(200);
        assert_eq!(me["usage"]["images"], 1);
    });
}

#[test]
fn an_event_ahead_of_its_upload_leaves_the_image_pending() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let created = user.pending("Harbour").await;
        let (owner, image) = parts(&created.id);
        let path = reqwest::Url::parse(created.upload.str("url")).expect("a URL").path().to_owned();
        let key = &path[path.find(&format!("originals/{owner}/{image}")).expect("its key is in its URL")..];
        stack.announce(&[key]).await;
        stack.builder_is_idle().await;
        assert_eq!(user.image(&created.id).await["status"], "pending");
        created.put(stack, &Picture::small().bytes).await.assert_status(200);
        user.ready(&created.id).await;
    });
}

#[test]
fn an_event_of_a_deleted_image_brings_nothing_back() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let image = user.publish("Harbour", Picture::small()).await;
        let id = image.str("id");
        let key = stack.original_key(id).await;
        user.delete(format!("/api/images/{id}")).await.assert_status(204);
        stack.no_blobs(id).await;
        stack.announce(&[&key]).await;
        stack.builder_is_idle().await;
        assert!(stack.image_item(id).await.is_none());
        assert!(stack.blobs(id).await.is_empty());
        user.pending("Harbour").await;
    });
}

#[test]
fn a_blob_without_an_image_is_swept() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let id = unknown_id(&user.id);
        let model = stack.original_key(user.publish("Model", Picture::small()).await.str("id")).await;
        let (owner, image) = parts(&id);
        let name = model.rsplit('/').next().expect("a key has parts");
        let key = if name.contains(&owner.to_string()) || model.matches('/').count() < 3 {
            format!("originals/{owner}/{image}")
        } else {
            format!("originals/{owner}/{image}/{name}")
        };
        stack
            .s3
            .put_object()
            .bucket(&stack.originals)
            .key(&key)
            .body(Picture::small().bytes.clone().into())
            .send()
            .await
            .expect("the operator may write");
        stack.no_blobs(&id).await;
        assert!(stack.image_item(&id).await.is_none());
    });
}

#[test]
fn messages_that_make_no_sense_do_no_harm() {
    on_stack(async |stack| {
        let user = stack.user().await;
        stack
            .message(&json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": stack.originals}).to_string())
            .await;
        let unheard_of = format!("originals/{}", unique());
        stack.announce(&[&unheard_of, "originals/%2E%2E/x", "originals/a+b/%C3%A4", "x", "originals/"]).await;
        user.publish("Harbour", Picture::small()).await;
    });
}

#[test]
fn one_senseless_record_does_not_hold_up_its_neighbours() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let image = user.publish("Harbour", Picture::small()).await;
        let gone = user.publish("Gone", Picture::small()).await;
        let (kept, lost) = (stack.original_key(image.str("id")).await, stack.original_key(gone.str("id")).await);
        user.delete(format!("/api/images/{}", gone.str("id"))).await.assert_status(204);
        stack.announce(&["originals/nonsense", &lost, &kept]).await;
        stack.builder_is_idle().await;
        assert_eq!(user.image(image.str("id")).await, image);
        stack.no_blobs(gone.str("id")).await;
    });
}

#[test]
fn changes_between_upload_and_event_are_kept() {
    on_stack(async |stack| {
        let user = stack.user().await;
        for round in 0..4 {
            let created = user.pending(&format!("Before {round}")).await;
            created.put(stack, &Picture::small().bytes).await.assert_status(200);
            let changed = user
                .patch(
                    format!("/api/images/{}", created.id),
                    json!({"title": format!("After {round}"), "visibility": "private"}),
                )
                .await
                .assert_json(200);
            assert_eq!(changed["visibility"], "private");
            let image = user.ready(&created.id).await;
            assert_eq!(image["title"], format!("After {round}"));
            assert_eq!(image["visibility"], "private");
            stack.get(format!("/api/images/{}", created.id)).await.assert_status(404);
            let (owner, id) = parts(&created.id);
            stack.call(Method::GET, format!("/media/thumbnail/{owner}/{id}/200.jpg")).await.assert_status(404);
            user.pending(&format!("Before {round}")).await;
        }
        assert!(user.pages("/api/images?visibility=public&status=ready").await.is_empty());
    });
}

/// A change of an image before the event of its upload arrives, or between two deliveries of it.
#[derive(Clone, Copy, Debug)]
enum ConcurrentChange {
    Nothing,
    Rename,
    Hide,
    Renew,
    Delete,
    /// Its time is over, and nothing has deleted it yet.
    Expire,
    /// Its time is over, and TTL has deleted it.
    ExpireAndGo,
    /// Its time is over, and another image has its title.
    Replace,
}
use ConcurrentChange::{Delete, Expire, ExpireAndGo, Hide, Nothing, Rename, Renew, Replace};

impl ConcurrentChange {
    async fn make(self, user: &User, id: &str, title: &str) {
        let (stack, at) = (user.stack, format!("/api/images/{id}"));
        match self {
            Nothing => {}
            Rename => drop(user.patch(&at, json!({"title": format!("{title} renamed")})).await.assert_json(200)),
            Hide => drop(user.patch(&at, json!({"visibility": "private"})).await.assert_json(200)),
            Renew => drop(user.post(format!("{at}/upload"), json!({})).await.assert_json(200)),
            Delete => drop(user.delete(&at).await.assert_status(204)),
            Expire => stack.abandon(id, title).await,
            ExpireAndGo => {
                stack.abandon(id, title).await;
                let (owner, image) = parts(id);
                let text = |text: String| AttributeValue::S(text);
                let delete = stack.dynamodb.delete_item().table_name(&stack.table);
                let delete = delete.key("pk", text(format!("USER#{owner}"))).key("sk", text(format!("IMAGE#{image}")));
                delete.send().await.expect("TTL may delete");
            }
            Replace => {
                stack.abandon(id, title).await;
                user.publish(title, Picture::small()).await;
            }
        }
    }

    /// The image after the change and the event.
    fn expected(self) -> Option<(&'static str, &'static str)> {
        match self {
            Nothing | Renew => Some(("", "public")),
            Rename => Some((" renamed", "public")),
            Hide => Some(("", "private")),
            Delete | Expire | ExpireAndGo | Replace => None,
        }
    }
}

async fn hear(function: &FunctionUnderTest, key: &str, moment: &str) {
    let answer = function.invoke(told_of(key)).await.expect(moment);
    assert_eq!(answer["batchItemFailures"], json!([]), "{moment}");
}

async fn is_as_expected(stack: &Stack, user: &User, id: &str, title: &str, change: ConcurrentChange, moment: &str) {
    let Some((suffix, visibility)) = change.expected() else {
        user.get(format!("/api/images/{id}")).await.assert_status(404);
        stack.no_blobs(id).await;
        return;
    };
    let image = user.image(id).await;
    let title = format!("{title}{suffix}");
    assert_eq!(
        (image.str("title"), image.str("visibility"), image.str("status")),
        (title.as_str(), visibility, "ready"),
        "{moment}"
    );
    let seen = stack.get(format!("/api/images/{id}")).await.status;
    assert_eq!(seen, if visibility == "public" { 200 } else { 404 }, "{moment}");
    assert_eq!(stack.blobs(id).await.len(), 5, "{moment}");
}

#[test]
fn late_upload_event_after_any_change() {
    on_stack(async |stack| {
        let user = stack.user_on("Premium").await;
        let function = stack.function("build_thumbnails").await;
        for change in [Nothing, Rename, Hide, Renew, Delete, Expire, ExpireAndGo, Replace] {
            let (title, moment) = (format!("Late {change:?}"), format!("late, after {change:?}"));
            let image = user.publish(&title, &Picture::jpeg(640, 480)).await;
            let id = image.str("id");
            let key = stack.original_key(id).await;
            stack.builder_is_idle().await;
            unbuild(stack, &user, id).await;
            change.make(&user, id, &title).await;
            // Late, and twice.
            for _ in 0..2 {
                hear(&function, &key, &moment).await;
            }
            is_as_expected(stack, &user, id, &title, change, &moment).await;
        }
        let titles: Vec<Value> = user.pages("/api/images").await.iter().map(|image| image["title"].clone()).collect();
        assert_eq!(titles.len(), 5, "four that were kept, and the one that took a title: {titles:?}");
        assert_eq!(user.get("/api/me").await.assert_json(200)["usage"]["images"], 5);
        stack.agrees(&user).await;
    });
}

#[test]
fn a_late_second_event_changes_nothing() {
    on_stack(async |stack| {
        let user = stack.user_on("Premium").await;
        let function = stack.function("build_thumbnails").await;
        for change in [Nothing, Rename, Hide, Delete] {
            let (title, moment) = (format!("Again {change:?}"), format!("again, after {change:?}"));
            let image = user.publish(&title, &Picture::jpeg(640, 480)).await;
            let id = image.str("id");
            let key = stack.original_key(id).await;
            stack.builder_is_idle().await;
            change.make(&user, id, &title).await;
            hear(&function, &key, &moment).await;
            is_as_expected(stack, &user, id, &title, change, &moment).await;
            // The first, which was on its way all the time.
            hear(&function, &key, &moment).await;
            is_as_expected(stack, &user, id, &title, change, &moment).await;
        }
        assert_eq!(user.get("/api/me").await.assert_json(200)["usage"]["images"], 3);
        stack.agrees(&user).await;
    });
}

#[test]
fn two_events_of_one_key_at_once_and_in_either_order_make_one_image() {
    on_stack(async |stack| {
        let user = stack.user_on("Premium").await;
        let (one, other) = tokio::join!(stack.function("build_thumbnails"), stack.function("build_thumbnails"));
        for change in [Nothing, Rename, Hide, Delete] {
            let title = format!("Harbour {change:?}");
            let image = user.publish(&title, &Picture::jpeg(640, 480)).await;
            let id = image.str("id");
            let key = stack.original_key(id).await;
            stack.builder_is_idle().await;
            unbuild(stack, &user, id).await;
            let moment = format!("two at once, and {change:?}");
            tokio::join!(hear(&one, &key, &moment), hear(&other, &key, &moment), change.make(&user, id, &title));
            hear(&one, &key, &moment).await;
            is_as_expected(stack, &user, id, &title, change, &moment).await;
        }
        stack.agrees(&user).await;
    });
}

#[test]
fn events_of_rejected_and_next_upload_in_any_order() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let function = stack.function("build_thumbnails").await;
        let picture = Picture::small();
        let image = user.publish("Harbour", picture).await;
        let id = image.str("id");
        let key = stack.original_key(id).await;
        stack.builder_is_idle().await;
        unbuild(stack, &user, id).await;
        stack.declare(id, "image/png").await;
        hear(&function, &key, "the first").await;
        let rejected = user.rejected(id).await;
        // The URL serves again once its blob is gone; what comes by it is deleted, whichever event tells of it.
        let put = stack.s3.put_object().bucket(&stack.originals).key(&key).body(picture.bytes.clone().into());
        put.send().await.expect("the operator may write");
        for moment in ["the second", "the first once more"] {
            hear(&function, &key, moment).await;
            stack.no_blobs(id).await;
        }
        assert_eq!(user.image(id).await, rejected);
        let next = user.publish("Harbour", picture).await;
        hear(&function, &key, "the first, of long ago").await;
        assert_eq!(user.image(next.str("id")).await, next);
        assert_eq!(user.get("/api/me").await.assert_json(200)["usage"]["images"], 1);
        stack.agrees(&user).await;
    });
}
