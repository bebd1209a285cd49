//! Deletes what a deleted image leaves: its blobs, its links and, if it expired, the claim on its title; the items that
//! point to a deleted link; and thumbnails that were replaced. It reads the table's stream, so one worker serves every way
//! in which an image or a link is deleted.

use aws_lambda_events::event::dynamodb::Event;
use lambda_runtime::{Error, LambdaEvent};
use tintype_model::{ImageId, Timestamp};
use tintype_store::{BlobStore, Cleanup, Store, StoreError};
use tokio::task::JoinSet;
use tracing::{Instrument, Span, error, info, info_span};

use crate::Worker;

/// The most cleanups at the same time. Each makes three calls or more, one after another.
const CONCURRENCY: usize = 16;

/// Each cleanup can be repeated, so one failure fails the batch, which is delivered again. No cleanup depends on another,
/// so their order does not matter.
pub(crate) async fn handle(worker: &Worker, event: LambdaEvent<Event>) -> Result<(), Error> {
    let mut running: JoinSet<Result<(), StoreError>> = JoinSet::new();
    for record in event.payload.records {
        let change = serde_json::to_value(&record.change)?;
        let Some(cleanup) = Cleanup::of(&record.event_name, &change, Timestamp::now()) else { continue };
        if running.len() == CONCURRENCY
            && let Some(finished) = running.join_next().await
        {
            finished??;
        }
        let (store, blobs) = (worker.store.clone(), worker.blobs.clone());
        let span = span(&cleanup);
        let sweep = async move {
            let swept = sweep(&cleanup, &store, &blobs).await;
            match &swept {
                Ok(()) => info!("Swept"),
                Err(error) => error!(cause = %error, "Sweep failed"),
            }
            swept
        };
        running.spawn(sweep.instrument(span));
    }
    while let Some(finished) = running.join_next().await {
        finished??;
    }
    Ok(())
}

/// The span of the record's log events.
fn span(cleanup: &Cleanup) -> Span {
    match cleanup {
        Cleanup::Image { id, .. } | Cleanup::Thumbnails { id, .. } => info_span!("record", image = %id),
        Cleanup::Link { id, image, .. } => {
            let image = ImageId { owner: id.owner, key: *image };
            info_span!("record", link = %id, image = %image)
        }
    }
}

async fn sweep(cleanup: &Cleanup, store: &Store, blobs: &BlobStore) -> Result<(), StoreError> {
    match cleanup {
        Cleanup::Image { id, claim } => {
            blobs.delete_all(*id).await?;
            store.links.delete_of_image(*id).await?;
            // A retried request may have created the image again.
            match claim {
                Some(title) => store.images.release_claim(*id, title).await,
                None => Ok(()),
            }
        }
        Cleanup::Thumbnails { id, set } => blobs.delete_thumbnails(*id, set).await,
        Cleanup::Link { id, image, token } => store.links.delete_token_and_index(*id, *image, *token).await,
    }
}
