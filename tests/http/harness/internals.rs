//! The few looks behind the API that tests need: what is stored, and moving its clock.

use std::collections::HashMap;
use std::sync::LazyLock;

use aws_sdk_cognitoidentityprovider::types::{AttributeType, MessageActionType};
use aws_sdk_dynamodb::types::AttributeValue;
use data_encoding::{Encoding, Specification};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Fault, PASSWORD, Stack, eventually, unique};

pub(crate) type Item = HashMap<String, AttributeValue>;

/// How ids and tokens are spelled: Crockford's base32 in lower case.
pub(crate) static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut crockford = Specification::new();
    crockford.symbols.push_str("0123456789abcdefghjkmnpqrstvwxyz");
    crockford.encoding().expect("32 symbols")
});

/// The owner and the image that an image id names.
pub(crate) fn parts(id: &str) -> (Uuid, Uuid) {
    let bytes = BASE32.decode(id.as_bytes()).expect("an id is base32");
    assert_eq!(bytes.len(), 32, "{id} names two UUIDs");
    (Uuid::from_slice(&bytes[..16]).expect("16 bytes"), Uuid::from_slice(&bytes[16..]).expect("16 bytes"))
}

/// The UUID of the user whom the API gives this id.
pub(crate) fn user_of(id: &str) -> String {
    let bytes = BASE32.decode(id.as_bytes()).expect("an id is base32");
    Uuid::from_slice(&bytes).expect("16 bytes").to_string()
}

/// The id that names an owner and something of theirs.
pub(crate) fn id_of(owner: &str, key: &str) -> String {
    let part = |part: &str| part.parse::<Uuid>().expect("a UUID").into_bytes();
    BASE32.encode(&[part(owner), part(key)].concat())
}

/// An id of this owner's that was never given out.
pub(crate) fn unknown_id(owner: &str) -> String {
    id_of(owner, &Uuid::now_v7().to_string())
}

/// A message of the queue of jobs, as the function that runs them gets it.
pub(crate) fn job_message(job: &str) -> Value {
    queued(&json!({"job": job, "sent_at": 0}))
}

/// A queue's message as a function gets it.
pub(crate) fn queued(body: &Value) -> Value {
    json!({"Records": [{
        "messageId": "1", "receiptHandle": "1", "body": body.to_string(), "attributes": {}, "messageAttributes": {},
        "eventSource": "aws:sqs", "awsRegion": "us-east-1", "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:q",
        "md5OfBody": "",
    }]})
}

/// A queue's answer to a message, which nobody gets.
pub(crate) fn sent() -> Fault {
    let body = json!({"MessageId": "lost", "MD5OfMessageBody": ""});
    Fault::Answer { status: 200, kind: "application/x-amz-json-1.0", body: body.to_string() }
}

/// The pool's answer for a user who signed up some seconds ago.
pub(crate) async fn get_user(stack: &Stack, email: &str, seconds_ago: u64) -> Fault {
    let user = stack.cognito.admin_get_user().user_pool_id(&stack.user_pool).username(email);
    let user = user.send().await.expect("the pool knows the user");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let attributes: Vec<Value> = user
        .user_attributes()
        .iter()
        .map(|attribute| json!({"Name": attribute.name(), "Value": attribute.value()}))
        .collect();
    let body = json!({
        "Username": user.username(),
        "UserAttributes": attributes,
        "UserCreateDate": now - seconds_ago,
        "UserLastModifiedDate": now - seconds_ago,
        "Enabled": true,
        "UserStatus": user.user_status().map(|status| status.as_str()),
    });
    Fault::Answer { status: 200, kind: "application/x-amz-json-1.1", body: body.to_string() }
}

/// The e-mail of a user whom an administrator made, with a password for the first login alone.
pub(crate) async fn administrators_user(stack: &Stack, name: Option<&str>) -> String {
    let email = format!("grace-{}@example.com", unique());
    let given = [("email", email.as_str()), ("email_verified", "true")].into_iter().chain(name.map(|it| ("name", it)));
    let attribute = |(name, value)| AttributeType::builder().name(name).value(value).build().expect("a name is given");
    let attributes: Vec<AttributeType> = given.map(attribute).collect();
    stack
        .cognito
        .admin_create_user()
        .user_pool_id(&stack.user_pool)
        .username(&email)
        .temporary_password(PASSWORD)
        .message_action(MessageActionType::Suppress)
        .set_user_attributes(Some(attributes))
        .send()
        .await
        .expect("an administrator makes users");
    email
}

pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(crate) fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// Partition and sort key of an image's item.
pub(crate) fn image_at(id: &str) -> (String, String) {
    let (owner, image) = parts(id);
    (format!("USER#{owner}"), format!("IMAGE#{image}"))
}

/// Those of a job.
fn job_at(id: &str) -> (String, String) {
    let (owner, job) = parts(id);
    (format!("USER#{owner}"), format!("JOB#{job}"))
}

/// Those of a user's profile.
pub(crate) fn profile_at(user: &str) -> (String, String) {
    (format!("PROFILE#{user}"), "PROFILE".to_owned())
}

impl Stack {
    /// Changes an item that is there and has this attribute; a `#name` in `update` is that attribute's.
    pub(crate) async fn change(
        &self,
        (pk, sk): (String, String),
        having: &str,
        update: &str,
        values: &[(&str, AttributeValue)],
    ) {
        let what = format!("{update} of {pk} {sk}");
        let mut call = self
            .dynamodb
            .update_item()
            .table_name(&self.table)
            .key("pk", text(pk))
            .key("sk", text(sk))
            .condition_expression("attribute_exists(#having)")
            .expression_attribute_names("#having", having)
            .update_expression(update);
        for name in update.split(|letter: char| !letter.is_alphanumeric() && letter != '#') {
            if let Some(attribute) = name.strip_prefix('#') {
                call = call.expression_attribute_names(name, attribute);
            }
        }
        for (name, value) in values {
            call = call.expression_attribute_values(*name, value.clone());
        }
        call.send().await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
    }

    pub(crate) async fn set_plan(&self, user: &str, plan: Option<&str>) {
        let (update, mut values) = match plan {
            Some(plan) => (
                "SET #plan = :plan, plan_pk = :key ADD #version :one",
                vec![(":plan", text(plan)), (":key", text(format!("PLAN#{plan}")))],
            ),
            None => ("REMOVE #plan, plan_pk ADD #version :one", Vec::new()),
        };
        values.push((":one", number(1)));
        self.change(profile_at(user), "pk", update, &values).await;
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
        let (owner, _) = parts(id);
        for key in [image_at(id), (format!("TITLE#{owner}#{title}"), "CLAIM".to_owned())] {
            self.expire(key, 1_000_000_000).await;
        }
    }

    /// Lets a batch with an idempotency key look as if it had been cut off before its end.
    pub(crate) async fn cut_off_batch(&self, user: &str, key: &str) {
        self.change_note(user, key, "outcomes", "SET lease = :past REMOVE outcomes").await;
    }

    /// Ends the lease of an interrupted batch, if its idempotency record was written.
    pub(crate) async fn batch_lease_has_ended(&self, user: &str, key: &str) {
        if self.note(user, key).await.is_some() {
            self.change_note(user, key, "pk", "SET lease = :past").await;
        }
    }

    async fn note(&self, user: &str, key: &str) -> Option<Item> {
        self.item(format!("IDEMP#{}", self.note_id(user, key)), "IDEMP".to_owned()).await
    }

