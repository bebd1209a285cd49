//! What a removal leaves is swept whatever fails on the way: the same batch comes again until nothing is left.

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::fixtures::Picture;
use crate::harness::{Body, Fault, FunctionUnderTest, Item, Stack, User, deaths, eventually, on_stack, parts};
use crate::jobs::register;

const ALWAYS: usize = usize::MAX;

/// The event of the table's stream for the removal of these items.
pub(crate) fn removal(items: &[Item]) -> Value {
    let records: Vec<Value> = items
        .iter()
        .enumerate()
        .map(|(number, item)| {
            let keys: Item = ["pk", "sk"].iter().map(|name| ((*name).to_owned(), item[*name].clone())).collect();
            json!({
                "eventID": number.to_string(),
                "eventName": "REMOVE",
                "eventVersion": "1.1",
                "eventSource": "aws:dynamodb",
                "awsRegion": "us-east-1",
                "eventSourceARN": "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/s",
                "dynamodb": {
                    "ApproximateCreationDateTime": 1_700_000_000,
                    "Keys": told(&keys),
                    "OldImage": told(item),
                    "SequenceNumber": number.to_string(),
                    "SizeBytes": 100,
                    "StreamViewType": "NEW_AND_OLD_IMAGES",
                },
            })
        })
        .collect();
    json!({"Records": records})
}

/// An item as the service spells it.
fn told(item: &Item) -> Value {
    item.iter().map(|(name, value)| (name.clone(), spelt(value))).collect::<serde_json::Map<_, _>>().into()
}

fn spelt(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({"S": text}),
        AttributeValue::N(number) => json!({"N": number}),
        AttributeValue::B(bytes) => json!({"B": STANDARD.encode(bytes.as_ref())}),
        AttributeValue::Bool(truth) => json!({"BOOL": truth}),
        AttributeValue::Null(_) => json!({"NULL": true}),
        AttributeValue::L(values) => json!({"L": values.iter().map(spelt).collect::<Vec<_>>()}),
        AttributeValue::M(fields) => json!({"M": told(fields)}),
        other => panic!("no item of ours holds {other:?}"),
    }
}

/// Images that are there, blobs, links and all, of which the sweeper is told that they have gone. So it is alone with
/// what they left, and all of it can be put back for another time.
struct Remains {
    stack: &'static Stack,
    ids: Vec<String>,
    links: Vec<Value>,
    /// Bucket, key and bytes.
    blobs: Vec<(String, String, Vec<u8>)>,
    items: Vec<Item>,
    event: Value,
}

impl Remains {
    /// Images with two links each; the first one's upload never came to an end in its time.
    async fn of(user: &User, images: usize) -> Self {
        let stack = user.stack;
        let mut remains = Self { stack, ids: vec![], links: vec![], blobs: vec![], items: vec![], event: Value::Null };
        let mut gone = Vec::new();
        for number in 0..images {
            let title = format!("Harbour {number}");
            let image = user.publish(&title, &Picture::jpeg(640, 480)).await;
            let id = image.str("id");
            let mut item = stack.image_item(id).await.expect("it is there");
            if number == 0 {
                // As TTL removes it: its claim is left to the sweeper.
                item.insert("expires_at".to_owned(), AttributeValue::N("1000000000".to_owned()));
                remains.items.push(stack.claim(&user.id, &title).await.expect("it is held"));
            }
            // One is there, one has gone before and is told of here too.
            for told in [false, true] {
                let link = user.link(&image, json!({})).await;
                let mut items = stack.link_items(&link).await;
                assert_eq!(items.len(), 3);
                if told {
                    let own = items.remove(0);
                    let delete = stack.dynamodb.delete_item().table_name(&stack.table);
                    let delete = delete.key("pk", own["pk"].clone()).key("sk", own["sk"].clone());
                    delete.send().await.expect("the operator may delete");
                    gone.push(own);
                }
                remains.items.extend(items);
                remains.links.push(link);
            }
            for key in stack.blobs(id).await {
                let bucket = if key.starts_with("originals/") { &stack.originals } else { &stack.thumbnails };
                let object = stack.s3.get_object().bucket(bucket).key(&key).send().await.expect("it is there");
                let bytes = object.body.collect().await.expect("its bytes").to_vec();
                remains.blobs.push((bucket.clone(), key, bytes));
            }
            gone.insert(0, item);
            remains.ids.push(id.to_owned());
        }
        assert_eq!(remains.blobs.len(), 5 * images, "an original, two thumbnails and their WebP variants each");
        remains.event = removal(&gone);
        stack.builder_is_idle().await;
        remains.put_back().await;
        remains
    }

    async fn put_back(&self) {
        // The function that is deployed hears of links that go, and would take for those what comes back.
        self.stack.sweeper_is_done().await;
        for (bucket, key, bytes) in &self.blobs {
            let put = self.stack.s3.put_object().bucket(bucket).key(key).body(bytes.clone().into());
            put.send().await.expect("the operator may write");
        }
        for item in &self.items {
            let put = self.stack.dynamodb.put_item().table_name(&self.stack.table).set_item(Some(item.clone()));
            put.send().await.expect("the operator may write");
        }
    }

