//! The workers behind the API: they build thumbnails, run jobs, clean up after deletions, audit, and run operators' commands.
//! They share one executable; SAM's `Handler:` names the worker.

mod audit;
mod backfill;
mod build_thumbnails;
mod operate;
mod run_job;
mod sweep;

use std::env;
use std::sync::Arc;
use std::time::Instant;

use lambda_runtime::{Context, Error, LambdaEvent, service_fn};
use tintype_store::{Accounts, BlobStore, JobQueue, Store};
use tintype_telemetry::{Invocation, Outcome};
use tracing::{Instrument, info_span};

/// The clients and settings of a worker.
struct Worker {
    /// The name of the worker.
    handler: String,
    /// The dimension of the metrics.
    stack: String,
    store: Store,
    blobs: BlobStore,
    accounts: Accounts,
    jobs: JobQueue,
    /// Images of more pixels are rejected.
    max_pixels: u64,
}

impl Worker {
    fn from_env() -> Result<Self, Error> {
        let config = tintype_store::aws_config()?;
        let number = |name: &str, default: u64| env::var(name).map_or(Ok(default), |text| text.parse());
        Ok(Self {
            handler: env::var("_HANDLER")?,
            stack: env::var("STACK").unwrap_or_default(),
            store: Store::new(&config, env::var("TABLE")?, u8::try_from(number("FEED_SHARDS", 4)?)?),
            blobs: BlobStore::new(&config, env::var("ORIGINALS_BUCKET")?, env::var("THUMBNAILS_BUCKET")?),
            // The workers' calls to the user pool need no app client.
            accounts: Accounts::new(&config, env::var("USER_POOL_ID")?, ""),
            jobs: JobQueue::new(&config, env::var("JOBS_QUEUE_URL").unwrap_or_default()),
            max_pixels: number("MAX_PIXELS", tintype_imaging::DEFAULT_MAX_PIXELS)?,
        })
    }
}

macro_rules! run {
    ($worker:ident, $handler:path) => {
        lambda_runtime::run(service_fn(move |event: LambdaEvent<_>| {
            let worker = Arc::clone(&$worker);
            async move {
                let context = event.context.clone();
                observed(&worker, &context, $handler(&worker, event)).await
            }
        }))
        .await
    };
}

/// Handles an event, and logs how it ended and what it took.
async fn observed<T>(
    worker: &Worker,
    context: &Context,
    handled: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let (began, request_id) = (Instant::now(), context.request_id.as_str());
    let span = info_span!("invocation", route = worker.handler, request_id);
    tintype_telemetry::begin(context.xray_trace_id.as_deref());
    let result = handled.instrument(span).await;
    let (stack, route) = (worker.stack.as_str(), worker.handler.as_str());
    let outcome = if result.is_ok() { Outcome::Done } else { Outcome::Failed };
    tintype_telemetry::report(&Invocation { stack, route, request_id, duration: began.elapsed(), outcome });
    result
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tintype_telemetry::init_log();
    let worker = Arc::new(Worker::from_env()?);
    match worker.handler.clone().as_str() {
        "build_thumbnails" => run!(worker, build_thumbnails::handle),
        "run_job" => run!(worker, run_job::handle),
        "sweep" => run!(worker, sweep::handle),
        "audit" => run!(worker, audit::handle),
        "operate" => run!(worker, operate::handle),
        other => Err(format!("no worker is named {other:?}").into()),
    }
}
