//! Jobs: work that takes longer than a request. The item of a job has a cursor; each page of work is one transaction
//! with a step of that cursor. So a duplicate message or a second worker repeats no page, and the counts are exact.

use std::time::Duration;

use tintype_model::{Image, Job, JobCursor, JobId, JobStatus, Plan, PlanName, Profile, Timestamp, UserId, Work};

use crate::dynamo::{Dynamo, Query, Write, n, s};
use crate::images::Images;
use crate::key::{self, Key};
use crate::many::REMOVED_AT_ONCE;
use crate::transaction::ImageChange;
use crate::{StoreError, item};

/// The result of a page of a job.
#[derive(Debug)]
pub enum PageOutcome {
    /// The page is done, and the cursor is saved.
    Committed,
    /// No image is left in this pass.
    Exhausted,
    /// The job, or an image of the page, has changed since it was read: read the job again.
    Conflict,
}

/// For how long a job can be read after its end.
const KEPT: Duration = Duration::from_secs(7 * 86_400);

/// The most images that are read before the cursor is saved.
const LOOKED_AT: usize = 4000;

/// The jobs, and the changes that begin one.
#[derive(Debug, Clone)]
pub struct Jobs {
    pub(crate) dynamo: Dynamo,
    pub(crate) images: Images,
}

impl Jobs {
    pub async fn get(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.dynamo.get([Key::job(id)]).await?.job(id)
    }

    /// Reads the jobs of a user that have not expired, without unreadable ones.
    pub(crate) async fn of_user(&self, user: UserId) -> Result<Vec<Job>, StoreError> {
        let page = self.dynamo.query(Query::prefix(Key::images_of(user), key::JOB)).await?;
        Ok(page.items.iter().filter_map(|item| item::job(item).ok()).collect())
    }

    /// Begins the deletion of all images of a user. Raises the deletion epoch, so that later images stay. Returns false
    /// if the profile has changed since it was read.
    pub async fn begin_deleting_images(&self, owner: &Profile, id: JobId, now: Timestamp) -> Result<bool, StoreError> {
        let raise = Write::update(Key::profile(owner.id), "SET epoch = :next")
            .only_if("epoch = :epoch")
            .value(":epoch", n(owner.deletion_epoch))
            .value(":next", n(owner.deletion_epoch + 1));
        let job = Job::new(id, Work::DeleteImages { below_epoch: owner.deletion_epoch + 1 }, now);
        self.begin(vec![raise], &job).await
    }

    /// Begins the deletion of an account. Without a profile, all tokens of the account are refused, and nothing of it
    /// is visible. The item [`Key::deleted_account`] prevents a concurrent login from creating a profile again. Returns
    /// false if the account is deleted already.
    pub async fn begin_deleting_account(&self, user: UserId, id: JobId, now: Timestamp) -> Result<bool, StoreError> {
        let end = Write::delete(Key::profile(user)).only_if("attribute_exists(pk)");
        let mut mark = Key::deleted_account(user).attributes();
        mark.insert("expires_at".into(), n((now + KEPT).secs()));
        self.begin(vec![end, Write::create(mark)], &Job::new(id, Work::DeleteAccount, now)).await
    }

    /// Begins the export of a user. Returns false if one has not ended.
    pub async fn begin_export(&self, export: &Job, now: Timestamp) -> Result<bool, StoreError> {
        let begin = Write::put(item::from_job(export))
            .only_if("attribute_not_exists(pk) OR expires_at <= :now")
            .value(":now", n(now.secs()));
        self.dynamo.write(begin).await
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
        let key = Key::profile(user.id);
        let assign = match plan {
            Some(plan) => Write::update(
                key,
                "SET #plan = :plan, plan_pk = :partition, plan_revision = :revision, #version = :next",
            )
            .value(":plan", s(plan))
            .value(":partition", s(key::plan_partition(plan))),
            None => Write::update(key, "SET plan_revision = :revision, #version = :next REMOVE #plan, plan_pk"),
        };
        let assign = assign
            .only_if("#version = :version")
            .value(":version", n(user.version))
            .value(":next", n(user.version + 1))
            .value(":revision", n(user.plan_revision + 1));
        // Read by `Plans::delete`.
        let mark = plan.map(|plan| {
            Write::update(Key::plan(plan), "SET assigned_at = :now")
                .only_if("attribute_exists(pk)")
                .value(":now", n(now.millis()))
        });
        let writes = [assign].into_iter().chain(mark).collect();
        self.begin(writes, &Job::new(id, Work::AssignPlan(user.id), now)).await
    }

    /// Changes a plan, and begins the job that rebuilds the thumbnails of its users. `plan.version`: the version that
    /// was read. Returns the new plan, or `None` if it has changed since, or was deleted.
    pub async fn change_plan(&self, plan: Plan, id: JobId, now: Timestamp) -> Result<Option<Plan>, StoreError> {
        let next = Plan { version: plan.version + 1, ..plan };
        // An update instead of a put, because it keeps the time of the last assignment.
        let key = Key::plan(&next.name);
        let (mut sets, mut values) = (Vec::new(), Vec::new());
        for (name, value) in item::from_plan(&next).into_iter().filter(|(name, _)| name != "pk" && name != "sk") {
            sets.push(format!("#{name} = :{name}"));
            values.push((format!(":{name}"), value));
        }
        let change = Write::update(key, format!("SET {}", sets.join(", ")))
            .only_if("#version = :was")
            .value(":was", n(plan.version));
        let change = values.into_iter().fold(change, |change, (name, value)| change.value(name, value));
        let job = Job::new(id, Work::ChangePlan(next.name.clone()), now);
        Ok(self.begin(vec![change], &job).await?.then_some(next))
    }

