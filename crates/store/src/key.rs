//! All keys of the table and of its indexes.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use tintype_model::{
    Idempotency, ImageId, ImageKey, JobId, LinkId, LinkKey, LinkToken, PlanName, Sha256, Title, UserId,
};
use uuid::Uuid;

use crate::StoreError;

/// The primary key of an item.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub(crate) pk: String,
    pub(crate) sk: String,
}

/// A user's counters are spread over this many items, so that a bulk upload does not queue at one.
pub(crate) const USAGE_SHARDS: u8 = 16;

/// The partition of a shard in the index `feed`.
pub(crate) fn feed_partition(shard: u8) -> String {
    format!("PUBLIC#{shard}")
}

/// The shard of an image in the index `feed`: the last byte of a UUIDv7 is random.
pub(crate) fn feed_shard(id: ImageId, shards: u8) -> u8 {
    id.key.uuid().as_bytes()[15] % shards
}

/// The partition of a plan's users in the index `by_plan`.
pub(crate) fn plan_partition(plan: &PlanName) -> String {
    format!("PLAN#{plan}")
}

/// The prefixes of the sort keys of images, links and jobs.
pub(crate) const IMAGE: &str = "IMAGE#";
pub(crate) const LINK: &str = "LINK#";
pub(crate) const JOB: &str = "JOB#";

impl Key {
    pub fn profile(user: UserId) -> Self {
        Self { pk: format!("PROFILE#{user}"), sk: "PROFILE".into() }
    }

    /// Exists if the session was ended.
    pub fn ended_session(user: UserId, origin_jti: Uuid) -> Self {
        Self { pk: format!("PROFILE#{user}"), sk: format!("SESSION#{origin_jti}") }
    }

    /// The password hash of an unconfirmed sign-up.
    pub fn sign_up(user: UserId) -> Self {
        Self { pk: format!("PROFILE#{user}"), sk: "SIGNUP".into() }
    }

    pub(crate) fn usage(user: UserId, shard: u8) -> Self {
        Self { pk: format!("PROFILE#{user}"), sk: format!("USAGE#{shard}") }
    }

    /// The counter that includes `image`.
    pub(crate) fn usage_of(image: ImageId) -> Self {
        Self::usage(image.owner, image.key.uuid().as_bytes()[15] % USAGE_SHARDS)
    }

    pub fn image(id: ImageId) -> Self {
        Self { pk: Self::images_of(id.owner), sk: format!("{IMAGE}{}", id.key) }
    }

    /// The partition of a user's images.
    pub(crate) fn images_of(user: UserId) -> String {
        format!("USER#{user}")
    }

    /// The claim of `owner` on `title`.
    pub(crate) fn claim(owner: UserId, title: &Title) -> Self {
        Self { pk: format!("TITLE#{owner}#{title}"), sk: "CLAIM".into() }
    }

    pub fn link(id: LinkId) -> Self {
        Self { pk: Self::images_of(id.owner), sk: format!("{LINK}{}", id.key) }
    }

    /// The link of a token.
    pub fn token(token: &LinkToken) -> Self {
        Self::token_hash(token.hash())
    }

    pub(crate) fn token_hash(hash: Sha256) -> Self {
        Self { pk: format!("TOKEN#{hash}"), sk: "TOKEN".into() }
    }

    /// The entry of a link in the list of its image.
    pub(crate) fn index_of_link(image: ImageId, id: LinkId) -> Self {
        Self { pk: Self::links_of(image), sk: format!("{LINK}{}", id.key) }
    }

    /// The link with the key of `cursor` in one of the partitions of links.
    pub(crate) fn link_in(partition: &str, cursor: ImageKey) -> Self {
        Self { pk: partition.to_owned(), sk: format!("{LINK}{cursor}") }
    }

    /// The partition that lists an image's links.
    pub(crate) fn links_of(image: ImageId) -> String {
        format!("LINKS#{}#{}", image.owner, image.key)
    }

    /// The number of wrong passwords from `address` for a link.
    pub(crate) fn failed_attempts(id: LinkId, address: &str) -> Self {
        Self { pk: format!("MISSES#{id}"), sk: format!("FROM#{address}") }
    }

    /// The first request with an idempotency key.
    pub fn idempotency(request: &Idempotency) -> Self {
        Self { pk: format!("IDEMP#{}", request.id()), sk: "IDEMP".into() }
    }

    pub fn job(id: JobId) -> Self {
        Self { pk: Self::images_of(id.owner), sk: format!("{JOB}{}", id.key) }
    }

