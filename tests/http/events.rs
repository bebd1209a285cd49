//! What S3 tells of uploads comes at least once, late and in any order.

use http::Method;
use serde_json::json;

use crate::fixtures::Picture;
use crate::harness::{Body, on_stack, parts, unique, unknown_id};

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
        let me = user.get("/api/me").await.gives(200);
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
        created.put(stack, &Picture::small().bytes).await.is(200);
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
        user.delete(format!("/api/images/{id}")).await.is(204);
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
        user.delete(format!("/api/images/{}", gone.str("id"))).await.is(204);
        stack.announce(&["originals/nonsense", &lost, &kept]).await;
        stack.builder_is_idle().await;
        assert_eq!(user.image(image.str("id")).await, image);
        stack.no_blobs(gone.str("id")).await;
    });
}

#[test]
fn what_is_changed_between_upload_and_event_stays_changed() {
    on_stack(async |stack| {
        let user = stack.user().await;
        for round in 0..4 {
            let created = user.pending(&format!("Before {round}")).await;
            created.put(stack, &Picture::small().bytes).await.is(200);
            let changed = user
                .patch(
                    format!("/api/images/{}", created.id),
                    json!({"title": format!("After {round}"), "visibility": "private"}),
                )
                .await
                .gives(200);
            assert_eq!(changed["visibility"], "private");
            let image = user.ready(&created.id).await;
            assert_eq!(image["title"], format!("After {round}"));
            assert_eq!(image["visibility"], "private");
            stack.get(format!("/api/images/{}", created.id)).await.is(404);
            let (owner, id) = parts(&created.id);
            stack.call(Method::GET, format!("/media/thumbnail/{owner}/{id}/200.jpg")).await.is(404);
            user.pending(&format!("Before {round}")).await;
        }
        assert!(user.pages("/api/images?visibility=public&status=ready").await.is_empty());
    });
}
