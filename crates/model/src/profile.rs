use std::time::Duration;

use crate::{Email, PersonName, PlanName, Timestamp, UserId};

/// What the system keeps of a user beside the user pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    pub id: UserId,
    pub email: Email,
    pub name: PersonName,
    pub plan: Option<PlanName>,
    /// Raised each time an admin puts the user on a plan, also on the same one again.
    pub plan_revision: u64,
    /// Raised by "delete all": images of a lower epoch go.
    pub epoch: u64,
    /// Sessions that began at or before this second are over.
    pub signed_out_before: Option<Timestamp>,
    /// A password reset began here of which nobody has written how it ended: see [`Self::sessions_over_since`].
    pub reset_begun_at: Option<Timestamp>,
    pub created_at: Timestamp,
    /// Raised by every change.
    pub version: u64,
}

impl Profile {
    /// No request lasts longer.
    pub const RESET_LASTS: Duration = Duration::from_secs(30);

    /// Until when the sessions that are over by `now` may have begun. A reset that was cut off may have set the new
    /// password and ended no session: it counts as one that did, since it can be under way no more.
    pub fn sessions_over_since(&self, now: Timestamp) -> Option<Timestamp> {
        let reset = self.reset_begun_at.map(|at| at + Self::RESET_LASTS).filter(|end| *end <= now);
        self.signed_out_before.max(reset)
    }
}

/// What a user's ready images amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, schemars::JsonSchema)]
pub struct Usage {
    pub images: u64,
    /// Bytes of originals.
    pub bytes: u64,
}
