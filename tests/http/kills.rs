//! The builder ends at any moment, by SIGKILL: before or after any of its calls. What it left, the next one that hears
//! of the upload brings to an end, whatever its owner has done meanwhile.

use serde_json::{Value, json};

use crate::fixtures::Picture;
use crate::harness::{
    Body, Fault, Rule, Stack, User, deaths, eventually, image_at, number, on_stack, parts, queued, text,
};

/// A message of the queue, in which S3 tells of an upload.
pub(crate) fn told_of(key: &str) -> Value {
    let event = json!({"Records": [{
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2024-02-29T12:00:00.000Z",
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "TEST"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {},
        "s3": {"bucket": {"name": "originals"}, "object": {"key": key}},
    }]});
    queued(&event)
}

/// Takes a ready image back to where its upload had come and nobody had heard of it.
pub(crate) async fn unbuild(stack: &Stack, user: &User, id: &str) {
    let (owner, image) = parts(id);
    let item = stack.image_item(id).await.expect("it is there");
    let shard = image.as_bytes()[15] % 16;
    for key in stack.blobs(id).await.into_iter().filter(|key| key.starts_with("thumbnails/")) {
        stack.s3.delete_object().bucket(&stack.thumbnails).key(key).send().await.expect("the operator may delete");
    }
    let size: i64 = item["size"].as_n().expect("a number").parse().expect("a number");
    let later = (":later", number(4_000_000_000));
    let unbuilt = "SET #state = :pending, expires_at = :later ADD #version :one \
                   REMOVE width, height, placeholder, thumbnails, built_for, feed_pk, feed_sk";
    let values = [(":pending", text("pending")), later.clone(), (":one", number(1))];
    stack.change(image_at(id), "pk", unbuilt, &values).await;
    let claim = (format!("TITLE#{}#{}", user.id, item["title"].as_s().expect("a text")), "CLAIM".to_owned());
    stack.change(claim, "pk", "SET expires_at = :later", &[later]).await;
    let counter = (format!("PROFILE#{owner}"), format!("USAGE#{shard}"));
    let values = [(":images", number(-1)), (":bytes", number(-size))];
    stack.change(counter, "pk", "ADD images :images, #bytes :bytes", &values).await;
}

/// The calls of one build, in their order.
async fn calls_of_a_build(stack: &Stack, key: &str) -> Vec<String> {
    let function = stack.function("build_thumbnails").await;
    function.invoke(told_of(key)).await.expect("it builds");
    function.proxy.take_operations()
}

/// Runs a builder until a call that this rule meets, and kills it there.
async fn kill_at(stack: &Stack, key: &str, death: Rule) {
    let function = stack.function("build_thumbnails").await;
    function.kill_at(death, told_of(key)).await.expect("it makes this call");
}

async fn tell_again(stack: &Stack, key: &str) {
    let function = stack.function("build_thumbnails").await;
    for _ in 0..2 {
        let answer = function.invoke(told_of(key)).await.expect("it builds");
        assert_eq!(answer["batchItemFailures"], json!([]));
    }
}

#[test]
fn builder_killed_at_any_call_is_finished_by_the_next() {
    on_stack(async |stack| {
        let user = stack.user_on("Premium").await;
        let picture = Picture::jpeg(640, 480);
        let image = user.publish("Harbour", &picture).await;
        let id = image.str("id");
        let (key, blobs) = (stack.original_key(id).await, stack.blobs(id).await);
        stack.builder_is_idle().await;
        unbuild(stack, &user, id).await;
        let calls = calls_of_a_build(stack, &key).await;
        assert_eq!(
            calls.iter().filter(|call| *call == "PutObject").count(),
            4,
            "two thumbnails, two variants: {calls:?}"
        );
        for death in deaths(&calls) {
            let moment = format!("{death:?} of {calls:?}");
            unbuild(stack, &user, id).await;
            kill_at(stack, &key, death).await;
            tell_again(stack, &key).await;
            let built = user.image(id).await;
            assert_eq!(built["status"], "ready", "{moment}");
            assert_eq!(stack.blobs(id).await, blobs, "{moment}");
            let me = user.get("/api/me").await.assert_json(200);
            assert_eq!(me["usage"], json!({"images": 1, "bytes": picture.bytes.len()}), "{moment}");
        }
    });
}

