//! Services that conflict, throttle, fail, hang and lose their answers: clients hear success or 503 with
//! Retry-After, never a lie, and asking again converges.

use std::time::Duration;

use serde_json::{Value, json};

use crate::fixtures::Picture;
use crate::harness::{Answer, Body, Fault, PASSWORD, User, on_stack, parts};

const ALWAYS: usize = usize::MAX;

#[track_caller]
fn is_busy(answer: Answer) {
    answer.must_header("retry-after");
    answer.assert_problem(503, "unavailable");
}

async fn usage(user: &User) -> Value {
    user.get("/api/me").await.assert_json(200)["usage"].clone()
}

#[test]
fn a_creation_outlasts_conflicts_or_says_that_it_did_not_happen() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let function = stack.function("create_image").await;
        let draft = Picture::small().draft("Harbour");
        function.proxy.rule("TransactWriteItems", ALWAYS, Fault::conflict(2));
        is_busy(function.call(Some(&user), "POST", "/api/images", Some(draft.clone())).await);
        assert!(user.pages("/api/images").await.is_empty());
        function.proxy.clear();
        function.proxy.rule("TransactWriteItems", 3, Fault::conflict(2));
        function.call(Some(&user), "POST", "/api/images", Some(draft.clone())).await.assert_status(201);
        // A title that is held is taken, however much else contends for it.
        function.proxy.rule("TransactWriteItems", ALWAYS, Fault::conflict(2));
        function.call(Some(&user), "POST", "/api/images", Some(draft)).await.assert_problem(409, "title_taken");
        assert_eq!(user.pages("/api/images").await.len(), 1);
    });
}

#[test]
fn a_change_whose_answer_is_lost_is_a_success() {
    on_stack(async |stack| {
        let user = stack.user_on("Premium").await;
        let function = stack.function("create_image").await;
        function.proxy.rule("TransactWriteItems", 1, Fault::LoseAnswer);
        let draft = Picture::small().draft("Harbour");
        function.call(Some(&user), "POST", "/api/images", Some(draft)).await.assert_status(201);
        assert_eq!(user.pages("/api/images").await.len(), 1);

        let image = user.publish("Quay", Picture::small()).await;
        let at = format!("/api/images/{}", image.str("id"));
        let function = stack.function("update_image").await;
        function.proxy.rule("TransactWriteItems", 1, Fault::LoseAnswer);
        let changed = function.call(Some(&user), "PATCH", &at, Some(json!({"title": "Pier"}))).await.assert_json(200);
        assert_eq!(changed["title"], "Pier");
        assert!(stack.claim(&user.id, "Quay").await.is_none());
        assert!(stack.claim(&user.id, "Pier").await.is_some());

        let function = stack.function("update_me").await;
        function.proxy.rule("TransactWriteItems", 1, Fault::LoseAnswer);
        let me =
            function.call(Some(&user), "PATCH", "/api/me", Some(json!({"name": "Augusta"}))).await.assert_json(200);
        assert_eq!(me["name"], "Augusta");

        let function = stack.function("delete_image").await;
        function.proxy.rule("TransactWriteItems", 1, Fault::LoseAnswer);
        function.call(Some(&user), "DELETE", &at, None).await.assert_status(204);
        assert_eq!(usage(&user).await, json!({"images": 0, "bytes": 0}));
        assert!(stack.claim(&user.id, "Pier").await.is_none());
        stack.no_blobs(image.str("id")).await;
    });
}

#[test]
fn changes_under_conflict_happen_once_or_not_at_all() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let image = user.publish("Harbour", Picture::small()).await;
        let at = format!("/api/images/{}", image.str("id"));
        let update = stack.function("update_image").await;
        update.proxy.rule("TransactWriteItems", ALWAYS, Fault::conflict(3));
        is_busy(update.call(Some(&user), "PATCH", &at, Some(json!({"title": "Quay"}))).await);
        assert_eq!(user.image(image.str("id")).await, image);
        update.proxy.clear();
        update.proxy.rule("TransactWriteItems", 2, Fault::conflict(3));
        update.call(Some(&user), "PATCH", &at, Some(json!({"title": "Quay"}))).await.assert_status(200);

        let delete = stack.function("delete_image").await;
        delete.proxy.rule("TransactWriteItems", ALWAYS, Fault::conflict(3));
        is_busy(delete.call(Some(&user), "DELETE", &at, None).await);
        user.image(image.str("id")).await;
        delete.proxy.clear();
        delete.proxy.rule("TransactWriteItems", 2, Fault::conflict(3));
        delete.call(Some(&user), "DELETE", &at, None).await.assert_status(204);
        assert_eq!(usage(&user).await, json!({"images": 0, "bytes": 0}));
    });
}

