//! Samples of the sessions in memory: a position is a shard, and a bucket of its table.
//!
//! Shard and bucket of a session follow from its id, whichever app it belongs to.

use std::collections::BTreeSet;

use super::{Memory, SHARDS, Shard, find};
use crate::session::{Entries, Record};
use crate::store::{Error, Position, Sample, SampledKeys, SessionKey, Snapshot};
use crate::types::AppName;

impl Sample for Memory {
    async fn sample_keys(&self, apps: &BTreeSet<AppName>, from: Position, limit: usize) -> Result<SampledKeys, Error> {
        let (mut session_keys, mut room) = (Vec::new(), limit.saturating_mul(BUCKETS_OF_A_SESSION));
        let first = shard_number(from);
        for number in first..SHARDS {
            let shard = self.shards[number].lock();
            let begin = if number == first { bucket(&shard, from) } else { 0 };
            for index in begin..shard.num_buckets() {
                if room == 0 {
                    return Ok(SampledKeys {
                        session_keys,
                        next: Some(position(number, index, &shard)),
                        ..SampledKeys::default()
                    });
                }
                room -= 1;
                if let Some(session) = shard.get_bucket(index)
                    && apps.contains(&session.session_key.app)
                {
                    session_keys.push(session.session_key.clone());
                }
            }
        }
        Ok(SampledKeys { session_keys, ..SampledKeys::default() })
    }

    async fn sample_heads(&self, session_keys: &[SessionKey]) -> Result<Vec<Option<Snapshot>>, Error> {
        let read = |session_key: &SessionKey| {
            let head = find(&self.shard(session_key).lock(), session_key)?.record.head.clone();
            let record = Record { head, entries: Entries::default() };
            Some(Snapshot { record, generation: self.generation(&session_key.app) })
        };
        Ok(session_keys.iter().map(read).collect())
    }
}

/// The shard of a position: its first six bits.
fn shard_number(position: Position) -> usize {
    usize::try_from(position.0 >> BUCKET_BITS).unwrap_or_default()
}

/// The bucket of a position in the present table of its shard.
fn bucket(shard: &Shard, position: Position) -> usize {
    let part = u128::from(position.0 & ((1 << BUCKET_BITS) - 1));
    usize::try_from((part * shard.num_buckets() as u128) >> BUCKET_BITS).unwrap_or(usize::MAX)
}

/// The position of a bucket. The number of buckets is a power of two, so nothing is lost.
fn position(shard_number: usize, bucket: usize, shard: &Shard) -> Position {
    let part = ((bucket as u128) << BUCKET_BITS) / shard.num_buckets() as u128;
    Position(((shard_number as u64) << BUCKET_BITS) + u64::try_from(part).unwrap_or_default())
}

/// How many buckets are read for each session that was asked for: most are not empty.
const BUCKETS_OF_A_SESSION: usize = 2;

/// The bits of a position that do not choose one of the 64 shards.
const BUCKET_BITS: u32 = u64::BITS - SHARDS.ilog2();