    /// Nothing is left of them.
    async fn are_gone(&self, moment: &str) {
        for id in &self.ids {
            assert_eq!(self.stack.blobs(id).await, Vec::<String>::new(), "{moment}");
        }
        for link in &self.links {
            // A link's pointer goes when its own removal is told of, which the deployed function hears.
            let traces = async || (self.stack.link_traces(link).await == 0).then_some(());
            eventually(&format!("a link to go: {moment}"), traces).await;
        }
        let (owner, _) = parts(&self.ids[0]);
        assert!(self.stack.claim(&owner.to_string(), "Harbour 0").await.is_none(), "{moment}");
        // One that did not expire went with its claim; whoever holds the title now keeps it.
        for number in 1..self.ids.len() {
            let claim = self.stack.claim(&owner.to_string(), &format!("Harbour {number}")).await;
            assert!(claim.is_some(), "{moment}");
        }
    }

    /// Delivers the batch until it is done, and puts back what went with it.
    async fn are_swept(&self, function: &FunctionUnderTest, moment: &str) {
        comes_again(function, &self.event, moment).await;
        self.are_gone(moment).await;
        self.put_back().await;
    }

    /// Deletes the images themselves.
    async fn end(self, user: &User, function: &FunctionUnderTest) {
        self.put_back().await;
        comes_again(function, &self.event, "at last").await;
        for id in &self.ids {
            user.delete(format!("/api/images/{id}")).await.assert_status(204);
        }
    }
}

/// S3's answer that it deleted none of what it was asked to, or all but one.
fn not_deleted(key: &str) -> Fault {
    let body = format!(
        "<DeleteResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Error><Key>{key}</Key>\
         <Code>InternalError</Code><Message>injected</Message></Error></DeleteResult>"
    );
    Fault::Answer { status: 200, kind: "application/xml", body }
}

/// Delivers a batch until it is done, as the stream does; on a machine this busy a service may seem out of reach.
async fn comes_again(function: &FunctionUnderTest, event: &Value, moment: &str) {
    for _ in 0..3 {
        if function.invoke(event.clone()).await.is_ok() {
            return;
        }
    }
    panic!("{moment}: it stays undone");
}

/// A page of S3's list that has no key, although others follow. The next one starts before all keys.
fn empty_page() -> Fault {
    let token = STANDARD.encode("!");
    let body = format!(
        "<ListBucketResult><IsTruncated>true</IsTruncated><KeyCount>0</KeyCount>\
         <NextContinuationToken>{token}</NextContinuationToken></ListBucketResult>"
    );
    Fault::Answer { status: 200, kind: "application/xml", body }
}

#[test]
fn blobs_that_s3_failed_to_delete_are_deleted_on_redelivery() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let remains = Remains::of(&user, 2).await;
        let function = stack.function("sweep").await;
        // A 200 that says of one blob that it stayed, to each of the two calls in turn.
        for call in 0..2 {
            let moment = format!("call {call} deletes some");
            // The others are deleted beside it.
            let thumbnails: Vec<_> =
                remains.blobs.iter().filter(|(_, key, _)| key.starts_with("thumbnails/")).collect();
            let (bucket, gone, _) = thumbnails[call];
            stack.s3.delete_object().bucket(bucket).key(gone).send().await.expect("the operator may delete");
            function.proxy.rule_after("DeleteObjects", call, 1, not_deleted(gone));
            let failed = function.invoke(remains.event.clone()).await.expect_err(&moment);
            assert!(failed.to_string().contains("DeleteObjects"), "{failed}");
            function.proxy.clear();
            remains.are_swept(&function, &moment).await;
        }
        remains.end(&user, &function).await;
    });
}

#[test]
fn blobs_of_some_of_an_owners_images_are_listed_together_and_the_others_stay() {
    on_stack(async |stack| {
        let user = stack.user().await;
        // More than are reckoned for an image, so that lists end within one.
        let blobs_of_each = 20;
        let ids: Vec<String> = register(&user, 12, "Photo").await.iter().map(|r| r.str("id").to_owned()).collect();
        let mut items = Vec::new();
        for id in &ids {
            let (owner, image) = parts(id);
            for number in 0..blobs_of_each {
                let put = stack.s3.put_object().bucket(&stack.thumbnails);
                let put = put.key(format!("thumbnails/{owner}/{image}/set/{number}.jpg")).body(vec![0].into());
                put.send().await.expect("the operator may write");
            }
            items.push(stack.image_item(id).await.expect("it is there"));
        }
        let gone = [0, 1, 2, 5, 11];
        let function = stack.function("sweep").await;
        function.invoke(removal(&gone.map(|number| items[number].clone()))).await.expect("it sweeps");
        for (number, id) in ids.iter().enumerate() {
            let left = if gone.contains(&number) { 0 } else { blobs_of_each };
            assert_eq!(stack.blobs(id).await.len(), left, "image {number}");
        }
        // One of the originals; of the thumbnails, 80 at a time, one for images 0 to 3, 5 to 8 and 11.
        let calls = function.proxy.take_calls();
        assert_eq!(calls.iter().filter(|call| call.operation == "ListObjectsV2").count(), 4, "{calls:?}");
        assert_eq!(calls.iter().filter(|call| call.operation == "DeleteObjects").count(), 1, "{calls:?}");
        for id in &ids {
            user.delete(format!("/api/images/{id}")).await.assert_status(204);
        }
        stack.sweeper_is_done().await;
        for id in &ids {
            stack.no_blobs(id).await;
        }
    });
}

