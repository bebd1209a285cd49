//! Uploads files to the bucket, concurrently.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::try_join_all;
use futures_util::stream;
use http::StatusCode;
use tintype_model::ImageId;
use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;
use tokio::sync::mpsc::Receiver;

use super::files::{CHUNK, FileFailure, Found, read, stamp};
use super::register::Outcome;
use super::slots::Slot;
use super::{FileUpload, PATIENCE, Run};
use crate::api::{self, Upload};
use crate::client::SLOW;
use crate::error::{Error, Result};
use crate::journal::FileState;
use crate::progress::OneFile;
use crate::retry::{Backoff, retry_after};

/// A connection without progress for this long is closed.
const STALLED: Duration = Duration::from_secs(60);

/// The most new URLs or registrations for one file.
const RENEWALS: u32 = 5;

/// The result of one attempt.
enum PutOutcome {
    /// The bucket has the file.
    Stored,
    /// The URL is invalid or has expired.
    Stale(String),
    Refused(&'static str, String),
    /// Another try may succeed; the bucket may ask for a wait. Why, as a sentence.
    Later(Option<Duration>, String),
}

/// The state of an image whose upload URL was requested again.
enum Renewed {
    Upload(Upload),
    /// It has been uploaded.
    Done,
    /// It no longer exists.
    Gone,
}

impl Run<'_> {
    pub(super) async fn put_all(&self, jobs: Receiver<FileUpload>) -> Result<()> {
        let jobs = Mutex::new(jobs);
        let worker = async || {
            loop {
                let job = jobs.lock().await.recv().await;
                match job {
                    None => return Ok(()),
                    Some(job) => {
                        let slot = self.slots.enter(job.file.size).await;
                        self.put(job, &slot).await?;
                    }
                }
            }
        };
        try_join_all((0..self.slots.most()).map(|_| worker())).await.map(drop)
    }

    /// Uploads one file, with retries.
    async fn put(&self, job: FileUpload, slot: &Slot<'_>) -> Result<()> {
        let FileUpload { file, mut id, mut upload, ahead } = job;
        drop(ahead);
        let bar = self.progress.one(file.title.as_str(), file.size);
        let mut backoff = Backoff::new(PATIENCE);
        let (mut renewals, mut already) = (0, false);
        let failed = loop {
            let ready = match upload.take().filter(|upload| renewals > 0 || !is_over(upload)) {
                Some(upload) => upload,
                None => {
                    renewals += 1;
                    match self.renew(id).await? {
                        Renewed::Upload(upload) => upload,
                        Renewed::Done => {
                            already = true;
                            break None;
                        }
                        Renewed::Gone => match self.register_again(&file, id).await? {
                            Ok((new, upload)) => {
                                id = new;
                                upload
                            }
                            Err(failure) => break Some(failure),
                        },
                    }
                }
            };
            self.gate.pass().await;
            let began = Instant::now();
            match self.send(&file, &ready, &bar).await {
                PutOutcome::Stored => {
                    slot.stored_after(began.elapsed());
                    break None;
                }
                PutOutcome::Stale(_) if renewals < RENEWALS => {}
                PutOutcome::Stale(why) => break Some(FileFailure::new(&file.path, "refused", why)),
                PutOutcome::Refused(code, why) => break Some(FileFailure::new(&file.path, code, why)),
                PutOutcome::Later(asked, why) => {
                    slot.overloaded();
                    let Some(wait) = backoff.next(asked) else {
                        return Err(Error::Unreachable(why));
                    };
                    if let Some(asked) = asked {
                        self.gate.close(asked);
                    }
                    self.client.waiting.retrying(&why, &backoff, asked);
                    tokio::time::sleep(wait).await;
                    upload = Some(ready);
                }
            }
        };
        drop(bar);
        match failed {
            Some(failure) => self.fail(failure, file.size),
            None => {
                self.journal().became(id, FileState::Uploaded, None)?;
                self.unsettled().insert(id, file.path.clone());
                self.client.waiting.over();
                let mut report = self.report();
                if already {
                    report.already += 1;
                } else {
                    report.uploaded += 1;
                    report.uploaded_bytes += file.size;
                }
                drop(report);
                self.progress.over(file.size, false);
                self.event(if already { "already" } else { "uploaded" }, &file, Some(id));
            }
        }
        Ok(())
    }

