//! Jobs are done once and to their end, wherever the process that runs them dies, however often, late and out of order
//! they are delivered, and whatever the services do to them for a while.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use crate::fixtures::Picture;
use crate::harness::{
    Body, Fault, FunctionUnderTest, PASSWORD, Rule, Stack, User, deaths, endless_deaths, job_message, on_stack, sent,
};
use crate::jobs::{accepted, over, register};

const ALWAYS: usize = usize::MAX;

/// With the ready image that [`fill`] adds, two pages of a job: a page has 41.
const MANY: usize = 41;

/// Begins a job whose message nobody gets, so that its test alone runs it.
async fn quiet(user: &User, operation: &str, method: &str, target: &str, body: Value) -> String {
    let function = user.stack.function(operation).await;
    function.proxy.rule("SendMessage", 1, sent());
    let answer = function.call(Some(user), method, target, Some(body)).await.assert_json(202);
    answer["job"].str("id").to_owned()
}

pub(crate) async fn delete_all(user: &User) -> String {
    quiet(user, "delete_images", "POST", "/api/images/delete", json!({"all": true})).await
}

async fn leave(user: &User) -> String {
    quiet(user, "delete_me", "DELETE", "/api/me", json!({"password": PASSWORD})).await
}

/// Delivers a job's message; whether it was taken.
async fn deliver(function: &FunctionUnderTest, job: &str) -> bool {
    let answer = function.invoke(job_message(job)).await.expect("it reports what failed");
    answer["batchItemFailures"] == json!([])
}

/// Delivers it as the queue would, until it is taken.
pub(crate) async fn comes_again(function: &FunctionUnderTest, job: &str, moment: &str) {
    for _ in 0..3 {
        if deliver(function, job).await {
            return;
        }
    }
    panic!("{moment}: it stays undone");
}

async fn job(user: &User, id: &str) -> Value {
    user.stack.get(format!("/api/jobs/{id}")).by(user).await.assert_json(200)
}

/// Runs a job until a call that this rule meets, and kills it there. `Err`: it ended before, with these calls.
async fn kill_at(stack: &Stack, job: &str, death: Rule) -> Result<(), Vec<String>> {
    let function = stack.function("run_job").await;
    function.kill_at(death, job_message(job)).await
}

async fn calls_of(stack: &Stack, job: &str) -> Vec<String> {
    let function = stack.function("run_job").await;
    assert!(deliver(&function, job).await);
    function.proxy.take_operations()
}

/// Nothing is left of a user's images, and the job says how many there were.
async fn all_gone(user: &User, id: &str, moment: &str) {
    let job = job(user, id).await;
    let end = (job.str("status"), job.number("done"), job["total"].as_u64());
    assert_eq!(end, ("done", MANY as u64 + 1, Some(MANY as u64 + 1)), "{moment}");
    assert!(user.pages("/api/images?limit=100").await.is_empty(), "{moment}");
    let me = user.get("/api/me").await.assert_json(200);
    assert_eq!(me["usage"], json!({"images": 0, "bytes": 0}), "{moment}");
}

async fn fill(user: &User) -> String {
    register(user, MANY, "Photo").await;
    user.publish("Harbour", Picture::small()).await.str("id").to_owned()
}

#[test]
fn delete_all_killed_at_any_call_finishes_at_next_delivery() {
    on_stack(async |stack| {
        let user = stack.user().await;
        fill(&user).await;
        let id = delete_all(&user).await;
        let calls = calls_of(stack, &id).await;
        all_gone(&user, &id, "undisturbed").await;
        assert!(calls.len() >= 9, "{calls:?}");
        let function = stack.function("run_job").await;
        for death in deaths(&calls) {
            let moment = format!("{death:?} of {calls:?}");
            let ready = fill(&user).await;
            let id = delete_all(&user).await;
            kill_at(stack, &id, death).await.expect(&moment);
            // A later image is kept, and so is the progress of the job.
            let later = user.pending("Later").await;
            for _ in 0..2 {
                comes_again(&function, &id, &moment).await;
            }
            user.image(&later.id).await;
            user.delete(format!("/api/images/{}", later.id)).await.assert_status(204);
            all_gone(&user, &id, &moment).await;
            stack.no_blobs(&ready).await;
        }
        stack.agrees(&user).await;
    });
}

