//! Deletes what a removed image leaves: its blobs, and the claim of one that expired. It is told by the table's stream,
//! so one worker serves every way in which an image goes.

use aws_lambda_events::event::dynamodb::Event;
use lambda_runtime::{Error, LambdaEvent};
use tintype_model::Title;
use tintype_store::Key;

use crate::{Worker, log};

const NAME: &str = "sweep";

/// Everything here may be repeated, so one failure fails the batch, and all of it is delivered again.
pub(crate) async fn handle(worker: &Worker, event: LambdaEvent<Event>) -> Result<(), Error> {
    for record in event.payload.records.into_iter().filter(|record| record.event_name == "REMOVE") {
        let text = |item: &serde_json::Value, name: &str| item[name]["S"].as_str().map(str::to_owned);
        let keys = serde_json::to_value(&record.change.keys)?;
        let old = serde_json::to_value(&record.change.old_image)?;
        let key = text(&keys, "pk").zip(text(&keys, "sk")).map(|(pk, sk)| Key::stored(pk, sk));
        let Some(id) = key.and_then(|key| key.as_image()) else { continue };
        let swept = async {
            worker.blobs.delete_all(id).await?;
            // Only what expired went without its claim.
            match text(&old, "title").filter(|_| old.get("expires_at").is_some()) {
                Some(title) => worker.table.release_claim(id, &Title::from_stored(title)).await,
                None => Ok(()),
            }
        };
        match swept.await {
            Ok(()) => log(NAME, &id, "swept", None),
            Err(error) => {
                log(NAME, &id, "failed", Some(&error));
                return Err(error.into());
            }
        }
    }
    Ok(())
}
