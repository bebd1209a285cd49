//! Profiles, with what belongs to a user's sessions and sign-up.

use tintype_model::{PersonName, Profile, Timestamp, Usage, UserId};
use uuid::Uuid;

use crate::dynamo::{Dynamo, ReadSet, TransactOutcome, Write, n, s};
use crate::key::{Key, USAGE_SHARDS};
use crate::{StoreError, item};

/// The profiles of users.
#[derive(Debug, Clone)]
pub struct Profiles {
    pub(crate) dynamo: Dynamo,
}

impl Profiles {
    /// Creates the profile of a user, or leaves an existing one unchanged. Returns false if the account was deleted.
    pub async fn create(&self, profile: &Profile) -> Result<bool, StoreError> {
        let alive = Write::check(Key::deleted_account(profile.id), "attribute_not_exists(pk)");
        Ok(match self.dynamo.transact(&[alive, Write::create(item::from_profile(profile))]).await? {
            TransactOutcome::Cancelled(cancelled) => !cancelled.contains(&0),
            _ => true,
        })
    }

    /// Renames a user. Returns `None` if the profile has changed since it was read, or was deleted.
    pub async fn rename(&self, profile: &Profile, name: PersonName) -> Result<Option<Profile>, StoreError> {
        // A transaction of one action: its token distinguishes a retry of the call from the change of another caller.
        let update = Write::update(Key::profile(profile.id), "SET #name = :name, #version = :next")
            .only_if("#version = :version")
            .value(":name", s(&name))
            .value(":version", n(profile.version))
            .value(":next", n(profile.version + 1));
        let committed = self.dynamo.transact(&[update]).await?.is_committed();
        Ok(committed.then(|| Profile { name, version: profile.version + 1, ..profile.clone() }))
    }

    /// Records the start of a password reset. If its outcome is not recorded within half a minute, all earlier sessions
    /// end. Returns false if another reset may be in progress.
    pub async fn begin_reset(&self, profile: &Profile, now: Timestamp) -> Result<bool, StoreError> {
        let key = Key::profile(profile.id);
        let update = match profile.reset_started_at {
            None => Write::update(key, "SET reset_begun_at = :now")
                .only_if("attribute_exists(pk) AND attribute_not_exists(reset_begun_at)"),
            Some(before) if before + Profile::RESET_LASTS > now => return Ok(false),
            // An interrupted reset: the sessions that it ended stay ended.
            Some(before) => Write::update(key, "SET reset_begun_at = :now, signed_out_before = :over")
                .only_if(
                    "reset_begun_at = :before \
                     AND (attribute_not_exists(signed_out_before) OR signed_out_before <= :over)",
                )
                .value(":before", n(before.millis()))
                .value(":over", n(profile.sessions_revoked_before(now).unwrap_or(before).secs())),
        };
        self.dynamo.write(update.value(":now", n(now.millis()))).await
    }

    /// Records that the password reset which began at `begun_at` changed nothing.
    pub async fn drop_reset(&self, user: UserId, begun_at: Timestamp) -> Result<(), StoreError> {
        let update = Write::update(Key::profile(user), "REMOVE reset_begun_at")
            .only_if("reset_begun_at = :begun")
            .value(":begun", n(begun_at.millis()));
        self.dynamo.write(update).await.map(|_| ())
    }

    /// Ends all sessions that began at or before `now`.
    pub async fn end_all_sessions(&self, user: UserId, now: Timestamp) -> Result<(), StoreError> {
        let update = Write::update(Key::profile(user), "SET signed_out_before = :now REMOVE reset_begun_at")
            .only_if("attribute_exists(pk) AND (attribute_not_exists(signed_out_before) OR signed_out_before <= :now)")
            .value(":now", n(now.secs()));
        // If the condition fails, there is no profile and so no session, or a later end is recorded.
        self.dynamo.write(update).await.map(|_| ())
    }

    /// Ends one session. `forget_at`: the time when all its tokens have expired.
    pub async fn end_session(&self, user: UserId, origin_jti: Uuid, forget_at: Timestamp) -> Result<(), StoreError> {
        let mut item = Key::ended_session(user, origin_jti).attributes();
        item.insert("expires_at".into(), n(forget_at.secs()));
        self.dynamo.write(Write::put(item)).await.map(|_| ())
    }

    /// Stores the password hash of a sign-up until `expires_at`. The pool does not verify a password before the e-mail
    /// is confirmed.
    pub async fn keep_sign_up(&self, user: UserId, hash: &str, expires_at: Timestamp) -> Result<(), StoreError> {
        let mut item = Key::sign_up(user).attributes();
        item.insert("password_hash".into(), s(hash));
        item.insert("expires_at".into(), n(expires_at.secs()));
        self.dynamo.write(Write::put(item)).await.map(|_| ())
    }

    pub async fn forget_sign_up(&self, user: UserId) -> Result<(), StoreError> {
        self.dynamo.write(Write::delete(Key::sign_up(user))).await.map(|_| ())
    }

    pub fn usage_keys(user: UserId) -> impl Iterator<Item = Key> {
        (0..USAGE_SHARDS).map(move |shard| Key::usage(user, shard))
    }
}

impl ReadSet {
    /// Returns the password hash at [`Key::sign_up`].
    pub fn sign_up_hash(&self, user: UserId) -> Option<&str> {
        self.get(&Key::sign_up(user))?.get("password_hash")?.as_s().ok().map(String::as_str)
    }

    /// Returns the sum of the counters at [`Profiles::usage_keys`].
    pub fn usage(&self, user: UserId) -> Result<Usage, StoreError> {
        Profiles::usage_keys(user).filter_map(|key| self.get(&key)).try_fold(Usage::default(), |sum, item| {
            let part = item::usage(item)?;
            Ok(Usage { images: sum.images + part.images, bytes: sum.bytes + part.bytes })
        })
    }
}
