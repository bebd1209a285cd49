//! Makes an uploaded image ready, or rejects it.
//!
//! S3 tells of an upload at least once, late and in any order, and this may be cut off at any line and run again, also
//! twice at the same time. So every step is safe to repeat:
//! - A set of thumbnails is named by the plan, and the owner's assignment to it, that it was built for: the same set is
//!   the same blobs.
//! - The image is made ready, or rejected, on condition that it is as it was read. Who comes second reads again.
//! - After that everything that decided is read once more. What changed in between is done again, and what was made
//!   for an image that is gone is deleted.

use std::io::Read;
use std::time::{Duration, Instant};

use aws_lambda_events::event::s3::S3Event;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::{Context, Error, LambdaEvent};
use tintype_imaging::{Format, Thumbnails};
use tintype_model::{ContentType, Image, ImageId, Plan, Ready, State, Thumbnail, ThumbnailSetId, Timestamp};
use tintype_store::{Key, PublishOutcome, StoreError, ThumbnailKey, image_id_of_key};
use tokio_util::io::SyncIoBridge;
use tracing::field::{Empty, display};
use tracing::{Instrument, Span, error, info, info_span, warn};

use crate::Worker;

/// How often what others changed meanwhile is done again before the message goes back to the queue.
const TRIES: u32 = 8;

/// Kept of the function's time for storing what was made.
const RESERVE: Duration = Duration::from_secs(15);

pub(crate) async fn handle(worker: &Worker, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Error> {
    let mut answer = SqsBatchResponse::default();
    for message in event.payload.records {
        let id = message.message_id.as_deref().unwrap_or_default();
        let span = info_span!("message", message_id = id, image = Empty);
        let body = message.body.as_deref().unwrap_or_default();
        if let Err(error) = one_message(worker, body, &event.context).instrument(span.clone()).await {
            span.in_scope(|| error!(cause = %error, "Message failed"));
            answer.add_failure(id);
        }
    }
    Ok(answer)
}

async fn one_message(worker: &Worker, body: &str, context: &Context) -> Result<(), Error> {
    let body: serde_json::Value = serde_json::from_str(body)?;
    if body["Event"] == "s3:TestEvent" {
        return Ok(());
    }
    let event: S3Event = serde_json::from_value(body)?;
    for record in event.records {
        let key = record.s3.object.key.unwrap_or_default();
        // Keys in events are form-encoded; ours have nothing that this changes, others' might.
        let key = form_urlencoded::parse(key.as_bytes()).next().map(|(key, _)| key.into_owned()).unwrap_or_default();
        match image_id_of_key(&key) {
            Some(id) => {
                Span::current().record("image", display(id));
                match build(worker, id, Trust::Recorded, remaining(context)).await? {
                    // Nor will it at another try.
                    Became::Undecodable(reason) => warn!(cause = reason, "The original cannot be decoded"),
                    outcome => info!(outcome = outcome.as_str(), "Image built"),
                }
            }
            None => warn!(key, "Not the key of an image"),
        }
    }
    Ok(())
}

/// Until when decoding may go on.
pub(crate) fn remaining(context: &Context) -> Instant {
    let now = Timestamp::now().millis();
    let left = i64::try_from(context.deadline).unwrap_or(i64::MAX).saturating_sub(now);
    Instant::now() + Duration::from_millis(left.max(0).unsigned_abs()).saturating_sub(RESERVE)
}

/// What decides what an image should be, read at one moment.
struct Facts {
    image: Image,
    plan: Option<Plan>,
    plan_revision: u64,
}

impl Facts {
    fn wanted(&self) -> ThumbnailSetId {
        ThumbnailSetId::plan(self.plan.as_ref(), self.plan_revision)
    }

    fn heights(&self) -> &[u32] {
        self.plan.as_ref().map_or(&[], |plan| &plan.thumbnail_heights)
    }
}

/// `None`: the image, or its owner, is gone.
async fn read(worker: &Worker, id: ImageId) -> Result<Option<Facts>, StoreError> {
    let items = worker.store.read([Key::image(id), Key::profile(id.owner)]).await?;
    let (Some(image), Some(owner)) = (items.image(id)?, items.profile(id.owner)?) else { return Ok(None) };
    if image.is_expired(Timestamp::now()) {
        return Ok(None);
    }
    let plan = match &owner.plan {
        Some(name) => worker.store.read([Key::plan(name)]).await?.plan(name)?,
        None => None,
    };
    Ok(Some(Facts { image, plan, plan_revision: owner.plan_revision }))
}

/// Whether a ready image's thumbnails are taken to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    Recorded,
    Nothing,
}

/// What became of an image that was to be brought to what it should be.
pub(crate) enum Became {
    /// It has the thumbnails of its owner's plan.
    Ready,
    Rejected,
    /// It, or its owner, is no more, and neither are its blobs.
    Gone,
    /// There is nothing to build from, or not any more.
    NoBlob,
    /// It was ready once, and stays as it is.
    Undecodable(String),
}

impl Became {
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Rejected => "rejected",
            Self::Gone => "gone",
            Self::NoBlob => "no blob",
            Self::Undecodable(_) => "undecodable",
        }
    }
}

