//! A batch under fire: each image is made once or not at all, with its claim, and each answer says which.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fixtures::Picture;
use crate::harness::{Answer, Body, Fault, FunctionUnderTest, Rule, Stack, User, deaths, on_stack, unique};

const ALWAYS: usize = usize::MAX;

/// Images in one transaction.
const TOGETHER: usize = 49;

/// Two transactions.
const MANY: usize = TOGETHER + 1;

fn drafts(count: usize) -> Value {
    let images: Vec<Value> = (0..count).map(|index| Picture::small().draft(&format!("Photo {index}"))).collect();
    json!({"images": images})
}

async fn ask(function: &FunctionUnderTest, user: &User, key: Option<&str>, body: &Value) -> Answer {
    let mut headers = HashMap::from([("content-type".to_owned(), "application/json".to_owned())]);
    headers.extend(key.map(|key| ("idempotency-key".to_owned(), key.to_owned())));
    function.call_with(Some(user), "POST", "/api/images/batch", headers, Some(body.clone())).await
}

fn statuses(answer: &Value) -> Vec<u64> {
    answer.list("results").iter().map(|result| result.number("status")).collect()
}

/// That these images, and no others, are there, each with its claim.
async fn are_there(stack: &Stack, user: &User, ids: &[&str], moment: &str) {
    let mut there: Vec<String> =
        user.pages("/api/images?limit=100").await.iter().map(|image| image.str("id").to_owned()).collect();
    let mut expected = ids.to_vec();
    there.sort();
    expected.sort_unstable();
    assert_eq!(there, expected, "{moment}");
    stack.agrees(user).await;
}

async fn forget(user: &User) {
    for page in user.pages("/api/images?limit=100").await.chunks(100) {
        let ids: Vec<&Value> = page.iter().map(|image| &image["id"]).collect();
        user.post("/api/images/delete", json!({"ids": ids})).await.assert_status(200);
    }
}

fn ids(answer: &Value) -> Vec<&str> {
    answer.list("results").iter().map(|result| result.str("id")).collect()
}

#[test]
fn a_briefly_throttled_table_takes_the_whole_batch() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let function = stack.function("create_batch").await;
        let body = drafts(MANY);
        for fault in [
            Fault::json(400, "ProvisionedThroughputExceededException"),
            Fault::json(400, "ThrottlingException"),
            Fault::json(500, "InternalServerError"),
            Fault::conflict(22),
            Fault::LoseAnswer,
            Fault::Refuse,
        ] {
            let moment = format!("{fault:?}");
            function.proxy.rule("TransactWriteItems", 8, fault);
            let answer = ask(&function, &user, None, &body).await.assert_json(207);
            function.proxy.clear();
            assert!(statuses(&answer).iter().all(|status| *status == 201), "{moment}: {answer}");
            are_there(stack, &user, &ids(&answer), &moment).await;
            forget(&user).await;
        }
    });
}

#[test]
fn batch_returns_503_only_for_throttled_images() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let function = stack.function("create_batch").await;
        let body = drafts(2 * TOGETHER);
        let key = unique();
        // The note and one transaction pass.
        function.proxy.rule_after("TransactWriteItems", 2, ALWAYS, Fault::json(400, "ThrottlingException"));
        let began = Instant::now();
        let answer = ask(&function, &user, Some(&key), &body).await.assert_json(207);
        let took = began.elapsed();
        function.proxy.clear();
        assert!((Duration::from_secs(19)..Duration::from_secs(29)).contains(&took), "{took:?}");
        let results = answer.list("results");
        let made: Vec<&str> =
            results.iter().filter(|result| result["status"] == 201).map(|result| result.str("id")).collect();
        assert_eq!(made.len(), TOGETHER, "{answer}");
        for busy in results.iter().filter(|result| result["status"] != 201) {
            assert_eq!((&busy["status"], &busy["error"]["code"]), (&json!(503), &json!("unavailable")), "{busy}");
        }
        are_there(stack, &user, &made, "throttled").await;
        // The same again finishes it, and gives the same images.
        let again = ask(&function, &user, Some(&key), &body).await.assert_json(207);
        assert!(statuses(&again).iter().all(|status| *status == 201), "{again}");
        assert!(made.iter().all(|id| ids(&again).contains(id)));
        are_there(stack, &user, &ids(&again), "repeated").await;
    });
}

