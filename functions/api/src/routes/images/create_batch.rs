use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Value;
use tintype_model::{Image, ImageId, ImageKey, Timestamp, Title};
use tintype_store::{CreateOutcome, IdempotencyState};

use super::create_image::{CreateImage, draft};
use super::{UploadView, Uploader, upload_of};
use crate::error::{Problem, ProblemBody};
use crate::fields::{FieldRejection, FromField, MAX_ITEMS, items};
use crate::operation::{AuthRequirement, Operation, RequestHeader, ResponseDoc, of};
use crate::request::{Request, read_object};
use crate::response::{self, Response};

/// Bytes. A thousand images with titles, and with descriptions of a usual length.
const MAX_BODY: usize = 1024 * 1024;

/// The time for retries while the table is throttled. API Gateway waits 30 s, of which signing takes a few.
const PATIENCE: Duration = Duration::from_secs(20);

input! {
    pub(crate) struct CreateBatch {
        images: Drafts,
    }
}

/// Not parsed yet: an invalid image does not fail the request.
pub(crate) struct Drafts(Vec<Value>);

impl FromField for Drafts {
    fn read(value: &Value) -> Result<Self, FieldRejection> {
        items(value).map(|items| Self(items.to_vec()))
    }
}

impl JsonSchema for Drafts {
    fn schema_name() -> Cow<'static, str> {
        "Drafts".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let item = generator.subschema_for::<CreateImage>();
        json_schema!({"type": "array", "minItems": 1, "maxItems": MAX_ITEMS, "items": item})
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BatchResults")]
pub(crate) struct BatchView<'a> {
    results: Vec<ItemView<'a>>,
}

/// The result for one image: 201 with its id and upload, or the error.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BatchResult", extend("examples" = [{
    "index": 0, "status": 409,
    "error": {
        "type": "about:blank", "title": "Conflict", "status": 409, "code": "title_taken",
        "detail": "You already have an image with this title.",
    },
}]))]
struct ItemView<'a> {
    index: usize,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<ImageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upload: Option<UploadView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ProblemBody<'a>>,
}

/// The outcome of an item, as the idempotency record stores it.
const CREATED: u8 = b'c';
const TITLE_TAKEN: u8 = b't';
const INVALID: u8 = b'i';

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Images",
    summary: "Register up to 1,000 images; returns a result for each, in order",
    auth: AuthRequirement::Required,
    body: Some(of::<CreateBatch>),
    headers: &[RequestHeader::IdempotencyKey],
    responses: &[ResponseDoc::json(207, "The result for each image, in order.", of::<BatchView<'static>>)],
    problems: &[
        (403, "image_limit", "Your plan allows no more images."),
        (403, "plan_required", "Your account has no plan."),
        (409, "in_progress", "A request with this Idempotency-Key is still in progress."),
    ],
    ..Operation::DEFAULT
};

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let CreateBatch { images: Drafts(items) } = request.body_up_to(MAX_BODY)?;
    let uploader = Uploader::load(request).await?;
    let idempotency = request.idempotency("create_batch", uploader.profile.id)?;
    if let Err(problem) = uploader.check_limit() {
        // What was registered before has its response, whatever is allowed now.
        request.app.store.idempotency.read(idempotency.as_ref(), request.now).await?.ok_or(problem)?;
    }
    let (started_at, before) = match &idempotency {
        None => (request.now, None),
        Some(idempotency) => {
            let (first, before) = match request.app.store.idempotency.begin(idempotency, request.now).await? {
                IdempotencyState::New(first) => (first, None),
                IdempotencyState::Completed(first, outcomes) => (first, Some(outcomes)),
                IdempotencyState::InProgress(first) if first.body == idempotency.body() => {
                    return Err(Problem::in_progress());
                }
                IdempotencyState::InProgress(first) => (first, None),
            };
            if first.body != idempotency.body() {
                return Err(Problem::idempotency_mismatch());
            }
            (first.started_at, before)
        }
    };
    let key_at = |index: usize, started_at: Timestamp| match &idempotency {
        Some(idempotency) => idempotency.image_key(started_at, index as u64),
        None => ImageKey::generate(),
    };
    let drafts: Vec<Result<Image, Problem>> = items
        .into_iter()
        .enumerate()
        .map(|(index, item)| {
            let body: CreateImage = read_object(item, "An image must be a JSON object.")?;
            Ok(draft(request, body, &uploader.profile, key_at(index, started_at)))
        })
        .collect();

    let check = |draft: &Image| uploader.check_blob(request, &draft.blob);
    let results = match before {
        Some(outcomes) => repeat(drafts, outcomes.as_bytes(), check),
        None => {
            let drafts =
                drafts.into_iter().map(|draft| draft.and_then(|draft| check(&draft).map(|()| draft))).collect();
            let results = create(request, drafts).await?;
            if let Some(idempotency) = &idempotency {
                let outcomes: Option<String> = results.iter().map(outcome).collect();
                request.app.store.idempotency.end(idempotency, outcomes.as_deref()).await?;
            }
            results
        }
    };
    let mut views = Vec::with_capacity(results.len());
    for (index, result) in results.iter().enumerate() {
        views.push(match result {
            Ok(image) => ItemView {
                index,
                status: StatusCode::CREATED.as_u16(),
                id: Some(image.id),
                upload: Some(upload_of(request, image).await?),
                error: None,
            },
            Err(problem) => {
                ItemView { index, status: problem.status.as_u16(), id: None, upload: None, error: Some(problem.body()) }
            }
        });
    }
    Ok(response::json(StatusCode::MULTI_STATUS, &BatchView { results: views }))
}

