//! Deletes what a removed image leaves: its blobs, its links, and the claim of one that expired; what pointed to a
//! removed link; and the thumbnails that others have replaced. It is told by the table's stream, so one worker serves every
//! way in which an image or a link goes.

use aws_lambda_events::event::dynamodb::Event;
use lambda_runtime::{Error, LambdaEvent};
use tintype_model::{BuiltFor, Sha256, Timestamp, Title};
use tintype_store::{Key, REPLACED, StoreError};

use crate::{Worker, log};

const NAME: &str = "sweep";

/// Everything here may be repeated, so one failure fails the batch, and all of it is delivered again.
pub(crate) async fn handle(worker: &Worker, event: LambdaEvent<Event>) -> Result<(), Error> {
    for record in event.payload.records {
        let text = |item: &serde_json::Value, name: &str| item[name]["S"].as_str().map(str::to_owned);
        let keys = serde_json::to_value(&record.change.keys)?;
        let old = serde_json::to_value(&record.change.old_image)?;
        let key = text(&keys, "pk").zip(text(&keys, "sk")).map(|(pk, sk)| Key::stored(pk, sk));
        let Some(key) = key else { continue };
        let (image, link) = (key.as_image(), key.as_link());
        let removed = record.event_name == "REMOVE";
        let new = serde_json::to_value(&record.change.new_image)?;
        let swept = async {
            if !removed {
                if let (Some(id), Some(set)) = (image, text(&new, REPLACED)) {
                    worker.blobs.delete_thumbnails(id, &BuiltFor::from_stored(set)).await?;
                }
                return Ok(());
            }
            if let Some(id) = image {
                worker.blobs.delete_all(id).await?;
                worker.table.delete_links_of(id).await?;
                // Only what expired went without its claim. A repeated request may have made the same image again.
                let expires_at = old["expires_at"]["N"].as_str().and_then(|at| at.parse::<i64>().ok());
                let expired = expires_at.is_some_and(|at| at <= Timestamp::now().secs());
                if let Some(title) = text(&old, "title").filter(|_| expired) {
                    worker.table.release_claim(id, &Title::from_stored(title)).await?;
                }
            }
            let image_of = text(&old, "image").and_then(|key| key.parse().ok());
            let token = text(&old, "token").and_then(|hash| Sha256::parse(&hash));
            if let (Some(id), Some(image), Some(token)) = (link, image_of, token) {
                worker.table.delete_link_traces(id, image, token).await?;
            }
            Ok::<_, StoreError>(())
        };
        let subject = match (image, link) {
            (Some(id), _) => id.to_string(),
            (_, Some(id)) => id.to_string(),
            _ => continue,
        };
        match swept.await {
            Ok(()) => log(NAME, &subject, "swept", None),
            Err(error) => {
                log(NAME, &subject, "failed", Some(&error));
                return Err(error.into());
            }
        }
    }
    Ok(())
}
