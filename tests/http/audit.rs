//! The audit finds what does not agree, names it, and mends what can be mended. It looks at everything there is, and here
//! nothing is too young for it: so it runs when the other tests are done.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

use crate::budget::{Ledger, OF_THE_AUDIT};
use crate::fixtures::Picture;
use crate::harness::{
    Audited, Body, Counts, Fault, Stack, User, eventually, id_of, image_at, number, on_stack, parts, profile_at, text,
    unknown_id,
};
use crate::jobs::over;
use crate::kills::unbuild;
use crate::plan_changes::{id_over, unheard_of};

fn counts(kinds: &[&str]) -> Counts {
    kinds.iter().map(|kind| ((*kind).to_owned(), 1)).collect()
}

/// One of these at a time: each looks at everything there is, and makes something wrong.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Waits until all that the other tests set going has come to its end.
async fn quiet(stack: &Stack) -> MutexGuard<'static, ()> {
    let alone = ALONE.lock().await;
    eventually("the other tests' work to be done", async || stack.audit(false).await.found.is_empty().then_some(()))
        .await;
    alone
}

impl Stack {
    async fn put(&self, pk: &str, sk: &str, more: &[(&str, AttributeValue)]) {
        let mut put = self.dynamodb.put_item().table_name(&self.table).item("pk", text(pk)).item("sk", text(sk));
        for (name, value) in more {
            put = put.item(*name, value.clone());
        }
        put.send().await.expect("the operator may write");
    }

    async fn remove(&self, pk: &str, sk: &str) {
        let delete = self.dynamodb.delete_item().table_name(&self.table).key("pk", text(pk)).key("sk", text(sk));
        delete.send().await.expect("the operator may delete");
    }
}

#[test]
#[ignore = "looks at everything there is: runs when the other tests are done"]
fn the_audit_finds_and_repairs_inconsistencies() {
    on_stack(async |stack| {
        let _alone = quiet(stack).await;

        let user = stack.user_on("Premium").await;
        let [bare, unclaimed, unlisted, original] =
            ["Bare", "Unclaimed", "Unlisted", "Original"].map(|title| user.publish(title, Picture::small()));
        let (bare, unclaimed) = (bare.await, unclaimed.await);
        let (unlisted, original) = (unlisted.await, original.await);
        let abandoned = user.pending("Abandoned").await;
        stack.builder_is_idle().await;
        let profile = format!("PROFILE#{}", user.id);

        // An image without a thumbnail and a WebP variant, one without its claim, one that the feed misses, one without its original.
        let lost = stack.blobs(bare.str("id")).await;
        for kind in ["/200.jpg", "/240.webp"] {
            let lost = lost.iter().find(|key| key.ends_with(kind)).expect("it has one");
            stack.s3.delete_object().bucket(&stack.thumbnails).key(lost).send().await.expect("gone");
        }
        stack.remove(&format!("TITLE#{}#Unclaimed", user.id), "CLAIM").await;
        stack.change(image_at(unlisted.str("id")), "pk", "REMOVE feed_pk, feed_sk", &[]).await;
        let key = stack.original_key(original.str("id")).await;
        stack.s3.delete_object().bucket(&stack.originals).key(key).send().await.expect("gone");
        // A title held for nothing, a blob of no image, one that no image records.
        let unknown = unknown_id(&user.id);
        let (owner, nobody) = parts(&unknown);
        stack.put(&format!("TITLE#{owner}#Nothing"), "CLAIM", &[("image_id", text(nobody.to_string()))]).await;
        let (_, some) = parts(bare.str("id"));
        for key in [format!("thumbnails/{owner}/{nobody}/0/200.jpg"), format!("thumbnails/{owner}/{some}/0/200.jpg")] {
            let put = stack.s3.put_object().bucket(&stack.thumbnails).key(key).body(b"stray".to_vec().into());
            put.send().await.expect("the operator may write");
        }
        // A counter that counts wrong, an index that places wrong, and what nobody knows.
        let shard = some.as_bytes()[15] % 16;
        stack
            .change((profile.clone(), format!("USAGE#{shard}")), "pk", "ADD images :some", &[(":some", number(7))])
            .await;
        stack.change(profile_at(&user.id), "pk", "REMOVE plan_pk", &[]).await;
        stack.put(&profile, "RUMOUR#1", &[]).await;
        // An upload that never came is no fault, and goes all the same.
        stack.abandon(&abandoned.id, "Abandoned").await;

        let mendable = [
            "blob_not_recorded",
            "blob_without_image",
            "miscounted",
            "thumbnail_missing",
            "title_held_for_nothing",
            "title_not_held",
            "wrong_feed_entry",
            "wrong_plan_entry",
        ];
        let hopeless = ["original_missing", "unknown_kind"];
        let all = counts(&[&mendable[..], &hopeless].concat());
        assert_eq!(stack.audit(false).await, Audited { found: all.clone(), mended: Counts::new() });
        // Looking changed nothing.
        assert_eq!(stack.audit(true).await, Audited { found: all, mended: counts(&mendable) });
        assert_eq!(stack.audit(false).await.found, counts(&hopeless));

        assert_eq!(user.get("/api/me").await.assert_json(200)["usage"]["images"], 4);
        user.ready(bare.str("id")).await;
        assert_eq!(stack.blobs(bare.str("id")).await.len(), 5);
        user.post("/api/images", Picture::small().draft("Unclaimed")).await.assert_problem(409, "title_taken");
        user.post("/api/images", Picture::small().draft("Nothing")).await.assert_status(201);
        assert!(stack.image_item(&abandoned.id).await.is_none());
        assert!(stack.image_item(unlisted.str("id")).await.expect("there").contains_key("feed_pk"));
        user.image(unclaimed.str("id")).await;

        stack.remove(&profile, "RUMOUR#1").await;
        user.delete(format!("/api/images/{}", original.str("id"))).await.assert_status(204);
        stack.no_blobs(original.str("id")).await;
    });
}

