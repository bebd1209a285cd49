//! Registers files in batches.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tintype_model::{ImageId, Title};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::timeout;
use uuid::Uuid;

use super::files::{FileFailure, ImageFile};
use super::{FileUpload, Run, sent};
use crate::api::{self, Paged, Upload};
use crate::error::{ApiProblem, Error, Result};
use crate::journal::{Batch, FileState, hex, title_digest, unhex};
use crate::retry::Backoff;
use crate::session::now;

/// Files of a batch; the limit of the service.
pub(super) const MOST: usize = 1000;
/// Bytes of a body: the limit of 1 MiB, less what surrounds the items.
const MOST_BODY: usize = 1024 * 1024 - 1024;
/// Bytes of the files of a batch: their upload URLs expire after 15 minutes.
const MOST_BYTES: u64 = 256 * 1024 * 1024;
/// Kilobytes of files that are registered and not yet sent: the next batch is registered while the last one is sent.
pub(super) const MOST_AHEAD: u32 = 384 * 1024;
/// Files of the first batch, small so that uploading begins early. Each later batch may be twice as large.
const FIRST: usize = 64;
/// The longest wait of a batch for another file.
const PAUSE: Duration = Duration::from_millis(100);
/// Files with taken titles that are collected before one search for the images that hold them.
const TAKEN: usize = 4096;

pub(super) enum Outcome {
    Made(ImageId, Upload),
    TitleTaken,
    /// A retry may succeed.
    Busy,
    /// The code and the reason.
    Refused(&'static str, String),
}

impl Run<'_> {
    /// Registers files as they arrive.
    pub(super) async fn register_all(&self, mut items: Receiver<ImageFile>, to_put: Sender<FileUpload>) -> Result<()> {
        let (mut taken, mut most) = (Vec::new(), FIRST);
        loop {
            let (batch, more) = gather(&mut items, most).await;
            most = (most * 2).min(MOST);
            taken.extend(self.register_each(batch, &to_put).await?);
            if taken.len() >= TAKEN || (!more && !taken.is_empty()) {
                let again = self.look_up(std::mem::take(&mut taken), &to_put).await?;
                for again in batches(again) {
                    for item in self.register_each(again, &to_put).await? {
                        self.taken(item);
                    }
                }
            }
            if !more {
                return Ok(());
            }
        }
    }

    fn taken(&self, item: ImageFile) {
        self.journal().abandon(item.content, &item.file.title);
        let reason = format!(
            "you have another image with the title {:?}: rename the file, or remove that image first",
            item.file.title.as_str()
        );
        self.fail(FileFailure::new(&item.file.path, "title_taken", reason), item.file.size);
    }

    /// Registers a batch, sends the registered files on, and returns those whose titles are taken.
    async fn register_each(&self, mut items: Vec<ImageFile>, to_put: &Sender<FileUpload>) -> Result<Vec<ImageFile>> {
        let mut taken = Vec::new();
        let mut backoff = Backoff::new(super::PATIENCE);
        let all = items.iter().map(kilobytes).fold(0, u32::saturating_add).min(MOST_AHEAD);
        let ahead = Arc::clone(&self.ahead).acquire_many_owned(all).await;
        let mut ahead = ahead.expect("the semaphore is never closed");
        while !items.is_empty() {
            let outcomes = self.register(&items).await?;
            let mut busy = Vec::new();
            for (item, outcome) in items.into_iter().zip(outcomes) {
                match outcome {
                    Outcome::Made(id, upload) => {
                        let part = (kilobytes(&item) as usize).min(ahead.num_permits());
                        let (upload, ahead) = (Some(upload), ahead.split(part));
                        sent(to_put.send(FileUpload { file: item.file, id, upload, ahead }).await)?;
                    }
                    Outcome::TitleTaken => taken.push(item),
                    Outcome::Busy => busy.push(item),
                    Outcome::Refused(code, reason) => {
                        self.journal().abandon(item.content, &item.file.title);
                        self.fail(FileFailure::new(&item.file.path, code, reason), item.file.size);
                    }
                }
            }
            items = busy;
            if !items.is_empty() {
                let wait = backoff.next(None);
                let why = "The service is overloaded.";
                let wait = wait.ok_or_else(|| Error::Unreachable(why.into()))?;
                self.client.waiting.retrying(why, &backoff, None);
                tokio::time::sleep(wait).await;
            }
        }
        Ok(taken)
    }

