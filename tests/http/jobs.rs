//! Deletions of many: a selection, everything, the account.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::fixtures::Picture;
use crate::harness::{Body, Created, PASSWORD, Stack, User, eventually, on_stack, unknown_id};

pub(crate) async fn register(user: &User, count: usize, prefix: &str) -> Vec<Value> {
    let images: Vec<Value> = (0..count).map(|index| Picture::small().draft(&format!("{prefix} {index}"))).collect();
    let answer = user.post("/api/images/batch", json!({"images": images})).await.assert_json(207);
    let results = answer.list("results").to_vec();
    assert!(results.iter().all(|result| result["status"] == 201), "{answer}");
    results
}

pub(crate) fn ids(results: &[Value]) -> Vec<&str> {
    results.iter().map(|result| result.str("id")).collect()
}

/// A job once it is over. However long that takes, it must go on.
pub(crate) async fn over(call: impl AsyncFn() -> Value) -> Value {
    let (mut job, mut idle) = (call().await, 0);
    while idle < 600 {
        if ["done", "failed"].contains(&job.str("status")) {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        let before = std::mem::replace(&mut job, call().await);
        idle = if before["done"] == job["done"] { idle + 1 } else { 0 };
    }
    panic!("a job without an end: {job}")
}

pub(crate) async fn accepted(user: &User) -> String {
    let answer = user.post("/api/images/delete", json!({"all": true})).await.assert_status(202);
    let location = answer.must_header("location").to_owned();
    let job = answer.json()["job"].clone();
    assert!(location.ends_with(&format!("/api/jobs/{}", job.str("id"))), "{location}");
    assert_eq!(job["kind"], "delete_images");
    job.str("id").to_owned()
}

#[test]
fn a_selection_is_deleted_with_an_answer_for_each() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let ready = user.publish("Harbour", Picture::small()).await;
        let pending = register(&user, 100, "Photo").await;
        let unknown = unknown_id(&user.id);
        let mut chosen: Vec<&str> = ids(&pending[..90]);
        chosen.extend([ready.str("id"), &unknown, "no id", ready.str("id")]);
        let answer = user.post("/api/images/delete", json!({"ids": chosen})).await.assert_json(200);
        let results = answer.list("results");
        assert_eq!(results.len(), 94);
        for (result, id) in results.iter().zip(&chosen) {
            assert_eq!(result.str("id"), *id);
        }
        let statuses: Vec<u64> = results.iter().map(|result| result.number("status")).collect();
        assert!(statuses[..91].iter().all(|status| *status == 204), "{statuses:?}");
        assert_eq!(statuses[91..], [404, 404, 204]);
        assert_eq!(results[91]["error"]["code"], "not_found");
        assert_eq!(user.pages("/api/images").await.len(), 10);
        assert_eq!(user.get("/api/me").await.assert_json(200)["usage"]["images"], 0);
        assert!(stack.claim(&user.id, "Harbour").await.is_none());
        assert!(stack.claim(&user.id, "Photo 0").await.is_none());
        stack.no_blobs(ready.str("id")).await;
    });
}

#[test]
fn a_selection_with_one_foreign_id_deletes_nothing() {
    on_stack(async |stack| {
        let (user, other) = (stack.user().await, stack.user().await);
        let own = register(&user, 120, "Photo").await;
        let foreign = other.publish("Harbour", Picture::small()).await;
        let before = user.pages("/api/images?limit=100").await;
        for stranger in [foreign.str("id"), &unknown_id(&other.id)] {
            let mut chosen = ids(&own);
            chosen.push(stranger);
            user.post("/api/images/delete", json!({"ids": chosen})).await.assert_problem(403, "not_owner");
        }
        assert_eq!(user.pages("/api/images?limit=100").await, before);
        assert_eq!(other.image(foreign.str("id")).await, foreign);
        assert_eq!(stack.blobs(foreign.str("id")).await.len(), 3);
    });
}

#[test]
fn an_invalid_selection_is_rejected() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let many: Vec<String> = (0..1001).map(|index| index.to_string()).collect();
        for body in [
            json!({}),
            json!({"all": false}),
            json!({"ids": ["x"], "all": true}),
            json!({"ids": []}),
            json!({"ids": many}),
            json!({"ids": "x"}),
        ] {
            assert_eq!(user.post("/api/images/delete", body).await.invalid_fields(), ["ids"]);
        }
        stack.post("/api/images/delete", json!({"all": true})).await.assert_status(401);
    });
}