#[test]
#[ignore = "looks at everything there is: runs when the other tests are done"]
fn unreadable_items_are_found_and_do_not_end_the_audit() {
    on_stack(async |stack| {
        let _alone = quiet(stack).await;
        let [first, second, third] = [stack.user().await, stack.user().await, stack.user().await];
        first.publish("Claim", Picture::small()).await;
        let image = first.publish("Image", Picture::small()).await;
        let counted = second.publish("Counter", Picture::small()).await;
        third.publish("Profile", Picture::small()).await;
        stack.builder_is_idle().await;

        let shard = parts(counted.str("id")).1.as_bytes()[15] % 16;
        let required = [
            ((format!("TITLE#{}#Claim", first.id), "CLAIM".to_owned()), "image_id"),
            (image_at(image.str("id")), "content_type"),
            ((format!("PROFILE#{}", second.id), format!("USAGE#{shard}")), "images"),
            (profile_at(&third.id), "epoch"),
        ];
        let mut items = Vec::new();
        for ((pk, sk), attribute) in &required {
            items.push(stack.item(pk.clone(), sk.clone()).await.expect("it is there"));
            stack.change((pk.clone(), sk.clone()), attribute, &format!("REMOVE {attribute}"), &[]).await;
        }
        let (jobs, job) = (format!("USER#{}", first.id), "JOB#1");
        stack.put(&jobs, job, &[("expires_at", number(4_000_000_000))]).await;

        let blobs = stack.blobs(image.str("id")).await;
        let found = Counts::from([("unreadable_item".to_owned(), 5)]);
        assert_eq!(stack.audit(true).await, Audited { found, mended: Counts::new() });
        assert_eq!(stack.blobs(image.str("id")).await, blobs);

        stack.remove(&jobs, job).await;
        for item in items {
            let put = stack.dynamodb.put_item().table_name(&stack.table).set_item(Some(item));
            put.send().await.expect("the operator may write");
        }
        assert_eq!(stack.audit(false).await.found, Counts::new());
    });
}

