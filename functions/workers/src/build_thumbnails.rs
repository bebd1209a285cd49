//! Makes an uploaded image ready, or rejects it.
//!
//! S3 delivers its events at least once, late and in any order, and the function can be killed at any line and run twice
//! at the same time. So each step can be repeated, and is conditional on what was read; the loser of a race reads again.
//! [`next_step`] decides from one read of the image, its owner and the plan:
//!
//! | killed | left | completed by |
//! |---|---|---|
//! | after the image is marked as processing | an image without thumbnails | the next delivery, or its expiry |
//! | after some thumbnails are stored | blobs of a set that no item names | the next delivery, which writes the same keys if the plan is the same; else the audit |
//! | after the image is published | an image whose plan may have changed since | the next delivery, or the job of that change |
//! | after the image is rejected | its blobs | the next delivery, or the audit |
//! | after an unused set is deleted | an image that is not ready | the next delivery |
//!
//! A set of thumbnails is named after the plan, and its assignment to the owner, that it was built for. Two builds for one
//! plan write the same blobs; two builds for different plans share none.

use std::io::Read;
use std::time::{Duration, Instant};

use aws_lambda_events::event::s3::S3Event;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::{Context, Error, LambdaEvent};
use tintype_imaging::{Rejection, Thumbnails};
use tintype_model::{
    ContentType, Image, ImageId, ImageState, Plan, Ready, RejectCode, Thumbnail, ThumbnailSetId, Timestamp, Warning,
};
use tintype_store::{Key, PublishOutcome, StoreError, ThumbnailKey, image_id_of_key};
use tintype_telemetry::Counter;
use tokio_util::io::SyncIoBridge;
use tracing::field::{Empty, display};
use tracing::{Instrument, Span, error, info, info_span, warn};

use crate::Worker;

/// The attempts of a build that conflicts with other changes before the message returns to the queue.
const ATTEMPTS: u32 = 8;

/// Part of the function's time that is reserved for storing thumbnails.
const RESERVE: Duration = Duration::from_secs(15);

pub(crate) async fn handle(worker: &Worker, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Error> {
    let mut response = SqsBatchResponse::default();
    for message in event.payload.records {
        let id = message.message_id.as_deref().unwrap_or_default();
        let span = info_span!("message", message_id = id, image = Empty);
        let body = message.body.as_deref().unwrap_or_default();
        if let Err(error) = one_message(worker, body, &event.context).instrument(span.clone()).await {
            span.in_scope(|| error!(cause = %error, "Message failed"));
            tintype_telemetry::count(Counter::Failures);
            response.add_failure(id);
        }
    }
    Ok(response)
}

async fn one_message(worker: &Worker, body: &str, context: &Context) -> Result<(), Error> {
    let body: serde_json::Value = serde_json::from_str(body)?;
    if body["Event"] == "s3:TestEvent" {
        return Ok(());
    }
    let event: S3Event = serde_json::from_value(body)?;
    for record in event.records {
        let key = record.s3.object.key.unwrap_or_default();
        // Keys in events are form-encoded. This changes only keys that the service did not write.
        let key = form_urlencoded::parse(key.as_bytes()).next().map(|(key, _)| key.into_owned()).unwrap_or_default();
        match image_id_of_key(&key) {
            Some(id) => {
                Span::current().record("image", display(id));
                match build(worker, id, Existing::Trust, remaining(context)).await? {
                    // A retry would fail too.
                    BuildOutcome::Undecodable(reason) => warn!(cause = reason, "The original cannot be decoded"),
                    outcome => {
                        match outcome {
                            BuildOutcome::Ready => tintype_telemetry::count(Counter::ImagesBuilt),
                            BuildOutcome::Rejected => tintype_telemetry::count(Counter::ImagesRejected),
                            _ => {}
                        }
                        info!(outcome = outcome.as_str(), "Image built");
                    }
                }
            }
            None => warn!(key, "Not the key of an image"),
        }
    }
    Ok(())
}

/// The time until which decoding may continue.
pub(crate) fn remaining(context: &Context) -> Instant {
    let now = Timestamp::now().millis();
    let left = i64::try_from(context.deadline).unwrap_or(i64::MAX).saturating_sub(now);
    Instant::now() + Duration::from_millis(left.max(0).unsigned_abs()).saturating_sub(RESERVE)
}

/// The data that determines an image's thumbnails, from one read.
struct BuildInputs {
    image: Image,
    plan: Option<Plan>,
    plan_revision: u64,
}

impl BuildInputs {
    /// Returns `None` if the image or its owner was deleted.
    async fn read(worker: &Worker, id: ImageId) -> Result<Option<Self>, StoreError> {
        let items = worker.store.read([Key::image(id), Key::profile(id.owner)]).await?;
        let (Some(image), Some(owner)) = (items.image(id)?, items.profile(id.owner)?) else { return Ok(None) };
        if image.is_expired(Timestamp::now()) {
            return Ok(None);
        }
        let plan = match &owner.plan {
            Some(name) => worker.store.plans.read(name).await?,
            None => None,
        };
        Ok(Some(Self { image, plan, plan_revision: owner.plan_revision }))
    }

    fn set_id(&self) -> ThumbnailSetId {
        ThumbnailSetId::plan(self.plan.as_ref(), self.plan_revision)
    }

    fn heights(&self) -> &[u32] {
        self.plan.as_ref().map_or(&[], |plan| &plan.thumbnail_heights)
    }

    fn has_webp(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.webp_thumbnails)
    }
}

