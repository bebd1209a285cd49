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
    pub created_at: Timestamp,
    /// Raised by every change.
    pub version: u64,
}

/// What a user's ready images amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, schemars::JsonSchema)]
pub struct Usage {
    pub images: u64,
    /// Bytes of originals.
    pub bytes: u64,
}