    async fn renew(&self, id: ImageId) -> Result<Renewed> {
        match self.client.request(api::RENEW_UPLOAD).path_param(&id.to_string()).idempotent().send().await {
            Ok(answer) => self.hide(answer).await,
            Err(error) if error.refused_with("not_pending") => Ok(Renewed::Done),
            Err(error) if error.refused_with("not_found") => Ok(Renewed::Gone),
            Err(error) => Err(error),
        }
    }

    /// Makes an image private, before its file is sent, that an earlier run registered without `--private`.
    async fn hide(&self, answer: api::ImageWithUpload) -> Result<Renewed> {
        if self.arguments.private && answer.image.visibility != "private" {
            let change = api::UpdateImage { visibility: Some("private".into()), ..Default::default() };
            match self.client.request(api::UPDATE_IMAGE).path_param(&answer.image.id).json(&change).send().await {
                Ok(_) => {}
                Err(error) if error.refused_with("not_found") => return Ok(Renewed::Gone),
                Err(error) => return Err(error),
            }
        }
        Ok(Renewed::Upload(answer.upload))
    }

    /// Re-registers a file whose image expired.
    async fn register_again(
        &self,
        file: &Found,
        gone: ImageId,
    ) -> Result<std::result::Result<(ImageId, Upload), FileFailure>> {
        self.journal().became(gone, FileState::Gone, None)?;
        let (limits, found) = (self.limits.clone(), file.clone());
        let read = tokio::task::spawn_blocking(move || read(found, &limits)).await;
        let item = match read.map_err(|error| Error::Other(error.to_string()))? {
            Ok(item) => item,
            Err(failure) => return Ok(Err(failure)),
        };
        let outcome = self.register(std::slice::from_ref(&item)).await?.pop();
        Ok(match outcome {
            Some(Outcome::Made(id, upload)) => Ok((id, upload)),
            Some(Outcome::Refused(code, why)) => Err(FileFailure::new(&file.path, code, why)),
            Some(Outcome::TitleTaken) => {
                Err(FileFailure::new(&file.path, "title_taken", "you have another image with its title now"))
            }
            Some(Outcome::Busy) | None => {
                return Err(Error::Unreachable("The service is overloaded.".into()));
            }
        })
    }

    /// Makes one attempt.
    async fn send(&self, file: &Found, upload: &Upload, bar: &OneFile<'_>) -> PutOutcome {
        let moved = Arc::new(AtomicU64::new(0));
        let body = match body(&file.path, file, Arc::clone(&moved)).await {
            Ok(Some(body)) => body,
            Ok(None) => {
                let why = "changed after it was read: run the same command again";
                return PutOutcome::Refused("changed", why.into());
            }
            Err(error) => return PutOutcome::Refused("unreadable", FileFailure::unreadable(&file.path, &error).reason),
        };
        let Ok(method) = upload.method.parse::<http::Method>() else {
            return PutOutcome::Refused(
                "refused",
                format!("the service asks for the unknown method {:?}", upload.method),
            );
        };
        let mut request = self.client.http.request(method, &upload.url).body(body);
        for (name, value) in &upload.headers {
            request = request.header(name, value);
        }
        let mut exchange = Box::pin(async {
            let answer = request.send().await?;
            let (status, asked) = (answer.status(), retry_after(answer.headers()));
            // The body of a success is not used.
            let text = if status.is_success() { String::new() } else { answer.text().await? };
            Ok::<_, reqwest::Error>((status, asked, text))
        });
        let mut last = (0, Instant::now());
        let result = loop {
            match tokio::time::timeout(Duration::from_millis(100), &mut exchange).await {
                Ok(result) => break result,
                Err(_) => {
                    let now = moved.load(Ordering::Relaxed);
                    if now != last.0 {
                        last = (now, Instant::now());
                        bar.set(now);
                    } else if last.1.elapsed() > STALLED {
                        return PutOutcome::Later(None, "The connection to the bucket for uploads stalled.".into());
                    } else if last.1.elapsed() > SLOW {
                        self.client.waiting.silent("The bucket for uploads", last.1.elapsed());
                    }
                }
            }
        };
        bar.sent(moved.load(Ordering::Relaxed));
        match result {
            Ok((status, asked, text)) => judge(status, asked, &text),
            Err(error) => {
                PutOutcome::Later(None, self.client.unreachable("The bucket for uploads", &upload.url, &error))
            }
        }
    }
}

