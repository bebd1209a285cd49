//! What holds between the table's items, and between them and the blobs, looked at a page at a time.
//!
//! Everything here may lag, or be at work this moment. So what looks wrong is read again, strongly consistent, before it
//! counts; what is younger than the grace is left alone; and what is mended is mended on condition that it is as it was
//! read. A new kind of item is one line in [`Kind::of`] and one arm in [`Audit::items`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use aws_sdk_dynamodb::types::{ConditionCheck, Delete, Put, TransactWriteItem, Update};
use serde::{Deserialize, Serialize};
use tintype_model::{
    Image, ImageId, ImageKey, JobId, JobStatus, Profile, State, Timestamp, Title, Usage, UserId, Work,
};

use crate::blobs::{Bucket, Listed};
use crate::item::{self, Item, n, s};
use crate::key::Key;
use crate::{AccountError, Accounts, Blobs, JobMessage, JobQueue, StoreError, Table, blob_owner, feed};

/// Items a page. Bounds memory, and how much is looked at between two looks at the clock.
const PAGE: i32 = 200;

/// Between the first look at what seems wrong and the second.
const PAUSE: Duration = Duration::from_millis(100);

/// How often a user's counters are counted again where they change meanwhile.
const COUNTS: u32 = 3;

pub struct Audit<'a> {
    pub table: &'a Table,
    pub blobs: &'a Blobs,
    pub accounts: &'a Accounts,
    pub jobs: &'a JobQueue,
    pub now: Timestamp,
    /// What changed within this time may be at work still.
    pub grace: Duration,
}

/// Where an audit goes on. The table comes first: mending it tells what blobs are for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "in", rename_all = "snake_case")]
pub enum Place {
    Items { after: Option<(String, String)> },
    Originals { after: Option<String> },
    Thumbnails { after: Option<String> },
}

impl Default for Place {
    fn default() -> Self {
        Self::Items { after: None }
    }
}

/// A page that was looked at.
#[derive(Debug, Default)]
pub struct Looked {
    pub findings: Vec<Finding>,
    /// Items or blobs.
    pub seen: u64,
    /// Profiles whose account the user pool has.
    pub accounts: u64,
    /// `None`: that was the last page.
    pub next: Option<Place>,
}

/// Something that is not as it must be. What has expired and is still there is one too, but no fault: see
/// [`Finding::is_fault`].
#[derive(Debug)]
pub struct Finding {
    pub kind: &'static str,
    /// An id or a key; no title, no name.
    pub subject: String,
    pub mend: Mend,
}

/// How a finding is mended.
#[derive(Debug)]
pub enum Mend {
    /// A person must look.
    No,
    /// By building the image's thumbnails (again), which is not the store's to do.
    Build(ImageId),
    /// By deleting what the user stored, which is a job's.
    Close(UserId),
    /// By the store: see [`Audit::mend`].
    Store(Fix),
}

#[derive(Debug)]
pub enum Fix {
    Remove(Box<Image>),
    TakeClaim(Box<Image>),
    DropClaim { claim: Key, image: ImageId, version: Option<u64> },
    DeleteExpired(Key),
    FeedPlace(Box<Image>),
    PlanPlace(Box<Profile>),
    Count { counter: Key, held: Usage, right: Usage },
    DeleteBlob(Bucket, String),
    ResumeJob(JobId),
}

impl Finding {
    pub const EXPIRED: &'static str = "expired";

    fn new(kind: &'static str, subject: impl ToString, mend: Mend) -> Self {
        Self { kind, subject: subject.to_string(), mend }
    }

    /// DynamoDB deletes what has expired days late: its being there is no fault.
    pub fn is_fault(&self) -> bool {
        self.kind != Self::EXPIRED
    }
}

/// What an item is, by its key.
enum Kind {
    Image(ImageId),
    Claim(Key, UserId, Title),
    Profile(UserId),
    Usage(UserId),
    /// Of no weight by itself, and gone when its time is over.
    Passing,
    /// Passing once it is over.
    Job,
    Plan,
    /// What the audit itself keeps.
    Place,
    Unknown,
}

