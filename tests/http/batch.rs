//! POST /api/images/batch: many images in one call, each with its own answer.

use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::fixtures::Picture;
use crate::harness::{Body, Created, User, on_stack, unique};

fn drafts(count: usize, prefix: &str) -> Vec<Value> {
    (0..count).map(|index| Picture::small().draft(&format!("{prefix} {index}"))).collect()
}

/// Lambda's limit for a response, in bytes of JSON. <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const MAX_RESPONSE: usize = 6 * 1024 * 1024;

async fn batch(user: &User, images: Vec<Value>) -> Vec<Value> {
    user.post("/api/images/batch", json!({"images": images})).await.assert_json(207).list("results").to_vec()
}

fn statuses(results: &[Value]) -> Vec<u64> {
    results.iter().map(|result| result.number("status")).collect()
}

#[test]
fn batch_registers_1000_images_that_can_be_uploaded() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let answer = user.post("/api/images/batch", json!({"images": drafts(1000, "Photo")})).await;
        // On AWS each URL carries a session token of up to 2 kB: the answer stays under Lambda's 6 MB with room.
        assert!(answer.body.len() < 2_000_000, "{} bytes", answer.body.len());
        let answer = answer.assert_json(207);
        let results = answer.list("results");
        for (index, result) in results.iter().enumerate() {
            assert_eq!(result.number("index"), index as u64);
            assert_eq!(result.number("status"), 201, "{result}");
        }
        let ids: HashSet<&str> = results.iter().map(|result| result.str("id")).collect();
        assert_eq!(ids.len(), 1000);
        let listed = user.pages("/api/images?limit=100").await;
        assert_eq!(listed.len(), 1000);
        for at in [0, 500, 999] {
            let image = user.image(results[at].str("id")).await;
            assert_eq!(image["title"], format!("Photo {at}"));
            let created = Created { id: image.str("id").to_owned(), image, upload: results[at]["upload"].clone() };
            created.put(stack, &Picture::small().bytes).await.assert_status(200);
            user.ready(&created.id).await;
        }
    });
}

#[test]
fn a_bad_item_and_a_taken_title_fail_alone() {
    on_stack(async |stack| {
        let user = stack.user().await;
        user.pending("Taken").await;
        let picture = Picture::small();
        let mut too_large = picture.draft("Large");
        too_large["size"] = json!(60_000_000);
        let mut unknown = picture.draft("Unknown field");
        unknown["colour"] = json!("red");
        let images = vec![
            picture.draft("First"),
            picture.draft("Taken"),
            json!("no object"),
            picture.draft(" First "),
            too_large,
            unknown,
            json!({}),
            picture.draft("Last"),
        ];
        let results = batch(&user, images).await;
        assert_eq!(statuses(&results), [201, 409, 422, 409, 422, 422, 422, 201]);
        assert_eq!(results[1]["error"]["code"], "title_taken");
        assert_eq!(results[3]["error"]["code"], "title_taken");
        assert_eq!(results[4]["error"]["errors"][0]["field"], "size");
        assert_eq!(results[5]["error"]["errors"][0]["field"], "colour");
        assert_eq!(user.pages("/api/images").await.len(), 3);
    });
}

#[test]
fn taken_titles_in_a_full_transaction_leave_the_others_to_it() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let taken: Vec<Value> = drafts(100, "Photo").into_iter().step_by(7).collect();
        assert!(statuses(&batch(&user, taken).await).iter().all(|status| *status == 201));
        let results = batch(&user, drafts(100, "Photo")).await;
        for (index, status) in statuses(&results).into_iter().enumerate() {
            assert_eq!(status, if index % 7 == 0 { 409 } else { 201 }, "{index}");
        }
        assert_eq!(user.pages("/api/images?limit=100").await.len(), 100);
    });
}

#[test]
fn of_simultaneous_batches_each_title_goes_to_one() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let answers = join_all((0..4).map(|_| batch(&user, drafts(60, "Photo")))).await;
        for index in 0..60 {
            let won = answers.iter().filter(|results| results[index].number("status") == 201).count();
            assert_eq!(won, 1, "Photo {index}");
        }
        assert_eq!(user.pages("/api/images?limit=100").await.len(), 60);
    });
}

