//! The few looks behind the API that tests need: what is stored, and moving its clock.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Stack, eventually};

pub(crate) type Item = HashMap<String, AttributeValue>;

/// The owner and the image that an image id names.
pub(crate) fn parts(id: &str) -> (Uuid, Uuid) {
    let bytes = URL_SAFE_NO_PAD.decode(id).expect("an id is base64url");
    assert_eq!(bytes.len(), 32, "{id} names two UUIDs");
    (Uuid::from_slice(&bytes[..16]).expect("16 bytes"), Uuid::from_slice(&bytes[16..]).expect("16 bytes"))
}

/// An id of this owner's that was never given out.
pub(crate) fn unknown_id(owner: &str) -> String {
    let owner: Uuid = owner.parse().expect("a user's id is a UUID");
    URL_SAFE_NO_PAD.encode([owner.into_bytes(), Uuid::now_v7().into_bytes()].concat())
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

impl Stack {
    pub(crate) async fn set_plan(&self, user: &str, plan: Option<&str>) {
        let update = self
            .dynamodb
            .update_item()
            .table_name(&self.table)
            .key("pk", text(format!("PROFILE#{user}")))
            .key("sk", text("PROFILE"))
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_names("#plan", "plan")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()));
        let update = match plan {
            Some(plan) => update
                .update_expression("SET #plan = :plan, plan_pk = :key ADD #version :one")
                .expression_attribute_values(":plan", text(plan))
                .expression_attribute_values(":key", text(format!("PLAN#{plan}"))),
            None => update.update_expression("REMOVE #plan, plan_pk ADD #version :one"),
        };
        update.send().await.expect("the user has a profile");
    }

    pub(crate) async fn item(&self, pk: String, sk: String) -> Option<Item> {
        self.dynamodb
            .get_item()
            .table_name(&self.table)
            .key("pk", text(pk))
            .key("sk", text(sk))
            .consistent_read(true)
            .send()
            .await
            .expect("the table can be read")
            .item
    }

    pub(crate) async fn image_item(&self, id: &str) -> Option<Item> {
        let (owner, image) = parts(id);
        self.item(format!("USER#{owner}"), format!("IMAGE#{image}")).await
    }

    pub(crate) async fn claim(&self, owner: &str, title: &str) -> Option<Item> {
        self.item(format!("TITLE#{owner}#{title}"), "CLAIM".to_owned()).await
    }

    /// Lets a pending image's waiting time be over, as if nobody had uploaded for a day.
    pub(crate) async fn abandon(&self, id: &str, title: &str) {
        let (owner, image) = parts(id);
        for (pk, sk) in [
            (format!("USER#{owner}"), format!("IMAGE#{image}")),
            (format!("TITLE#{owner}#{title}"), "CLAIM".to_owned()),
        ] {
            self.dynamodb
                .update_item()
                .table_name(&self.table)
                .key("pk", text(pk))
                .key("sk", text(sk))
                .condition_expression("attribute_exists(expires_at)")
                .update_expression("SET expires_at = :past")
                .expression_attribute_values(":past", AttributeValue::N("1000000000".to_owned()))
                .send()
                .await
                .expect("a pending image and its claim expire");
        }
    }

    /// Lets a batch with an idempotency key look as if it had been cut off before its end.
    pub(crate) async fn cut_off_batch(&self, user: &str, key: &str) {
        let user: Uuid = user.parse().expect("a user's id is a UUID");
        let mut mac = Hmac::<Sha256>::new_from_slice(self.client_secret.as_bytes()).expect("keys of any length");
        for part in [b"idempotency", &user.as_bytes()[..], b"create_batch", key.as_bytes()] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        let id: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        self.dynamodb
            .update_item()
            .table_name(&self.table)
            .key("pk", text(format!("IDEMP#{id}")))
            .key("sk", text("IDEMP"))
            .condition_expression("attribute_exists(outcomes)")
            .update_expression("SET lease = :past REMOVE outcomes")
            .expression_attribute_values(":past", AttributeValue::N("0".to_owned()))
            .send()
            .await
            .expect("the request was noted");
    }

    pub(crate) async fn link_item(&self, id: &str) -> Option<Item> {
        let (owner, link) = parts(id);
        self.item(format!("USER#{owner}"), format!("LINK#{link}")).await
    }

    /// How many of the items that a link is made of are there.
    pub(crate) async fn link_traces(&self, link: &Value) -> usize {
        let (owner, id) = parts(link["id"].as_str().expect("an id"));
        let (_, image) = parts(link["base_image"].as_str().expect("an image's id"));
        let url = link["link_url"].as_str().expect("a URL");
        let hash = Sha256::digest(url.rsplit('/').nth(1).expect("a token"));
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut found = 0;
        for (pk, sk) in [
            (format!("USER#{owner}"), format!("LINK#{id}")),
            (format!("LINKS#{owner}#{image}"), format!("LINK#{id}")),
            (format!("TOKEN#{hash}"), "TOKEN".to_owned()),
        ] {
            found += usize::from(self.item(pk, sk).await.is_some());
        }
        found
    }

    /// Moves a link's clock.
    pub(crate) async fn link_expires_in(&self, id: &str, seconds: i64) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        let at = i64::try_from(now.as_secs()).expect("not so far") + seconds;
        let (owner, link) = parts(id);
        self.expire(format!("USER#{owner}"), format!("LINK#{link}"), at).await;
    }

    /// Lets the wrong passwords given to a link be of a while ago.
    pub(crate) async fn misses_are_old(&self, link: &str) {
        let found = self
            .dynamodb
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(format!("MISSES#{link}")))
            .send()
            .await
            .expect("the table can be read");
        for item in found.items() {
            let part = |name: &str| item[name].as_s().expect("a key").clone();
            self.expire(part("pk"), part("sk"), 1_000_000_000).await;
        }
    }

    async fn expire(&self, pk: String, sk: String, at: i64) {
        self.dynamodb
            .update_item()
            .table_name(&self.table)
            .key("pk", text(pk))
            .key("sk", text(sk))
            .condition_expression("attribute_exists(expires_at)")
            .update_expression("SET expires_at = :at")
            .expression_attribute_values(":at", AttributeValue::N(at.to_string()))
            .send()
            .await
            .expect("it expires");
    }

    /// The keys of everything that both buckets hold for an image.
    pub(crate) async fn blobs(&self, id: &str) -> Vec<String> {
        let (owner, image) = parts(id);
        let mut keys = self.keys(&self.originals, &format!("originals/{owner}/{image}")).await;
        keys.extend(self.keys(&self.thumbnails, &format!("thumbnails/{owner}/{image}")).await);
        keys
    }

    pub(crate) async fn no_blobs(&self, id: &str) {
        eventually(&format!("the blobs of {id} to go"), async || self.blobs(id).await.is_empty().then_some(())).await;
    }

    async fn keys(&self, bucket: &str, prefix: &str) -> Vec<String> {
        self.s3
            .list_objects_v2()
            .bucket(bucket)
            .prefix(prefix)
            .send()
            .await
            .expect("the bucket can be listed")
            .contents()
            .iter()
            .map(|object| object.key().expect("an object has a key").to_owned())
            .collect()
    }

    /// The key under which an image's original lies.
    pub(crate) async fn original_key(&self, id: &str) -> String {
        let (owner, image) = parts(id);
        let mut keys = self.keys(&self.originals, &format!("originals/{owner}/{image}")).await;
        assert_eq!(keys.len(), 1, "one original: {keys:?}");
        keys.remove(0)
    }

    /// Says to the builder, as S3 would, that something was written under these keys.
    pub(crate) async fn announce(&self, keys: &[&str]) {
        let records: Vec<Value> = keys
            .iter()
            .map(|key| {
                json!({
                    "eventVersion": "2.1",
                    "eventSource": "aws:s3",
                    "awsRegion": "us-east-1",
                    "eventTime": "2024-02-29T12:00:00.000Z",
                    "eventName": "ObjectCreated:Put",
                    "userIdentity": {"principalId": "AWS:TEST"},
                    "requestParameters": {"sourceIPAddress": "127.0.0.1"},
                    "responseElements": {"x-amz-request-id": "TEST", "x-amz-id-2": "TEST"},
                    "s3": {
                        "s3SchemaVersion": "1.0",
                        "configurationId": "uploads",
                        "bucket": {
                            "name": self.originals,
                            "ownerIdentity": {"principalId": "TEST"},
                            "arn": format!("arn:aws:s3:::{}", self.originals),
                        },
                        "object": {"key": key, "size": 1, "eTag": "00", "sequencer": "0055AED6DCD90281E5"},
                    },
                })
            })
            .collect();
        self.message(&json!({"Records": records}).to_string()).await;
    }

    pub(crate) async fn message(&self, body: &str) {
        self.sqs
            .send_message()
            .queue_url(&self.uploads_queue)
            .message_body(body)
            .send()
            .await
            .expect("the queue takes messages");
    }

    /// Waits until the builder has nothing waiting and nothing in hand.
    pub(crate) async fn builder_is_idle(&self) {
        use aws_sdk_sqs::types::QueueAttributeName::{
            ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible,
        };
        eventually("the builder to be idle", async || {
            let answer = self
                .sqs
                .get_queue_attributes()
                .queue_url(&self.uploads_queue)
                .attribute_names(ApproximateNumberOfMessages)
                .attribute_names(ApproximateNumberOfMessagesNotVisible)
                .send()
                .await
                .expect("the queue tells its length");
            let counts = answer.attributes().expect("two were asked for");
            counts.values().all(|count| count == "0").then_some(())
        })
        .await;
    }
}