impl Kind {
    fn of(key: &Key) -> Self {
        if let Some(id) = key.as_image() {
            return Self::Image(id);
        }
        let user = |text: &str| text.parse::<UserId>().ok();
        let (kind, rest) = key.pk.split_once('#').unwrap_or((&key.pk, ""));
        let part = key.sk.split('#').next().unwrap_or_default();
        match (kind, part) {
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
            | ("MISSES", "FROM") => Self::Passing,
            ("USER", "JOB") => Self::Job,
            ("PLANS", "PLAN") => Self::Plan,
            ("AUDIT", "PLACE") => Self::Place,
            _ => Self::Unknown,
        }
    }
}

impl Audit<'_> {
    /// Looks at the page that begins at `place`.
    pub async fn page(&self, place: Place) -> Result<Looked, StoreError> {
        match place {
            Place::Items { after } => self.items(after).await,
            Place::Originals { after } => self.bucket(Bucket::Originals, after).await,
            Place::Thumbnails { after } => self.bucket(Bucket::Thumbnails, after).await,
        }
    }

    /// Whether what was last changed at `at` is old enough to be looked at.
    fn is_settled(&self, at: Timestamp) -> bool {
        at + self.grace <= self.now
    }

    // ---- the table ------------------------------------------------------------------------------

    async fn items(&self, after: Option<(String, String)>) -> Result<Looked, StoreError> {
        let (items, last) = self.table.scan(after.map(|(pk, sk)| Key::stored(pk, sk)), PAGE).await?;
        let mut looked = Looked {
            seen: items.len() as u64,
            next: Some(match last {
                Some(key) => Place::Items { after: Some((key.pk, key.sk)) },
                None => Place::Originals { after: None },
            }),
            ..Looked::default()
        };
        let (mut images, mut claims, mut users) = (Vec::new(), Vec::new(), HashSet::new());
        let mut profiles: u64 = 0;
        let findings = &mut looked.findings;
        for item in &items {
            let key = item::key(item)?;
            let unreadable = || Finding::new("unreadable_item", kind_name(&key), Mend::No);
            match Kind::of(&key) {
                Kind::Image(id) if item::image(item).is_ok() => images.push(id),
                Kind::Claim(key, owner, title) if item::claim(item).is_ok() => claims.push((key, owner, title)),
                Kind::Profile(user) if item::profile(item).is_ok() => {
                    profiles += 1;
                    users.insert(user);
                }
                Kind::Usage(user) if item::usage(item).is_ok() => {
                    users.insert(user);
                }
                Kind::Plan if item::plan(item).is_ok() => {}
                Kind::Place => {}
                Kind::Job if item::job(item).is_ok_and(|job| job.status != JobStatus::Done) => {
                    let job = item::job(item)?;
                    if job.is_stalled(self.now) {
                        findings.push(Finding::new("stalled_job", job.id, Mend::Store(Fix::ResumeJob(job.id))));
                    }
                }
                Kind::Passing | Kind::Job => match item::expires_at(item) {
                    Some(at) if at.secs() <= self.now.secs() => {
                        let fix = Fix::DeleteExpired(key.clone());
                        findings.push(Finding::new(Finding::EXPIRED, kind_name(&key), Mend::Store(fix)));
                    }
                    Some(_) => {}
                    None => findings.push(Finding::new("never_expires", kind_name(&key), Mend::No)),
                },
                Kind::Unknown => findings.push(Finding::new("unknown_kind", kind_name(&key), Mend::No)),
                _ => findings.push(unreadable()),
            }
        }
        findings.extend(self.twice(images, Self::look_at_images).await?);
        findings.extend(self.twice(claims, Self::look_at_claims).await?);
        let users: Vec<UserId> = users.into_iter().collect();
        findings.extend(self.twice(users, Self::look_at_users).await?);
        let missing = findings.iter().filter(|finding| matches!(finding.mend, Mend::Close(_))).count() as u64;
        looked.accounts = profiles.saturating_sub(missing);
        Ok(looked)
    }

    /// Looks, and where something seems wrong looks at just that again: what was at work is done by then.
    async fn twice<T>(
        &self,
        subjects: Vec<T>,
        look: impl AsyncFn(&Self, &[T]) -> Result<Vec<(usize, Finding)>, StoreError>,
    ) -> Result<Vec<Finding>, StoreError> {
        let suspects: HashSet<usize> = look(self, &subjects).await?.into_iter().map(|(index, _)| index).collect();
        if suspects.is_empty() {
            return Ok(Vec::new());
        }
        tokio::time::sleep(PAUSE).await;
        let subjects = subjects.into_iter().enumerate().filter(|(index, _)| suspects.contains(index));
        let subjects: Vec<T> = subjects.map(|(_, subject)| subject).collect();
        Ok(look(self, &subjects).await?.into_iter().map(|(_, finding)| finding).collect())
    }

    async fn look_at_images(&self, ids: &[ImageId]) -> Result<Vec<(usize, Finding)>, StoreError> {
        let owners = ids.iter().map(|id| Key::profile(id.owner));
        let items = self.table.read(ids.iter().map(|&id| Key::image(id)).chain(owners)).await?;
        let mut images = Vec::with_capacity(ids.len());
        for (index, &id) in ids.iter().enumerate() {
            // One that is gone or unreadable by now is the next audit's.
            if let Ok(Some(image)) = items.image(id) {
                images.push((index, image));
            }
        }
        let claims = self.table.read(images.iter().map(|(_, i)| Key::claim(i.id.owner, &i.title))).await?;
        let blobs = self.blobs_of(images.iter().map(|(_, image)| image)).await?;
        let mut findings = Vec::new();
        for (index, image) in images {
            let mut found = |kind, mend| findings.push((index, Finding::new(kind, image.id, mend)));
            let fix = |fix| Mend::Store(fix);
            if image.is_expired(self.now) {
                found(Finding::EXPIRED, fix(Fix::Remove(Box::new(image.clone()))));
                continue;
            }
            if !self.is_settled(image.updated_at) {
                continue;
            }
            if !items.has(&Key::profile(image.id.owner)) && !self.is_being_deleted(image.id.owner).await? {
                found("image_without_owner", Mend::No);
            }
            let claim = claims.get(&Key::claim(image.id.owner, &image.title)).map(item::claim).transpose()?;
            let live = |claim: &item::Claim| claim.expires_at.is_none_or(|at| at.secs() > self.now.secs());
            match claim {
                Some(claim) if claim.image == image.id.key => {
                    // A claim of a rejected image is seen from the claim's side.
                    if image.holds_claim() && claim.expires_at != image.expires_at() {
                        found("claim_expires_otherwise", fix(Fix::TakeClaim(Box::new(image.clone()))));
                    }
                }
                _ if !image.holds_claim() => {}
                Some(claim) if live(&claim) => found("title_held_by_another", Mend::No),
                _ => found("title_not_held", fix(Fix::TakeClaim(Box::new(image.clone())))),
            }
            let place = items.get(&Key::image(image.id)).map(feed_place).unwrap_or_default();
            if !self.is_place_right(&image, place) {
                found("wrong_feed_entry", fix(Fix::FeedPlace(Box::new(image.clone()))));
            }
            match &image.state {
                State::Processing { .. } => found("stuck_in_processing", Mend::Build(image.id)),
                State::Ready(ready) => {
                    let has = |key: &str| blobs.get(&image.id).is_some_and(|keys| keys.contains(key));
                    if !has(&Blobs::original_key(image.id)) {
                        found("original_missing", Mend::No);
                    } else if Blobs::thumbnail_keys(&image, ready).any(|key| !has(&key)) {
                        found("thumbnail_missing", Mend::Build(image.id));
                    }
                }
                State::Pending { .. } | State::Rejected { .. } => {}
            }
        }
        Ok(findings)
    }

    /// The keys of all blobs of these images, with a list call a bucket for each owner's run of them.
    async fn blobs_of(
        &self,
        images: impl Iterator<Item = &Image>,
    ) -> Result<HashMap<ImageId, HashSet<String>>, StoreError> {
        let mut runs: BTreeMap<UserId, (ImageKey, ImageKey)> = BTreeMap::new();
        for image in images.filter(|image| image.is_ready()) {
            let run = runs.entry(image.id.owner).or_insert((image.id.key, image.id.key));
            *run = (run.0.min(image.id.key), run.1.max(image.id.key));
        }
        let mut found: HashMap<ImageId, HashSet<String>> = HashMap::new();
        for (owner, (first, last)) in runs {
            for bucket in [Bucket::Originals, Bucket::Thumbnails] {
                for key in self.blobs.list_run(bucket, owner, first, last).await? {
                    if let Some(id) = blob_owner(&key) {
                        found.entry(id).or_default().insert(key);
                    }
                }
            }
        }
        Ok(found)
    }

    fn is_place_right(&self, image: &Image, (pk, sk): (Option<&str>, Option<&str>)) -> bool {
        match (pk, sk) {
            (None, None) => !image.is_published(),
            (Some(pk), Some(sk)) => {
                // Shards may have been added since.
                let known = (0..self.table.feed_shards).any(|shard| feed::partition(shard) == pk);
                image.is_published() && known && sk == image.id.key.to_string()
            }
            _ => false,
        }
    }

    async fn look_at_claims(&self, claims: &[(Key, UserId, Title)]) -> Result<Vec<(usize, Finding)>, StoreError> {
        let items = self.table.read(claims.iter().map(|(key, ..)| key.clone())).await?;
        let mut held = Vec::with_capacity(claims.len());
        for (index, (key, owner, title)) in claims.iter().enumerate() {
            if let Some(claim) = items.get(key).map(item::claim).transpose()? {
                held.push((index, key, title, claim.expires_at, ImageId { owner: *owner, key: claim.image }));
            }
        }
        let images = self.table.read(held.iter().map(|&(.., id)| Key::image(id))).await?;
        let mut findings = Vec::new();
        for (index, key, title, expires_at, id) in held {
            let image = images.image(id)?;
            if image.as_ref().is_some_and(|image| image.holds_claim() && image.title == *title) {
                continue;
            }
            // Written with its image, so as old as that at least.
            if !self.is_settled(image.as_ref().map_or(id.key.made_at(), |image| image.updated_at)) {
                continue;
            }
            let over = expires_at.is_some_and(|at| at.secs() <= self.now.secs());
            let kind = if over { Finding::EXPIRED } else { "title_held_for_nothing" };
            let version = image.map(|image| image.version);
            let fix = Fix::DropClaim { claim: key.clone(), image: id, version };
            findings.push((index, Finding::new(kind, id, Mend::Store(fix))));
        }
        Ok(findings)
    }

    async fn look_at_users(&self, users: &[UserId]) -> Result<Vec<(usize, Finding)>, StoreError> {
        let items = self.table.read(users.iter().map(|&user| Key::profile(user))).await?;
        let mut findings = Vec::new();
        for (index, &user) in users.iter().enumerate() {
            let mut found = |kind, mend| findings.push((index, Finding::new(kind, user, mend)));
            let Some(profile) = items.profile(user)? else {
                if !self.is_being_deleted(user).await? {
                    found("counters_without_owner", Mend::No);
                }
                continue;
            };
            let place = items.get(&Key::profile(user)).and_then(|item| item::text(item, "plan_pk"));
            if place != profile.plan.as_ref().map(item::plan_partition).as_deref() {
                found("wrong_plan_entry", Mend::Store(Fix::PlanPlace(Box::new(profile.clone()))));
            }
            if self.is_settled(profile.created_at) && !self.has_account(user).await? {
                // Whoever holds an access token may delete their user from the pool themselves.
                found("profile_without_account", Mend::Close(user));
            }
            for (counter, held, right) in self.miscounted(user).await? {
                found("miscounted", Mend::Store(Fix::Count { counter, held, right }));
            }
        }
        Ok(findings)
    }

    /// Whether a job is at work on what an account without a profile left.
    async fn is_being_deleted(&self, user: UserId) -> Result<bool, StoreError> {
        let jobs = self.table.jobs_of(user).await?;
        Ok(jobs
            .iter()
            .any(|job| job.work == Work::DeleteAccount && matches!(job.status, JobStatus::Queued | JobStatus::Running)))
    }

    async fn has_account(&self, user: UserId) -> Result<bool, StoreError> {
        self.accounts.exists(user).await.map_err(|error| match error {
            AccountError::Store(error) => error,
            error => StoreError::Unavailable(error.to_string()),
        })
    }

    /// The counters that are not what the user's images amount to, with what they hold and should hold.
    async fn miscounted(&self, user: UserId) -> Result<Vec<(Key, Usage, Usage)>, StoreError> {
        for _ in 0..COUNTS {
            let held = self.counters(user).await?;
            let mut right: HashMap<Key, Usage> = HashMap::new();
            let mut after = None;
            loop {
                let (items, last) = self.table.images_page(user, after).await?;
                for item in &items {
                    let image = item::image(item)?;
                    if image.is_ready() {
                        let counter = right.entry(Key::usage_of(image.id)).or_default();
                        counter.images += 1;
                        counter.bytes += image.blob.size;
                    }
                }
                match last {
                    Some(key) => after = Some(key),
                    None => break,
                }
            }
            // Nothing moved while it was counted.
            if self.counters(user).await? == held {
                let compared = Table::usage_keys(user).map(|key| {
                    let of = |counts: &HashMap<Key, Usage>| counts.get(&key).copied().unwrap_or_default();
                    (key.clone(), of(&held), of(&right))
                });
                return Ok(compared.filter(|(_, held, right)| held != right).collect());
            }
        }
        Ok(Vec::new())
    }

    async fn counters(&self, user: UserId) -> Result<HashMap<Key, Usage>, StoreError> {
        let items = self.table.read(Table::usage_keys(user)).await?;
        let counter = |key: Key| items.get(&key).map(|item| Ok((key, item::usage(item)?)));
        Table::usage_keys(user).filter_map(counter).collect()
    }

    // ---- the buckets ----------------------------------------------------------------------------

    async fn bucket(&self, bucket: Bucket, after: Option<String>) -> Result<Looked, StoreError> {
        let (listed, more) = self.blobs.list(bucket, after).await?;
        let next = match (more, bucket) {
            (Some(last), Bucket::Originals) => Some(Place::Originals { after: Some(last) }),
            (Some(last), Bucket::Thumbnails) => Some(Place::Thumbnails { after: Some(last) }),
            (None, Bucket::Originals) => Some(Place::Thumbnails { after: None }),
            (None, Bucket::Thumbnails) => None,
        };
        let seen = listed.len() as u64;
        let settled: Vec<Listed> = listed.into_iter().filter(|blob| self.is_settled(blob.written_at)).collect();
        let findings = self.twice(settled, async |audit, blobs| audit.look_at_blobs(bucket, blobs).await).await?;
        Ok(Looked { findings, seen, next, ..Looked::default() })
    }

    async fn look_at_blobs(&self, bucket: Bucket, blobs: &[Listed]) -> Result<Vec<(usize, Finding)>, StoreError> {
        let owners: HashSet<ImageId> = blobs.iter().filter_map(|blob| blob_owner(&blob.key)).collect();
        let items = self.table.read(owners.into_iter().map(Key::image)).await?;
        let mut findings = Vec::new();
        for (index, blob) in blobs.iter().enumerate() {
            let mut found = |kind, mend| findings.push((index, Finding::new(kind, &blob.key, mend)));
            let delete = || Mend::Store(Fix::DeleteBlob(bucket, blob.key.clone()));
            let Some(id) = blob_owner(&blob.key) else {
                found("blob_of_no_kind", Mend::No);
                continue;
            };
            let image = items.image(id)?.filter(|image| !image.is_expired(self.now));
            match image.as_ref().map(|image| (image, &image.state)) {
                None => found("blob_without_image", delete()),
                Some((_, State::Rejected { .. })) => found("blob_of_rejected_image", delete()),
                Some((_, State::Pending { .. })) if bucket == Bucket::Originals => {
                    found("upload_not_built", Mend::Build(id));
                }
                // One in processing will be built again, or expire with all it has.
                Some((_, State::Pending { .. } | State::Processing { .. })) => {}
                Some((image, State::Ready(ready))) => {
                    let known = match bucket {
                        Bucket::Originals => blob.key == Blobs::original_key(id),
                        Bucket::Thumbnails => Blobs::thumbnail_keys(image, ready).any(|key| key == blob.key),
                    };
                    if !known {
                        found("blob_not_recorded", delete());
                    }
                }
            }
        }
        Ok(findings)
    }

    // ---- mending --------------------------------------------------------------------------------

    /// Mends what was found, unless it has changed since: then false.
    pub async fn mend(&self, fix: &Fix) -> Result<bool, StoreError> {
        match fix {
            Fix::Remove(image) => {
                let removed = self.table.delete_image(image, self.now).await?;
                if removed {
                    self.blobs.delete_all(image.id).await?;
                }
                Ok(removed)
            }
            Fix::TakeClaim(image) => {
                let mut claim = Key::claim(image.id.owner, &image.title).attributes();
                claim.insert("image_id".into(), s(image.id.key));
                if let Some(at) = image.expires_at() {
                    claim.insert("expires_at".into(), n(at.secs()));
                }
                let put = Put::builder()
                    .table_name(&self.table.name)
                    .set_item(Some(claim))
                    .condition_expression("attribute_not_exists(pk) OR image_id = :mine OR expires_at <= :now")
                    .expression_attribute_values(":mine", s(image.id.key))
                    .expression_attribute_values(":now", n(self.now.secs()));
                let put = TransactWriteItem::builder().put(put.build().map_err(broken)?).build();
                self.done([self.unchanged(image.id, Some(image.version))?, put]).await
            }
            Fix::DropClaim { claim, image, version } => {
                let delete = Delete::builder()
                    .table_name(&self.table.name)
                    .set_key(Some(claim.attributes()))
                    .condition_expression("image_id = :its")
                    .expression_attribute_values(":its", s(image.key));
                let delete = TransactWriteItem::builder().delete(delete.build().map_err(broken)?).build();
                self.done([self.unchanged(*image, *version)?, delete]).await
            }
            Fix::DeleteExpired(key) => {
                let delete = Delete::builder()
                    .table_name(&self.table.name)
                    .set_key(Some(key.attributes()))
                    .condition_expression("expires_at <= :now")
                    .expression_attribute_values(":now", n(self.now.secs()));
                self.done([TransactWriteItem::builder().delete(delete.build().map_err(broken)?).build()]).await
            }
            Fix::FeedPlace(image) => {
                let update = self.update(Key::image(image.id));
                let update = if image.is_published() {
                    let shard = feed::shard_of(image.id, self.table.feed_shards);
                    update
                        .update_expression("SET feed_pk = :pk, feed_sk = :sk ADD #version :one")
                        .expression_attribute_values(":pk", s(feed::partition(shard)))
                        .expression_attribute_values(":sk", s(image.id.key))
                } else {
                    update.update_expression("REMOVE feed_pk, feed_sk ADD #version :one")
                };
                self.done([versioned(update, image.version)?]).await
            }
            Fix::PlanPlace(profile) => {
                let update = self.update(Key::profile(profile.id));
                let update = match &profile.plan {
                    Some(plan) => update
                        .update_expression("SET plan_pk = :pk ADD #version :one")
                        .expression_attribute_values(":pk", s(item::plan_partition(plan))),
                    None => update.update_expression("REMOVE plan_pk ADD #version :one"),
                };
                self.done([versioned(update, profile.version)?]).await
            }
            Fix::Count { counter, held, right } => {
                let update = self
                    .update(counter.clone())
                    .update_expression("SET images = :images, #bytes = :bytes")
                    // No counter yet is one of nothing.
                    .condition_expression(
                        "(attribute_not_exists(pk) AND :were = :none) OR (images = :were AND #bytes = :was)",
                    )
                    .expression_attribute_names("#bytes", "bytes")
                    .expression_attribute_values(":images", n(right.images))
                    .expression_attribute_values(":bytes", n(right.bytes))
                    .expression_attribute_values(":were", n(held.images))
                    .expression_attribute_values(":was", n(held.bytes))
                    .expression_attribute_values(":none", n(0));
                self.done([TransactWriteItem::builder().update(update.build().map_err(broken)?).build()]).await
            }
            Fix::DeleteBlob(bucket, key) => {
                self.blobs.delete(*bucket, key).await?;
                Ok(true)
            }
            // A message too many does no harm.
            Fix::ResumeJob(job) => {
                self.jobs.send(JobMessage { job: *job, sent_at: self.now }, Duration::ZERO).await?;
                Ok(true)
            }
        }
    }

    async fn done<const N: usize>(&self, actions: [TransactWriteItem; N]) -> Result<bool, StoreError> {
        Ok(self.table.transact(&actions).await?.is_ok())
    }

    fn update(&self, key: Key) -> aws_sdk_dynamodb::types::builders::UpdateBuilder {
        Update::builder().table_name(&self.table.name).set_key(Some(key.attributes()))
    }

    /// That an image is at `version`; `None`: that there is none.
    fn unchanged(&self, id: ImageId, version: Option<u64>) -> Result<TransactWriteItem, StoreError> {
        let check = ConditionCheck::builder().table_name(&self.table.name).set_key(Some(Key::image(id).attributes()));
        let check = match version {
            Some(version) => check
                .condition_expression("#version = :version")
                .expression_attribute_names("#version", "version")
                .expression_attribute_values(":version", n(version)),
            None => check.condition_expression("attribute_not_exists(pk)"),
        };
        Ok(TransactWriteItem::builder().condition_check(check.build().map_err(broken)?).build())
    }

    // ---- where it goes on -----------------------------------------------------------------------

    /// Where the scheduled audit goes on: it may take several runs.
    pub async fn place(&self) -> Result<Place, StoreError> {
        let key = place_key();
        let items = self.table.read([key.clone()]).await?;
        let place = items.get(&key).and_then(|item| item::text(item, "place"));
        // One that does not read begins anew.
        Ok(place.and_then(|place| serde_json::from_str(place).ok()).unwrap_or_default())
    }

    pub async fn keep_place(&self, place: &Place) -> Result<(), StoreError> {
        let mut item = place_key().attributes();
        item.insert("place".into(), s(serde_json::to_string(place).map_err(broken)?));
        let put = Put::builder().table_name(&self.table.name).set_item(Some(item)).build().map_err(broken)?;
        self.done([TransactWriteItem::builder().put(put).build()]).await.map(|_| ())
    }
}

