//! Sending files to the bucket, side by side.

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

use super::files::{CHUNK, Failure, Found, read, stamp};
use super::progress::OneFile;
use super::register::Outcome;
use super::{Job, PATIENCE, Run};
use crate::api::{self, Upload};
use crate::client::causes;
use crate::error::{Error, Result};
use crate::journal::State;
use crate::retry::{Backoff, retry_after};

/// How long nothing may move before a connection is given up.
const STALLED: Duration = Duration::from_secs(60);

/// How often one file is given a fresh URL, or a fresh registration.
const RENEWALS: u32 = 5;

/// What came of one try.
enum Sent {
    /// The bucket has it.
    There,
    /// The URL does not work, or not any more.
    Stale(String),
    Refused(&'static str, String),
    /// Another try may do; the bucket may ask for a wait.
    Later(Option<Duration>, String),
}

/// Where an image stands that is to be uploaded.
enum Renewed {
    Upload(Upload),
    /// It is uploaded.
    Done,
    /// There is no such image any more.
    Gone,
}

impl Run<'_> {
    pub(super) async fn put_all(&self, jobs: Receiver<Job>) -> Result<()> {
        let jobs = Mutex::new(jobs);
        let worker = async || {
            loop {
                let job = jobs.lock().await.recv().await;
                match job {
                    None => return Ok(()),
                    Some(job) => self.put(job).await?,
                }
            }
        };
        try_join_all((0..self.concurrency).map(|_| worker())).await.map(drop)
    }

    /// Sees one file through.
    async fn put(&self, job: Job) -> Result<()> {
        let Job { file, mut id, mut upload } = job;
        let bar = self.progress.one(file.title.as_str(), file.size);
        let mut backoff = Backoff::new(PATIENCE);
        let mut renewals = 0;
        let failed = loop {
            let ready = match upload.take().filter(|upload| renewals > 0 || !is_over(upload)) {
                Some(upload) => upload,
                None => {
                    renewals += 1;
                    match self.renew(id).await? {
                        Renewed::Upload(upload) => upload,
                        Renewed::Done => break None,
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
            match self.send(&file, &ready, &bar).await {
                Sent::There => break None,
                Sent::Stale(_) if renewals < RENEWALS => {}
                Sent::Stale(why) => break Some(Failure::new(&file.path, "refused", why)),
                Sent::Refused(code, why) => break Some(Failure::new(&file.path, code, why)),
                Sent::Later(asked, why) => {
                    let Some(wait) = backoff.next(asked) else {
                        return Err(Error::Unreachable(format!("The bucket for uploads cannot be reached: {why}.")));
                    };
                    if let Some(asked) = asked {
                        self.gate.close(asked);
                    }
                    tokio::time::sleep(wait).await;
                    upload = Some(ready);
                }
            }
        };
        drop(bar);
        match failed {
            Some(failure) => self.fail(failure, file.size),
            None => {
                self.journal().became(id, State::Uploaded, None)?;
                self.unsettled().push(id);
                let mut report = self.report();
                report.uploaded += 1;
                report.uploaded_bytes += file.size;
                drop(report);
                self.progress.over(file.size, false);
                self.event("uploaded", &file, Some(id));
            }
        }
        Ok(())
    }

    async fn renew(&self, id: ImageId) -> Result<Renewed> {
        match self.client.ask(api::RENEW_UPLOAD).at(&id.to_string()).again().send().await {
            Ok(answer) => Ok(Renewed::Upload(answer.upload)),
            Err(error) if error.refused_with("not_pending") => Ok(Renewed::Done),
            Err(error) if error.refused_with("not_found") => Ok(Renewed::Gone),
            Err(error) => Err(error),
        }
    }

    /// Registers a file anew whose image went away while it waited.
    async fn register_again(
        &self,
        file: &Found,
        gone: ImageId,
    ) -> Result<std::result::Result<(ImageId, Upload), Failure>> {
        self.journal().became(gone, State::Gone, None)?;
        let (most, found) = (self.most, file.clone());
        let read = tokio::task::spawn_blocking(move || read(found, most)).await;
        let item = match read.map_err(|error| Error::Other(error.to_string()))? {
            Ok(item) => item,
            Err(failure) => return Ok(Err(failure)),
        };
        let outcome = self.register(std::slice::from_ref(&item)).await?.pop();
        Ok(match outcome {
            Some(Outcome::Made(id, upload)) => Ok((id, upload)),
            Some(Outcome::Refused(code, why)) => Err(Failure::new(&file.path, code, why)),
            Some(Outcome::TitleTaken) => {
                Err(Failure::new(&file.path, "title_taken", "you have another image with its title by now"))
            }
            Some(Outcome::Busy) | None => {
                return Err(Error::Unreachable("The service stays too busy.".into()));
            }
        })
    }

    /// One try.
    async fn send(&self, file: &Found, upload: &Upload, bar: &OneFile<'_>) -> Sent {
        let moved = Arc::new(AtomicU64::new(0));
        let body = match body(&file.path, file, Arc::clone(&moved)).await {
            Ok(Some(body)) => body,
            Ok(None) => {
                let why = "it changed after it was read: run the same command again";
                return Sent::Refused("changed", why.into());
            }
            Err(error) => return Sent::Refused("unreadable", format!("it cannot be read: {error}")),
        };
        let Ok(method) = upload.method.parse::<http::Method>() else {
            return Sent::Refused("refused", format!("the service asks for the unknown method {:?}", upload.method));
        };
        let mut request = self.client.http.request(method, &upload.url).body(body);
        for (name, value) in &upload.headers {
            request = request.header(name, value);
        }
        let mut exchange = Box::pin(async {
            let answer = request.send().await?;
            let (status, asked) = (answer.status(), retry_after(answer.headers()));
            // What comes with success does not matter.
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
                        return Sent::Later(None, "the connection stands still".into());
                    }
                }
            }
        };
        bar.sent(moved.load(Ordering::Relaxed));
        match result {
            Ok((status, asked, text)) => judge(status, asked, &text),
            Err(error) => Sent::Later(None, causes(&error)),
        }
    }
}

/// What an answer of S3 means. <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
fn judge(status: StatusCode, asked: Option<Duration>, text: &str) -> Sent {
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map_or("", |(code, _)| code);
    let said = if code.is_empty() { status.to_string() } else { format!("{code}, {status}") };
    match (status.as_u16(), code) {
        (200..=299, _) => Sent::There,
        // It takes a file once: the answer to an earlier try was lost.
        (412, _) => Sent::There,
        (400, "RequestTimeout" | "IncompleteBody") => Sent::Later(None, said),
        (400, "BadDigest" | "XAmzContentSHA256Mismatch" | "XAmzContentChecksumMismatch") => {
            Sent::Refused("changed", "it changed while it was sent: run the same command again".into())
        }
        (400, "ExpiredToken") | (401 | 403, _) => Sent::Stale(format!("the bucket refuses it ({said})")),
        // Another try for the same image is under way.
        (409, _) => Sent::Later(asked, said),
        (404 | 408 | 429 | 500..=599, _) => Sent::Later(asked, said),
        _ => Sent::Refused("refused", format!("the bucket refuses it ({said})")),
    }
}

/// Whether an upload URL is over, as far as this machine's clock knows.
fn is_over(upload: &Upload) -> bool {
    humantime::parse_rfc3339(&upload.expires_at).is_ok_and(|at| at < SystemTime::now() + Duration::from_secs(5))
}

/// A file's bytes, read as they are sent. `None`: it is another file than was hashed.
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
