//! The table, the buckets and the user pool. AWS SDK types, key layouts and the order in which things are
//! written stop at this crate's surface.
//!
//! Every change of an image is one transaction over the image and what must agree with it: the claim on its title and
//! the owner's usage. So a reader, a retry or a crash meets either all of a change or none of it. Blobs follow the
//! table: they are deleted after the item that names them, and what is never named is found by prefix.

mod accounts;
mod audit;
mod blobs;
mod error;
mod feed;
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
mod requests;
mod table;

use std::time::Duration;

pub use accounts::{AccountError, Accounts, LoggedIn, NotReset, PoolUser};
pub use audit::{Audit, Finding, Fix, Looked, Mend, Place};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
pub use blobs::{Blobs, Fetched, Method, Signed, ThumbnailKey, Upload, blob_owner};
pub use error::StoreError;
pub use images::{Built, Change, Changed, Created, ImageFilter, Page, REPLACED};
pub use jobs::Advanced;
pub use key::Key;
pub use keyset::{BadToken, KeySet};
pub use links::{LinkChange, LinkChanged, LinkCreated, LinkPage, Password, Try};
pub use plans::{INDEX_LAG, PlanCreated, PlanDeleted, Plans};
pub use queue::{JobMessage, JobQueue};
pub use requests::Begun;
pub use table::{Items, Table};

/// How long a read or write may take, retries included, before the caller hears that the service is unavailable. API
/// Gateway gives an answer 30 s.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(12);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// TCP sends a lost first packet again after one second, and after three.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3500);

/// The configuration that all clients of one process share, from the environment that Lambda gives.
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