/// Writes the valid images; of several with one title the first.
async fn create(
    request: &Request<'_>,
    mut drafts: Vec<Result<Image, Problem>>,
) -> Result<Vec<Result<Image, Problem>>, Problem> {
    let mut titles: HashSet<Title> = HashSet::new();
    for draft in &mut drafts {
        if draft.as_ref().is_ok_and(|image| !titles.insert(image.title.clone())) {
            *draft = Err(Problem::title_taken());
        }
    }
    let images: Vec<Image> = drafts.iter().flatten().cloned().collect();
    let mut made = request.app.store.images.create_many(images, request.now, PATIENCE).await?.into_iter();
    for draft in drafts.iter_mut().filter(|draft| draft.is_ok()) {
        match made.next().flatten() {
            Some(CreateOutcome::Created | CreateOutcome::Repeated(_)) => {}
            Some(CreateOutcome::TitleTaken) => *draft = Err(Problem::title_taken()),
            None => *draft = Err(Problem::unavailable("the table stayed throttled")),
        }
    }
    Ok(drafts)
}

/// `None` if a retry can have another outcome.
fn outcome(result: &Result<Image, Problem>) -> Option<char> {
    Some(char::from(match result {
        Ok(_) => CREATED,
        Err(problem) if problem.status == StatusCode::CONFLICT => TITLE_TAKEN,
        Err(problem) if problem.status == StatusCode::UNPROCESSABLE_ENTITY => INVALID,
        Err(_) => return None,
    }))
}

/// Returns the results of the first request again.
fn repeat(
    drafts: Vec<Result<Image, Problem>>,
    outcomes: &[u8],
    check: impl Fn(&Image) -> Result<(), Problem>,
) -> Vec<Result<Image, Problem>> {
    let again = |(draft, outcome): (Result<Image, Problem>, &u8)| match *outcome {
        CREATED => draft,
        TITLE_TAKEN => Err(Problem::title_taken()),
        // The plan may allow now what it did not allow then.
        _ => Err(draft
            .and_then(|draft| check(&draft))
            .err()
            .unwrap_or_else(|| Problem::unprocessable("invalid", "Your plan did not allow this image."))),
    };
    drafts.into_iter().zip(outcomes).map(again).collect()
}
