//! Deletes what a removed image leaves: its blobs, its links, and the claim of one that expired; what pointed to a removed
//! link; and the thumbnails that others have replaced. It is told by the table's stream, so one worker serves every way in
//! which an image or a link goes.

use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use lambda_runtime::{Error, LambdaEvent};
use serde_json::Value;
use tintype_model::{BuiltFor, ImageId, ImageKey, LinkId, Sha256, Timestamp, Title};
use tintype_store::{Blobs, Key, REPLACED, StoreError, Table};
use tokio::task::JoinSet;
use tracing::{Instrument, Span, error, info, info_span};

use crate::Worker;

/// Removals worked on side by side. Each takes three calls or more, one after another.
const AT_ONCE: usize = 16;

/// Everything here may be repeated, so one failure fails the batch, and all of it is delivered again. Nothing of one
/// removal depends on another's, so they are swept in any order.
pub(crate) async fn handle(worker: &Worker, event: LambdaEvent<Event>) -> Result<(), Error> {
    let mut at_work: JoinSet<Result<(), StoreError>> = JoinSet::new();
    for record in event.payload.records {
        let Some(removal) = Removal::read(&record)? else { continue };
        if at_work.len() == AT_ONCE {
            at_work.join_next().await.transpose()?.transpose()?;
        }
        let (table, blobs) = (worker.table.clone(), worker.blobs.clone());
        let span = removal.span();
        let sweep = async move {
            let swept = removal.sweep(&table, &blobs).await;
            match &swept {
                Ok(()) => info!("Swept"),
                Err(error) => error!(cause = %error, "Sweep failed"),
            }
            swept
        };
        at_work.spawn(sweep.instrument(span));
    }
    while let Some(swept) = at_work.join_next().await {
        swept??;
    }
    Ok(())
}

/// What went, as far as something is left of it.
enum Removal {
    OfImage {
        id: ImageId,
        /// Only what expired went without its claim.
        claim: Option<Title>,
    },
    OfLink {
        id: LinkId,
        image: ImageKey,
        token: Sha256,
    },
    /// The image is there still.
    Replaced {
        id: ImageId,
        set: BuiltFor,
    },
}

impl Removal {
    /// `None`: nothing is left of such an item.
    fn read(record: &EventRecord) -> Result<Option<Self>, Error> {
        let text = |item: &Value, name: &str| item[name]["S"].as_str().map(str::to_owned);
        let keys = serde_json::to_value(&record.change.keys)?;
        let old = serde_json::to_value(&record.change.old_image)?;
        let Some((pk, sk)) = text(&keys, "pk").zip(text(&keys, "sk")) else { return Ok(None) };
        let key = Key::stored(pk, sk);
        if record.event_name != "REMOVE" {
            let new = serde_json::to_value(&record.change.new_image)?;
            let (Some(id), Some(set)) = (key.as_image(), text(&new, REPLACED)) else { return Ok(None) };
            return Ok(Some(Self::Replaced { id, set: BuiltFor::from_stored(set) }));
        }
        if let Some(id) = key.as_image() {
            let expires_at = old["expires_at"]["N"].as_str().and_then(|at| at.parse::<i64>().ok());
            let expired = expires_at.is_some_and(|at| at <= Timestamp::now().secs());
            let claim = text(&old, "title").filter(|_| expired).map(Title::from_stored);
            return Ok(Some(Self::OfImage { id, claim }));
        }
        let image = text(&old, "image").and_then(|key| key.parse().ok());
        let token = text(&old, "token").and_then(|hash| Sha256::parse(&hash));
        Ok(match (key.as_link(), image, token) {
            (Some(id), Some(image), Some(token)) => Some(Self::OfLink { id, image, token }),
            _ => None,
        })
    }

    /// Of the record's log events.
    fn span(&self) -> Span {
        match self {
            Self::OfImage { id, .. } | Self::Replaced { id, .. } => info_span!("record", image = %id),
            Self::OfLink { id, image, .. } => {
                let image = ImageId { owner: id.owner, key: *image };
                info_span!("record", link = %id, image = %image)
            }
        }
    }

    async fn sweep(&self, table: &Table, blobs: &Blobs) -> Result<(), StoreError> {
        match self {
            Self::OfImage { id, claim } => {
                blobs.delete_all(*id).await?;
                table.delete_links_of(*id).await?;
                // A repeated request may have made the same image again.
                match claim {
                    Some(title) => table.release_claim(*id, title).await,
                    None => Ok(()),
                }
            }
            Self::Replaced { id, set } => blobs.delete_thumbnails(*id, set).await,
            Self::OfLink { id, image, token } => table.delete_link_traces(*id, *image, *token).await,
        }
    }
}
