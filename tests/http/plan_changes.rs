//! What an admin changes of plans, and of who is on which, comes to the images that are there already.

use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fixtures::Picture;
use crate::harness::{
    Body, FunctionUnderTest, Stack, User, deaths, eventually, image_at, job_message, on_stack, parts, sent, text,
    unique,
};
use crate::jobs::over;

pub(crate) fn rules(heights: &[u32]) -> Value {
    json!({
        "thumbnail_heights": heights, "webp_thumbnails": false, "original_link": true, "expiring_links": true,
        "max_image_bytes": 1_000_000, "max_images": 1000,
    })
}

pub(crate) async fn new_plan(admin: &User, heights: &[u32]) -> String {
    let name = format!("plan-{}", unique());
    let mut plan = rules(heights);
    plan["name"] = json!(name);
    admin.post("/api/plans", plan).await.assert_json(201);
    name
}

/// The job that an answer tells of, once it is over.
pub(crate) async fn job_over(admin: &User, answer: &Value) -> Value {
    id_over(admin, answer["job"].str("id")).await
}

pub(crate) async fn id_over(admin: &User, job: &str) -> Value {
    let path = format!("/api/jobs/{job}");
    over(async || admin.get(&path).await.assert_json(200)).await
}

pub(crate) async fn assign(admin: &User, user: &str, plan: Option<&str>) -> Value {
    admin.put(format!("/api/users/{user}/plan"), json!({"plan": plan})).await.assert_json(202)
}

async fn change(admin: &User, plan: &str, heights: &[u32]) -> Value {
    admin.put(format!("/api/plans/{plan}"), rules(heights)).await.assert_json(202)
}

async fn photos(user: &User, prefix: &str, count: usize) -> Vec<Value> {
    let titles: Vec<String> = (0..count).map(|n| format!("{prefix} {n}")).collect();
    join_all(titles.iter().map(|title| user.publish(title, Picture::small()))).await
}

async fn change_webp(admin: &User, plan: &str, heights: &[u32], webp: bool) -> Value {
    let mut rules = rules(heights);
    rules["webp_thumbnails"] = json!(webp);
    let changed = admin.put(format!("/api/plans/{plan}"), rules).await.assert_json(202);
    assert_eq!(changed["plan"]["webp_thumbnails"], webp);
    job_over(admin, &changed).await
}

fn heights(image: &Value) -> Vec<u64> {
    image.list("thumbnails").iter().map(|thumbnail| thumbnail.number("height")).collect()
}

/// That an image has exactly these thumbnails, to see and behind the API.
async fn has(stack: &Stack, user: &User, id: &str, wanted: &[u64]) {
    let image = user.image(id).await;
    assert_eq!(heights(&image), wanted, "{image}");
    for thumbnail in image.list("thumbnails") {
        stack.get(thumbnail.str("url")).await.assert_status(200);
    }
    has_blobs(stack, id, 1 + wanted.len()).await;
}

async fn has_blobs(stack: &Stack, id: &str, count: usize) {
    let right = async || (stack.blobs(id).await.len() == count).then_some(());
    eventually(&format!("{id} to have {count} blobs"), right).await;
}