#[test]
#[ignore = "looks at everything there is: runs when the other tests are done"]
fn audit_builds_missing_thumbnails_and_deletes_orphans() {
    on_stack(async |stack| {
        let _alone = quiet(stack).await;
        let user = stack.user_on("Premium").await;
        let picture = Picture::jpeg(640, 480);
        let [unbuilt, stuck, odd, early] =
            ["Unbuilt", "Stuck", "Odd", "Early"].map(|title| user.publish(title, &picture));
        let (unbuilt, stuck, odd, early) = (unbuilt.await, stuck.await, odd.await, early.await);
        let rejected = user.publish("Rejected", Picture::small()).await;
        stack.builder_is_idle().await;

        // An upload that nobody was told of; one whose builder died; one that was rejected and whose blobs stayed.
        unbuild(stack, &user, unbuilt.str("id")).await;
        unbuild(stack, &user, stuck.str("id")).await;
        stack.change(image_at(stuck.str("id")), "pk", "SET #state = :state", &[(":state", text("processing"))]).await;
        let (owner, key) = parts(rejected.str("id"));
        let item = stack.image_item(rejected.str("id")).await.expect("there");
        user.delete(format!("/api/images/{}", rejected.str("id"))).await.assert_status(204);
        stack.no_blobs(rejected.str("id")).await;
        let mut item = item.clone();
        for part in ["width", "height", "placeholder", "thumbnails", "built_for", "feed_pk", "feed_sk"] {
            item.remove(part);
        }
        item.insert("state".into(), text("rejected"));
        item.insert("reason".into(), text("It is no image."));
        let put = stack.dynamodb.put_item().table_name(&stack.table).set_item(Some(item));
        put.send().await.expect("the operator may write");
        let stray = format!("thumbnails/{owner}/{key}/0/200.jpg");
        let put = stack.s3.put_object().bucket(&stack.thumbnails).key(&stray).body(b"stray".to_vec().into());
        put.send().await.expect("the operator may write");
        // A claim that ends with no image's time; a title that another holds, and what was never written by us.
        let claim = format!("TITLE#{}#Early", user.id);
        stack
            .change(
                (claim.clone(), "CLAIM".to_owned()),
                "pk",
                "SET expires_at = :later",
                &[(":later", number(4_000_000_000))],
            )
            .await;
        let (_, other) = parts(early.str("id"));
        let odd_claim = format!("TITLE#{}#Odd", user.id);
        stack
            .change(
                (odd_claim, "CLAIM".to_owned()),
                "pk",
                "SET image_id = :other",
                &[(":other", text(other.to_string()))],
            )
            .await;

        let mendable = ["blob_of_rejected_image", "claim_expires_otherwise", "stuck_in_processing", "upload_not_built"];
        // The other image's claim is not on that title; so it is held for nothing, and its own image's once it is free.
        let all = counts(&[&mendable[..], &["title_held_by_another", "title_held_for_nothing"]].concat());
        assert_eq!(stack.audit(false).await.found, all);
        // A title that is free comes back to its image, at once or the next time.
        let function = stack.function("audit").await;
        let mut mended = Counts::new();
        for _ in 0..2 {
            for (kind, count) in stack.audit_by(&function, true).await.mended {
                *mended.entry(kind).or_default() += count;
            }
        }
        assert_eq!(mended, counts(&[&mendable[..], &["title_held_for_nothing", "title_not_held"]].concat()));
        assert_eq!(stack.audit(false).await, Audited::default());

        for image in [&unbuilt, &stuck] {
            user.ready(image.str("id")).await;
            assert_eq!(stack.blobs(image.str("id")).await.len(), 5);
        }
        assert_eq!(user.image(odd.str("id")).await, odd);
        assert_eq!(user.image(early.str("id")).await, early);
        assert!(stack.blobs(rejected.str("id")).await.is_empty());
        user.rejected(rejected.str("id")).await;
        user.post("/api/images", Picture::small().draft("Odd")).await.assert_problem(409, "title_taken");
        assert_eq!(user.get("/api/me").await.assert_json(200)["usage"]["images"], 4);
        let (pk, sk) = (claim.as_str(), "CLAIM");
        assert!(!stack.item(pk.into(), sk.into()).await.expect("held").contains_key("expires_at"));
    });
}

