//! `upload`: reads files, registers them in batches and uploads them concurrently. Short queues connect the steps, so only the
//! journal grows with the number of files.
//!
//! ```text
//! walk ─▶ read (hash) ─▶ register (batches) ─▶ put (side by side) ─▶ settle (ready or rejected)
//!             └── known to the journal ──────────▶┘
//! ```

mod files;
mod register;
mod settle;
mod slots;
mod upload_file;
mod watch;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::{HumanBytes, HumanCount, HumanDuration};
use serde_json::json;
use tintype_model::{ContentType, ImageId, MAX_IMAGE_BYTES};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api::{self, Upload};
use crate::args;
use crate::client::Client;
use crate::config::{Config, ConfigDir};
use crate::error::{Error, Result, exit};
use crate::images::each;
use crate::journal::{Content, FileState, Journal};
use crate::output::{Output, complain, escape_control, line};
use crate::progress::Progress;
use crate::retry::RetryGate;

use files::{FileFailure, FileLimits, Found, ImageFile, SearchPath, Selection, read, walk};
use slots::Slots;

/// Files that are hashed concurrently.
const READERS: usize = 4;
const MINUTE: Duration = Duration::from_secs(60);
/// Failures that are listed at the end; further ones are only counted.
const TOLD: usize = 1000;

/// For how long failed requests are retried before the upload stops.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// A registered file to upload.
struct FileUpload {
    file: Found,
    id: ImageId,
    /// `None`: ask the service for a URL.
    upload: Option<Upload>,
    /// The file's part of what is registered ahead.
    ahead: Option<OwnedSemaphorePermit>,
}

/// A file whose content is known.
enum Looked {
    /// Its stamp is in the journal.
    Recognised(Found, Content),
    Read(ImageFile),
}

/// One run of the command.
struct Run<'a> {
    client: &'a Client,
    out: Output,
    arguments: &'a args::Upload,
    selection: Selection,
    slots: Slots,
    /// Kilobytes of files that may be registered before they are sent.
    ahead: Arc<Semaphore>,
    limits: FileLimits,
    /// `None` in a dry run without a login.
    journal: Option<Mutex<Journal>>,
    progress: Progress,
    report: Mutex<UploadReport>,
    /// The paths of images that are uploaded and not yet ready.
    unsettled: Mutex<HashMap<ImageId, PathBuf>>,
    /// For requests to the bucket.
    gate: RetryGate,
}

/// The result of a run.
#[derive(Debug, Default)]
struct UploadReport {
    uploaded: u64,
    uploaded_bytes: u64,
    /// Uploaded by an earlier run.
    already: u64,
    /// Files whose content has been uploaded under another title.
    copies: u64,
    would: u64,
    would_bytes: u64,
    ready: u64,
    /// Of the failed, those that the service rejected after they were uploaded.
    rejected: u64,
    /// Not images, hidden, or not selected.
    skipped: u64,
    failed: u64,
    failures: Vec<FileFailure>,
    unsettled: u64,
}

pub(crate) async fn run(
    client: &Client,
    folder: &ConfigDir,
    config: &Config,
    out: Output,
    arguments: &args::Upload,
) -> Result<u8> {
    let selection = Selection::new(arguments)?;
    let known = client.is_logged_in().await;
    if !known && !arguments.dry_run {
        return Err(Error::NotLoggedIn("You are not logged in. Log in with `tintype login`.".into()));
    }
    let (mut limits, mut journal) = (FileLimits { most: MAX_IMAGE_BYTES, kinds: ContentType::ALL.to_vec() }, None);
    if known {
        let (me, plans) = (client.request(api::GET_ME).send(), client.request(api::LIST_PLANS).send());
        let (me, plans) = tokio::try_join!(me, plans)?;
        limits.kinds.retain(|kind| plans.content_types.iter().any(|taken| taken == kind.as_str()));
        let plan = plans.results.into_iter().find(|plan| Some(&plan.name) == me.plan.as_ref());
        let plan = plan.ok_or_else(|| {
            Error::Other(
                "Uploading requires a plan, and your account has no plan: ask who runs the service for one.".into(),
            )
        })?;
        limits.most = plan.max_image_bytes;
        journal = Some(Mutex::new(Journal::open(folder, &client.url, &me.id, arguments.copies)?));
    }
    let run = Run {
        client,
        out,
        arguments,
        selection,
        slots: Slots::new(arguments.concurrency.map(usize::from).or(config.concurrency)),
        ahead: Arc::new(Semaphore::new(register::MOST_AHEAD as usize)),
        limits,
        journal,
        progress: Progress::new(out.quiet || arguments.dry_run, &client.waiting),
        report: Mutex::default(),
        unsettled: Mutex::default(),
        gate: RetryGate::default(),
    };
    let result = tokio::select! {
        result = run.all() => result,
        () = interrupted() => {
            run.conclude(true);
            out.note("Interrupted. Run the same command again to resume.");
            return Ok(exit::INTERRUPTED);
        }
    };
    let status = run.conclude(result.is_err());
    match result {
        Ok(()) => Ok(status),
        Err(error) => {
            out.note("Run the same command again to resume.");
            Err(error)
        }
    }
}

