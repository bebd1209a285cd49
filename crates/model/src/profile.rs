use std::time::Duration;

use crate::{Email, PersonName, PlanName, Timestamp, UserId};

/// The data of a user outside of the user pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    pub id: UserId,
    pub email: Email,
    pub name: PersonName,
    pub plan: Option<PlanName>,
    /// Increases when an administrator assigns a plan, also the same one.
    pub plan_revision: u64,
    /// The deletion epoch. "Delete all" increases it and deletes images with a lower epoch.
    pub deletion_epoch: u64,
    /// Sessions that began at or before this second have ended.
    pub signed_out_before: Option<Timestamp>,
    /// Start of a password reset whose outcome is not recorded yet: see [`Self::sessions_revoked_before`].
    pub reset_started_at: Option<Timestamp>,
    pub created_at: Timestamp,
    /// Increases with every change.
    pub version: u64,
}

impl Profile {
    /// The longest duration of a reset request.
    pub const RESET_LASTS: Duration = Duration::from_secs(30);

    /// Sessions that started at or before the returned time are invalid at `now`. An interrupted reset may have set the
    /// new password without ending a session, so it counts as a reset that ended all sessions.
    pub fn sessions_revoked_before(&self, now: Timestamp) -> Option<Timestamp> {
        let reset = self.reset_started_at.map(|at| at + Self::RESET_LASTS).filter(|end| *end <= now);
        self.signed_out_before.max(reset)
    }
}

/// The number and the size of a user's ready images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, schemars::JsonSchema)]
pub struct Usage {
    pub images: u64,
    /// Bytes of originals.
    pub bytes: u64,
}