    /// Exists if the account was deleted, for longer than its sessions could last.
    pub(crate) fn deleted_account(user: UserId) -> Self {
        Self { pk: format!("PROFILE#{user}"), sk: "DELETED".into() }
    }

    /// The partition of all plans.
    pub(crate) const PLANS: &str = "PLANS";

    pub fn plan(name: &PlanName) -> Self {
        Self { pk: Self::PLANS.into(), sk: format!("PLAN#{name}") }
    }

    /// The key of an item that was read, or that is in a stream record.
    pub fn stored(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }

    /// The id if this is the key of an image.
    pub(crate) fn as_image(&self) -> Option<ImageId> {
        let owner = self.pk.strip_prefix("USER#")?.parse().ok()?;
        Some(ImageId { owner, key: self.sk.strip_prefix(IMAGE)?.parse().ok()? })
    }

    /// The user if this is the key of a profile.
    pub(crate) fn as_profile(&self) -> Option<UserId> {
        (self.sk == "PROFILE").then(|| self.pk.strip_prefix("PROFILE#")?.parse().ok()).flatten()
    }

    /// The id if this is the key of a link.
    pub(crate) fn as_link(&self) -> Option<LinkId> {
        let owner = self.pk.strip_prefix("USER#")?.parse().ok()?;
        Some(LinkId { owner, key: self.link_key()? })
    }

    /// The link's key if this is the key of a link, or of its entry in a list.
    pub(crate) fn link_key(&self) -> Option<LinkKey> {
        self.sk.strip_prefix(LINK)?.parse().ok()
    }

    /// The id if this is the key of a job.
    pub(crate) fn as_job(&self) -> Option<JobId> {
        let owner = self.pk.strip_prefix("USER#")?.parse().ok()?;
        Some(JobId { owner, key: self.sk.strip_prefix(JOB)?.parse().ok()? })
    }

    /// The position of the scheduled audit.
    pub(crate) fn audit_cursor() -> Self {
        Self { pk: "AUDIT".into(), sk: "PLACE".into() }
    }

    /// The key of an item.
    pub(crate) fn of(item: &HashMap<String, AttributeValue>) -> Result<Self, StoreError> {
        let part = |name: &str| {
            let text = item.get(name).and_then(|value| value.as_s().ok());
            text.cloned().ok_or_else(|| StoreError::Internal(format!("an item without {name}")))
        };
        Ok(Self { pk: part("pk")?, sk: part("sk")? })
    }

    pub(crate) fn attributes(&self) -> HashMap<String, AttributeValue> {
        HashMap::from([
            ("pk".to_owned(), AttributeValue::S(self.pk.clone())),
            ("sk".to_owned(), AttributeValue::S(self.sk.clone())),
        ])
    }
}

/// The kind of an item, by its key.
pub(crate) enum ItemKind {
    Image(ImageId),
    Claim(Key, UserId, Title),
    Profile(UserId),
    Usage(UserId),
    /// Removed when it expires.
    Temporary,
    /// Removed when it expires, after its end.
    Job,
    Plan,
    /// The audit's own position.
    AuditCursor,
    Unknown,
}

impl ItemKind {
    pub(crate) fn of(key: &Key) -> Self {
        let user = |text: &str| text.parse::<UserId>().ok();
        let (partition, rest) = key.pk.split_once('#').unwrap_or((&key.pk, ""));
        let sort = key.sk.split('#').next().unwrap_or_default();
        match (partition, sort) {
            ("USER", "IMAGE") => key.as_image().map_or(Self::Unknown, Self::Image),
            ("TITLE", "CLAIM") => match rest.split_once('#').and_then(|(owner, title)| Some((user(owner)?, title))) {
                Some((owner, title)) => Self::Claim(key.clone(), owner, Title::from_stored(title.to_owned())),
                None => Self::Unknown,
            },
            ("PROFILE", "PROFILE") => user(rest).map_or(Self::Unknown, Self::Profile),
            ("PROFILE", "USAGE") => user(rest).map_or(Self::Unknown, Self::Usage),
            ("PROFILE", "SESSION" | "SIGNUP" | "DELETED")
            | ("IDEMP", "IDEMP")
            | ("TOKEN", "TOKEN")
            | ("USER" | "LINKS", "LINK")
            | ("MISSES", "FROM") => Self::Temporary,
            ("USER", "JOB") => Self::Job,
            ("PLANS", "PLAN") => Self::Plan,
            ("AUDIT", "PLACE") => Self::AuditCursor,
            _ => Self::Unknown,
        }
    }
}
