//! Work that takes longer than a request, done in pages.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use uuid::Uuid;

use crate::ids::{format_pair, parse_pair};
use crate::{BadId, ImageKey, PlanName, Timestamp, UserId};

/// The id of a job, formatted like the id of an image, so that one read finds the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JobId {
    pub owner: UserId,
    pub key: Uuid,
}

impl JobId {
    /// The id of a user's export. A user has one export at a time.
    pub const fn export(owner: UserId) -> Self {
        Self { owner, key: Uuid::nil() }
    }

    /// Generates an id that cannot be guessed: anyone with the id of an account deletion can read that job.
    pub fn generate(owner: UserId) -> Self {
        Self { owner, key: Uuid::new_v4() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub id: JobId,
    pub work: Work,
    pub status: JobStatus,
    pub cursor: JobCursor,
    /// Images that were deleted, exported, or whose thumbnails were checked or built.
    pub done: u64,
    pub started_at: Timestamp,
    /// The time of its start, or of its last page.
    pub progressed_at: Timestamp,
    pub finished_at: Option<Timestamp>,
}

/// The task of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Deletes the images of its owner with a lower epoch.
    DeleteImages { below_epoch: u64 },
    /// Deletes the images and the account of its owner.
    DeleteAccount,
    /// Rebuilds the thumbnails of a user for their current plan.
    AssignPlan(UserId),
    /// Rebuilds the thumbnails of all users of a plan.
    ChangePlan(PlanName),
    /// Allows its owner to read their records and originals until [`Job::export_end`]. It is done when it begins.
    Export,
}

/// A job's cursor: the pass, the user (if not the owner) and the last image that was processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JobCursor {
    pub pass: u32,
    pub user: Option<UserId>,
    pub after: Option<ImageKey>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    DeleteImages,
    DeleteAccount,
    AssignPlan,
    ChangePlan,
    Export,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobStatus {
    Queued,
    Running,
    Done,
    /// Failed after several attempts; its message is in the dead-letter queue.
    Failed,
}

impl Job {
    /// Creates a queued job.
    pub fn new(id: JobId, work: Work, now: Timestamp) -> Self {
        Self {
            id,
            work,
            status: JobStatus::Queued,
            cursor: JobCursor::default(),
            done: 0,
            started_at: now,
            progressed_at: now,
            finished_at: None,
        }
    }

    /// Creates the export of a user with `images` images.
    pub fn export(owner: UserId, images: u64, now: Timestamp) -> Self {
        let job = Self::new(JobId::export(owner), Work::Export, now);
        Self { status: JobStatus::Done, done: images, finished_at: Some(now), ..job }
    }

    /// The end of an export.
    pub fn export_end(&self) -> Timestamp {
        const LASTING: Duration = Duration::from_secs(7 * 86_400);
        self.started_at + LASTING
    }

    /// Returns true if its message must be lost: a running job saves its cursor every few minutes, a failed message is
    /// redelivered within half an hour, and one that failed for good makes the job [`JobStatus::Failed`].
    pub fn is_stalled(&self, now: Timestamp) -> bool {
        const PATIENCE: Duration = Duration::from_secs(3600);
        matches!(self.status, JobStatus::Queued | JobStatus::Running) && self.progressed_at + PATIENCE <= now
    }
}

impl Work {
    pub const fn kind(&self) -> JobKind {
        match self {
            Self::DeleteImages { .. } => JobKind::DeleteImages,
            Self::DeleteAccount => JobKind::DeleteAccount,
            Self::AssignPlan(_) => JobKind::AssignPlan,
            Self::ChangePlan(_) => JobKind::ChangePlan,
            Self::Export => JobKind::Export,
        }
    }
}

impl JobKind {
    pub const ALL: [Self; 5] =
        [Self::DeleteImages, Self::DeleteAccount, Self::AssignPlan, Self::ChangePlan, Self::Export];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeleteImages => "delete_images",
            Self::DeleteAccount => "delete_account",
            Self::AssignPlan => "assign_plan",
            Self::ChangePlan => "change_plan",
            Self::Export => "export",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl JobStatus {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Queued, Self::Running, Self::Done, Self::Failed].into_iter().find(|status| status.as_str() == text)
    }
}

impl FromStr for JobId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        parse_pair(text).map(|(owner, key)| Self { owner, key })
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_pair(self.owner, self.key))
    }
}

impl serde::Serialize for JobId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl serde::Serialize for JobKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl serde::Serialize for JobStatus {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// `<pass>#<user>#<image>`; the image is absent before the first, the user if it is the owner.
impl fmt::Display for JobCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#", self.pass)?;
        self.user.map_or(Ok(()), |user| user.fmt(f))?;
        write!(f, "#")?;
        self.after.map_or(Ok(()), |key| key.fmt(f))
    }
}

impl FromStr for JobCursor {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let [pass, user, after] = *text.split('#').collect::<Vec<_>>() else { return Err(BadId) };
        let user = if user.is_empty() { None } else { Some(user.parse()?) };
        let after = if after.is_empty() { None } else { Some(after.parse()?) };
        Ok(Self { pass: pass.parse().map_err(|_| BadId)?, user, after })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_ids_and_cursors_read_back() {
        let id = JobId::generate(UserId::from_uuid(Uuid::from_u128(7)));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("short".parse::<JobId>(), Err(BadId));
        for after in [None, Some(ImageKey::generate())] {
            for user in [None, Some(id.owner)] {
                let cursor = JobCursor { pass: 1, user, after };
                assert_eq!(cursor.to_string().parse(), Ok(cursor));
            }
        }
        for bad in ["", "1", "##", "1##x", "1#x#", "1#"] {
            assert_eq!(bad.parse::<JobCursor>(), Err(BadId));
        }
    }
}
