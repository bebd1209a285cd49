//! What takes minutes: `make hold`.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use futures_util::stream::{self, StreamExt};

use crate::growth::{fill, lists_and_deletions_cost_the_same, pages};
use crate::harness::{Body, Stack, User, number, on_stack, text};
use crate::jobs::{accepted, ids, over, register};

#[test]
#[ignore = "takes minutes; make hold runs it"]
fn ten_thousand_images_are_deleted_while_others_are_added() {
    on_stack(async |stack| {
        let user = stack.user().await;
        for round in 0..10 {
            register(&user, 1000, &format!("Photo {round}")).await;
        }
        let id = accepted(&user).await;
        let mut added = Vec::new();
        for round in 0..10 {
            added.extend(register(&user, 100, &format!("Later {round}")).await);
        }
        let job = over(async || user.get(format!("/api/jobs/{id}")).await.assert_json(200)).await;
        assert_eq!((job.str("status"), job.number("done")), ("done", 10_000), "{job}");
        let mut left: Vec<String> =
            user.pages("/api/images?limit=100").await.iter().map(|image| image.str("id").to_owned()).collect();
        left.sort();
        let mut expected = ids(&added);
        expected.sort_unstable();
        assert_eq!(left, expected);
        for (round, index) in [(0, 0), (4, 500), (9, 999)] {
            assert!(stack.claim(&user.id, &format!("Photo {round} {index}")).await.is_none());
        }
        // Nothing hinders the same titles.
        register(&user, 1000, "Photo 0").await;
    });
}

#[test]
#[ignore = "takes minutes; make hold runs it"]
fn page_costs_the_same_for_100_and_20000_images() {
    on_stack(async |stack| lists_and_deletions_cost_the_same(stack, 100, 20_000).await);
}

/// Makes a user's pending images public and ready, as far as the table goes.
async fn publish_all(stack: &Stack, user: &User) {
    let mut counters: HashMap<u8, (i64, i64)> = HashMap::new();
    let mut writes = Vec::new();
    let mut start = None;
    loop {
        let found = stack
            .dynamodb
            .query()
            .table_name(&stack.table)
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .expression_attribute_values(":pk", text(format!("USER#{}", user.id)))
            .expression_attribute_values(":sk", text("IMAGE#"))
            .set_exclusive_start_key(start)
            .send()
            .await
            .expect("the table can be queried");
        for mut item in found.items.unwrap_or_default() {
            let key = item["sk"].as_s().expect("a key").trim_start_matches("IMAGE#").to_owned();
            let last = uuid::Uuid::parse_str(&key).expect("a UUID").as_bytes()[15];
            let size: i64 = item["size"].as_n().expect("a number").parse().expect("a number");
            let (images, bytes) = counters.entry(last % 16).or_default();
            (*images, *bytes) = (*images + 1, *bytes + size);
            item.remove("expires_at");
            item.insert("state".into(), text("ready"));
            item.insert("width".into(), number(48));
            item.insert("height".into(), number(32));
            item.insert("placeholder".into(), AttributeValue::B(b"0123456789".to_vec().into()));
            item.insert("thumbnails".into(), AttributeValue::L(Vec::new()));
            item.insert("built_for".into(), text("none"));
            item.insert("feed_pk".into(), text(format!("PUBLIC#{}", last % 4)));
            item.insert("feed_sk".into(), text(key));
            let put = PutRequest::builder().set_item(Some(item)).build().expect("an item");
            writes.push(WriteRequest::builder().put_request(put).build());
        }
        start = found.last_evaluated_key;
        if start.is_none() {
            break;
        }
    }
    let chunks: Vec<Vec<WriteRequest>> = writes.chunks(25).map(<[_]>::to_vec).collect();
    stream::iter(chunks)
        .for_each_concurrent(8, async |chunk| {
            let answer = stack.dynamodb.batch_write_item().request_items(&stack.table, chunk).send().await;
            let rest = answer.expect("the operator may write").unprocessed_items.unwrap_or_default();
            assert!(rest.is_empty());
        })
        .await;
    for (shard, (images, bytes)) in counters {
        stack
            .dynamodb
            .update_item()
            .table_name(&stack.table)
            .key("pk", text(format!("PROFILE#{}", user.id)))
            .key("sk", text(format!("USAGE#{shard}")))
            .update_expression("ADD images :images, #bytes :bytes")
            .expression_attribute_names("#bytes", "bytes")
            .expression_attribute_values(":images", number(images))
            .expression_attribute_values(":bytes", number(bytes))
            .send()
            .await
            .expect("the operator may write");
    }
}

#[test]
#[ignore = "takes minutes; make hold runs it"]
fn feed_page_costs_the_same_for_100_and_20000_images() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let function = stack.function("explore").await;
        fill(&user, 100).await;
        publish_all(stack, &user).await;
        let list = "/api/explore?limit=5";
        let small = pages(&function, None, list, 2).await;
        let other = stack.user().await;
        fill(&other, 19_900).await;
        publish_all(stack, &other).await;
        let large = pages(&function, None, list, 100).await;
        for (small, large) in small.iter().zip(&large) {
            // How many of a page's images stand in which shard is chance; how many of them a query reads is not.
            large.assert_same(small, list);
            println!("{list}: {:?}", large.0);
        }
        for user in [&user, &other] {
            let id = accepted(user).await;
            over(async || user.get(format!("/api/jobs/{id}")).await.assert_json(200)).await;
        }
    });
}