#[test]
fn blobs_behind_an_empty_page_of_a_list_are_found() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let remains = Remains::of(&user, 1).await;
        let function = stack.function("sweep").await;
        function.proxy.rule("ListObjectsV2", 2, empty_page());
        function.invoke(remains.event.clone()).await.expect("it sweeps");
        let lists = function.proxy.take_operations().iter().filter(|operation| *operation == "ListObjectsV2").count();
        assert_eq!(lists, 4, "two of each bucket");
        remains.are_gone("after empty pages").await;
        remains.end(&user, &function).await;
    });
}

#[test]
fn services_that_throttle_fail_or_lose_their_answers_delay_a_sweep() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let remains = Remains::of(&user, 2).await;
        let function = stack.function("sweep").await;
        let of_s3 = [Fault::xml(503, "SlowDown"), Fault::xml(500, "InternalError"), Fault::Refuse, Fault::LoseAnswer];
        let of_the_table = [
            Fault::json(400, "ProvisionedThroughputExceededException"),
            Fault::json(400, "ThrottlingException"),
            Fault::json(500, "InternalServerError"),
            Fault::Refuse,
            Fault::LoseAnswer,
        ];
        for (operations, faults) in
            [(&["ListObjectsV2", "DeleteObjects"], &of_s3[..]), (&["Query", "DeleteItem"], &of_the_table)]
        {
            for operation in operations {
                for fault in faults {
                    let moment = format!("{operation}: {fault:?}");
                    // Once: the call is sent again.
                    function.proxy.rule_after(operation, 1, 1, fault.clone());
                    remains.are_swept(&function, &moment).await;
                    // For a while: the batch is.
                    function.proxy.rule_after(operation, 1, ALWAYS, fault.clone());
                    function.invoke(remains.event.clone()).await.expect_err(&moment);
                    function.proxy.clear();
                    remains.are_swept(&function, &moment).await;
                }
            }
        }
        remains.end(&user, &function).await;
    });
}

#[test]
fn sweep_killed_at_any_call_is_finished_by_the_next() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let remains = Remains::of(&user, 1).await;
        let function = stack.function("sweep").await;
        function.invoke(remains.event.clone()).await.expect("it sweeps");
        let calls = function.proxy.take_operations();
        assert!(calls.len() >= 10, "{calls:?}");
        remains.are_gone("undisturbed").await;
        for death in deaths(&calls) {
            let moment = format!("{death:?} of {calls:?}");
            remains.put_back().await;
            let killed = stack.function("sweep").await;
            killed.kill_at(death, remains.event.clone()).await.expect("it makes this call");
            // The same batch comes again, and twice.
            for _ in 0..2 {
                comes_again(&function, &remains.event, &moment).await;
            }
            remains.are_gone(&moment).await;
        }
        remains.end(&user, &function).await;
    });
}

#[test]
fn removals_may_come_twice_at_once_and_in_any_order() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let remains = Remains::of(&user, 2).await;
        let (one, other) = tokio::join!(stack.function("sweep"), stack.function("sweep"));
        let mut reversed = remains.event.clone();
        reversed["Records"].as_array_mut().expect("records").reverse();
        let (first, second) = tokio::join!(one.invoke(remains.event.clone()), other.invoke(reversed.clone()));
        first.and(second).expect("both sweep");
        remains.are_gone("two at once").await;
        // Each record by itself, last first, and none of it brings back or takes away what came since.
        remains.put_back().await;
        for record in reversed["Records"].as_array().expect("records") {
            one.invoke(json!({"Records": [record]})).await.expect("it sweeps");
        }
        remains.are_gone("one by one").await;
        let new = user.publish("Harbour 0", Picture::small()).await;
        let blobs = stack.blobs(new.str("id")).await;
        for event in [&remains.event, &reversed] {
            one.invoke(event.clone()).await.expect("it sweeps");
        }
        assert!(stack.claim(&user.id, "Harbour 0").await.is_some(), "the title is the new image's");
        assert_eq!(stack.blobs(new.str("id")).await, blobs);
        user.delete(format!("/api/images/{}", new.str("id"))).await.assert_status(204);
        remains.end(&user, &one).await;
    });
}