#[test]
fn changes_by_the_owner_while_the_builder_is_dead_are_kept() {
    on_stack(async |stack| {
        let user = stack.user_on("Premium").await;
        let picture = Picture::small();
        let image = user.publish("First", picture).await;
        let key = stack.original_key(image.str("id")).await;
        stack.builder_is_idle().await;
        unbuild(stack, &user, image.str("id")).await;
        let calls = calls_of_a_build(stack, &key).await;
        for call in 0..calls.len() {
            let moment = format!("killed at {call} of {calls:?}");
            let title = format!("Harbour {call}");
            let image = user.publish(&title, picture).await;
            let id = image.str("id");
            let (key, at) = (stack.original_key(id).await, format!("/api/images/{id}"));
            stack.builder_is_idle().await;
            unbuild(stack, &user, id).await;
            kill_at(stack, &key, Rule::once("*", call, Fault::HangAfter)).await;
            match call % 3 {
                0 => {
                    user.delete(&at).await.assert_status(204);
                    tell_again(stack, &key).await;
                    stack.no_blobs(id).await;
                    assert!(stack.image_item(id).await.is_none(), "{moment}");
                    assert!(stack.claim(&user.id, &title).await.is_none(), "{moment}");
                }
                1 => {
                    let other = format!("Quay {call}");
                    user.patch(&at, json!({"title": other, "visibility": "private"})).await.assert_status(200);
                    tell_again(stack, &key).await;
                    let built = user.image(id).await;
                    assert_eq!((&built["title"], &built["visibility"]), (&json!(other), &json!("private")), "{moment}");
                    assert_eq!(built["status"], "ready", "{moment}");
                    assert!(stack.claim(&user.id, &title).await.is_none(), "{moment}");
                }
                _ => {
                    if user.image(id).await["status"] == "ready" {
                        continue;
                    }
                    stack.abandon(id, &title).await;
                    tell_again(stack, &key).await;
                    stack.no_blobs(id).await;
                    user.get(&at).await.assert_status(404);
                    // Its title is free.
                    user.pending(&title).await;
                }
            }
        }
        let ready = user.pages("/api/images?status=ready").await;
        let me = user.get("/api/me").await.assert_json(200);
        assert_eq!(me["usage"].number("images"), ready.len() as u64);
    });
}

#[test]
fn thumbnails_made_for_a_plan_that_passed_meanwhile_leave_nothing() {
    on_stack(async |stack| {
        let user = stack.user_on("Premium").await;
        let image = user.publish("Harbour", &Picture::jpeg(640, 480)).await;
        let id = image.str("id");
        unbuild(stack, &user, id).await;
        let key = stack.original_key(id).await;
        let function = stack.function("build_thumbnails").await;
        function.proxy.rule_after("PutObject", 1, 1, Fault::Delay(std::time::Duration::from_secs(2)));
        function.send(told_of(&key)).await;
        eventually("the first thumbnail", async || (stack.blobs(id).await.len() == 2).then_some(())).await;
        // Its record is refused for what its owner changed, and by then it is for another plan.
        user.patch(format!("/api/images/{id}"), json!({"description": "At dawn"})).await.assert_status(200);
        stack.set_plan(&user.id, Some("Basic")).await;
        function.ends().await.expect("it builds");
        user.ready(id).await;
        eventually("one thumbnail and its variant", async || (stack.blobs(id).await.len() == 3).then_some(())).await;
        stack.agrees(&user).await;
    });
}