#[test]
fn a_change_of_plan_comes_to_the_images_of_all_its_users() {
    on_stack(async |stack| {
        let admin = stack.admin().await;
        let plan = new_plan(&admin, &[100]).await;
        let (one, two, other) = (stack.user().await, stack.user().await, stack.user().await);
        for user in [&one, &two] {
            assign(&admin, &user.api_id, Some(&plan)).await;
        }
        let picture = Picture::small();
        let mut images = Vec::new();
        for user in [&one, &two] {
            images.push((user, user.publish("Harbour", picture).await));
            images.push((user, user.hide("Pier", picture).await));
        }
        let untouched = other.publish("Harbour", picture).await;
        one.pending("Later").await;
        for (user, image) in &images {
            has(stack, user, image.str("id"), &[100]).await;
        }
        let (owner, key) = parts(images[0].1.str("id"));
        let old = format!("/media/thumbnail/{owner}/{key}/100.jpg");
        stack.get(&old).await.assert_status(200);

        let changed = change(&admin, &plan, &[150, 50]).await;
        assert_eq!(changed["plan"]["thumbnail_heights"], json!([50, 150]));
        assert_eq!(changed["plan"]["name"], plan);
        assert_eq!(changed["job"]["kind"], "change_plan");
        let job = job_over(&admin, &changed).await;
        assert_eq!((&job["status"], job.number("done"), job.number("total")), (&json!("done"), 4, 4));
        for (user, image) in &images {
            has(stack, user, image.str("id"), &[50, 150]).await;
        }
        stack.get(&old).await.assert_status(404);
        assert_eq!(other.image(untouched.str("id")).await["updated_at"], untouched["updated_at"]);

        // Nothing to build: all are counted as right.
        let job = job_over(&admin, &change(&admin, &plan, &[50, 150]).await).await;
        assert_eq!(job.number("done"), 4);
    });
}

#[test]
fn webp_variants_come_and_go_with_the_plan() {
    const ACCEPT: &str = "image/avif,image/webp,*/*;q=0.8";
    on_stack(async |stack| {
        let admin = stack.admin().await;
        let plan = new_plan(&admin, &[100, 50]).await;
        let user = stack.user().await;
        assign(&admin, &user.api_id, Some(&plan)).await;
        let photo = user.publish("Harbour", Picture::small()).await;
        let own = user.publish("WebP", &Picture::webp(320, 240)).await;
        let first = user.image(photo.str("id")).await;
        has(stack, &user, photo.str("id"), &[50, 100]).await;
        let kind = async |image: &Value| {
            let shown = stack.get(image.list("thumbnails")[0].str("url")).header("accept", ACCEPT).await;
            shown.assert_status(200).must_header("content-type").to_owned()
        };
        assert_eq!(kind(&photo).await, "image/jpeg");

        assert_eq!(change_webp(&admin, &plan, &[50, 100], true).await["done"], 2);
        has_blobs(stack, photo.str("id"), 5).await;
        assert_eq!(kind(&photo).await, "image/webp");
        let with = user.image(photo.str("id")).await;
        assert_eq!(heights(&with), [50, 100]);
        // A thumbnail that is WebP already has no variant, so nothing is built for it.
        let same = user.image(own.str("id")).await;
        assert_eq!(same["updated_at"], own["updated_at"]);
        has_blobs(stack, own.str("id"), 3).await;
        // Nothing to build: it is right.
        assert_eq!(change_webp(&admin, &plan, &[50, 100], true).await["done"], 2);
        assert_eq!(user.image(photo.str("id")).await["updated_at"], with["updated_at"]);

        assert_eq!(change_webp(&admin, &plan, &[50, 100], false).await["done"], 2);
        has_blobs(stack, photo.str("id"), 3).await;
        assert_eq!(kind(&photo).await, "image/jpeg");
        let urls = |image: &Value| -> Vec<String> {
            image.list("thumbnails").iter().map(|thumbnail| thumbnail.str("url").to_owned()).collect()
        };
        assert_eq!(urls(&user.image(photo.str("id")).await), urls(&first));
        assert_eq!(user.image(own.str("id")).await["updated_at"], own["updated_at"]);
        stack.agrees(&user).await;
    });
}

