use std::collections::{HashMap, HashSet};

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tintype_model::{ImageId, JobId};

use crate::error::{Problem, ProblemBody};
use crate::fields::TextList;
use crate::operation::{AuthRequirement, Operation, ResponseDoc, of};
use crate::request::{CHANGE_TRIES, Request};
use crate::response::{self, Response};
use crate::routes::jobs;

input! {
    pub(crate) struct DeleteImages {
        ids: Option<TextList> = None,
        all: bool = false,
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeletionResults")]
pub(crate) struct ResultsView<'a> {
    results: Vec<ResultView<'a>>,
}

/// The result for one id: 204 if its image was deleted.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeletionResult", extend("examples" = [{
    "id": "fn24gg4xr10x3cj5bzywwx7tt80shg6yf9dqrfcekw0j6hb7h6ng", "status": 204,
}]))]
struct ResultView<'a> {
    id: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ProblemBody<'a>>,
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Images",
    summary: "Delete some images of the caller, or begin to delete all",
    auth: AuthRequirement::Required,
    body: Some(of::<DeleteImages>),
    responses: &[
        ResponseDoc::json(200, "The result for each id, in order.", of::<ResultsView<'static>>),
        ResponseDoc::json(202, "All images are being deleted.", of::<jobs::Accepted>).with(&["Location"]),
    ],
    problems: &[(403, "not_owner", "An id belongs to another user; nothing was deleted.")],
    ..Operation::DEFAULT
};

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    match request.body()? {
        DeleteImages { ids: Some(TextList(ids)), all: false } => delete_some(request, &ids).await,
        DeleteImages { ids: None, all: true } => delete_all(request).await,
        DeleteImages { .. } => Err(Problem::invalid_field("ids", "required", "is required, or all must be true")),
    }
}

async fn delete_some(request: &Request<'_>, ids: &[String]) -> Result<Response, Problem> {
    let caller = request.caller().await?.profile.id;
    let parsed: Vec<Option<ImageId>> = ids.iter().map(|id| id.parse().ok()).collect();
    if parsed.iter().flatten().any(|id| id.owner != caller) {
        return Err(Problem::not_owner());
    }
    let mut seen = HashSet::new();
    let distinct: Vec<ImageId> = parsed.iter().flatten().copied().filter(|id| seen.insert(*id)).collect();
    let deleted = request.app.store.images.delete_many(&distinct, request.now).await?;
    let deleted: HashMap<ImageId, Option<bool>> = distinct.into_iter().zip(deleted).collect();

    let (missing, busy) = (Problem::not_found(), Problem::busy());
    let mut results = Vec::with_capacity(ids.len());
    for (id, parsed) in ids.iter().zip(&parsed) {
        // A text that is not an id names no image.
        let outcome = parsed.map_or(Some(false), |id| deleted.get(&id).copied().flatten());
        let (status, error) = match outcome {
            Some(true) => (StatusCode::NO_CONTENT, None),
            Some(false) => (missing.status, Some(missing.body())),
            None => (busy.status, Some(busy.body())),
        };
        results.push(ResultView { id, status: status.as_u16(), error });
    }
    Ok(response::ok(&ResultsView { results }))
}

async fn delete_all(request: &Request<'_>) -> Result<Response, Problem> {
    let user = request.token_subject().await?;
    let id = JobId::generate(user);
    for attempt in 0..CHANGE_TRIES {
        let owner = request.caller().await?.profile;
        if attempt == 0 {
            jobs::enqueue(request, id).await?;
        }
        if request.app.store.jobs.begin_deleting_images(&owner, id, request.now).await? {
            let accepted = jobs::Accepted { job: jobs::load_started(request, id).await? };
            return Ok(jobs::accepted_response(request, id, &accepted));
        }
    }
    Err(Problem::busy())
}
