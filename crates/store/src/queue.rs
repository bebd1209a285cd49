use std::time::Duration;

use aws_sdk_sqs::Client;
use serde::{Deserialize, Serialize};
use tintype_model::{JobId, Timestamp};

use crate::StoreError;
use crate::calls::RecordCalls;

/// The queue of jobs. A message contains only the id of its job and a time.
#[derive(Debug, Clone)]
pub struct JobQueue {
    client: Client,
    url: String,
}

/// A message of the queue.
#[derive(Debug, Clone, Copy)]
pub struct JobMessage {
    pub job: JobId,
    /// The time of the request that began the job.
    pub sent_at: Timestamp,
}

/// The body of a message.
#[derive(Serialize, Deserialize)]
struct MessageBody {
    job: String,
    /// In milliseconds since 1970.
    sent_at: i64,
}

impl JobMessage {
    /// Returns `None` for an invalid message.
    pub fn parse(body: &str) -> Option<Self> {
        let body: MessageBody = serde_json::from_str(body).ok()?;
        Some(Self { job: body.job.parse().ok()?, sent_at: Timestamp::from_millis(body.sent_at) })
    }
}

impl JobQueue {
    pub fn new(config: &aws_types::SdkConfig, url: impl Into<String>) -> Self {
        let config = aws_sdk_sqs::config::Builder::from(config).interceptor(RecordCalls).build();
        Self { client: Client::from_conf(config), url: url.into() }
    }

    /// Sends a message, which is delivered after `delay`: whole seconds, at most 15 minutes.
    pub async fn send(&self, message: JobMessage, delay: Duration) -> Result<(), StoreError> {
        let body = MessageBody { job: message.job.to_string(), sent_at: message.sent_at.millis() };
        let body = serde_json::to_string(&body).map_err(|e| StoreError::Internal(e.to_string()))?;
        let send = self.client.send_message().queue_url(&self.url).message_body(body);
        let send = send.delay_seconds(i32::try_from(delay.as_secs().min(900)).unwrap_or_default());
        send.send().await.map(|_| ()).map_err(|e| StoreError::from_sdk("SendMessage", e))
    }
}