fn place_key() -> Key {
    Key::stored("AUDIT", "PLACE")
}

fn versioned(
    update: aws_sdk_dynamodb::types::builders::UpdateBuilder,
    version: u64,
) -> Result<TransactWriteItem, StoreError> {
    let update = update
        .condition_expression("#version = :version")
        .expression_attribute_names("#version", "version")
        .expression_attribute_values(":version", n(version))
        .expression_attribute_values(":one", n(1));
    Ok(TransactWriteItem::builder().update(update.build().map_err(broken)?).build())
}

fn feed_place(item: &Item) -> (Option<&str>, Option<&str>) {
    (item::text(item, "feed_pk"), item::text(item, "feed_sk"))
}

/// What kind of item stands at a key, without its names: titles and ids stay out of logs.
fn kind_name(key: &Key) -> String {
    let first = |text: &str| text.split('#').next().unwrap_or_default().to_owned();
    format!("{} {}", first(&key.pk), first(&key.sk))
}

fn broken(error: impl std::fmt::Display) -> StoreError {
    StoreError::Internal(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "7d444840-9dc0-11d1-b245-5ffdce74fad2";

    #[test]
    fn a_title_may_have_a_number_sign() {
        let title = Title::parse("#1 #2").unwrap();
        let owner: UserId = USER.parse().unwrap();
        let kind = Kind::of(&Key::claim(owner, &title));
        assert!(matches!(kind, Kind::Claim(_, user, found) if user == owner && found == title));
    }

    #[test]
    fn what_is_not_known_is_named_without_its_names() {
        let key = Key::stored(format!("USER#{USER}"), "RUMOUR#secret");
        assert!(matches!(Kind::of(&key), Kind::Unknown));
        assert_eq!(kind_name(&key), "USER RUMOUR");
    }

    #[test]
    fn a_place_reads_back() {
        for place in [
            Place::default(),
            Place::Items { after: Some(("a".into(), "b".into())) },
            Place::Thumbnails { after: Some("c".into()) },
        ] {
            let text = serde_json::to_string(&place).unwrap();
            assert_eq!(serde_json::from_str::<Place>(&text).unwrap(), place);
        }
    }
}
