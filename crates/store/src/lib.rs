//! The table, the buckets, the queue and the user pool. No other crate knows AWS SDK types of these, key layouts or the
//! order of writes.
//!
//! Each change of an image is one transaction over the image, the claim on its title and the usage of its owner. So a
//! reader, a retry or a crash sees all of a change or none of it. Blobs follow the table: they are deleted after the
//! item that names them, and blobs without an item are found by prefix.

mod accounts;
mod audit;
mod blobs;
mod calls;
mod cdn_secret;
mod dynamo;
mod error;
mod feed;
mod idempotency;
mod images;
mod item;
mod jobs;
mod key;
mod keyset;
mod links;
mod many;
mod plans;
mod profiles;
mod queue;
mod retries;
mod secret;
mod signing;
mod store;
mod stream;
mod transaction;

use std::time::Duration;

pub use accounts::{AccountError, Accounts, LoggedIn, PoolUser, ResetError};
pub use audit::{Audit, AuditCursor, AuditPage, Finding, Repair, RepairAction};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
pub use blobs::{BlobStore, Fetched, PresignedGet, PresignedPut, ReadKind, ThumbnailKey, image_id_of_key};
pub use cdn_secret::CdnSecret;
pub use dynamo::ReadSet;
pub use error::StoreError;
pub use idempotency::{IdempotencyRecords, IdempotencyState};
pub use images::{Change, CreateOutcome, ImageFilter, ImagePage, Images, PublishOutcome, UpdateOutcome};
pub use jobs::{Jobs, PageOutcome};
pub use key::Key;
pub use keyset::{Jwks, TokenError};
pub use links::{CreateLinkOutcome, LinkChange, LinkPage, Links, PasswordAttempt, UpdateLinkOutcome};
pub use plans::{CreatePlanOutcome, DeletePlanOutcome, INDEX_LAG, Plans};
pub use profiles::Profiles;
pub use queue::{JobMessage, JobQueue};
pub use signing::KeyRing;
pub use store::Store;
pub use stream::Cleanup;

/// The timeout of a call, retries included, after which the service counts as unavailable. API Gateway waits 30 s.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(12);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// TCP retransmits a lost SYN after one second, and after three.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3500);

/// Loads the configuration for all clients of a process from the environment of Lambda.
pub async fn aws_config() -> aws_config::SdkConfig {
    let timeouts = aws_config::timeout::TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build_https();
    let loader = aws_config::defaults(aws_config::BehaviorVersion::latest());
    loader.timeout_config(timeouts).http_client(http).load().await
}
