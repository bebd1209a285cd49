use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{ConditionCheck, TransactWriteItem, Update};
use tintype_model::{PersonName, Profile, Timestamp, Usage, UserId};
use uuid::Uuid;

use crate::item::{self, n, s};
use crate::key::{Key, USAGE_SHARDS};
use crate::table::TransactOutcome;
use crate::{StoreError, Table};

impl Table {
    /// Creates the profile of a user, or leaves an existing one unchanged. Returns false if the account was deleted.
    pub async fn create_profile(&self, profile: &Profile) -> Result<bool, StoreError> {
        let alive = ConditionCheck::builder()
            .table_name(&self.name)
            .set_key(Some(Key::deleted_account(profile.id).attributes()))
            .condition_expression("attribute_not_exists(pk)");
        let put = self.put(item::from_profile(profile), true)?;
        let alive = TransactWriteItem::builder().condition_check(alive.build().map_err(StoreError::internal)?).build();
        Ok(match self.transact(&[alive, put]).await? {
            TransactOutcome::Cancelled(cancelled) => !cancelled.contains(&0),
            _ => true,
        })
    }

    /// Renames a user. Returns `None` if the profile has changed since it was read, or was deleted.
    pub async fn rename_user(&self, profile: &Profile, name: PersonName) -> Result<Option<Profile>, StoreError> {
        // A transaction of one action: its token distinguishes a retry of the call from the change of another caller.
        let update = Update::builder()
            .table_name(&self.name)
            .set_key(Some(Key::profile(profile.id).attributes()))
            .update_expression("SET #name = :name, #version = :next")
            .condition_expression("#version = :version")
            .expression_attribute_names("#name", "name")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":name", s(&name))
            .expression_attribute_values(":version", n(profile.version))
            .expression_attribute_values(":next", n(profile.version + 1))
            .build()
            .map_err(StoreError::internal)?;
        let action = TransactWriteItem::builder().update(update).build();
        let committed = self.transact(&[action]).await?.is_committed();
        Ok(committed.then(|| Profile { name, version: profile.version + 1, ..profile.clone() }))
    }

    /// Records the start of a password reset. If its outcome is not recorded within half a minute, all earlier sessions
    /// end. Returns false if another reset may be in progress.
    pub async fn begin_reset(&self, profile: &Profile, now: Timestamp) -> Result<bool, StoreError> {
        let update = self.update_profile(profile.id).expression_attribute_values(":now", n(now.millis()));
        let update = match profile.reset_begun_at {
            None => update
                .update_expression("SET reset_begun_at = :now")
                .condition_expression("attribute_exists(pk) AND attribute_not_exists(reset_begun_at)"),
            Some(before) if before + Profile::RESET_LASTS > now => return Ok(false),
            // An interrupted reset: the sessions that it ended stay ended.
            Some(before) => update
                .update_expression("SET reset_begun_at = :now, signed_out_before = :over")
                .condition_expression(
                    "reset_begun_at = :before AND (attribute_not_exists(signed_out_before) OR signed_out_before <= :over)",
                )
                .expression_attribute_values(":before", n(before.millis()))
                .expression_attribute_values(":over", n(profile.sessions_over_since(now).unwrap_or(before).secs())),
        };
        applied(update).await
    }

    /// Records that the password reset which began at `begun_at` changed nothing.
    pub async fn drop_reset(&self, user: UserId, begun_at: Timestamp) -> Result<(), StoreError> {
        let update = self
            .update_profile(user)
            .update_expression("REMOVE reset_begun_at")
            .condition_expression("reset_begun_at = :begun")
            .expression_attribute_values(":begun", n(begun_at.millis()));
        applied(update).await.map(|_| ())
    }

    /// Ends all sessions that began at or before `now`.
    pub async fn end_all_sessions(&self, user: UserId, now: Timestamp) -> Result<(), StoreError> {
        let update = self
            .update_profile(user)
            .update_expression("SET signed_out_before = :now REMOVE reset_begun_at")
            .condition_expression(
                "attribute_exists(pk) AND (attribute_not_exists(signed_out_before) OR signed_out_before <= :now)",
            )
            .expression_attribute_values(":now", n(now.secs()));
        // If the condition fails, there is no profile and so no session, or a later end is recorded.
        applied(update).await.map(|_| ())
    }

    /// Ends one session. `forget_at`: the time when all its tokens have expired.
    pub async fn end_session(&self, user: UserId, origin_jti: Uuid, forget_at: Timestamp) -> Result<(), StoreError> {
        let mut item = Key::ended_session(user, origin_jti).attributes();
        item.insert("expires_at".into(), n(forget_at.secs()));
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
        put.send().await.map(|_| ()).map_err(|e| StoreError::from_sdk("PutItem", e))
    }

    /// Stores the password hash of a sign-up until `expires_at`. The pool does not verify a password before the e-mail
    /// is confirmed.
    pub async fn keep_sign_up(&self, user: UserId, hash: &str, expires_at: Timestamp) -> Result<(), StoreError> {
        let mut item = Key::sign_up(user).attributes();
        item.insert("password_hash".into(), s(hash));
        item.insert("expires_at".into(), n(expires_at.secs()));
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
        put.send().await.map(|_| ()).map_err(|e| StoreError::from_sdk("PutItem", e))
    }

    pub async fn forget_sign_up(&self, user: UserId) -> Result<(), StoreError> {
        let delete = self.client.delete_item().table_name(&self.name);
        let delete = delete.set_key(Some(Key::sign_up(user).attributes()));
        delete.send().await.map(|_| ()).map_err(|e| StoreError::from_sdk("DeleteItem", e))
    }

    pub fn usage_keys(user: UserId) -> impl Iterator<Item = Key> {
        (0..USAGE_SHARDS).map(move |shard| Key::usage(user, shard))
    }

    fn update_profile(&self, user: UserId) -> UpdateItemFluentBuilder {
        self.client.update_item().table_name(&self.name).set_key(Some(Key::profile(user).attributes()))
    }
}

impl crate::Items {
    /// Returns the password hash at [`Key::sign_up`].
    pub fn sign_up_hash(&self, user: UserId) -> Option<&str> {
        self.get(&Key::sign_up(user))?.get("password_hash")?.as_s().ok().map(String::as_str)
    }

    /// Returns the sum of the counters at [`Table::usage_keys`].
    pub fn usage(&self, user: UserId) -> Result<Usage, StoreError> {
        Table::usage_keys(user).filter_map(|key| self.get(&key)).try_fold(Usage::default(), |sum, item| {
            let part = item::usage(item)?;
            Ok(Usage { images: sum.images + part.images, bytes: sum.bytes + part.bytes })
        })
    }
}

/// Sends a conditional update. Returns false if its condition did not hold.
pub(crate) async fn applied(update: UpdateItemFluentBuilder) -> Result<bool, StoreError> {
    match update.send().await {
        Ok(_) => Ok(true),
        Err(error) if error.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(false),
        Err(error) => Err(StoreError::from_sdk("UpdateItem", error)),
    }
}