#[test]
fn an_invalid_batch_is_rejected_as_a_whole() {
    on_stack(async |stack| {
        let user = stack.user().await;
        for images in [json!([]), json!(drafts(1001, "Photo")), json!("x"), json!(null)] {
            let answer = user.post("/api/images/batch", json!({"images": images})).await;
            assert_eq!(answer.invalid_fields(), ["images"]);
        }
        let mut large = drafts(1, "Photo");
        large[0]["description"] = json!("x".repeat(1024 * 1024));
        user.post("/api/images/batch", json!({"images": large})).await.assert_problem(413, "too_large");
        assert!(user.pages("/api/images").await.is_empty());
        let stranger = stack.user_without_plan().await;
        stranger
            .post("/api/images/batch", json!({"images": drafts(1, "Photo")}))
            .await
            .assert_problem(403, "plan_required");
    });
}

#[test]
fn the_same_key_and_batch_give_the_first_answer_again() {
    on_stack(async |stack| {
        let user = stack.user().await;
        user.pending("Photo 3").await;
        let key = unique();
        let send = |images: Vec<Value>| {
            user.post("/api/images/batch", json!({"images": images})).header("idempotency-key", &key)
        };
        let first = send(drafts(60, "Photo")).await.assert_json(207);
        let gone = first["results"][5].str("id").to_owned();
        user.delete(format!("/api/images/{gone}")).await.assert_status(204);
        let again = send(drafts(60, "Photo")).await.assert_json(207);
        for (one, other) in first.list("results").iter().zip(again.list("results")) {
            assert_eq!((&one["status"], &one["id"]), (&other["status"], &other["id"]));
        }
        // The retry does not restore an image deleted in between.
        assert_eq!(user.pages("/api/images?limit=100").await.len(), 59);
        send(drafts(61, "Photo")).await.assert_problem(422, "idempotency_mismatch");
    });
}

#[test]
fn of_simultaneous_batches_with_one_key_one_is_done() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let (key, body) = (unique(), json!({"images": drafts(60, "Photo")}));
        let calls = (0..5).map(|_| user.post("/api/images/batch", body.clone()).header("idempotency-key", &key).send());
        let mut done = 0;
        for answer in join_all(calls).await {
            if answer.status == 207 {
                assert!(statuses(answer.assert_json(207).list("results")).iter().all(|status| *status == 201));
                done += 1;
            } else {
                answer.assert_problem(409, "in_progress");
            }
        }
        assert!(done >= 1);
        assert_eq!(user.pages("/api/images?limit=100").await.len(), 60);
    });
}

#[test]
fn a_batch_that_was_cut_off_is_finished_by_its_repetition() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let (key, body) = (unique(), json!({"images": drafts(120, "Photo")}));
        let send = || user.post("/api/images/batch", body.clone()).header("idempotency-key", &key);
        let first = send().await.assert_json(207);
        // As if it had ended after its first transactions, without a word.
        stack.cut_off_batch(&user.id, &key).await;
        for result in &first.list("results")[50..] {
            user.delete(format!("/api/images/{}", result.str("id"))).await.assert_status(204);
        }
        let again = send().await.assert_json(207);
        for (one, other) in first.list("results").iter().zip(again.list("results")) {
            assert_eq!((&one["status"], &one["id"]), (&other["status"], &other["id"]));
        }
        let listed = user.pages("/api/images?limit=100").await;
        assert_eq!(listed.len(), 120);
        for image in &listed {
            assert!(stack.claim(&user.id, image.str("title")).await.is_some());
        }
    });
}

#[test]
fn a_batch_of_nonsense_has_an_answer_that_fits() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let nonsense: serde_json::Map<String, Value> = (0..130).map(|number| (number.to_string(), json!(0))).collect();
        let mut images = vec![Picture::small().draft("Harbour")];
        images.resize(1000, Value::Object(nonsense));
        let answer = user.post("/api/images/batch", json!({"images": images})).await;
        let sent = serde_json::to_string(&String::from_utf8_lossy(&answer.body)).expect("text is JSON").len();
        assert!(sent < MAX_RESPONSE, "{sent}");
        let answer = answer.assert_json(207);
        let results = answer.list("results");
        assert_eq!((results.len(), results[0].number("status"), results[1].number("status")), (1000, 201, 422));
    });
}
