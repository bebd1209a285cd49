//! The audit finds what does not agree, names it, and mends what can be mended. It looks at everything there is, and here
//! nothing is too young for it: so it runs when the other tests are done.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::fixtures::Picture;
use crate::harness::{Body, Stack, eventually, on_stack, parts, unknown_id};

type Counts = BTreeMap<String, u64>;

/// What a whole audit found, and what it mended, by kind.
async fn audit(stack: &Stack, mend: bool) -> (Counts, Counts) {
    let twin = stack.twin("audit").await;
    let (mut found, mut mended) = (Counts::new(), Counts::new());
    let mut place = Value::Null;
    loop {
        // The twin's time lasts for one page, so this goes on from place to place.
        let order = json!({"mend": mend, "grace_seconds": 0, "place": place});
        let report = twin.invoke(order).await.expect("the audit runs");
        for (counts, part) in [(&mut found, "findings"), (&mut mended, "mended")] {
            for (kind, count) in report[part].as_object().expect("counts") {
                *counts.entry(kind.clone()).or_default() += count.as_u64().expect("a count");
            }
        }
        place = report["next"].clone();
        if place.is_null() {
            return (found, mended);
        }
    }
}

fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
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

    async fn update(&self, pk: &str, sk: &str, change: &str) {
        let update = self.dynamodb.update_item().table_name(&self.table).key("pk", text(pk)).key("sk", text(sk));
        update.update_expression(change).send().await.expect("the operator may write");
    }
}

#[test]
#[ignore = "looks at everything there is: runs when the other tests are done"]
fn the_audit_finds_and_mends_what_does_not_agree() {
    on_stack(async |stack| {
        eventually("the other tests' work to be done", async || audit(stack, false).await.0.is_empty().then_some(()))
            .await;

        let user = stack.user_on("Premium").await;
        let [bare, unclaimed, unlisted, original] =
            ["Bare", "Unclaimed", "Unlisted", "Original"].map(|title| user.publish(title, Picture::small()));
        let (bare, unclaimed) = (bare.await, unclaimed.await);
        let (unlisted, original) = (unlisted.await, original.await);
        let abandoned = user.pending("Abandoned").await;
        stack.builder_is_idle().await;
        let profile = format!("PROFILE#{}", user.id);
        let image_at = |id: &str| {
            let (owner, key) = parts(id);
            (format!("USER#{owner}"), format!("IMAGE#{key}"))
        };

        // An image without a thumbnail, one without its claim, one that the feed misses, one without its original.
        let lost = stack.blobs(bare.str("id")).await.into_iter().find(|key| key.starts_with("thumbnails/"));
        stack.s3.delete_object().bucket(&stack.thumbnails).key(lost.expect("it has one")).send().await.expect("gone");
        stack.remove(&format!("TITLE#{}#Unclaimed", user.id), "CLAIM").await;
        let (pk, sk) = image_at(unlisted.str("id"));
        stack.update(&pk, &sk, "REMOVE feed_pk, feed_sk").await;
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
            .dynamodb
            .update_item()
            .table_name(&stack.table)
            .key("pk", text(&profile))
            .key("sk", text(format!("USAGE#{shard}")))
            .update_expression("ADD images :some")
            .expression_attribute_values(":some", AttributeValue::N("7".into()))
            .send()
            .await
            .expect("the operator may write");
        stack.update(&profile, "PROFILE", "REMOVE plan_pk").await;
        stack.put(&profile, "RUMOUR#1", &[]).await;
        // An upload that never came is no fault, and goes all the same.
        stack.abandon(&abandoned.id, "Abandoned").await;

        let counts = |kinds: &[&str]| kinds.iter().map(|kind| ((*kind).to_owned(), 1)).collect::<Counts>();
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
        assert_eq!(audit(stack, false).await, (all.clone(), Counts::new()));
        // Looking changed nothing.
        let (found, mut mended) = audit(stack, true).await;
        assert_eq!(found, all);
        // TTL may have been faster.
        mended.remove("expired");
        assert_eq!(mended, counts(&mendable));
        assert_eq!(audit(stack, false).await.0, counts(&hopeless));

        assert_eq!(user.get("/api/me").await.gives(200)["usage"]["images"], 4);
        user.ready(bare.str("id")).await;
        assert_eq!(stack.blobs(bare.str("id")).await.len(), 3);
        user.post("/api/images", Picture::small().draft("Unclaimed")).await.refuses(409, "title_taken");
        user.post("/api/images", Picture::small().draft("Nothing")).await.is(201);
        assert!(stack.image_item(&abandoned.id).await.is_none());
        assert!(stack.image_item(unlisted.str("id")).await.expect("there").contains_key("feed_pk"));
        user.image(unclaimed.str("id")).await;

        stack.remove(&profile, "RUMOUR#1").await;
        user.delete(format!("/api/images/{}", original.str("id"))).await.is(204);
        stack.no_blobs(original.str("id")).await;
    });
}