#[test]
#[ignore = "looks at everything there is: runs when the other tests are done"]
fn audit_closes_account_deleted_in_the_pool() {
    on_stack(async |stack| {
        let _alone = quiet(stack).await;
        let (gone, kept) = (stack.user_on("Enterprise").await, stack.user().await);
        let image = gone.publish("Harbour", Picture::small()).await;
        let theirs = kept.publish("Harbour", Picture::small()).await;
        gone.link(&image, json!({})).await;
        let leave =
            |user: &User| stack.cognito.admin_delete_user().user_pool_id(&stack.user_pool).username(&user.email);
        leave(&gone).send().await.expect("whoever holds a token may do that");

        assert_eq!(stack.audit(false).await.found, counts(&["profile_without_account"]));
        gone.get("/api/me").await.assert_status(200);
        let function = stack.function("audit").await;
        assert_eq!(
            stack.audit_by(&function, true).await,
            Audited { found: counts(&["profile_without_account"]), mended: counts(&["profile_without_account"]) }
        );
        // Closed at once, as by a request.
        gone.get("/api/me").await.assert_status(401);
        stack.get(format!("/api/images/{}", image.str("id"))).await.assert_status(404);
        let keys = stack.everything_of(&gone.id).await;
        let job = keys.iter().find_map(|key| key.strip_prefix("JOB#")).expect("a job deletes the rest");
        let job = id_of(&gone.id, job);
        let read = async || stack.get(format!("/api/jobs/{job}")).await.assert_json(200);
        eventually("the images to go", async || (read().await.number("done") == 1).then_some(())).await;
        stack.requests_have_ended(&job).await;
        stack.nudge(&job).await;
        assert_eq!(over(read).await["status"], "done");
        assert_eq!(stack.everything_of(&gone.id).await.len(), 2, "the job, and the mark of the deletion");
        stack.no_blobs(image.str("id")).await;
        assert_eq!(kept.image(theirs.str("id")).await, theirs);
        assert_eq!(stack.audit(false).await, Audited::default());
    });
}

#[test]
#[ignore = "looks at everything there is: runs when the other tests are done"]
fn audit_closes_one_account_at_most_with_empty_pool() {
    on_stack(async |stack| {
        let _alone = quiet(stack).await;
        let users = [stack.user().await, stack.user().await, stack.user().await];
        let function = stack.function("audit").await;
        function.proxy.rule("AdminGetUser", usize::MAX, Fault::json(400, "UserNotFoundException"));
        // One page, of all profiles there are at most.
        let order = json!({"mend": true, "grace_seconds": 0, "place": {"in": "items", "after": ["PROFILE#", " "]}});
        let begun = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_millis();
        let report = function.invoke(order).await.expect("it runs");
        assert!(report["findings"].number("profile_without_account") >= 3, "{report}");
        assert_eq!(report["mended"]["profile_without_account"], 1, "{report}");
        let mut alive = 0;
        for user in &users {
            alive += usize::from(user.get("/api/me").await.status == 200);
        }
        assert!(alive >= 2);

        // The closed account may be of any test, while another test's account is still being deleted. Its deletion ends here:
        // the next test audits everything.
        let scan = stack.dynamodb.scan().table_name(&stack.table);
        let scan = scan.filter_expression("begins_with(sk, :job) AND kind = :kind AND started_at >= :begun");
        let scan = scan.expression_attribute_values(":job", text("JOB#"));
        let scan = scan.expression_attribute_values(":kind", text("delete_account"));
        let scan = scan.expression_attribute_values(":begun", number(i64::try_from(begun).expect("it fits")));
        let jobs: Vec<_> = scan.into_paginator().items().send().collect::<Result<_, _>>().await.expect("it reads");
        let [job] = jobs.as_slice() else { panic!("one account is being deleted: {jobs:?}") };
        let part = |name: &str, prefix: &str| {
            job[name].as_s().ok().and_then(|key| key.strip_prefix(prefix)).expect("the key of a job").to_owned()
        };
        let (owner, job) = (part("pk", "USER#"), part("sk", "JOB#"));
        let is_image = |key: &String| key.starts_with("IMAGE#");
        eventually("the images to go", async || {
            (!stack.everything_of(&owner).await.iter().any(is_image)).then_some(())
        })
        .await;
        let job = id_of(&owner, &job);
        stack.requests_have_ended(&job).await;
        stack.nudge(&job).await;
        let read = async || stack.get(format!("/api/jobs/{job}")).await.assert_json(200);
        assert_eq!(over(read).await["status"], "done");
    });
}

