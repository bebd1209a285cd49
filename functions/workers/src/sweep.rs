//! Deletes what a deleted image leaves: its blobs, its links and, if it expired, the claim on its title; the items that
//! point to a deleted link; and thumbnails that were replaced. It reads the table's stream, so one worker serves every way
//! in which an image or a link is deleted.

use std::collections::{BTreeMap, BTreeSet};

use aws_lambda_events::event::dynamodb::Event;
use lambda_runtime::{Error, LambdaEvent};
use tintype_model::{ImageId, ImageKey, Timestamp, UserId};
use tintype_store::{BlobStore, Cleanup, Store, StoreError};
use tokio::task::JoinSet;
use tracing::{Instrument, Span, error, info, info_span};

use crate::Worker;

/// The most tasks at the same time. Each makes some calls one after another.
const CONCURRENCY: usize = 16;

/// Each cleanup can be repeated, so one failure fails the batch, which is delivered again. No cleanup depends on another,
/// so their order does not matter. The blobs of an owner's images are deleted together: a deletion of many images needs
/// one list of a bucket in place of one for each image.
pub(crate) async fn handle(worker: &Worker, event: LambdaEvent<Event>) -> Result<(), Error> {
    let (mut cleanups, mut deleted) = (Vec::new(), BTreeMap::<UserId, BTreeSet<ImageKey>>::new());
    for record in event.payload.records {
        let change = serde_json::to_value(&record.change)?;
        let Some(cleanup) = Cleanup::of(&record.event_name, &change, Timestamp::now()) else { continue };
        if let Cleanup::Image { id, .. } = cleanup {
            deleted.entry(id.owner).or_default().insert(id.key);
        }
        cleanups.push(cleanup);
    }
    all(deleted.into_iter().map(|(owner, images)| {
        let blobs = worker.blobs.clone();
        async move {
            let swept = blobs.delete_images(owner, &images).await;
            if let Err(error) = &swept {
                for &key in &images {
                    info_span!("record", image = %ImageId { owner, key })
                        .in_scope(|| error!(cause = %error, "Sweep failed"));
                }
            }
            swept
        }
    }))
    .await?;
    all(cleanups.into_iter().map(|cleanup| {
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
        sweep.instrument(span)
    }))
    .await
}

/// Runs tasks at the same time, and returns the first error.
async fn all<F>(tasks: impl Iterator<Item = F>) -> Result<(), Error>
where
    F: Future<Output = Result<(), StoreError>> + Send + 'static,
{
    let mut running = JoinSet::new();
    for task in tasks {
        if running.len() == CONCURRENCY
            && let Some(finished) = running.join_next().await
        {
            finished??;
        }
        running.spawn(task);
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
        // Its blobs are gone already.
        Cleanup::Image { id, claim } => {
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