#[test]
fn job_runs_once_with_two_workers_and_other_messages() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let (one, other) = tokio::join!(stack.function("run_job"), stack.function("run_job"));
        for round in 0..3 {
            fill(&user).await;
            let first = delete_all(&user).await;
            // Begun later, it deletes what the first deletes and what came between, and may be delivered before it.
            register(&user, 10, "Between").await;
            let second = delete_all(&user).await;
            register(&user, 5, "After").await;
            let order = if round == 1 { [&second, &first] } else { [&first, &second] };
            let (a, b) = tokio::join!(
                async {
                    for id in order {
                        comes_again(&one, id, "the one").await;
                    }
                },
                async {
                    for id in order.iter().rev() {
                        comes_again(&other, id, "the other").await;
                    }
                }
            );
            let ((), ()) = (a, b);
            // Late, and again.
            for id in [&first, &second] {
                comes_again(&one, id, "late").await;
            }
            let counts = [job(&user, &first).await, job(&user, &second).await];
            assert!(counts.iter().all(|job| job["status"] == "done"), "{counts:?}");
            let done: u64 = counts.iter().map(|job| job.number("done")).sum();
            assert_eq!(done, MANY as u64 + 1 + 10, "each image is counted once: {counts:?}");
            assert!(counts[0].number("done") <= MANY as u64 + 1, "{counts:?}");
            let left = user.pages("/api/images").await;
            assert_eq!(left.len(), 5, "what came after both stays");
            for image in left {
                user.delete(format!("/api/images/{}", image.str("id"))).await.assert_status(204);
            }
        }
        stack.agrees(&user).await;
    });
}

#[test]
fn a_table_that_fails_for_a_while_delays_a_job_and_nothing_more() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let function = stack.function("run_job").await;
        let faults = [
            Fault::json(400, "ProvisionedThroughputExceededException"),
            Fault::json(400, "ThrottlingException"),
            Fault::json(500, "InternalServerError"),
            Fault::Refuse,
            Fault::LoseAnswer,
        ];
        for fault in faults {
            for operation in ["BatchGetItem", "Query", "TransactWriteItems"] {
                let moment = format!("{operation}: {fault:?}");
                fill(&user).await;
                let id = delete_all(&user).await;
                function.proxy.rule_after(operation, 1, ALWAYS, fault.clone());
                assert!(!deliver(&function, &id).await, "{moment}: it says that it failed");
                assert_eq!(job(&user, &id).await["finished_at"], Value::Null, "{moment}");
                function.proxy.clear();
                comes_again(&function, &id, &moment).await;
                all_gone(&user, &id, &moment).await;
            }
        }
        // Others' transactions are waited for.
        fill(&user).await;
        let id = delete_all(&user).await;
        function.proxy.rule("TransactWriteItems", 3, Fault::conflict(3));
        assert!(deliver(&function, &id).await);
        all_gone(&user, &id, "conflicts").await;
        stack.agrees(&user).await;
    });
}

#[test]
fn failed_job_finishes_after_redrive() {
    on_stack(async |stack| {
        let user = stack.user().await;
        fill(&user).await;
        let id = delete_all(&user).await;
        let function = stack.function("run_job").await;
        function.proxy.rule("Query", ALWAYS, Fault::json(500, "InternalServerError"));
        let mut last = job_message(&id);
        last["Records"][0]["attributes"] = json!({"ApproximateReceiveCount": "5"});
        let answer = function.invoke(last).await.expect("it reports what failed");
        assert_eq!(answer["batchItemFailures"].as_array().map(Vec::len), Some(1));
        assert_eq!(job(&user, &id).await["status"], "failed");
        function.proxy.clear();
        assert!(deliver(&function, &id).await);
        all_gone(&user, &id, "after the redrive").await;
        stack.agrees(&user).await;
    });
}

/// An account with all that one can have.
async fn account(stack: &'static Stack) -> (User, String) {
    let user = stack.user_on("Enterprise").await;
    register(&user, 50, "Photo").await;
    let image = user.publish("Harbour", Picture::small()).await;
    user.link(&image, json!({})).await;
    (user, image.str("id").to_owned())
}

async fn account_is_gone(user: &User, image: &str, id: &str, moment: &str) {
    let stack = user.stack;
    let job = stack.get(format!("/api/jobs/{id}")).await.assert_json(200);
    assert_eq!((job.str("status"), job.number("done")), ("done", 51), "{moment}: {job}");
    let left = stack.everything_of(&user.id).await;
    assert_eq!(left.len(), 2, "{moment}: the job and the mark of the deletion: {left:?}");
    stack.no_blobs(image).await;
    for title in ["Harbour", "Photo 0", "Photo 49"] {
        assert!(stack.claim(&user.id, title).await.is_none(), "{moment}: {title}");
    }
    let found = stack.cognito.admin_get_user().user_pool_id(&stack.user_pool).username(&user.email).send().await;
    assert!(found.is_err_and(|error| error.into_service_error().is_user_not_found_exception()), "{moment}");
}

#[test]
fn account_deletion_killed_at_any_call_finishes_at_next_delivery() {
    on_stack(async |stack| {
        let function = stack.function("run_job").await;
        let mut survived = Vec::new();
        for pass in 0..2 {
            // How many calls there are is not certain: a link is gone by then, or not.
            for death in endless_deaths() {
                let moment = format!("pass {pass}: {death:?}");
                let (user, image) = account(stack).await;
                let id = leave(&user).await;
                if pass == 1 {
                    comes_again(&function, &id, &moment).await;
                    stack.requests_have_ended(&id).await;
                }
                let killed = kill_at(stack, &id, death).await;
                if pass == 0 {
                    comes_again(&function, &id, &moment).await;
                    stack.requests_have_ended(&id).await;
                }
                for _ in 0..2 {
                    comes_again(&function, &id, &moment).await;
                }
                account_is_gone(&user, &image, &id, &moment).await;
                if let Err(calls) = killed {
                    survived.push(calls.len());
                    break;
                }
            }
        }
        assert!(survived[0] >= 12 && survived[1] >= 6, "{survived:?}");
    });
}

