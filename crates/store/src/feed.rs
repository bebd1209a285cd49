//! The public feed: an index of all ready public images. It has several partitions (shards), because one partition takes
//! a thousand writes a second, and a throttled index throttles the table. Keys are UUIDv7, so they sort by creation
//! time in all shards, and one key is a cursor for every shard.

use std::collections::VecDeque;

use tintype_model::{Cursor, ImageId};

use crate::StoreError;
use crate::dynamo::{Dynamo, Query, s};
use crate::key::{self, Key};

const INDEX: &str = "feed";

/// A page of one shard, newest first, and whether more follow.
struct Part {
    ids: VecDeque<ImageId>,
    more: bool,
}

/// Reads at most `limit` ids, newest first, with one concurrent query of each shard. The index lags behind the table: read
/// each image before showing it. The page ends early where a shard was not read far enough, so that no image is skipped.
pub(crate) async fn page(
    dynamo: &Dynamo,
    shards: u8,
    after: Option<Cursor>,
    limit: usize,
) -> Result<(Vec<ImageId>, Option<Cursor>), StoreError> {
    // Ids are spread over the shards at random: with three standard deviations above the mean, few pages are short.
    let mean = limit as f64 / f64::from(shards);
    let part = (limit + 1).min((mean + 3.0 * mean.sqrt()).ceil() as usize + 1);
    let queries = (0..shards).map(|shard| query(dynamo.clone(), shard, after, part)).map(tokio::spawn);
    let mut parts = Vec::with_capacity(usize::from(shards));
    for query in queries.collect::<Vec<_>>() {
        parts.push(query.await.map_err(StoreError::internal)??);
    }

    let (ids, ended) = merge(parts, limit);
    let next = ids.last().filter(|_| !ended).map(|id| Cursor { after: id.key });
    Ok((ids, next))
}

/// Merges the parts: returns the newest `limit` ids, or those before the first gap, and true at the end of the feed.
fn merge(mut parts: Vec<Part>, limit: usize) -> (Vec<ImageId>, bool) {
    let mut ids = Vec::with_capacity(limit);
    loop {
        let unknown = parts.iter().any(|part| part.more && part.ids.is_empty());
        let newest = parts.iter_mut().max_by_key(|part| part.ids.front().map(|id| id.key));
        match newest.and_then(|part| part.ids.front().copied().map(|id| (part, id))) {
            None => return (ids, !unknown),
            Some(_) if unknown || ids.len() == limit => return (ids, false),
            Some((part, id)) => {
                part.ids.pop_front();
                ids.push(id);
            }
        }
    }
}

async fn query(dynamo: Dynamo, shard: u8, after: Option<Cursor>, limit: usize) -> Result<Part, StoreError> {
    let query = match after {
        Some(cursor) => Query::index(INDEX, "feed_pk = :pk AND feed_sk < :after").value(":after", s(cursor.after)),
        None => Query::index(INDEX, "feed_pk = :pk"),
    };
    let query = query.value(":pk", s(key::feed_partition(shard))).descending().limit(limit);
    let page = dynamo.query(query).await?;
    let keys = page.items.iter().map(Key::of).collect::<Result<Vec<_>, _>>()?;
    let ids = keys.iter().filter_map(|key| key.as_image()).collect();
    Ok(Part { ids, more: page.next.is_some() })
}

#[cfg(test)]
mod tests {
    use tintype_model::{ImageKey, UserId};
    use uuid::Uuid;

    use super::*;

    fn part(keys: &[u128], more: bool) -> Part {
        let id = |key: &u128| ImageId {
            owner: UserId::from_uuid(Uuid::nil()),
            key: ImageKey::from_uuid(Uuid::from_u128(*key)),
        };
        Part { ids: keys.iter().map(id).collect(), more }
    }

    fn keys(ids: &[ImageId]) -> Vec<u128> {
        ids.iter().map(|id| id.key.uuid().as_u128()).collect()
    }

    #[test]
    fn the_newest_of_all_shards_come_first() {
        let (ids, ended) = merge(vec![part(&[9, 4, 1], false), part(&[8, 7], false), part(&[], false)], 10);
        assert_eq!((keys(&ids), ended), (vec![9, 8, 7, 4, 1], true));
    }

    #[test]
    fn a_page_ends_where_a_shard_may_have_something_newer() {
        let (ids, ended) = merge(vec![part(&[9, 4, 1], false), part(&[8, 7], true)], 10);
        assert_eq!((keys(&ids), ended), (vec![9, 8, 7], false));
    }

    #[test]
    fn a_full_page_is_the_last_where_nothing_follows() {
        assert!(merge(vec![part(&[2], false), part(&[1], false)], 2).1);
        assert!(!merge(vec![part(&[2], false), part(&[1], false)], 1).1);
        assert!(!merge(vec![part(&[2, 1], true)], 2).1);
        assert!(merge(vec![part(&[], false)], 2).1);
    }
}