#[test]
fn delete_all_keeps_later_images_and_other_users() {
    on_stack(async |stack| {
        let (user, other) = (stack.user().await, stack.user().await);
        let kept = other.publish("Harbour", Picture::small()).await;
        let ready = user.publish("Harbour", Picture::small()).await;
        register(&user, 1000, "Photo").await;
        let id = accepted(&user).await;
        // The old titles are held until the job reaches them; these are new.
        let later = register(&user, 150, "Later").await;
        let job = over(async || user.get(format!("/api/jobs/{id}")).await.assert_json(200)).await;
        assert_eq!((job.str("status"), job.number("done"), job.number("total")), ("done", 1001, 1001), "{job}");
        assert!(job["finished_at"].is_string());
        let mut left: Vec<String> =
            user.pages("/api/images?limit=100").await.iter().map(|image| image.str("id").to_owned()).collect();
        left.sort();
        let mut expected = ids(&later);
        expected.sort_unstable();
        assert_eq!(left, expected);
        let me = user.get("/api/me").await.assert_json(200);
        assert_eq!((me["usage"].number("images"), me["usage"].number("bytes")), (0, 0));
        stack.no_blobs(ready.str("id")).await;
        assert!(stack.claim(&user.id, "Photo 7").await.is_none());
        assert!(stack.claim(&user.id, "Later 7").await.is_some());
        assert_eq!(other.image(kept.str("id")).await, kept);
        assert_eq!(stack.blobs(kept.str("id")).await.len(), 3);
        // Its titles are free again.
        user.publish("Harbour", Picture::small()).await;
    });
}

#[test]
fn a_job_is_done_once_however_often_its_message_comes() {
    on_stack(async |stack| {
        let user = stack.user().await;
        register(&user, 300, "Photo").await;
        let id = accepted(&user).await;
        join_all((0..4).map(|_| stack.nudge(&id))).await;
        let job = over(async || user.get(format!("/api/jobs/{id}")).await.assert_json(200)).await;
        assert_eq!((job.str("status"), job.number("done")), ("done", 300), "{job}");
        let later = register(&user, 5, "Photo").await;
        stack.nudge(&id).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(user.pages("/api/images").await.len(), later.len());
        assert_eq!(user.get(format!("/api/jobs/{id}")).await.assert_json(200), job);
    });
}

#[test]
fn deleting_abandoned_image_keeps_title_of_its_successor() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let old = user.pending("Harbour").await;
        stack.abandon(&old.id, "Harbour").await;
        let id = accepted(&user).await;
        let new = user.pending("Harbour").await;
        over(async || user.get(format!("/api/jobs/{id}")).await.assert_json(200)).await;
        assert!(stack.image_item(&old.id).await.is_none());
        assert!(stack.claim(&user.id, "Harbour").await.is_some());
        user.image(&new.id).await;
    });
}

#[test]
fn a_job_is_its_owners_alone() {
    on_stack(async |stack| {
        let (user, other) = (stack.user().await, stack.user().await);
        let id = accepted(&user).await;
        let job = over(async || user.get(format!("/api/jobs/{id}")).await.assert_json(200)).await;
        assert_eq!(job["done"], 0);
        other.get(format!("/api/jobs/{id}")).await.assert_problem(404, "not_found");
        stack.get(format!("/api/jobs/{id}")).await.assert_status(401);
        user.get("/api/jobs/nothing").await.assert_problem(404, "not_found");
        stack.get("/api/jobs/nothing").await.assert_status(401);
        let answer = user.get(format!("/api/jobs/{id}")).await;
        let etag = answer.must_header("etag").to_owned();
        user.get(format!("/api/jobs/{id}")).header("if-none-match", etag).await.assert_status(304);
    });
}

async fn leave(user: &User) -> String {
    let answer = user
        .stack
        .call(http::Method::DELETE, "/api/me")
        .by(user)
        .json(&json!({"password": PASSWORD}))
        .await
        .assert_json(202);
    assert_eq!(answer["job"]["kind"], "delete_account");
    answer["job"].str("id").to_owned()
}

#[test]
fn an_account_is_deleted_by_its_password_alone() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let delete = |body: Value| stack.call(http::Method::DELETE, "/api/me").by(&user).json(&body);
        let problem = delete(json!({"password": "wrong-Harbour-42"})).await.assert_problem(401, "bad_credentials");
        assert_eq!(problem["detail"], "Wrong password.");
        assert_eq!(delete(json!({})).await.invalid_fields(), ["password"]);
        user.get("/api/me").await.assert_status(200);
    });
}