    fn note_id(&self, user: &str, key: &str) -> String {
        let user: Uuid = user.parse().expect("a user's id is a UUID");
        let mut hash = Sha256::new();
        for part in [&user.as_bytes()[..], b"create_batch", key.as_bytes()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    async fn change_note(&self, user: &str, key: &str, having: &str, update: &str) {
        let note = (format!("IDEMP#{}", self.note_id(user, key)), "IDEMP".to_owned());
        self.change(note, having, update, &[(":past", number(0))]).await;
    }

    pub(crate) async fn link_item(&self, id: &str) -> Option<Item> {
        let (owner, link) = parts(id);
        self.item(format!("USER#{owner}"), format!("LINK#{link}")).await
    }

    /// The items that a link is made of: its own, its image's entry and its token's pointer, where they are there.
    pub(crate) async fn link_items(&self, link: &Value) -> Vec<Item> {
        let (owner, id) = parts(link["id"].as_str().expect("an id"));
        let (_, image) = parts(link["base_image"].as_str().expect("an image's id"));
        let url = link["link_url"].as_str().expect("a URL");
        let hash = Sha256::digest(url.rsplit('/').nth(1).expect("a token"));
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut found = Vec::new();
        for (pk, sk) in [
            (format!("USER#{owner}"), format!("LINK#{id}")),
            (format!("LINKS#{owner}#{image}"), format!("LINK#{id}")),
            (format!("TOKEN#{hash}"), "TOKEN".to_owned()),
        ] {
            found.extend(self.item(pk, sk).await);
        }
        found
    }

    pub(crate) async fn link_traces(&self, link: &Value) -> usize {
        self.link_items(link).await.len()
    }

    /// Moves a link's clock.
    pub(crate) async fn link_expires_in(&self, id: &str, seconds: i64) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        let at = i64::try_from(now.as_secs()).expect("not so far") + seconds;
        let (owner, link) = parts(id);
        self.expire((format!("USER#{owner}"), format!("LINK#{link}")), at).await;
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
            self.expire((part("pk"), part("sk")), 1_000_000_000).await;
        }
    }

    /// Lets a pending image have been made some seconds earlier.
    pub(crate) async fn age_pending(&self, id: &str, title: &str, seconds: i64) {
        let (owner, _) = parts(id);
        for key in [image_at(id), (format!("TITLE#{owner}#{title}"), "CLAIM".to_owned())] {
            let update = "SET expires_at = expires_at - :time";
            self.change(key, "expires_at", update, &[(":time", number(seconds))]).await;
        }
    }

    async fn expire(&self, key: (String, String), at: i64) {
        self.change(key, "expires_at", "SET expires_at = :at", &[(":at", number(at))]).await;
    }

    /// Lets a profile have been made some seconds earlier.
    pub(crate) async fn age_profile(&self, user: &str, seconds: i64) {
        let update = "SET created_at = created_at - :time";
        self.change(profile_at(user), "created_at", update, &[(":time", number(seconds * 1000))]).await;
    }

    /// Says of an image that its file is of another type than it was declared with.
    pub(crate) async fn declare(&self, id: &str, content_type: &str) {
        let update = "SET content_type = :type";
        self.change(image_at(id), "content_type", update, &[(":type", text(content_type))]).await;
    }

    /// Ends the time in which requests authenticated before the deletion can still run.
    pub(crate) async fn requests_have_ended(&self, job: &str) {
        let update = "SET started_at = started_at - :minutes";
        self.change(job_at(job), "pk", update, &[(":minutes", number(600_000))]).await;
    }

    /// Lets a job have come to where it is a while ago.
    pub(crate) async fn job_moved_long_ago(&self, job: &str) {
        self.change(job_at(job), "pk", "SET moved_at = :then", &[(":then", number(0))]).await;
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

    /// Waits until all that has been removed so far is swept: removals are told of in their order, so a last one tells.
    pub(crate) async fn sweeper_is_done(&self) {
        let id = unknown_id(&Uuid::new_v4().to_string());
        let (owner, image) = parts(&id);
        let key = format!("thumbnails/{owner}/{image}/0/200.jpg");
        let put = self.s3.put_object().bucket(&self.thumbnails).key(&key).body(b"stray".to_vec().into());
        put.send().await.expect("the operator may write");
        let (pk, sk) = (text(format!("USER#{owner}")), text(format!("IMAGE#{image}")));
        let put = self.dynamodb.put_item().table_name(&self.table).item("pk", pk.clone()).item("sk", sk.clone());
        put.send().await.expect("the operator may write");
        let delete = self.dynamodb.delete_item().table_name(&self.table).key("pk", pk).key("sk", sk);
        delete.send().await.expect("the operator may delete");
        self.no_blobs(&id).await;
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