#[test]
fn a_user_on_another_plan_gets_its_thumbnails_and_its_rights() {
    on_stack(async |stack| {
        let admin = stack.admin().await;
        let (plain, rich) = (new_plan(&admin, &[100]).await, new_plan(&admin, &[60, 120]).await);
        let user = stack.user().await;
        let accepted = assign(&admin, &user.id, Some(&plain)).await;
        assert_eq!(accepted["job"]["kind"], "assign_plan");
        assert_eq!(user.get("/api/me").await.assert_json(200)["plan"], plain);
        let image = user.publish("Harbour", Picture::small()).await;
        let id = image.str("id");
        user.link(&image, json!({})).await;

        let job = job_over(&admin, &assign(&admin, &user.id, Some(&rich)).await).await;
        assert_eq!((&job["status"], job.number("done")), (&json!("done"), 1));
        has(stack, &user, id, &[60, 120]).await;
        // On the same one again: nothing changes.
        let before = user.image(id).await;
        job_over(&admin, &assign(&admin, &user.id, Some(&rich)).await).await;
        assert_eq!(user.image(id).await["updated_at"], before["updated_at"]);

        let job = job_over(&admin, &assign(&admin, &user.id, None).await).await;
        assert_eq!(job.number("done"), 1);
        has(stack, &user, id, &[]).await;
        assert_eq!(user.get("/api/me").await.assert_json(200)["plan"], Value::Null);
        user.post("/api/images", Picture::small().draft("Pier")).await.assert_problem(403, "plan_required");
        job_over(&admin, &assign(&admin, &user.id, Some(&plain)).await).await;
        has(stack, &user, id, &[100]).await;
        admin.delete(format!("/api/plans/{rich}")).await.assert_status(204);
        admin.delete(format!("/api/plans/{plain}")).await.assert_problem(409, "plan_in_use");
    });
}

#[test]
fn an_invalid_assignment_of_a_plan_changes_nothing() {
    on_stack(async |stack| {
        let admin = stack.admin().await;
        let plan = new_plan(&admin, &[100]).await;
        let user = stack.user().await;
        let path = format!("/api/plans/{plan}");
        let before = stack.get(&path).await.assert_json(200);

        admin.put(format!("/api/plans/{}", unique()), rules(&[1])).await.invalid_fields();
        admin.put(format!("/api/plans/{}", unique()), rules(&[100])).await.assert_problem(404, "not_found");
        admin.put("/api/plans/a%20b", rules(&[100])).await.assert_problem(404, "not_found");
        let mut wrong = rules(&[15]);
        wrong["name"] = json!("Basic");
        wrong["max_images"] = Value::Null;
        wrong["colour"] = json!("red");
        assert_eq!(admin.put(&path, wrong).await.invalid_fields(), ["colour", "max_images", "thumbnail_heights[0]"]);
        let mut renamed = rules(&[100]);
        renamed["name"] = json!("Basic");
        assert_eq!(admin.put(&path, renamed.clone()).await.invalid_fields(), ["name"]);
        assert_eq!(stack.get(&path).await.assert_json(200), before);
        renamed["name"] = json!(plan);
        admin.put(&path, renamed).await.assert_json(202);

        let of = |id: &str| format!("/api/users/{id}/plan");
        assert_eq!(admin.put(of(&user.id), json!({"plan": unique()})).await.invalid_fields(), ["plan"]);
        assert_eq!(admin.put(of(&user.id), json!({})).await.invalid_fields(), ["plan"]);
        assert_eq!(admin.put(of(&user.id), json!({"plan": "a/b"})).await.invalid_fields(), ["plan"]);
        for nobody in [Uuid::new_v4().to_string(), "x".to_owned()] {
            admin.put(of(&nobody), json!({"plan": "Basic"})).await.assert_problem(404, "not_found");
        }
        assert_eq!(user.get("/api/me").await.assert_json(200)["plan"], "Basic");
    });
}

#[test]
fn of_two_concurrent_changes_of_a_plan_the_second_is_rejected() {
    on_stack(async |stack| {
        let (one, two) = (stack.admin().await, stack.admin().await);
        let plan = new_plan(&one, &[100]).await;
        let path = format!("/api/plans/{plan}");
        let tag = stack.get(&path).await.must_header("etag").to_owned();
        let answers = join_all((0..8).map(|index| {
            let admin = if index % 2 == 0 { &one } else { &two };
            admin.put(&path, rules(&[100 + index])).header("if-match", &tag).send()
        }))
        .await;
        let (changed, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 202);
        let [changed] = &changed[..] else { panic!("one changes it, not {}", changed.len()) };
        for answer in refused {
            answer.assert_problem(412, "precondition_failed");
        }
        let now = stack.get(&path).await;
        assert_eq!(now.must_header("etag"), changed.must_header("etag"));
        assert_eq!(now.json(), changed.json()["plan"]);
        // Without a condition the last one counts.
        one.put(&path, rules(&[70])).await.assert_json(202);
        assert_eq!(stack.get(&path).await.assert_json(200)["thumbnail_heights"], json!([70]));
    });
}

