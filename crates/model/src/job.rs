//! Work that outlasts a request, done a page at a time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::{BadId, ImageKey, PlanName, Timestamp, UserId};

/// A job as the API names it: base64url of the owner's UUID and the job's, 43 characters, so that it is found with one
/// read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JobId {
    pub owner: UserId,
    pub key: Uuid,
}

impl JobId {
    /// A new id that nobody can guess: whoever holds an account deletion's may read it.
    pub fn generate(owner: UserId) -> Self {
        Self { owner, key: Uuid::new_v4() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub id: JobId,
    pub work: Work,
    pub status: JobStatus,
    pub place: Place,
    /// Images that it deleted, or found to have or gave the thumbnails they should have.
    pub done: u64,
    pub started_at: Timestamp,
    /// When it began or last came to another place.
    pub moved_at: Timestamp,
    pub finished_at: Option<Timestamp>,
}

/// What a job does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Deletes the images of its owner that are of a lower epoch.
    DeleteImages { below_epoch: u64 },
    /// Deletes all that its owner has.
    DeleteAccount,
    /// Gives the images of a user the thumbnails of the plan that the user has now.
    AssignPlan(UserId),
    /// Gives them to the images of all users of a plan.
    ChangePlan(PlanName),
}

/// How far a job has come: which time it goes through the images, whose if not the owner's, and the last it looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobStatus {
    Queued,
    Running,
    Done,
    /// Given up after several tries; its message waits in the queue of failed jobs.
    Failed,
}

impl Job {
    /// A job that has not begun.
    pub fn new(id: JobId, work: Work, now: Timestamp) -> Self {
        Self {
            id,
            work,
            status: JobStatus::Queued,
            place: Place::default(),
            done: 0,
            started_at: now,
            moved_at: now,
            finished_at: None,
        }
    }

    /// Whether it waits for a message that must have been lost: it goes on every few minutes, a message that failed is
    /// delivered again within half an hour, and one that failed for good makes the job [`JobStatus::Failed`].
    pub fn is_stalled(&self, now: Timestamp) -> bool {
        const PATIENCE: Duration = Duration::from_secs(3600);
        matches!(self.status, JobStatus::Queued | JobStatus::Running) && self.moved_at + PATIENCE <= now
    }
}

impl Work {
    pub const fn kind(&self) -> JobKind {
        match self {
            Self::DeleteImages { .. } => JobKind::DeleteImages,
            Self::DeleteAccount => JobKind::DeleteAccount,
            Self::AssignPlan(_) => JobKind::AssignPlan,
            Self::ChangePlan(_) => JobKind::ChangePlan,
        }
    }
}

impl JobKind {
    pub const ALL: [Self; 4] = [Self::DeleteImages, Self::DeleteAccount, Self::AssignPlan, Self::ChangePlan];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeleteImages => "delete_images",
            Self::DeleteAccount => "delete_account",
            Self::AssignPlan => "assign_plan",
            Self::ChangePlan => "change_plan",
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
        let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(text).ok().and_then(|b| b.try_into().ok()).ok_or(BadId)?;
        let half = |range: std::ops::Range<usize>| Uuid::from_slice(&bytes[range]).map_err(|_| BadId);
        Ok(Self { owner: UserId::from_uuid(half(0..16)?), key: half(16..32)? })
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode([*self.owner.uuid().as_bytes(), *self.key.as_bytes()].concat()))
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

/// `<pass>#<user>#<image>`, without the image before the first, and without the user where that is the owner.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#", self.pass)?;
        self.user.map_or(Ok(()), |user| user.fmt(f))?;
        write!(f, "#")?;
        self.after.map_or(Ok(()), |key| key.fmt(f))
    }
}

impl FromStr for Place {
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
    fn a_job_and_its_place_read_back() {
        let id = JobId::generate(UserId::from_uuid(Uuid::from_u128(7)));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("short".parse::<JobId>(), Err(BadId));
        for after in [None, Some(ImageKey::generate())] {
            for user in [None, Some(id.owner)] {
                let place = Place { pass: 1, user, after };
                assert_eq!(place.to_string().parse(), Ok(place));
            }
        }
        for bad in ["", "1", "##", "1##x", "1#x#", "1#"] {
            assert_eq!(bad.parse::<Place>(), Err(BadId));
        }
    }
}