#[test]
fn a_deleted_account_is_closed_at_once_and_leaves_nothing() {
    on_stack(async |stack| {
        let (user, other) = (stack.user_on("Premium").await, stack.user().await);
        let session = user.another_session().await;
        let theirs = other.publish("Harbour", Picture::small()).await;
        let mine = user.publish("Harbour", &Picture::jpeg(640, 480)).await;
        let pending = register(&user, 60, "Photo").await;
        user.post("/api/me/export", json!({})).await.assert_status(202);
        let late =
            Created { id: pending[0].str("id").to_owned(), image: Value::Null, upload: pending[0]["upload"].clone() };
        let job = leave(&user).await;

        user.get("/api/me").await.assert_status(401);
        session.get("/api/images").await.assert_status(401);
        session.get("/api/me/export").await.assert_status(401);
        user.post("/api/images", Picture::small().draft("Later")).await.assert_status(401);
        stack.login(&user.email, PASSWORD).await.assert_problem(401, "bad_credentials");
        stack.post("/api/auth/refresh", json!({"refresh_token": user.refresh_token})).await.assert_status(401);
        let feed = stack.get("/api/explore?limit=100").await.assert_json(200);
        assert!(feed.list("results").iter().all(|image| image["owner"]["id"] != user.api_id));
        stack.get(format!("/api/images/{}", mine.str("id"))).await.assert_status(404);
        stack.get(mine.str("image_url")).await.assert_status(404);
        stack.get(mine.list("thumbnails")[0].str("url")).await.assert_status(404);
        let read = async || stack.get(format!("/api/jobs/{job}")).await.assert_json(200);
        assert!(["queued", "running"].contains(&read().await.str("status")));

        // An upload that had begun.
        late.put(stack, &Picture::small().bytes).await.assert_status(200);
        // The images are deleted first; the job waits for requests that may still be running.
        eventually("the images to go", async || (read().await.number("done") == 61).then_some(())).await;
        stack.let_requests_end(&job).await;
        let done = over(read).await;
        assert_eq!((done.str("status"), done.number("done")), ("done", 61), "{done}");

        let rest = stack.everything_of(&user.id).await;
        assert_eq!(rest.len(), 2, "the job and the mark of the deletion: {rest:?}");
        for id in [mine.str("id"), &late.id] {
            stack.no_blobs(id).await;
        }
        assert_eq!(other.image(theirs.str("id")).await, theirs);
        assert_eq!(stack.blobs(theirs.str("id")).await.len(), 3);

        // A login that had begun when the account was deleted creates no profile.
        let again = stack
            .post("/api/auth/signup", json!({"email": user.email, "password": PASSWORD, "name": "Ada"}))
            .await
            .assert_json(201);
        assert_ne!(again.str("user_id"), user.api_id);
        let code = stack.mailed_code(&user.email, 2).await;
        stack.post("/api/auth/confirm", json!({"email": user.email, "code": code})).await.assert_status(204);
        stack.login(&user.email, PASSWORD).await.assert_status(200);
    });
}

#[test]
fn an_image_created_by_a_last_request_is_deleted_with_the_account() {
    on_stack(async |stack| {
        let user = stack.user().await;
        user.pending("Harbour").await;
        let straggler = user.pending("Quay").await;
        let (image, claim) =
            (stack.image_item(&straggler.id).await.unwrap(), stack.claim(&user.id, "Quay").await.unwrap());
        let job = leave(&user).await;
        let read = async || stack.get(format!("/api/jobs/{job}")).await.assert_json(200);
        eventually("the images to go", async || (read().await.number("done") == 2).then_some(())).await;
        // As a request that had read the profile before would write it.
        for item in [image, claim] {
            stack.dynamodb.put_item().table_name(&stack.table).set_item(Some(item)).send().await.expect("it is put");
        }
        stack.let_requests_end(&job).await;
        assert_eq!(over(read).await.number("done"), 3);
        assert!(stack.claim(&user.id, "Quay").await.is_none());
        assert_eq!(stack.everything_of(&user.id).await.len(), 2);
    });
}

impl Stack {
    /// Delivers a job's message once more.
    pub(crate) async fn nudge(&self, job: &str) {
        let body = json!({"job": job, "sent_at": 0}).to_string();
        self.sqs.send_message().queue_url(&self.jobs_queue).message_body(body).send().await.expect("it is sent");
    }

    /// Ends the time in which requests authenticated before the deletion can still run.
    async fn let_requests_end(&self, job: &str) {
        self.requests_have_ended(job).await;
        self.nudge(job).await;
    }

    /// The sort keys of all items that name a user.
    pub(crate) async fn everything_of(&self, user: &str) -> Vec<String> {
        let mut found = Vec::new();
        for pk in [format!("PROFILE#{user}"), format!("USER#{user}")] {
            let answer = self
                .dynamodb
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", AttributeValue::S(pk))
                .send()
                .await
                .expect("the table can be queried");
            found.extend(answer.items().iter().map(|item| item["sk"].as_s().expect("a key").clone()));
        }
        found
    }
}
