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

use lambda_runtime::{Error, LambdaEvent, service_fn};
use tintype_store::{Accounts, BlobStore, JobQueue, Store};

/// The clients and settings of a worker.
struct Worker {
    store: Store,
    blobs: BlobStore,
    accounts: Accounts,
    jobs: JobQueue,
    /// Images of more pixels are rejected.
    max_pixels: u64,
}

impl Worker {
    async fn from_env() -> Result<Self, Error> {
        let config = tintype_store::aws_config().await;
        let number = |name: &str, default: u64| env::var(name).map_or(Ok(default), |text| text.parse());
        Ok(Self {
            store: Store::new(&config, env::var("TABLE")?, u8::try_from(number("FEED_SHARDS", 4)?)?),
            blobs: BlobStore::new(&config, env::var("ORIGINALS_BUCKET")?, env::var("THUMBNAILS_BUCKET")?),
            // What workers do with users needs no app client.
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
            async move { $handler(&worker, event).await }
        }))
        .await
    };
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::tracing::init_default_subscriber();
    let handler = env::var("_HANDLER")?;
    let worker = Arc::new(Worker::from_env().await?);
    match handler.as_str() {
        "build_thumbnails" => run!(worker, build_thumbnails::handle),
        "run_job" => run!(worker, run_job::handle),
        "sweep" => run!(worker, sweep::handle),
        "audit" => run!(worker, audit::handle),
        "operate" => run!(worker, operate::handle),
        other => Err(format!("no worker is named {other:?}").into()),
    }
}