/// The treatment of a ready image whose recorded thumbnails are right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// Its blobs count as stored.
    Trust,
    /// Build them again, once.
    Rebuild,
}

/// The result of a build.
pub(crate) enum BuildOutcome {
    /// The image has the thumbnails of its owner's plan.
    Ready,
    Rejected,
    /// The image or its owner was deleted. Its blobs are deleted too.
    Deleted,
    /// There is no original.
    NoOriginal,
    /// The image was ready before, and stays as it is.
    Undecodable(String),
}

impl BuildOutcome {
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Rejected => "rejected",
            Self::Deleted => "deleted",
            Self::NoOriginal => "no original",
            Self::Undecodable(_) => "undecodable",
        }
    }
}

/// The properties of the image, with a set of thumbnails whose blobs are stored.
struct StoredSet(Ready);

/// The next step of a build.
#[derive(Debug, PartialEq, Eq)]
enum BuildStep {
    /// The image or its owner was deleted: delete the image's blobs.
    DeleteOfDeleted,
    /// The image is rejected: delete its blobs.
    DeleteOfRejected,
    /// The image has the right thumbnails.
    Finish,
    /// Record the stored set in the image.
    Publish,
    /// Build the set of the owner's plan.
    Build,
}

/// Decides the next step. `stored`: the set that this build has stored, if any.
fn next_step(inputs: Option<&BuildInputs>, stored: Option<&StoredSet>, existing: Existing) -> BuildStep {
    let Some(inputs) = inputs else { return BuildStep::DeleteOfDeleted };
    match (&inputs.image.state, stored) {
        (ImageState::Rejected { .. }, _) => BuildStep::DeleteOfRejected,
        // It does not matter for which plan they were built: the right heights and variants suffice.
        (ImageState::Ready(ready), _)
            if ready.has_thumbnails_of(inputs.plan.as_ref()) && (stored.is_some() || existing == Existing::Trust) =>
        {
            BuildStep::Finish
        }
        (_, Some(StoredSet(ready))) if ready.built_for == inputs.set_id() => BuildStep::Publish,
        _ => BuildStep::Build,
    }
}

/// Gives an image the thumbnails of its owner's plan, or rejects it.
pub(crate) async fn build(
    worker: &Worker,
    id: ImageId,
    existing: Existing,
    deadline: Instant,
) -> Result<BuildOutcome, Error> {
    let mut stored: Option<StoredSet> = None;
    for _ in 0..ATTEMPTS {
        let inputs = BuildInputs::read(worker, id).await?;
        let step = next_step(inputs.as_ref(), stored.as_ref(), existing);
        let (BuildStep::Finish | BuildStep::Publish | BuildStep::Build, Some(inputs)) = (&step, inputs) else {
            worker.blobs.delete_image(id).await?;
            let rejected = step == BuildStep::DeleteOfRejected;
            return Ok(if rejected { BuildOutcome::Rejected } else { BuildOutcome::Deleted });
        };
        let (image, set) = match (step, stored.take()) {
            (BuildStep::Publish, Some(set)) => (inputs.image, set),
            (step, unused) => {
                // The set of another plan, or of a build that lost a race. If the image had it before, `sweep` deletes it.
                if let Some(StoredSet(unused)) = unused.filter(|set| !inputs.image.has_set(&set.0.built_for)) {
                    worker.blobs.delete_thumbnails(id, &unused.built_for).await?;
                }
                if step == BuildStep::Finish {
                    return Ok(BuildOutcome::Ready);
                }
                match build_set(worker, &inputs, deadline).await? {
                    AttemptOutcome::Stored(image, set) => (image, set),
                    AttemptOutcome::VersionChanged => continue,
                    AttemptOutcome::NoOriginal => return Ok(BuildOutcome::NoOriginal),
                    AttemptOutcome::Invalid(image, rejection) if image.is_ready() => {
                        return Ok(BuildOutcome::Undecodable(rejection.to_string()));
                    }
                    AttemptOutcome::Invalid(image, rejection) => {
                        let (code, reason) = (reject_code(&rejection), rejection.to_string());
                        if worker.store.images.reject(&image, code, reason, Timestamp::now()).await? {
                            worker.blobs.delete_image(id).await?;
                            return Ok(BuildOutcome::Rejected);
                        }
                        continue;
                    }
                }
            }
        };
        match worker.store.images.publish(&image, set.0.clone(), Timestamp::now()).await? {
            // If it replaced another set, `sweep` deletes that one.
            PublishOutcome::Published | PublishOutcome::Stale => {}
            PublishOutcome::TitleLost => {
                let reason = "The upload arrived after its deadline, and the title now belongs to another image.";
                let images = &worker.store.images;
                images.reject(&image, RejectCode::TitleLost, reason.to_owned(), Timestamp::now()).await?;
            }
        }
        // The next read finds the image deleted, rejected, ready, or with another plan.
        stored = Some(set);
    }
    Err("other changes of the image prevented every attempt".into())
}

