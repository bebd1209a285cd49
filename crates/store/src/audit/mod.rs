//! Checks invariants between the items of the table, and between items and blobs, one page at a time.
//!
//! An index may lag, and a request may be in progress. So a finding counts only if a second, strongly consistent read
//! confirms it; nothing younger than the grace period is checked; and each repair is conditional on what was read. A new
//! kind of item needs one line in [`ItemKind::of`] and one arm in [`Audit::items`].

mod checks;
mod repairs;

use std::collections::HashSet;
use std::num::NonZeroU16;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tintype_model::{Image, ImageId, JobId, JobStatus, Profile, Timestamp, Usage, UserId};

use crate::blobs::{Bucket, Listed};
use crate::dynamo::{ItemPage, Write, s};
use crate::key::{ItemKind, Key};
use crate::store::Store;
use crate::{Accounts, BlobStore, JobQueue, StoreError, item};

/// Items of a page. Limits the memory, and the work between two checks of the deadline.
const PAGE: i32 = 200;

/// Time between the two reads of a finding.
const PAUSE: Duration = Duration::from_millis(100);

/// The attempts to count a user's images while the counters change.
const COUNTS: u32 = 3;

pub struct Audit<'a> {
    pub store: &'a Store,
    pub blobs: &'a BlobStore,
    pub accounts: &'a Accounts,
    pub jobs: &'a JobQueue,
    pub now: Timestamp,
    /// Changes within this time may still be in progress.
    pub grace: Duration,
    /// The most items or blobs of a page. `None`: 200 items, and as many blobs as S3 lists at once.
    pub page_size: Option<NonZeroU16>,
}

/// The position of an audit. The table comes first: its repairs determine which blobs belong to an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "in", rename_all = "snake_case")]
pub enum AuditCursor {
    Items { after: Option<(String, String)> },
    Originals { after: Option<String> },
    Thumbnails { after: Option<String> },
}

impl Default for AuditCursor {
    fn default() -> Self {
        Self::Items { after: None }
    }
}

/// The result of checking a page.
#[derive(Debug, Default)]
pub struct AuditPage {
    pub findings: Vec<Finding>,
    /// Items or blobs that were checked.
    pub seen: u64,
    /// Profiles with an account in the user pool.
    pub accounts: u64,
    /// `None` after the last page.
    pub next: Option<AuditCursor>,
}

/// A violated invariant, or an expired item or blob, which is not a fault: see [`Finding::is_fault`].
#[derive(Debug)]
pub struct Finding {
    pub kind: &'static str,
    /// An id or a key, without titles and names.
    pub subject: String,
    pub repair: Repair,
}

/// How to repair a finding.
#[derive(Debug)]
pub enum Repair {
    /// By a person.
    Manual,
    /// By building the image's thumbnails, which the store cannot do.
    Build(ImageId),
    /// By a job that deletes what the user stored.
    CloseAccount(UserId),
    /// By the store: see [`Audit::repair`].
    Store(RepairAction),
}

#[derive(Debug)]
pub enum RepairAction {
    DeleteImage(Box<Image>),
    TakeClaim(Box<Image>),
    DeleteClaim { claim: Key, image: ImageId, version: Option<u64> },
    DeleteExpired(Key),
    SetFeedEntry(Box<Image>),
    SetPlanEntry(Box<Profile>),
    SetCounter { counter: Key, held: Usage, right: Usage },
    DeleteBlob(Bucket, String),
    ResumeJob(JobId),
}

impl Finding {
    pub const EXPIRED: &'static str = "expired";

    fn new(kind: &'static str, subject: impl ToString, repair: Repair) -> Self {
        Self { kind, subject: subject.to_string(), repair }
    }

    /// DynamoDB deletes expired items up to days late, so an expired item is not a fault.
    pub fn is_fault(&self) -> bool {
        self.kind != Self::EXPIRED
    }
}

