use crate::StoreError;
use crate::dynamo::{Dynamo, ReadSet};
use crate::idempotency::IdempotencyRecords;
use crate::images::Images;
use crate::jobs::Jobs;
use crate::key::Key;
use crate::links::Links;
use crate::plans::Plans;
use crate::profiles::Profiles;

/// The table, by what it holds.
#[derive(Debug, Clone)]
pub struct Store {
    pub images: Images,
    pub links: Links,
    pub jobs: Jobs,
    pub profiles: Profiles,
    pub plans: Plans,
    pub idempotency: IdempotencyRecords,
    pub(crate) dynamo: Dynamo,
}

impl Store {
    /// `feed_shards`: the number of partitions of the public feed. It can grow, never shrink.
    pub fn new(config: &aws_types::SdkConfig, table: impl Into<String>, feed_shards: u8) -> Self {
        let dynamo = Dynamo::new(config, table);
        let images = Images { dynamo: dynamo.clone(), feed_shards: feed_shards.max(1) };
        Self {
            links: Links { dynamo: dynamo.clone() },
            jobs: Jobs { dynamo: dynamo.clone(), images: images.clone() },
            profiles: Profiles { dynamo: dynamo.clone() },
            plans: Plans::new(dynamo.clone()),
            idempotency: IdempotencyRecords { dynamo: dynamo.clone() },
            images,
            dynamo,
        }
    }

    /// Reads items by key, strongly consistent, 100 in a call.
    pub async fn read(&self, keys: impl IntoIterator<Item = Key>) -> Result<ReadSet, StoreError> {
        self.dynamo.get(keys).await
    }
}