#[test]
fn throttled_table_is_retried_then_unavailable() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let image = user.publish("Harbour", Picture::small()).await;
        let at = format!("/api/images/{}", image.str("id"));
        let faults = [
            Fault::json(400, "ProvisionedThroughputExceededException"),
            Fault::json(400, "ThrottlingException"),
            Fault::json(400, "RequestLimitExceeded"),
            Fault::json(500, "InternalServerError"),
            Fault::Answer { status: 503, kind: "text/plain", body: "Service Unavailable".into() },
            Fault::Refuse,
            Fault::LoseAnswer,
        ];
        for fault in faults {
            let (read, list, feed) =
                tokio::join!(stack.function("get_image"), stack.function("list_images"), stack.function("explore"));
            for (function, operation, target) in [
                (&read, "BatchGetItem", at.as_str()),
                (&list, "Query", "/api/images"),
                (&feed, "Query", "/api/explore"),
            ] {
                function.proxy.rule(operation, 1, fault.clone());
                function.call(Some(&user), "GET", target, None).await.assert_status(200);
                function.proxy.rule(operation, ALWAYS, fault.clone());
                is_busy(function.call(Some(&user), "GET", target, None).await);
                function.proxy.clear();
                function.call(Some(&user), "GET", target, None).await.assert_status(200);
            }
        }
    });
}

#[test]
fn a_slow_read_is_waited_for_and_one_that_hangs_is_asked_again() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let function = stack.function("get_me").await;
        function.proxy.rule("BatchGetItem", 1, Fault::Delay(Duration::from_millis(300)));
        function.call(Some(&user), "GET", "/api/me", None).await.assert_status(200);
        assert_eq!(function.proxy.take_calls().len(), 1, "slow is not lost");
        function.proxy.rule("BatchGetItem", 1, Fault::HangBefore);
        function.call(Some(&user), "GET", "/api/me", None).await.assert_status(200);
    });
}

#[test]
fn an_answer_that_stalls_is_asked_for_again_and_an_object_that_stalls_is_given_up_on() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let image = user.publish("Harbour", Picture::small()).await;
        let (owner, key) = parts(image.str("id"));
        let (read, media) = (stack.function("get_me").await, stack.function("get_thumbnail").await);
        read.proxy.rule("BatchGetItem", 1, Fault::Stall);
        media.proxy.rule("GetObject", 1, Fault::Stall);
        let target = format!("/media/thumbnail/{owner}/{key}/200.jpg");
        let me = read.call(Some(&user), "GET", "/api/me", None);
        let (me, thumbnail) = tokio::join!(me, media.call(None, "GET", &target, None));
        me.assert_status(200);
        assert_eq!(read.proxy.take_calls().len(), 2);
        is_busy(thumbnail);
        media.call(None, "GET", &target, None).await.assert_status(200);
    });
}

#[test]
fn buckets_that_fail_are_asked_again_and_then_given_up_on() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let image = user.publish("Harbour", Picture::small()).await;
        let (owner, key) = parts(image.str("id"));
        let target = format!("/media/thumbnail/{owner}/{key}/200.jpg");
        for fault in [Fault::xml(503, "SlowDown"), Fault::xml(500, "InternalError"), Fault::Refuse] {
            let function = stack.function("get_thumbnail").await;
            function.proxy.rule("GetObject", 1, fault.clone());
            function.call(None, "GET", &target, None).await.assert_status(200);
            function.proxy.rule("GetObject", ALWAYS, fault);
            is_busy(function.call(None, "GET", &target, None).await);
        }
    });
}

#[test]
fn a_user_pool_that_fails_never_makes_a_password_wrong() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let body = json!({"email": user.email, "password": PASSWORD});
        for fault in [
            Fault::json(500, "InternalErrorException"),
            Fault::Answer { status: 503, kind: "text/plain", body: String::new() },
            Fault::Refuse,
        ] {
            let function = stack.function("login").await;
            function.proxy.rule("AdminInitiateAuth", 1, fault.clone());
            function.call(None, "POST", "/api/auth/login", Some(body.clone())).await.assert_status(200);
            function.proxy.rule("AdminInitiateAuth", ALWAYS, fault.clone());
            is_busy(function.call(None, "POST", "/api/auth/login", Some(body.clone())).await);

            let function = stack.function("refresh").await;
            function.proxy.rule("AdminInitiateAuth", ALWAYS, fault);
            let refresh = json!({"refresh_token": user.refresh_token});
            is_busy(function.call(None, "POST", "/api/auth/refresh", Some(refresh)).await);
        }
        let function = stack.function("login").await;
        function.proxy.rule("AdminInitiateAuth", ALWAYS, Fault::json(400, "TooManyRequestsException"));
        is_busy(function.call(None, "POST", "/api/auth/login", Some(body)).await);
    });
}