#[test]
fn batch_killed_at_any_call_finishes_at_retry() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let body = drafts(MANY);
        let fresh = stack.function("create_batch").await;
        ask(&fresh, &user, Some(&unique()), &body).await.assert_status(207);
        let calls = fresh.proxy.take_operations();
        assert_eq!(calls.len(), 6, "the caller, their plan, the note, two transactions, the end: {calls:?}");
        forget(&user).await;
        for death in deaths(&calls) {
            let moment = format!("{death:?}");
            let key = unique();
            let function = stack.function("create_batch").await;
            let headers = HashMap::from([
                ("content-type".to_owned(), "application/json".to_owned()),
                ("idempotency-key".to_owned(), key.clone()),
            ]);
            let event = function.event_with(Some(&user), "POST", "/api/images/batch", headers, Some(body.clone()));
            function.kill_at(death, event).await.expect("it makes this call");
            // No claim without its image, and no image without its claim.
            stack.agrees(&user).await;
            stack.batch_lease_has_ended(&user.id, &key).await;
            let answer = ask(&fresh, &user, Some(&key), &body).await.assert_json(207);
            assert!(statuses(&answer).iter().all(|status| *status == 201), "{moment}: {answer}");
            are_there(stack, &user, &ids(&answer), &moment).await;
            forget(&user).await;
        }
        // Without a key what was made is taken, and the rest is made.
        let function = stack.function("create_batch").await;
        let event = function.event(Some(&user), "POST", "/api/images/batch", Some(body.clone()));
        function
            .kill_at(Rule::once("TransactWriteItems", 1, Fault::HangBefore), event)
            .await
            .expect("it makes this call");
        let answer = ask(&fresh, &user, None, &body).await.assert_json(207);
        let (made, taken): (Vec<u64>, Vec<u64>) = statuses(&answer).into_iter().partition(|status| *status == 201);
        assert!(taken.iter().all(|status| *status == 409), "{answer}");
        assert!(!taken.is_empty() && !made.is_empty(), "{} and {}", made.len(), taken.len());
        assert_eq!(user.pages("/api/images?limit=100").await.len(), MANY);
        stack.agrees(&user).await;
    });
}

#[test]
fn a_thousand_images_stay_in_budget_and_the_response_fits() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let function = stack.function("create_batch").await;
        ask(&function, &user, None, &drafts(1)).await.assert_status(207);
        function.proxy.take_calls();
        // Whatever makes an answer long: hashes, which are signed, and the longest titles do not come into it.
        let images: Vec<Value> = (0..1000)
            .map(|index| {
                let mut draft = Picture::small().draft(&format!("{index:0>256}"));
                draft["sha256"] = json!(Picture::small().sha256());
                draft
            })
            .collect();
        let body = json!({"images": images});
        assert!(body.to_string().len() < 1024 * 1024);
        let key = unique();
        let answer = ask(&function, &user, Some(&key), &body).await;
        let mut calls = function.proxy.take_operations();
        calls.sort_unstable();
        // The caller; 21 times 49 images, and 2 for the key: its note, which is written like them, and its end.
        let mut expected = vec!["BatchGetItem"];
        expected.extend(vec!["TransactWriteItems"; 1 + 21]);
        expected.push("UpdateItem");
        assert_eq!(calls, expected);
        // A function's answer may have 6 MB, which is the least of the bounds on its way. On AWS each URL also holds the
        // token of the function's session: that of a role is about 1,000 characters long, and 2,000 are reckoned.
        let with_tokens = answer.body.len() + 1000 * 2000;
        println!("The answer to 1,000 images: {} bytes, {with_tokens} with tokens.", answer.body.len());
        assert!(with_tokens < 6_000_000 * 3 / 4, "{with_tokens}");
        assert!(statuses(&answer.assert_json(207)).iter().all(|status| *status == 201));
    });
}