impl Audit<'_> {
    /// Checks the page that begins at `cursor`.
    pub async fn page(&self, cursor: AuditCursor) -> Result<AuditPage, StoreError> {
        match cursor {
            AuditCursor::Items { after } => self.items(after).await,
            AuditCursor::Originals { after } => self.bucket(Bucket::Originals, after).await,
            AuditCursor::Thumbnails { after } => self.bucket(Bucket::Thumbnails, after).await,
        }
    }

    /// Returns true if a change at `at` is outside of the grace period.
    fn is_settled(&self, at: Timestamp) -> bool {
        at + self.grace <= self.now
    }

    async fn items(&self, after: Option<(String, String)>) -> Result<AuditPage, StoreError> {
        let after = after.map(|(pk, sk)| Key::stored(pk, sk));
        let limit = self.page_size.map_or(PAGE, |size| PAGE.min(size.get().into()));
        let ItemPage { items, next } = self.store.dynamo.scan(after, limit).await?;
        let mut looked = AuditPage {
            seen: items.len() as u64,
            next: Some(match next {
                Some(key) => AuditCursor::Items { after: Some((key.pk, key.sk)) },
                None => AuditCursor::Originals { after: None },
            }),
            ..AuditPage::default()
        };
        let (mut images, mut claims, mut users) = (Vec::new(), Vec::new(), HashSet::new());
        let mut profiles: u64 = 0;
        let findings = &mut looked.findings;
        for item in &items {
            let key = Key::of(item)?;
            let unreadable = || Finding::new("unreadable_item", kind_name(&key), Repair::Manual);
            match ItemKind::of(&key) {
                ItemKind::Image(id) if item::image(item).is_ok() => images.push(id),
                ItemKind::Claim(key, owner, title) if item::claim(item).is_ok() => claims.push((key, owner, title)),
                ItemKind::Profile(user) if item::profile(item).is_ok() => {
                    profiles += 1;
                    users.insert(user);
                }
                ItemKind::Usage(user) if item::usage(item).is_ok() => {
                    users.insert(user);
                }
                ItemKind::Plan if item::plan(item).is_ok() => {}
                ItemKind::AuditCursor => {}
                ItemKind::Job if item::job(item).is_ok_and(|job| job.status != JobStatus::Done) => {
                    let job = item::job(item)?;
                    if job.is_stalled(self.now) {
                        findings.push(Finding::new(
                            "stalled_job",
                            job.id,
                            Repair::Store(RepairAction::ResumeJob(job.id)),
                        ));
                    }
                }
                ItemKind::Job if item::job(item).is_err() => findings.push(unreadable()),
                ItemKind::Temporary | ItemKind::Job => match item::expires_at(item) {
                    Some(at) if at.secs() <= self.now.secs() => {
                        let fix = RepairAction::DeleteExpired(key.clone());
                        findings.push(Finding::new(Finding::EXPIRED, kind_name(&key), Repair::Store(fix)));
                    }
                    Some(_) => {}
                    None => findings.push(Finding::new("never_expires", kind_name(&key), Repair::Manual)),
                },
                ItemKind::Unknown => findings.push(Finding::new("unknown_kind", kind_name(&key), Repair::Manual)),
                _ => findings.push(unreadable()),
            }
        }
        findings.extend(self.confirm(images, Self::check_images).await?);
        findings.extend(self.confirm(claims, Self::check_claims).await?);
        let users: Vec<UserId> = users.into_iter().collect();
        findings.extend(self.confirm(users, Self::check_users).await?);
        let missing =
            findings.iter().filter(|finding| matches!(finding.repair, Repair::CloseAccount(_))).count() as u64;
        looked.accounts = profiles.saturating_sub(missing);
        Ok(looked)
    }

    /// Runs a check, and runs it again on the subjects with findings: work that was in progress is done by then.
    async fn confirm<T>(
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

    async fn bucket(&self, bucket: Bucket, after: Option<String>) -> Result<AuditPage, StoreError> {
        let (listed, more) = self.blobs.list(bucket, after, self.page_size.map(|size| size.get().into())).await?;
        let next = match (more, bucket) {
            (Some(last), Bucket::Originals) => Some(AuditCursor::Originals { after: Some(last) }),
            (Some(last), Bucket::Thumbnails) => Some(AuditCursor::Thumbnails { after: Some(last) }),
            (None, Bucket::Originals) => Some(AuditCursor::Thumbnails { after: None }),
            (None, Bucket::Thumbnails) => None,
        };
        let seen = listed.len() as u64;
        let settled: Vec<Listed> = listed.into_iter().filter(|blob| self.is_settled(blob.written_at)).collect();
        let findings = self.confirm(settled, async |audit, blobs| audit.check_blobs(bucket, blobs).await).await?;
        Ok(AuditPage { findings, seen, next, ..AuditPage::default() })
    }

    /// Reads the position of the scheduled audit, which may take several runs.
    pub async fn cursor(&self) -> Result<AuditCursor, StoreError> {
        let key = Key::audit_cursor();
        let items = self.store.read([key.clone()]).await?;
        let place = items.get(&key).and_then(|item| item::text(item, "place"));
        // An invalid position starts at the beginning.
        Ok(place.and_then(|place| serde_json::from_str(place).ok()).unwrap_or_default())
    }

    pub async fn save_cursor(&self, cursor: &AuditCursor) -> Result<(), StoreError> {
        let mut item = Key::audit_cursor().attributes();
        item.insert("place".into(), s(serde_json::to_string(cursor).map_err(StoreError::internal)?));
        self.store.dynamo.transact(&[Write::put(item)]).await.map(|_| ())
    }
}

/// The kind of an item by its key, without titles and ids, which stay out of logs.
fn kind_name(key: &Key) -> String {
    let first = |text: &str| text.split('#').next().unwrap_or_default().to_owned();
    format!("{} {}", first(&key.pk), first(&key.sk))
}

#[cfg(test)]
mod tests {
    use tintype_model::Title;

    use super::*;

    const USER: &str = "7d444840-9dc0-11d1-b245-5ffdce74fad2";

    #[test]
    fn a_title_may_have_a_number_sign() {
        let title = Title::parse("#1 #2").unwrap();
        let owner: UserId = USER.parse().unwrap();
        let kind = ItemKind::of(&Key::claim(owner, &title));
        assert!(matches!(kind, ItemKind::Claim(_, user, found) if user == owner && found == title));
    }

    #[test]
    fn an_unknown_item_is_named_without_its_ids() {
        let key = Key::stored(format!("USER#{USER}"), "NOTE#secret");
        assert!(matches!(ItemKind::of(&key), ItemKind::Unknown));
        assert_eq!(kind_name(&key), "USER NOTE");
    }

    #[test]
    fn an_audit_cursor_reads_back() {
        for cursor in [
            AuditCursor::default(),
            AuditCursor::Items { after: Some(("a".into(), "b".into())) },
            AuditCursor::Thumbnails { after: Some("c".into()) },
        ] {
            let text = serde_json::to_string(&cursor).unwrap();
            assert_eq!(serde_json::from_str::<AuditCursor>(&text).unwrap(), cursor);
        }
    }
}