/// The result of decoding the original and storing its thumbnails.
enum AttemptOutcome {
    /// With the image as it is now.
    Stored(Image, StoredSet),
    /// The original is not a valid image, for this reason.
    Invalid(Image, Rejection),
    /// The image has changed since it was read.
    VersionChanged,
    NoOriginal,
}

/// Decodes the original and stores the thumbnails of the owner's plan.
async fn build_set(worker: &Worker, inputs: &BuildInputs, deadline: Instant) -> Result<AttemptOutcome, Error> {
    let id = inputs.image.id;
    let Some(original) = worker.blobs.open_original(id).await? else { return Ok(AttemptOutcome::NoOriginal) };
    let Some(image) = worker.store.images.begin_processing(&inputs.image, Timestamp::now()).await? else {
        return Ok(AttemptOutcome::VersionChanged);
    };
    let attempt = Attempt {
        declared: image.blob.content_type,
        heights: inputs.heights().to_vec(),
        webp: inputs.has_webp(),
        max_pixels: worker.max_pixels,
        every_scan: false,
        deadline,
    };
    let mut built = attempt.clone().process(SyncIoBridge::new(original)).await?;
    if attempt.declared == ContentType::Jpeg && matches!(built, Err(Rejection::Truncated)) {
        // Only every scan of a progressive file shows whether it is complete.
        let Some(original) = worker.blobs.open_original(id).await? else { return Ok(AttemptOutcome::NoOriginal) };
        built = Attempt { every_scan: true, ..attempt }.process(SyncIoBridge::new(original)).await?;
    }
    let built = match built {
        Ok(built) => built,
        Err(rejection) => return Ok(AttemptOutcome::Invalid(image, rejection)),
    };
    let set = inputs.set_id();
    let mut thumbnails = Vec::new();
    for built in built.thumbnails {
        let thumbnail = Thumbnail {
            height: built.height,
            width: built.width,
            size: built.bytes.len() as u64,
            content_type: built.content_type,
            webp_size: built.webp.as_ref().map(|webp| webp.len() as u64),
        };
        let key = |thumbnail| ThumbnailKey { image: id, set: &set, thumbnail };
        worker.blobs.put_thumbnail(key(&thumbnail), built.bytes).await?;
        if let (Some(variant), Some(bytes)) = (thumbnail.webp_variant(), built.webp) {
            worker.blobs.put_thumbnail(key(&variant), bytes).await?;
        }
        thumbnails.push(thumbnail);
    }
    thumbnails.sort_unstable_by_key(|thumbnail| thumbnail.height);
    let ready = Ready {
        width: built.width,
        height: built.height,
        placeholder: built.placeholder,
        thumbnails,
        webp_thumbnails: inputs.has_webp(),
        built_for: set,
        warnings: if built.truncated { vec![Warning::Truncated] } else { Vec::new() },
        photo: built.photo.map(Box::new),
    };
    Ok(AttemptOutcome::Stored(image, StoredSet(ready)))
}

/// The parameters of [`tintype_imaging::process`], owned.
#[derive(Clone)]
struct Attempt {
    declared: ContentType,
    heights: Vec<u32>,
    webp: bool,
    max_pixels: u64,
    every_scan: bool,
    deadline: Instant,
}

impl Attempt {
    /// The error is that of reading the source, which may be retried.
    async fn process(self, source: impl Read + Send + 'static) -> Result<Result<Thumbnails, Rejection>, Error> {
        let decoding = tokio::task::spawn_blocking(move || {
            let Self { declared, heights, webp, max_pixels, every_scan, deadline } = &self;
            let request = tintype_imaging::ThumbnailRequest {
                declared: *declared,
                heights,
                max_pixels: *max_pixels,
                every_scan: *every_scan,
                webp: *webp,
                deadline: Some(*deadline),
            };
            tintype_imaging::process(source, &request)
        });
        match decoding.await? {
            Ok(thumbnails) => Ok(Ok(thumbnails)),
            Err(tintype_imaging::Error::Source(error)) => Err(error.into()),
            Err(tintype_imaging::Error::Rejected(rejection)) => Ok(Err(rejection)),
        }
    }
}