/// Brings an image to what it should be.
pub(crate) async fn build(worker: &Worker, id: ImageId, trust: Trust, deadline: Instant) -> Result<Became, Error> {
    let mut made: Option<(ThumbnailSetId, Thumbnails)> = None;
    for _ in 0..TRIES {
        let Some(facts) = read(worker, id).await? else {
            worker.blobs.delete_all(id).await?;
            return Ok(Became::Gone);
        };
        let wanted = facts.wanted();
        match &facts.image.state {
            State::Rejected { .. } => {
                worker.blobs.delete_all(id).await?;
                return Ok(Became::Rejected);
            }
            // Under whatever plan they were built: the right heights are all that counts.
            State::Ready(ready)
                if ready.has_heights(facts.heights()) && (made.is_some() || trust == Trust::Recorded) =>
            {
                // Another was faster. What this one made beside it is no one's.
                if let Some((set, _)) = made.filter(|(set, _)| *set != ready.built_for) {
                    worker.blobs.delete_thumbnails(id, &set).await?;
                }
                return Ok(Became::Ready);
            }
            _ => {}
        }

        let have = match made.take() {
            Some((set, outcome)) if set == wanted => Some(outcome),
            // Made for what its owner had before. If it was recorded it is swept when it is replaced, else it is no one's.
            Some((set, _)) => {
                if !facts.image.has_set(&set) {
                    worker.blobs.delete_thumbnails(id, &set).await?;
                }
                None
            }
            None => None,
        };
        let (image, outcome) = match have {
            Some(outcome) => (facts.image, outcome),
            None => match make(worker, &facts, deadline).await? {
                Made::Stale => continue,
                Made::NoBlob => return Ok(Became::NoBlob),
                Made::Rejected(image, reason) if image.is_ready() => return Ok(Became::Undecodable(reason)),
                Made::Rejected(image, reason) => {
                    if worker.store.images.reject(&image, reason, Timestamp::now()).await? {
                        worker.blobs.delete_all(id).await?;
                        return Ok(Became::Rejected);
                    }
                    continue;
                }
                Made::Thumbnails(image, outcome) => (image, outcome),
            },
        };

        match worker.store.images.publish(&image, ready(&outcome, wanted.clone()), Timestamp::now()).await? {
            // What it replaced is swept.
            PublishOutcome::Published | PublishOutcome::Stale => {}
            PublishOutcome::TitleLost => {
                let reason = "The upload came too late: another image has the title now.".to_owned();
                worker.store.images.reject(&image, reason, Timestamp::now()).await?;
            }
        }
        // Read again at the loop's head: gone, rejected, for another plan by now, or ready.
        made = Some((wanted, outcome));
    }
    Err("changed by others at every try".into())
}

enum Made {
    /// With the image as it is now.
    Thumbnails(Image, Thumbnails),
    Rejected(Image, String),
    /// The image has changed since it was read.
    Stale,
    /// There is nothing to build from, or not any more.
    NoBlob,
}

/// Decodes the original and stores the thumbnails that the plan wants.
async fn make(worker: &Worker, facts: &Facts, deadline: Instant) -> Result<Made, Error> {
    let id = facts.image.id;
    let Some((_, original)) = worker.blobs.open_original(id).await? else { return Ok(Made::NoBlob) };
    let Some(image) = worker.store.images.begin_processing(&facts.image, Timestamp::now()).await? else {
        return Ok(Made::Stale);
    };
    let heights = facts.heights().to_vec();
    let (declared, max_pixels) = (format(image.blob.content_type), worker.max_pixels);
    let bridge = SyncIoBridge::new(original);
    let decoding = tokio::task::spawn_blocking(move || process(bridge, declared, &heights, max_pixels, deadline));
    let outcome = match decoding.await? {
        Ok(outcome) => outcome,
        Err(tintype_imaging::Error::Source(error)) => return Err(error.into()),
        Err(tintype_imaging::Error::Rejected(rejection)) => return Ok(Made::Rejected(image, rejection.to_string())),
    };
    let set = facts.wanted();
    for thumbnail in &outcome.thumbnails {
        let key = ThumbnailKey { image: id, set: &set, height: thumbnail.height, kind: image.blob.content_type };
        worker.blobs.put_thumbnail(key, thumbnail.bytes.clone()).await?;
    }
    Ok(Made::Thumbnails(image, outcome))
}

fn process(
    source: impl Read,
    declared: Format,
    heights: &[u32],
    max_pixels: u64,
    deadline: Instant,
) -> Result<Thumbnails, tintype_imaging::Error> {
    let request = tintype_imaging::ThumbnailRequest { declared, heights, max_pixels, deadline: Some(deadline) };
    tintype_imaging::process(source, &request)
}

fn ready(outcome: &Thumbnails, built_for: ThumbnailSetId) -> Ready {
    let thumbnail = |made: &tintype_imaging::Thumbnail| Thumbnail {
        height: made.height,
        width: made.width,
        size: made.bytes.len() as u64,
    };
    let mut thumbnails: Vec<Thumbnail> = outcome.thumbnails.iter().map(thumbnail).collect();
    thumbnails.sort_unstable_by_key(|thumbnail| thumbnail.height);
    Ready {
        width: outcome.width,
        height: outcome.height,
        placeholder: outcome.placeholder.clone(),
        thumbnails,
        built_for,
    }
}

fn format(kind: ContentType) -> Format {
    match kind {
        ContentType::Jpeg => Format::Jpeg,
        ContentType::Png => Format::Png,
        ContentType::WebP => Format::WebP,
        ContentType::Gif => Format::Gif,
    }
}