#[test]
fn images_created_or_deleted_during_plan_change_match_the_plan() {
    on_stack(async |stack| {
        let admin = stack.admin().await;
        let plan = new_plan(&admin, &[40]).await;
        let user = stack.user().await;
        assign(&admin, &user.api_id, Some(&plan)).await;
        let kept = photos(&user, "Kept", 6).await;
        let doomed = photos(&user, "Doomed", 6).await;

        let uploads = photos(&user, "New", 6);
        let deletions =
            join_all(doomed.iter().map(|image| user.delete(format!("/api/images/{}", image.str("id"))).send()));
        let changes = async {
            let mut jobs = Vec::new();
            for wanted in [[50, 60], [70, 80], [90, 110]] {
                jobs.push(change(&admin, &plan, &wanted).await);
            }
            jobs
        };
        let (new, deleted, changes) = tokio::join!(uploads, deletions, changes);
        assert!(deleted.iter().all(|answer| answer.status == 204));
        for job in &changes {
            assert_eq!(job_over(&admin, job).await["status"], "done");
        }
        for image in kept.iter().chain(&new) {
            has(stack, &user, image.str("id"), &[90, 110]).await;
        }
        for image in &doomed {
            assert!(stack.image_item(image.str("id")).await.is_none(), "a deleted image came back");
            stack.no_blobs(image.str("id")).await;
        }
        assert_eq!(user.pages("/api/images").await.len(), 12);
        assert_eq!(user.get("/api/me").await.assert_json(200)["usage"]["images"], 12);
    });
}

/// A job that an admin begins with this request, and of which nobody is told.
pub(crate) async fn unheard(stack: &Stack, admin: &User, operation: &str, target: &str, body: Value) -> String {
    let function = stack.function(operation).await;
    function.proxy.rule("SendMessage", 1, sent());
    function.call(Some(admin), "PUT", target, Some(body)).await.assert_json(202)["job"].str("id").to_owned()
}

/// A user with images, and a job for them that nobody has been told of.
pub(crate) async fn unheard_of(stack: &'static Stack, admin: &User, heights: &[u32]) -> (User, Vec<String>, String) {
    let user = stack.user().await;
    let before = new_plan(admin, &[40]).await;
    job_over(admin, &assign(admin, &user.id, Some(&before)).await).await;
    let images = photos(&user, "Photo", 2).await;
    let after = new_plan(admin, heights).await;
    let path = format!("/api/users/{}/plan", user.id);
    let job = unheard(stack, admin, "assign_plan", &path, json!({"plan": after})).await;
    (user, images.iter().map(|image| image.str("id").to_owned()).collect(), job)
}

async fn work(function: &FunctionUnderTest, job: &str) {
    let answer = function.invoke(job_message(job)).await.expect("it works");
    assert_eq!(answer["batchItemFailures"], json!([]));
}