    /// Registers a batch and returns the outcome of each file.
    pub(super) async fn register(&self, items: &[ImageFile]) -> Result<Vec<Outcome>> {
        let images = items.iter().map(|item| self.draft(item)).collect();
        let batch = Batch {
            key: Uuid::new_v4().to_string(),
            at: now(),
            body: serde_json::to_string(&api::CreateBatch { images }).expect("bodies have text keys"),
            stamps: items.iter().map(|item| item.settled.then_some(item.file.stamp)).collect(),
        };
        self.journal().begin(&batch)?;
        match self.send_batch(&batch).await {
            Ok(results) if results.len() == items.len() => {
                Ok(results.into_iter().zip(items).map(|(result, item)| outcome(result, item)).collect())
            }
            Ok(_) => Err(Error::Other("The service answered for another number of images.".into())),
            Err(Error::Refused(refusal)) if refusal.code == "image_limit" => {
                let reason = format!("your plan allows no more images: {}", refusal.detail);
                Ok(items.iter().map(|_| Outcome::Refused("image_limit", reason.clone())).collect())
            }
            Err(error) => Err(error),
        }
    }

    /// Sends a batch from the journal and records the response.
    async fn send_batch(&self, batch: &Batch) -> Result<Vec<api::BatchResult>> {
        let asked =
            self.client.request(api::CREATE_BATCH).body(batch.body.clone()).idempotency_key(&batch.key).send().await;
        let results = match asked {
            Ok(answer) => answer.results,
            Err(error) => {
                if matches!(error, Error::Refused(_)) {
                    self.journal().answered(&batch.key, &[])?;
                }
                return Err(error);
            }
        };
        let sent: api::CreateBatch = serde_json::from_str(&batch.body).unwrap_or_default();
        let made: Vec<_> = results
            .iter()
            .zip(&sent.images)
            .enumerate()
            .filter_map(|(index, (result, image))| {
                let id: ImageId = result.id.as_deref()?.parse().ok()?;
                let content = unhex(image.sha256.as_deref()?)?;
                let title = title_digest(&Title::parse(&image.title).ok()?);
                Some((content, title, batch.stamps.get(index).copied().flatten(), id))
            })
            .collect();
        self.journal().answered(&batch.key, &made)?;
        Ok(results)
    }

    fn draft(&self, item: &ImageFile) -> api::CreateImage {
        api::CreateImage {
            title: item.file.title.to_string(),
            content_type: item.kind.as_str().to_owned(),
            size: item.file.size,
            sha256: Some(hex(&item.content)),
            visibility: Some(if self.arguments.private { "private" } else { "public" }.to_owned()),
            description: None,
        }
    }