    /// Creates a job in one transaction with the change that it follows. Returns false if a condition did not hold.
    async fn begin(&self, mut change: Vec<Write>, job: &Job) -> Result<bool, StoreError> {
        change.push(Write::create(item::from_job(job)));
        Ok(self.dynamo.transact(&change).await?.is_committed())
    }

    /// Deletes the next images of the owner, oldest first, with an epoch lower than `below`.
    pub async fn delete_page(&self, job: &Job, below: u64, now: Timestamp) -> Result<PageOutcome, StoreError> {
        let mut after = job.cursor.after;
        for _ in 0..LOOKED_AT.div_ceil(REMOVED_AT_ONCE) {
            let (images, more) = self.images.ascending(job.id.owner, after, REMOVED_AT_ONCE).await?;
            let Some(last) = images.last().map(|image| image.id.key) else {
                return Ok(PageOutcome::Exhausted);
            };
            after = Some(last);
            let doomed: Vec<Image> = images.into_iter().filter(|image| image.deletion_epoch < below).collect();
            if !doomed.is_empty() {
                let changes: Vec<ImageChange<'_>> =
                    doomed.iter().map(|image| ImageChange { before: Some(image), after: None }).collect();
                let step = step(job, JobCursor { after, ..job.cursor }, doomed.len(), now);
                let conflicts = self.images.apply(&changes, now, Some(step)).await?;
                return Ok(if conflicts.is_empty() { PageOutcome::Committed } else { PageOutcome::Conflict });
            }
            if !more {
                return Ok(PageOutcome::Exhausted);
            }
        }
        self.save_cursor(job, JobCursor { after, ..job.cursor }, 0, now).await
    }

    /// Saves the cursor of a job, and adds `done` to its number of images.
    pub async fn save_cursor(
        &self,
        job: &Job,
        cursor: JobCursor,
        done: usize,
        now: Timestamp,
    ) -> Result<PageOutcome, StoreError> {
        let committed = self.dynamo.transact(&[step(job, cursor, done, now)]).await?.is_committed();
        Ok(if committed { PageOutcome::Committed } else { PageOutcome::Conflict })
    }

    /// Ends a job. It can be read for seven days.
    pub async fn finish(&self, job: &Job, now: Timestamp) -> Result<(), StoreError> {
        let end = Write::update(Key::job(job.id), "SET #status = :over, finished_at = :now, expires_at = :forget")
            .only_if("place = :place AND #status <> :over")
            .value(":place", s(job.cursor))
            .value(":over", s(JobStatus::Done.as_str()))
            .value(":now", n(now.millis()))
            .value(":forget", n((now + KEPT).secs()));
        // Cancelled: another worker ended the job, or has a later cursor and will.
        self.dynamo.transact(&[end]).await.map(|_| ())
    }

    /// Marks a job as failed. A worker that continues it marks it as running.
    pub async fn fail(&self, id: JobId) -> Result<(), StoreError> {
        let fail = Write::update(Key::job(id), "SET #status = :failed")
            .only_if("attribute_exists(pk) AND #status <> :over")
            .value(":failed", s(JobStatus::Failed.as_str()))
            .value(":over", s(JobStatus::Done.as_str()));
        self.dynamo.transact(&[fail]).await.map(|_| ())
    }

    /// Deletes the remaining items of a deleted account: counters, ended sessions and other jobs. The mark of the
    /// deletion and the job `but` expire by themselves. Unfinished jobs of an administrator stay, because they change
    /// images of others.
    pub async fn delete_records(&self, user: UserId, but: JobId) -> Result<(), StoreError> {
        let kept = [Key::deleted_account(user), Key::job(but)];
        for pk in [Key::profile(user).pk, Key::images_of(user)] {
            let query = Query::partition(pk).only("pk, sk, kind, #status");
            let mut after = None;
            loop {
                let page = self.dynamo.query(query.clone().after(after)).await?;
                for item in page.items {
                    let key = Key::of(&item)?;
                    // An image is deleted with its claim, by the job.
                    if kept.contains(&key) || key.as_image().is_some() || item::is_unfinished_plan_job(&item) {
                        continue;
                    }
                    self.dynamo.write(Write::delete(key)).await?;
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Moves the cursor of a job. The condition fails if the job has another cursor than `job`, or is finished.
fn step(job: &Job, cursor: JobCursor, done: usize, now: Timestamp) -> Write {
    Write::update(Key::job(job.id), "SET place = :next, moved_at = :now, #status = :running ADD done :done")
        .only_if("place = :place AND #status <> :over")
        .value(":place", s(job.cursor))
        .value(":next", s(cursor))
        .value(":now", n(now.millis()))
        .value(":running", s(JobStatus::Running.as_str()))
        .value(":over", s(JobStatus::Done.as_str()))
        .value(":done", n(done))
}