#[test]
fn plan_change_killed_at_any_call_counts_each_image_once() {
    on_stack(async |stack| {
        let admin = stack.admin().await;
        let (_, _, job) = unheard_of(stack, &admin, &[50]).await;
        let function = stack.function("run_job").await;
        work(&function, &job).await;
        let calls = function.proxy.take_operations();
        assert!(calls.len() > 10, "{calls:?}");
        drop(function);
        // Each kill in a job of its own, which takes its user's images from one plan to the other.
        const LANES: usize = 3;
        let plans = [new_plan(&admin, &[50, 70]).await, new_plan(&admin, &[60]).await];
        join_all((0..LANES).map(async |lane| {
            let (user, images, _) = unheard_of(stack, &admin, &[40]).await;
            let path = format!("/api/users/{}/plan", user.id);
            for (turn, death) in deaths(&calls).skip(lane).step_by(LANES).enumerate() {
                let job = unheard(stack, &admin, "assign_plan", &path, json!({"plan": plans[turn % 2]})).await;
                let function = stack.function("run_job").await;
                let moment = format!("{death:?}");
                function.kill_at(death, job_message(&job)).await.expect("it makes this call");
                let function = stack.function("run_job").await;
                for _ in 0..2 {
                    work(&function, &job).await;
                }
                let job = id_over(&admin, &job).await;
                assert_eq!((&job["status"], job.number("done")), (&json!("done"), 2), "{moment}");
                let wanted: &[u64] = if turn % 2 == 0 { &[50, 70] } else { &[60] };
                for id in &images {
                    has(stack, &user, id, wanted).await;
                }
            }
        }))
        .await;
    });
}

#[test]
fn an_image_that_cannot_be_rebuilt_does_not_block_others() {
    on_stack(async |stack| {
        let admin = stack.admin().await;
        let (user, images, job) = unheard_of(stack, &admin, &[50, 70]).await;
        let key = stack.original_key(&images[1]).await;
        let (bytes, kind) = (b"no image".to_vec(), "image/jpeg");
        let put = stack.s3.put_object().bucket(&stack.originals).key(&key).body(bytes.into()).content_type(kind);
        put.send().await.expect("the operator may write");
        let function = stack.function("run_job").await;
        work(&function, &job).await;
        let job = id_over(&admin, &job).await;
        assert_eq!((&job["status"], job.number("done")), (&json!("done"), 1));
        has(stack, &user, &images[0], &[50, 70]).await;
        has(stack, &user, &images[1], &[40]).await;
    });
}

/// As during a gradual deployment, and after a rollback.
#[test]
fn changes_keep_what_a_newer_version_stored_with_an_image() {
    on_stack(async |stack| {
        let admin = stack.admin().await;
        let user = stack.user_on("Basic").await;
        let (ready, pending) = (user.publish("Harbour", Picture::small()).await, user.pending("Later").await);
        let id = ready.str("id");
        let newer = (":newer", text("kept"));
        for id in [id, &pending.id] {
            stack.change(image_at(id), "pk", "SET newer = :newer", std::slice::from_ref(&newer)).await;
        }
        let in_thumbnail = "SET thumbnails[0].newer = :newer";
        stack.change(image_at(id), "thumbnails", in_thumbnail, std::slice::from_ref(&newer)).await;
        let item = async |id: &str| stack.image_item(id).await.expect("it is there");

        user.patch(format!("/api/images/{id}"), json!({"title": "Pier", "visibility": "private"}))
            .await
            .assert_status(200);
        let changed = item(id).await;
        assert_eq!((&changed["newer"], &changed["title"]), (&newer.1, &text("Pier")));
        assert_eq!(changed["thumbnails"].as_l().expect("a list")[0].as_m().expect("a map")["newer"], newer.1);
        assert!(!changed.contains_key("feed_pk"));
        user.post(format!("/api/images/{}/upload", pending.id), json!({})).await.assert_status(200);
        assert_eq!(item(&pending.id).await["newer"], newer.1);

        let plan = new_plan(&admin, &[100, 50]).await;
        job_over(&admin, &assign(&admin, &user.api_id, Some(&plan)).await).await;
        let rebuilt = item(id).await;
        assert_eq!((&rebuilt["newer"], rebuilt["thumbnails"].as_l().expect("a list").len()), (&newer.1, 2));
        // Of the last change only: it makes `sweep` delete the old thumbnails.
        assert!(rebuilt.contains_key("replaced"));
        user.patch(format!("/api/images/{id}"), json!({"description": "At dawn"})).await.assert_status(200);
        assert!(!item(id).await.contains_key("replaced"));
    });
}