    /// Repeats the batches of earlier runs that got no response. The service returns the first response again, so the journal
    /// learns what was registered.
    pub(super) async fn repeat_unanswered(&self) -> Result<()> {
        let unanswered = self.journal().take_unanswered();
        for batch in unanswered {
            match self.send_batch(&batch).await {
                // After a refusal, this run registers the files again.
                Ok(_) | Err(Error::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Finds the images that hold the titles of these files. An image with the same content is complete or is continued; one
    /// with an earlier content of the file that was never uploaded is deleted; any other one is a conflict. Returns the files
    /// to register again.
    async fn look_up(&self, taken: Vec<ImageFile>, to_put: &Sender<FileUpload>) -> Result<Vec<ImageFile>> {
        self.progress.note("Looking up images of the same titles ...".into());
        let mut again = Vec::new();
        let mut wanted: HashMap<String, Vec<ImageFile>> = HashMap::new();
        for item in taken {
            wanted.entry(item.file.title.to_string()).or_default().push(item);
        }
        let mut cursor = None;
        loop {
            let query = api::ListImages { cursor, limit: Some(100), ..Default::default() };
            let (images, next) = self.client.request(api::LIST_IMAGES).query(&query).send().await?.split();
            for image in images.into_iter().filter(|image| image.status != "rejected") {
                for item in wanted.remove(&image.title).unwrap_or_default() {
                    again.extend(self.meet(item, &image, to_put).await?);
                }
            }
            match next {
                Some(next) if !wanted.is_empty() => cursor = Some(next),
                _ => break,
            }
        }
        // Their titles have become free.
        again.extend(wanted.into_values().flatten());
        Ok(again)
    }

    /// `image` has the title of `item`.
    async fn meet(
        &self,
        item: ImageFile,
        image: &api::Image,
        to_put: &Sender<FileUpload>,
    ) -> Result<Option<ImageFile>> {
        let id: ImageId = image.id.parse().map_err(|_| Error::Other(format!("{} is no id.", image.id)))?;
        let pending = image.status == "pending";
        if image.sha256.as_deref() == Some(&hex(&item.content)) {
            let state = if pending { FileState::Registered } else { FileState::Uploaded };
            self.journal().found(item.content, &item.file.title, id, state)?;
            if pending {
                sent(to_put.send(FileUpload { file: item.file, id, upload: None, ahead: None }).await)?;
            } else {
                self.report().already += 1;
                self.progress.over(item.file.size, false);
                self.event("already", &item.file, Some(id));
                self.unsettled().insert(id, item.file.path);
            }
            return Ok(None);
        }
        let gives_way = pending && {
            let journal = self.journal();
            journal.state_of(id) == Some(FileState::Registered) && !journal.is_seen(id)
        };
        if !gives_way {
            self.taken(item);
            return Ok(None);
        }
        match self.client.request(api::DELETE_IMAGE).path_param(&image.id).send().await {
            Ok(()) => {}
            Err(error) if error.refused_with("not_found") => {}
            Err(error) => return Err(error),
        }
        self.journal().became(id, FileState::Gone, None)?;
        Ok(Some(item))
    }
}

/// Collects the next batch. Returns false if none follows.
async fn gather(items: &mut Receiver<ImageFile>, most: usize) -> (Vec<ImageFile>, bool) {
    let mut batch = Vec::new();
    let (mut body, mut bytes) = (0, 0);
    let Some(first) = items.recv().await else { return (batch, false) };
    let mut next = Some(first);
    while let Some(item) = next.take() {
        body += weight(&item);
        bytes += item.file.size;
        batch.push(item);
        if batch.len() >= most || bytes >= MOST_BYTES || body + weight_most() > MOST_BODY {
            return (batch, true);
        }
        match timeout(PAUSE, items.recv()).await {
            Ok(None) => return (batch, false),
            Ok(some) => next = some,
            Err(_) => return (batch, true),
        }
    }
    (batch, true)
}

/// Splits files into batches.
fn batches(items: Vec<ImageFile>) -> Vec<Vec<ImageFile>> {
    let mut batches: Vec<Vec<ImageFile>> = Vec::new();
    let mut body = 0;
    for item in items {
        let weight = weight(&item);
        match batches.last_mut().filter(|batch| batch.len() < MOST && body + weight < MOST_BODY) {
            Some(batch) => {
                body += weight;
                batch.push(item);
            }
            None => {
                body = weight;
                batches.push(vec![item]);
            }
        }
    }
    batches
}

fn kilobytes(item: &ImageFile) -> u32 {
    u32::try_from(item.file.size / 1024 + 1).unwrap_or(u32::MAX)
}

/// The most bytes of an item in a body: JSON may escape each byte of a title with two.
fn weight(item: &ImageFile) -> usize {
    item.file.title.as_str().len() * 2 + 200
}

/// The same for the longest title.
const fn weight_most() -> usize {
    Title::MAX_CHARS * 4 * 2 + 200
}

fn outcome(result: api::BatchResult, item: &ImageFile) -> Outcome {
    let id = result.id.as_deref().and_then(|id| id.parse().ok());
    match (result.status, id, result.upload, result.error) {
        (201, Some(id), Some(upload), _) => Outcome::Made(id, upload),
        (409, ..) => Outcome::TitleTaken,
        (429 | 500.., ..) => Outcome::Busy,
        (403, _, _, Some(problem)) => Outcome::Refused("refused", ApiProblem::from(problem).to_string()),
        (_, _, _, Some(problem)) => Outcome::Refused("invalid", ApiProblem::from(problem).to_string()),
        _ => Outcome::Refused("invalid", format!("the service did not take {:?}", item.file.title.as_str())),
    }
}

#[cfg(test)]
mod tests {
    use tintype_model::ContentType;

    use super::super::files::Found;
    use super::*;

    fn item(title: &str) -> ImageFile {
        let file = Found {
            path: title.into(),
            title: Title::parse(title).unwrap(),
            size: u64::MAX,
            stamp: [7; 16],
            named: false,
        };
        ImageFile { file, kind: ContentType::Jpeg, content: [7; 32], settled: true }
    }

    #[test]
    fn no_batch_is_more_than_the_service_takes() {
        let quotes = "\"".repeat(256);
        let wide = "\u{1f5bc}".repeat(256);
        for title in ["a", &quotes, &wide] {
            let all = batches(vec![item(title); 2500]);
            assert_eq!(all.iter().map(Vec::len).sum::<usize>(), 2500);
            for batch in &all {
                assert!(batch.len() <= 1000);
                let images = batch.iter().map(|item| api::CreateImage {
                    title: item.file.title.to_string(),
                    content_type: item.kind.as_str().into(),
                    size: item.file.size,
                    sha256: Some(hex(&item.content)),
                    visibility: Some("private".into()),
                    description: None,
                });
                let body = serde_json::to_string(&api::CreateBatch { images: images.collect() }).unwrap();
                assert!(body.len() <= 1024 * 1024, "{}", body.len());
            }
        }
        assert_eq!(batches(vec![item("a"); 2500]).len(), 3);
    }
}
