//! Jobs: work that takes longer than a request. The item of a job has a cursor; each page of work is one transaction
//! with a step of that cursor. So a duplicate message or a second worker repeats no page, and the counts are exact.

use std::time::Duration;

use aws_sdk_dynamodb::types::{Delete, TransactWriteItem, Update};
use tintype_model::{Image, Job, JobId, JobStatus, Place, Plan, PlanName, Profile, Timestamp, UserId, Work};

use crate::item::{self, n, s};
use crate::key::{self, Key};
use crate::many::REMOVED_AT_ONCE;
use crate::transaction::ImageChange;
use crate::{StoreError, Table};

/// The result of a page of a job.
#[derive(Debug)]
pub enum Advanced {
    /// The page is done, and the cursor is saved.
    Saved,
    /// No image is left in this pass.
    End,
    /// The job, or an image of the page, has changed since it was read: read the job again.
    Overtaken,
}

/// For how long a job can be read after its end.
const KEPT: Duration = Duration::from_secs(7 * 86_400);

/// The most images that are read before the cursor is saved.
const LOOKED_AT: usize = 4000;

impl Table {
    pub async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.read([Key::job(id)]).await?.job(id)
    }

    /// Reads the jobs of a user that have not expired.
    pub(crate) async fn jobs_of(&self, user: UserId) -> Result<Vec<Job>, StoreError> {
        let query = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .expression_attribute_values(":pk", s(Key::images_of(user)))
            .expression_attribute_values(":sk", s("JOB#"));
        let answer = query.send().await.map_err(|e| StoreError::from_sdk("Query", e))?;
        answer.items.unwrap_or_default().iter().map(item::job).collect()
    }

    /// Begins the deletion of all images of a user. Raises the deletion epoch, so that later images stay. Returns false
    /// if the profile has changed since it was read.
    pub async fn begin_deleting_images(&self, owner: &Profile, id: JobId, now: Timestamp) -> Result<bool, StoreError> {
        let raise = Update::builder()
            .table_name(&self.name)
            .set_key(Some(Key::profile(owner.id).attributes()))
            .update_expression("SET epoch = :next")
            .condition_expression("epoch = :epoch")
            .expression_attribute_values(":epoch", n(owner.epoch))
            .expression_attribute_values(":next", n(owner.epoch + 1));
        let raise = TransactWriteItem::builder().update(raise.build().map_err(StoreError::internal)?).build();
        let job = Job::new(id, Work::DeleteImages { below_epoch: owner.epoch + 1 }, now);
        Ok(self.transact(&[raise, self.put(item::from_job(&job), true)?]).await?.is_committed())
    }

    /// Begins the deletion of an account. Without a profile, all tokens of the account are refused, and nothing of it
    /// is visible. The item [`Key::deleted_account`] prevents a concurrent login from creating a profile again. Returns
    /// false if the account is deleted already.
    pub async fn begin_deleting_account(&self, user: UserId, id: JobId, now: Timestamp) -> Result<bool, StoreError> {
        let end = Delete::builder()
            .table_name(&self.name)
            .set_key(Some(Key::profile(user).attributes()))
            .condition_expression("attribute_exists(pk)");
        let end = TransactWriteItem::builder().delete(end.build().map_err(StoreError::internal)?).build();
        let mut mark = Key::deleted_account(user).attributes();
        mark.insert("expires_at".into(), n((now + KEPT).secs()));
        let job = Job::new(id, Work::DeleteAccount, now);
        Ok(self.transact(&[end, self.put(mark, true)?, self.put(item::from_job(&job), true)?]).await?.is_committed())
    }

    /// Assigns a plan to a user, or none, and begins the job that rebuilds the thumbnails of their images. Returns
    /// false if the profile has changed since it was read, or the plan was deleted.
    pub async fn assign_plan(
        &self,
        user: &Profile,
        plan: Option<&PlanName>,
        id: JobId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let assign = Update::builder()
            .table_name(&self.name)
            .set_key(Some(Key::profile(user.id).attributes()))
            .condition_expression("#version = :version")
            .expression_attribute_names("#version", "version")
            .expression_attribute_names("#plan", "plan")
            .expression_attribute_values(":version", n(user.version))
            .expression_attribute_values(":next", n(user.version + 1))
            .expression_attribute_values(":revision", n(user.plan_revision + 1));
        let assign = match plan {
            Some(plan) => assign
                .update_expression(
                    "SET #plan = :plan, plan_pk = :partition, plan_revision = :revision, #version = :next",
                )
                .expression_attribute_values(":plan", s(plan))
                .expression_attribute_values(":partition", s(key::plan_partition(plan))),
            None => assign.update_expression("SET plan_revision = :revision, #version = :next REMOVE #plan, plan_pk"),
        };
        let job = Job::new(id, Work::AssignPlan(user.id), now);
        let mut actions = vec![
            TransactWriteItem::builder().update(assign.build().map_err(StoreError::internal)?).build(),
            self.put(item::from_job(&job), true)?,
        ];
        if let Some(plan) = plan {
            // Read by `delete_plan`.
            let mark = Update::builder()
                .table_name(&self.name)
                .set_key(Some(Key::plan(plan).attributes()))
                .update_expression("SET assigned_at = :now")
                .condition_expression("attribute_exists(pk)")
                .expression_attribute_values(":now", n(now.millis()));
            actions.push(TransactWriteItem::builder().update(mark.build().map_err(StoreError::internal)?).build());
        }
        Ok(self.transact(&actions).await?.is_committed())
    }

    /// Changes a plan, and begins the job that rebuilds the thumbnails of its users. `plan.version`: the version that
    /// was read. Returns the new plan, or `None` if it has changed since, or was deleted.
    pub async fn change_plan(&self, plan: Plan, id: JobId, now: Timestamp) -> Result<Option<Plan>, StoreError> {
        let next = Plan { version: plan.version + 1, ..plan };
        let change = Update::builder()
            .table_name(&self.name)
            .set_key(Some(Key::plan(&next.name).attributes()))
            .condition_expression("#version = :was")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":was", n(plan.version));
        // An update instead of a put, because it keeps the time of the last assignment.
        let key = Key::plan(&next.name).attributes();
        let fields = item::from_plan(&next).into_iter().filter(|(name, _)| !key.contains_key(name));
        let (mut change, mut sets) = (change, Vec::new());
        for (index, (name, value)) in fields.enumerate() {
            sets.push(format!("#f{index} = :f{index}"));
            change = change
                .expression_attribute_names(format!("#f{index}"), name)
                .expression_attribute_values(format!(":f{index}"), value);
        }
        let change =
            change.update_expression(format!("SET {}", sets.join(", "))).build().map_err(StoreError::internal)?;
        let job = Job::new(id, Work::ChangePlan(next.name.clone()), now);
        let actions = [TransactWriteItem::builder().update(change).build(), self.put(item::from_job(&job), true)?];
        Ok(self.transact(&actions).await?.is_committed().then_some(next))
    }

    /// Deletes the next images of the owner, oldest first, with an epoch lower than `below`.
    pub async fn delete_page(&self, job: &Job, below: u64, now: Timestamp) -> Result<Advanced, StoreError> {
        let mut after = job.place.after;
        for _ in 0..LOOKED_AT.div_ceil(REMOVED_AT_ONCE) {
            let (images, more) = self.oldest_images(job.id.owner, after, REMOVED_AT_ONCE).await?;
            let Some(last) = images.last().map(|image| image.id.key) else {
                return Ok(Advanced::End);
            };
            after = Some(last);
            let doomed: Vec<Image> = images.into_iter().filter(|image| image.epoch < below).collect();
            if !doomed.is_empty() {
                let changes: Vec<ImageChange<'_>> =
                    doomed.iter().map(|image| ImageChange { before: Some(image), after: None }).collect();
                let step = self.step(job, Place { after, ..job.place }, doomed.len(), now)?;
                let conflicts = self.apply_all(&changes, now, Some(step)).await?;
                return Ok(if conflicts.is_empty() { Advanced::Saved } else { Advanced::Overtaken });
            }
            if !more {
                return Ok(Advanced::End);
            }
        }
        self.move_on(job, Place { after, ..job.place }, 0, now).await
    }

    /// Saves the cursor of a job, and adds `done` to its number of images.
    pub async fn move_on(&self, job: &Job, place: Place, done: usize, now: Timestamp) -> Result<Advanced, StoreError> {
        let step = self.step(job, place, done, now)?;
        let committed = self.transact(&[step]).await?.is_committed();
        Ok(if committed { Advanced::Saved } else { Advanced::Overtaken })
    }

    fn step(&self, job: &Job, place: Place, done: usize, now: Timestamp) -> Result<TransactWriteItem, StoreError> {
        let step = Update::builder()
            .table_name(&self.name)
            .set_key(Some(Key::job(job.id).attributes()))
            .update_expression("SET place = :next, moved_at = :now, #status = :running ADD done :done")
            .condition_expression("place = :place AND #status <> :over")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":place", s(job.place))
            .expression_attribute_values(":next", s(place))
            .expression_attribute_values(":now", n(now.millis()))
            .expression_attribute_values(":running", s(JobStatus::Running.as_str()))
            .expression_attribute_values(":over", s(JobStatus::Done.as_str()))
            .expression_attribute_values(":done", n(done));
        Ok(TransactWriteItem::builder().update(step.build().map_err(StoreError::internal)?).build())
    }

    /// Ends a job. It can be read for seven days.
    pub async fn finish_job(&self, job: &Job, now: Timestamp) -> Result<(), StoreError> {
        let end = Update::builder()
            .table_name(&self.name)
            .set_key(Some(Key::job(job.id).attributes()))
            .update_expression("SET #status = :over, finished_at = :now, expires_at = :forget")
            .condition_expression("place = :place AND #status <> :over")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":place", s(job.place))
            .expression_attribute_values(":over", s(JobStatus::Done.as_str()))
            .expression_attribute_values(":now", n(now.millis()))
            .expression_attribute_values(":forget", n((now + KEPT).secs()));
        let end = TransactWriteItem::builder().update(end.build().map_err(StoreError::internal)?).build();
        // Cancelled: another worker ended the job, or has a later cursor and will.
        self.transact(&[end]).await.map(|_| ())
    }

    /// Marks a job as failed. A worker that continues it marks it as running.
    pub async fn fail_job(&self, id: JobId) -> Result<(), StoreError> {
        let fail = Update::builder()
            .table_name(&self.name)
            .set_key(Some(Key::job(id).attributes()))
            .update_expression("SET #status = :failed")
            .condition_expression("attribute_exists(pk) AND #status <> :over")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":failed", s(JobStatus::Failed.as_str()))
            .expression_attribute_values(":over", s(JobStatus::Done.as_str()));
        let fail = TransactWriteItem::builder().update(fail.build().map_err(StoreError::internal)?).build();
        self.transact(&[fail]).await.map(|_| ())
    }

    /// Deletes the remaining items of a deleted account: counters, ended sessions and other jobs. The mark of the
    /// deletion and the job `but` expire by themselves. Unfinished jobs of an administrator stay, because they change
    /// images of others.
    pub async fn delete_records(&self, user: UserId, but: JobId) -> Result<(), StoreError> {
        let kept = [Key::deleted_account(user), Key::job(but)];
        for pk in [Key::profile(user).pk, Key::images_of(user)] {
            let mut start = None;
            loop {
                let answer = self
                    .client
                    .query()
                    .table_name(&self.name)
                    .consistent_read(true)
                    .key_condition_expression("pk = :pk")
                    .projection_expression("pk, sk, kind, #status")
                    .expression_attribute_names("#status", "status")
                    .expression_attribute_values(":pk", s(&pk))
                    .set_exclusive_start_key(start)
                    .send()
                    .await
                    .map_err(|e| StoreError::from_sdk("Query", e))?;
                for item in answer.items.unwrap_or_default() {
                    let key = item::key(&item)?;
                    // An image is deleted with its claim, by the job.
                    if kept.contains(&key) || key.as_image().is_some() || item::is_unfinished_plan_job(&item) {
                        continue;
                    }
                    let delete = self.client.delete_item().table_name(&self.name).set_key(Some(key.attributes()));
                    delete.send().await.map_err(|e| StoreError::from_sdk("DeleteItem", e))?;
                }
                start = answer.last_evaluated_key;
                if start.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl crate::Items {
    pub fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.get(&Key::job(id)).map(item::job).transpose()
    }
}