/// Interprets a response of S3. <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
fn judge(status: StatusCode, asked: Option<Duration>, text: &str) -> PutOutcome {
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map_or("", |(code, _)| code);
    let said = if code.is_empty() { status.to_string() } else { format!("{code}, {status}") };
    let busy = format!("The bucket for uploads answered {said}.");
    match (status.as_u16(), code) {
        (200..=299, _) => PutOutcome::Stored,
        // S3 accepts each file once: the response to an earlier attempt was lost.
        (412, _) => PutOutcome::Stored,
        (400, "RequestTimeout" | "IncompleteBody") => PutOutcome::Later(None, busy),
        (400, "BadDigest" | "XAmzContentSHA256Mismatch" | "XAmzContentChecksumMismatch") => {
            PutOutcome::Refused("changed", "changed while it was sent: run the same command again".into())
        }
        (400, "ExpiredToken") | (401 | 403, _) => PutOutcome::Stale(format!("the bucket refuses it ({said})")),
        // Another upload of the same image is in progress.
        (409, _) => PutOutcome::Later(asked, busy),
        (404 | 408 | 429 | 500..=599, _) => PutOutcome::Later(asked, busy),
        _ => PutOutcome::Refused("refused", format!("the bucket refuses it ({said})")),
    }
}

/// Returns true if an upload URL has expired by this machine's clock.
fn is_over(upload: &Upload) -> bool {
    humantime::parse_rfc3339(&upload.expires_at).is_ok_and(|at| at < SystemTime::now() + Duration::from_secs(5))
}

/// Returns a body that reads the file as it is sent, or `None` if the file has changed since it was hashed.
async fn body(path: &Path, file: &Found, moved: Arc<AtomicU64>) -> io::Result<Option<reqwest::Body>> {
    let (path, seen, size) = (path.to_owned(), file.stamp, file.size);
    let opened = tokio::task::spawn_blocking(move || -> io::Result<_> {
        let mut file = std::fs::File::open(path)?;
        if stamp(&file.metadata()?) != seen {
            return Ok(None);
        }
        let mut whole = Vec::new();
        if size <= CHUNK as u64 {
            io::Read::read_to_end(&mut file, &mut whole)?;
        }
        Ok(Some((file, whole)))
    });
    let Some((file, whole)) = opened.await.map_err(io::Error::other)?? else { return Ok(None) };
    if size <= CHUNK as u64 {
        moved.store(size, Ordering::Relaxed);
        return Ok(Some(whole.into()));
    }
    let file = tokio::fs::File::from_std(file);
    let pieces = stream::try_unfold((file, moved), async |(mut file, moved)| {
        let mut piece = Vec::with_capacity(CHUNK);
        while piece.len() < CHUNK && file.read_buf(&mut piece).await? > 0 {}
        moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
        Ok::<_, io::Error>(if piece.is_empty() { None } else { Some((piece, (file, moved))) })
    });
    Ok(Some(reqwest::Body::wrap_stream(pieces)))
}