fn reject_code(rejection: &Rejection) -> RejectCode {
    match rejection {
        Rejection::NotAnImage => RejectCode::NotAnImage,
        Rejection::TypeMismatch { .. } => RejectCode::TypeMismatch,
        Rejection::Truncated => RejectCode::Truncated,
        Rejection::Corrupt { .. } => RejectCode::Corrupt,
        Rejection::TooManyPixels { .. } => RejectCode::TooManyPixels,
        Rejection::SideTooLong { .. } => RejectCode::SideTooLong,
        Rejection::Unsupported { .. } => RejectCode::Unsupported,
        Rejection::TooComplex { .. } => RejectCode::TooComplex,
        Rejection::DeadlineExceeded => RejectCode::TookTooLong,
    }
}

#[cfg(test)]
mod tests {
    use tintype_model::{Blob, Description, ImageKey, PlanName, Title, UserId, Visibility};

    use super::*;

    fn plan(heights: &[u32]) -> Plan {
        Plan {
            name: PlanName::from_stored("Basic"),
            thumbnail_heights: heights.to_vec(),
            webp_thumbnails: false,
            original_link: false,
            expiring_links: false,
            max_image_bytes: 1,
            max_images: 1,
            version: 1,
        }
    }

    fn inputs(state: ImageState, heights: &[u32]) -> BuildInputs {
        let key = ImageKey::generate();
        let owner: UserId = "7d444840-9dc0-11d1-b245-5ffdce74fad2".parse().unwrap();
        let image = Image {
            id: ImageId { owner, key },
            title: Title::from_stored("a".to_owned()),
            description: Description::default(),
            visibility: Visibility::Public,
            photo_public: false,
            blob: Blob { content_type: ContentType::Jpeg, size: 1, sha256: None },
            state,
            deletion_epoch: 0,
            created_at: key.created_at(),
            updated_at: key.created_at(),
            version: 1,
        };
        BuildInputs { image, plan: Some(plan(heights)), plan_revision: 0 }
    }

    fn ready(heights: &[u32], built_for: ThumbnailSetId) -> Ready {
        let thumbnail =
            |&height| Thumbnail { height, width: height, size: 1, content_type: ContentType::Jpeg, webp_size: None };
        let thumbnails = heights.iter().map(thumbnail).collect();
        Ready {
            width: 1000,
            height: 1000,
            placeholder: Vec::new(),
            thumbnails,
            webp_thumbnails: false,
            built_for,
            warnings: Vec::new(),
            photo: None,
        }
    }

    #[test]
    fn next_step_by_state_and_stored_set() {
        let processing = ImageState::Processing { expires_at: Timestamp::now() };
        let rejected = ImageState::Rejected { code: None, reason: String::new() };
        let ready_with =
            |heights: &[u32]| ImageState::Ready(ready(heights, ThumbnailSetId::plan(Some(&plan(heights)), 7)));
        let mine = || StoredSet(ready(&[], inputs(processing.clone(), &[200]).set_id()));
        let other = || StoredSet(ready(&[], ThumbnailSetId::plan(None, 3)));
        for (state, set, existing, step) in [
            (rejected.clone(), None, Existing::Trust, BuildStep::DeleteOfRejected),
            (rejected.clone(), Some(mine()), Existing::Rebuild, BuildStep::DeleteOfRejected),
            (processing.clone(), None, Existing::Trust, BuildStep::Build),
            (processing.clone(), Some(mine()), Existing::Trust, BuildStep::Publish),
            (processing.clone(), Some(other()), Existing::Trust, BuildStep::Build),
            (ready_with(&[200]), None, Existing::Trust, BuildStep::Finish),
            (ready_with(&[200]), None, Existing::Rebuild, BuildStep::Build),
            (ready_with(&[200]), Some(mine()), Existing::Rebuild, BuildStep::Finish),
            (ready_with(&[200]), Some(other()), Existing::Trust, BuildStep::Finish),
            (ready_with(&[100]), None, Existing::Trust, BuildStep::Build),
            (ready_with(&[100]), Some(mine()), Existing::Trust, BuildStep::Publish),
            (ready_with(&[100]), Some(other()), Existing::Trust, BuildStep::Build),
        ] {
            assert_eq!(next_step(Some(&inputs(state, &[200])), set.as_ref(), existing), step);
        }
        assert_eq!(next_step(None, Some(&mine()), Existing::Trust), BuildStep::DeleteOfDeleted);
    }
}