#[test]
fn killed_delete_request_begins_no_job_or_one_that_runs() {
    on_stack(async |stack| {
        for (operation, method, target, body) in [
            ("delete_images", "POST", "/api/images/delete", json!({"all": true})),
            ("delete_me", "DELETE", "/api/me", json!({"password": PASSWORD})),
        ] {
            let calls = {
                let user = stack.user().await;
                let function = stack.function(operation).await;
                function.call(Some(&user), method, target, Some(body.clone())).await.assert_status(202);
                function.proxy.take_operations()
            };
            for death in deaths(&calls) {
                let moment = format!("{operation}: {death:?}");
                let user = stack.user().await;
                user.pending("Harbour").await;
                let function = stack.function(operation).await;
                let event = function.event(Some(&user), method, target, Some(body.clone()));
                function.kill_at(death, event).await.expect("it makes this call");
                let begun = stack.everything_of(&user.id).await.iter().any(|key| key.starts_with("JOB#"));
                if begun {
                    // The message went out before it.
                    crate::harness::eventually(&moment, async || {
                        stack.claim(&user.id, "Harbour").await.is_none().then_some(())
                    })
                    .await;
                } else {
                    assert_eq!(user.pages("/api/images").await.len(), 1, "{moment}");
                    let answer = stack.call(method.parse().expect("a method"), target).by(&user).json(&body).await;
                    assert_eq!(answer.status, 202, "{moment}: {answer}");
                }
            }
        }
    });
}

#[test]
fn images_created_during_delete_all_stay_if_requested_later() {
    on_stack(async |stack| {
        let user = stack.user().await;
        for round in 0..3 {
            fill(&user).await;
            let (begin, end) = (std::sync::Mutex::new(None), std::sync::Mutex::new(None));
            let made = AtomicUsize::new(0);
            // When each was asked for, when that was answered, and its id.
            let created = std::sync::Mutex::new(Vec::new());
            let note = |asked: Instant, ids: Vec<String>| {
                let answered = Instant::now();
                created.lock().expect("no panic").extend(ids.into_iter().map(|id| (asked, answered, id)));
                made.fetch_add(1, Ordering::SeqCst);
            };
            let singles = async |name: &str| {
                for number in 0..12 {
                    let asked = Instant::now();
                    let title = format!("{name} {round} {number}");
                    note(asked, vec![user.pending(&title).await.id]);
                }
            };
            let batches = async |name: &str| {
                for number in 0..4 {
                    let asked = Instant::now();
                    let results = register(&user, 60, &format!("{name} {round} {number}")).await;
                    note(asked, results.iter().map(|result| result.str("id").to_owned()).collect());
                }
            };
            let deletion = async {
                crate::harness::eventually("some to have been made", async || {
                    (made.load(Ordering::SeqCst) >= 6).then_some(())
                })
                .await;
                *begin.lock().expect("no panic") = Some(Instant::now());
                let id = accepted(&user).await;
                *end.lock().expect("no panic") = Some(Instant::now());
                over(async || job(&user, &id).await).await
            };
            let (job, ..) = tokio::join!(
                deletion,
                singles("One"),
                singles("Two"),
                singles("Three"),
                batches("Many"),
                batches("More"),
            );
            let (begin, end) = (begin.into_inner().expect("no panic"), end.into_inner().expect("no panic"));
            let (begin, end) = (begin.expect("it began"), end.expect("it was accepted"));
            let created = created.into_inner().expect("no panic");
            let left: HashSet<String> =
                user.pages("/api/images?limit=100").await.iter().map(|image| image.str("id").to_owned()).collect();
            let (mut before, mut after) = (0, 0);
            for (asked, answered, id) in &created {
                if *answered < begin {
                    before += 1;
                    assert!(!left.contains(id), "it was there before");
                } else if *asked > end {
                    after += 1;
                    assert!(left.contains(id), "it came afterwards");
                }
            }
            assert!(before > 0 && after > 0, "{before} before and {after} after");
            let all = MANY + 1 + created.len();
            assert_eq!((job.str("status"), job.number("done")), ("done", (all - left.len()) as u64), "{job}");
            assert!(left.iter().all(|id| created.iter().any(|(_, _, made)| made == id)));
            stack.agrees(&user).await;
            // And all that is left can be deleted.
            let id = accepted(&user).await;
            let last = over(async || self::job(&user, &id).await).await;
            assert_eq!(last.number("done"), left.len() as u64);
        }
    });
}
