use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tintype_model::{Job, JobId, Timestamp};
use tintype_store::{Key, Profiles};

use crate::error::Problem;
use crate::operation::{AuthRequirement, Operation, ResponseDoc, of};
use crate::request::Request;
use crate::response::{self, Response, WithHeader};
use crate::routes::jobs::JobView;
use tintype_telemetry::record_job;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BegunExport")]
struct BegunExport {
    job: JobView,
    /// The first page of the export.
    #[schemars(example = &"https://images.example.org/api/me/export")]
    url: String,
    /// The end of the export. Another one can begin then.
    expires_at: Timestamp,
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Accounts",
    summary: "Begin an export of the caller's records and originals, or return the one that has not ended",
    auth: AuthRequirement::Required,
    responses: &[ResponseDoc::json(
        202,
        "The export can be read until `expires_at`, whatever the plan of the caller.",
        of::<BegunExport>,
    )
    .with(&["Location"])],
    ..Operation::DEFAULT
};

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let user = request.token_subject().await?;
    let id = JobId::export(user);
    let keys = Profiles::usage_keys(user).chain([Key::job(id)]);
    let (_, items) = request.authenticate_with(keys).await?;
    record_job(id);
    let store = &request.app.store;
    let export = match items.job(id)?.filter(|export| export.export_end() > request.now) {
        Some(export) => export,
        None => {
            let export = Job::export(user, items.usage(user)?.images, request.now);
            if store.jobs.begin_export(&export, request.now).await? {
                export
            } else {
                // A concurrent request began it.
                store.jobs.get(id).await?.ok_or_else(Problem::busy)?
            }
        }
    };
    let base = request.base_url();
    let begun = BegunExport {
        job: JobView::from(&export),
        url: format!("{base}/api/me/export"),
        expires_at: export.export_end(),
    };
    Ok(response::json(StatusCode::ACCEPTED, &begun).with_header("location", format!("{base}/api/jobs/{id}")))
}