#[test]
#[ignore = "looks at everything there is: runs when the other tests are done"]
fn scheduled_audit_continues_and_restarts_at_the_end() {
    on_stack(async |stack| {
        let _alone = quiet(stack).await;
        let user = stack.user().await;
        let nobody = unknown_id(&user.id);
        let (owner, key) = parts(&nobody);
        let put = stack.s3.put_object().bucket(&stack.thumbnails).key(format!("thumbnails/{owner}/{key}/0/200.jpg"));
        put.body(b"stray".to_vec().into()).send().await.expect("the operator may write");
        let claim = format!("TITLE#{owner}#Nothing");
        stack.put(&claim, "CLAIM", &[("image_id", text(key.to_string()))]).await;
        stack.remove("AUDIT", "PLACE").await;

        // As the schedule orders it, but for the grace: a run is one page of it here.
        let order = json!({"mend": true, "keep_place": true, "grace_seconds": 0});
        let mut audited = Audited::default();
        let (mut runs, mut places) = (0, Vec::new());
        loop {
            // Each run may be another process.
            let function = stack.function("audit").await;
            let report = function.invoke(order.clone()).await.expect("it runs");
            audited.add(&report);
            runs += 1;
            let kept = stack.item("AUDIT".into(), "PLACE".into()).await.expect("it keeps its place");
            let kept: Value = serde_json::from_str(kept["place"].as_s().expect("a text")).expect("JSON");
            if report["next"].is_null() {
                assert_eq!(kept, json!({"in": "items", "after": null}), "it begins again");
                break;
            }
            assert_eq!(kept, report["next"]);
            assert!(!places.contains(&kept), "{kept} again, after {places:?}");
            places.push(kept);
        }
        assert!(runs >= 3, "items, originals, thumbnails: {runs}");
        let found = counts(&["blob_without_image", "title_held_for_nothing"]);
        assert_eq!(audited, Audited { found: found.clone(), mended: found });
        assert_eq!(stack.audit(false).await, Audited::default());
    });
}

#[test]
#[ignore = "looks at everything there is: runs when the other tests are done"]
fn the_audit_has_only_the_permissions_that_it_uses() {
    on_stack(async |stack| {
        let _alone = quiet(stack).await;
        let mut ledger = Ledger::new(stack);
        let (user, gone) = (stack.user().await, stack.user().await);
        let unbuilt = user.publish("Unbuilt", Picture::small()).await;
        let rejected = user.publish("Rejected", Picture::small()).await;
        stack.builder_is_idle().await;
        unbuild(stack, &user, unbuilt.str("id")).await;
        let change = "SET #state = :state, reason = :reason \
                      REMOVE width, height, placeholder, thumbnails, built_for, feed_pk, feed_sk";
        stack
            .change(
                image_at(rejected.str("id")),
                "pk",
                change,
                &[(":state", text("rejected")), (":reason", text("It is no image."))],
            )
            .await;
        let nobody = unknown_id(&user.id);
        let (owner, key) = parts(&nobody);
        stack.put(&format!("TITLE#{owner}#Nothing"), "CLAIM", &[("image_id", text(key.to_string()))]).await;
        let put = stack.s3.put_object().bucket(&stack.thumbnails).key(format!("thumbnails/{owner}/{key}/0/200.jpg"));
        put.body(b"stray".to_vec().into()).send().await.expect("the operator may write");
        let leave = stack.cognito.admin_delete_user().user_pool_id(&stack.user_pool).username(&gone.email);
        leave.send().await.expect("whoever holds a token may do that");

        let function = stack.function("audit").await;
        stack.audit_by(&function, true).await;
        ledger.note(&function);
        ledger.compare(OF_THE_AUDIT);
        user.ready(unbuilt.str("id")).await;
        user.rejected(rejected.str("id")).await;
        assert!(stack.blobs(rejected.str("id")).await.is_empty());
        stack.no_blobs(&nobody).await;
    });
}

#[test]
#[ignore = "looks at everything there is: runs when the other tests are done"]
fn a_job_whose_message_was_lost_continues() {
    on_stack(async |stack| {
        let _alone = quiet(stack).await;
        let admin = stack.admin().await;
        let (user, images, job) = unheard_of(stack, &admin, &[50]).await;
        // It may only be slow.
        assert_eq!(stack.audit(true).await.found, Counts::new());
        stack.job_moved_long_ago(&job).await;
        let stalled = counts(&["stalled_job"]);
        // The job may begin during the audit that finds it: what it writes is too young then.
        let function = stack.function("audit").await;
        let audit = async |mend| stack.audit_older_than(600, &function, mend).await;
        assert_eq!(audit(false).await, Audited { found: stalled.clone(), mended: Counts::new() });
        assert_eq!(audit(true).await, Audited { found: stalled.clone(), mended: stalled });
        let job = id_over(&admin, &job).await;
        assert_eq!((&job["status"], job.number("done")), (&json!("done"), images.len() as u64));
        assert_eq!(user.image(&images[0]).await.list("thumbnails").len(), 1);
        stack.agrees(&user).await;
    });
}
