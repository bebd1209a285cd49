//! The table, the buckets, the queue and the user pool. No other crate knows AWS SDK types of these, key layouts or the
//! order of writes.
//!
//! Each change of an image is one transaction over the image, the claim on its title and the usage of its owner. So a
//! reader, a retry or a crash sees all of a change or none of it. Blobs follow the table: they are deleted after the
//! item that names them, and blobs without an item are found by prefix.

mod accounts;
mod audit;
mod aws;
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
mod presign;
mod profiles;
mod queue;
mod retries;
mod secret;
mod signing;
mod store;
mod stream;
mod transaction;
mod trust;

pub use accounts::{AccountError, Accounts, LoggedIn, PoolUser, ResetError};
pub use audit::{Audit, AuditCursor, AuditPage, Finding, Repair, RepairAction};
pub use aws::{ConfigError, aws_config};
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
pub use plans::{CreatePlanOutcome, DeletePlanOutcome, INDEX_LAG, Plans, first_version};
pub use profiles::Profiles;
pub use queue::{JobMessage, JobQueue};
pub use signing::KeyRing;
pub use store::Store;
pub use stream::Cleanup;