/// Waits for a signal that ends the program.
pub(crate) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let waits = async |kind| match signal(kind) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        () = waits(SignalKind::interrupt()) => {}
        () = waits(SignalKind::terminate()) => {}
        () = waits(SignalKind::hangup()) => {}
    }
}

impl Run<'_> {
    async fn all(&self) -> Result<()> {
        if !self.arguments.dry_run {
            if self.arguments.recheck {
                self.recheck().await?;
            }
            self.repeat_unanswered().await?;
        }
        let watcher = if self.arguments.watch { Some(watch::Watcher::new(&self.arguments.paths)?) } else { None };
        self.round(self.arguments.paths.iter().map(|path| SearchPath::root(path)).collect()).await?;
        let Some(mut watcher) = watcher else { return Ok(()) };
        loop {
            self.conclude(false);
            self.out.note("Watching for more files. Ctrl-C ends it.");
            *self.report() = UploadReport::default();
            let places = watcher.changed().await?;
            self.journal().forget_seen();
            self.round(places).await?;
        }
    }

    /// Uploads the files at these places.
    async fn round(&self, places: Vec<SearchPath>) -> Result<()> {
        let (to_register, registering) = mpsc::channel(256);
        let (to_put, putting) = mpsc::channel(register::MOST);
        let also_to_put = to_put.clone();
        let work = async {
            tokio::try_join!(
                self.count(&places),
                self.feed(&places, to_register, to_put),
                self.register_all(registering, also_to_put),
                self.put_all(putting),
            )?;
            if !self.arguments.no_wait && !self.arguments.dry_run { self.settle().await } else { Ok(()) }
        };
        tokio::select! {
            result = work => result,
            () = self.progress.report() => unreachable!("it never returns"),
        }
    }

    /// Counts files and bytes, for the progress only.
    async fn count(&self, places: &[SearchPath]) -> Result<()> {
        let (send, mut sizes) = mpsc::channel(1024);
        let (places, selection) = (places.to_owned(), self.selection.clone());
        self.progress.counting(true);
        let walking = tokio::task::spawn_blocking(move || {
            walk(&places, &selection, &mut |found| send.blocking_send(found.map_or(0, |found| found.size)).is_ok());
        });
        while let Some(size) = sizes.recv().await {
            self.progress.count(1, size);
        }
        self.progress.counting(false);
        walking.await.map_err(|error| Error::Other(error.to_string()))
    }

    /// Finds and reads files, and sends each one to its next step.
    async fn feed(
        &self,
        places: &[SearchPath],
        to_register: Sender<ImageFile>,
        to_put: Sender<FileUpload>,
    ) -> Result<()> {
        let (send, found) = mpsc::channel(64);
        let (places, selection) = (places.to_owned(), self.selection.clone());
        // Ends when the channel is closed.
        tokio::task::spawn_blocking(move || walk(&places, &selection, &mut |found| send.blocking_send(found).is_ok()));
        let found = stream::unfold(found, async |mut found: Receiver<_>| found.recv().await.map(|one| (one, found)));
        let read = found.map(|found| self.look(found)).buffered(READERS);
        read.map(Ok)
            .try_for_each(async |looked| match looked {
                Err(failure) => {
                    self.fail(failure, 0);
                    Ok(())
                }
                Ok(looked) => self.pass_on(looked, &to_register, &to_put).await,
            })
            .await
    }

    /// Reads a file, unless its stamp is known.
    async fn look(&self, found: std::result::Result<Found, FileFailure>) -> std::result::Result<Looked, FileFailure> {
        let found = found?;
        if !self.arguments.recheck
            && let Some(journal) = &self.journal
            && let Some(content) = lock(journal).finished(found.stamp)
        {
            return Ok(Looked::Recognised(found, content));
        }
        let (limits, path) = (self.limits.clone(), found.path.clone());
        let read = tokio::task::spawn_blocking(move || read(found, &limits)).await;
        read.unwrap_or_else(|error| Err(FileFailure::new(&path, "failed", error.to_string()))).map(Looked::Read)
    }

    /// Sends a file to its next step, if it needs one.
    async fn pass_on(
        &self,
        looked: Looked,
        to_register: &Sender<ImageFile>,
        to_put: &Sender<FileUpload>,
    ) -> Result<()> {
        let (file, content, settled) = match &looked {
            Looked::Recognised(file, content) => (file, *content, false),
            Looked::Read(item) => (&item.file, item.content, item.settled),
        };
        let known = self.journal.as_ref().and_then(|journal| lock(journal).known(content, &file.title));
        let Some(known) = known else {
            if self.arguments.dry_run {
                self.would(file);
                if let Some(journal) = &self.journal {
                    lock(journal).plan(content, &file.title);
                }
                return Ok(());
            }
            self.journal().plan(content, &file.title);
            return match looked {
                Looked::Read(item) => sent(to_register.send(item).await),
                Looked::Recognised(..) => unreachable!("what is recognised is known"),
            };
        };
        let Some(id) = known.image.filter(|&id| known.same_title && !self.journal().mark_seen(id)) else {
            self.report().copies += 1;
            self.progress.over(file.size, false);
            self.event("copy", file, known.image);
            return Ok(());
        };
        if settled && !self.arguments.dry_run {
            self.journal().saw(content, &file.title, file.stamp)?;
        }
        match known.state {
            FileState::Registered if self.arguments.dry_run => self.would(file),
            FileState::Registered => {
                return sent(to_put.send(FileUpload { file: file.clone(), id, upload: None, ahead: None }).await);
            }
            FileState::Rejected => {
                let reason = known.reason.unwrap_or_else(|| "not a valid image".into());
                let reason = format!("the service rejected it before: {reason} (--recheck tries again)");
                self.fail(FileFailure::new(&file.path, "rejected", reason), file.size);
            }
            _ => {
                if known.state == FileState::Uploaded {
                    self.unsettled().insert(id, file.path.clone());
                }
                self.report().already += 1;
                self.progress.over(file.size, false);
                self.event("already", file, Some(id));
            }
        }
        Ok(())
    }

    fn would(&self, item: &Found) {
        let mut report = self.report();
        report.would += 1;
        report.would_bytes += item.size;
        drop(report);
        self.progress.over(item.size, false);
        if self.out.json {
            self.event("would_upload", item, None);
        } else if !self.out.quiet {
            line(&format!("{}  {}", escape_control(&item.path.to_string_lossy()), escape_control(item.title.as_str())));
        }
    }

    /// Marks the images that the service no longer has as gone.
    async fn recheck(&self) -> Result<()> {
        self.progress.note("Asking which images are there ...".into());
        let mut there: HashSet<ImageId> = HashSet::new();
        let ask = async |cursor, limit| {
            let query = api::ListImages { cursor, limit, ..Default::default() };
            self.client.request(api::LIST_IMAGES).query(&query).send().await
        };
        let all = args::Pages { limit: 0, all: true };
        each(&all, ask, |image| there.extend(image.id.parse::<ImageId>().ok())).await?;
        self.journal().keep_only(|id| there.contains(&id))?;
        Ok(())
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        lock(self.journal.as_ref().expect("whoever uploads is logged in"))
    }

    fn report(&self) -> MutexGuard<'_, UploadReport> {
        lock(&self.report)
    }

    fn unsettled(&self) -> MutexGuard<'_, HashMap<ImageId, PathBuf>> {
        lock(&self.unsettled)
    }

    /// `size`: bytes that the progress has not counted yet.
    fn fail(&self, failure: FileFailure, size: u64) {
        self.progress.over(size, !failure.skipped);
        self.tell_failure(failure);
    }

    fn tell_failure(&self, failure: FileFailure) {
        if self.out.json {
            let FileFailure { path, code, reason, skipped } = &failure;
            let event = if *skipped { "skipped" } else { "failed" };
            line(&json!({"event": event, "path": path, "code": code, "reason": reason}).to_string());
        }
        let mut report = self.report();
        if failure.skipped {
            report.skipped += 1;
            return;
        }
        report.failed += 1;
        if report.failures.len() < TOLD {
            report.failures.push(failure);
        }
    }

    fn event(&self, event: &str, file: &Found, id: Option<ImageId>) {
        if self.out.json {
            let (path, title) = (file.path.to_string_lossy(), file.title.as_str());
            let id = id.map(|id| id.to_string());
            line(&json!({"event": event, "path": path, "title": title, "size": file.size, "id": id}).to_string());
        }
    }

    /// Prints the results of the files and returns the exit status. `stopped`: before all files were done.
    fn conclude(&self, stopped: bool) -> u8 {
        let mut report = self.report();
        let (took, left) = (self.progress.elapsed(), if stopped { self.progress.left() } else { 0 });
        if stopped {
            report.unsettled = self.unsettled().len() as u64;
        }
        if !self.arguments.watch || stopped {
            self.progress.clear();
        }
        if self.arguments.private && report.already > 0 && !self.arguments.dry_run {
            self.out.note(
                "Images that were there already stay as visible as they are: `tintype list --visibility public` shows \
                 those that others can see.",
            );
        }
        if self.out.json {
            line(
                &json!({
                    "event": "summary",
                    "uploaded": report.uploaded,
                    "uploaded_bytes": report.uploaded_bytes,
                    "already": report.already,
                    "copies": report.copies,
                    "would_upload": report.would,
                    "ready": report.ready,
                    "rejected": report.rejected,
                    "skipped": report.skipped,
                    "failed": report.failed,
                    "unsettled": report.unsettled,
                    "left": left,
                    "seconds": took.as_secs_f64(),
                })
                .to_string(),
            );
        } else {
            self.print_summary(&report, stopped.then_some(left), took);
        }
        if report.failed > 0 {
            exit::SOME_FAILED
        } else if report.unsettled > 0 {
            exit::NOT_SETTLED
        } else {
            exit::DONE
        }
    }

    fn print_summary(&self, report: &UploadReport, left: Option<u64>, took: Duration) {
        if !self.out.quiet {
            let mut parts = Vec::new();
            let mut part = |count: u64, text: &str| {
                if count > 0 {
                    parts.push(format!("{} {text}", HumanCount(count)));
                }
            };
            part(report.would, &format!("would be uploaded ({})", HumanBytes(report.would_bytes)));
            let rate = (report.uploaded_bytes as f64 / took.as_secs_f64().max(0.001)) as u64;
            let rate = format!("uploaded ({}, {}/s)", HumanBytes(report.uploaded_bytes), HumanBytes(rate));
            part(report.uploaded.saturating_sub(report.rejected), &rate);
            part(report.already, "there already");
            part(report.copies, "duplicates, not uploaded");
            part(report.unsettled, "uploaded, but not ready yet");
            part(report.skipped, "skipped");
            part(report.failed, "failed");
            match left {
                Some(left) if self.progress.is_counting() => part(left.max(1), "or more files left"),
                Some(left) => part(left, "files left"),
                None => {}
            }
            let nothing = if left.is_some() { "no files left" } else { "nothing to upload" };
            let text = if parts.is_empty() { nothing.to_owned() } else { parts.join(", ") };
            let took =
                if took < MINUTE { format!("{:.1} s", took.as_secs_f64()) } else { HumanDuration(took).to_string() };
            line(&format!("{text}, in {took}"));
        }
        for failure in &report.failures {
            complain(&format!("{}: {}", failure.path, failure.reason));
        }
        let untold = report.failed.saturating_sub(report.failures.len() as u64);
        if untold > 0 {
            complain(&format!("and {} more (--json lists all)", HumanCount(untold)));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic while it is held")
}

/// A closed channel means that another stage has failed; that error is reported.
fn sent<T>(result: std::result::Result<(), mpsc::error::SendError<T>>) -> Result<()> {
    result.map_err(|_| Error::Other("The upload was cut off.".into()))
}
