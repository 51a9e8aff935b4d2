//! Samples of the sessions in Redis, by SCAN. [`super::sample_position`] says what a position is.
//!
//! The hash function of Redis decides the bucket of a key, and its seed is random.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::KeyPage;
use super::sample_position::{Cursors, SampleOrder};
use crate::session::{Entries, Generation, Record};
use crate::store::encoding::HEAD_FIELDS;
use crate::store::redis::answer::{field, parse_several};
use crate::store::redis::connection::process_id::ProcessId;
use crate::store::redis::partitions::Slot;
use crate::store::redis::reply::head;
use crate::store::redis::router::{AnyServer, Router};
use crate::store::redis::sequence::Sequence;
use crate::store::redis::{Redis, key_command};
use crate::store::{Error, Position, Sample, SampledKeys, SessionKey, Snapshot};
use crate::types::AppName;

impl Sample for Redis {
    async fn sample_keys(&self, apps: &BTreeSet<AppName>, from: Position, limit: usize) -> Result<SampledKeys, Error> {
        let servers = self.router().await?.servers().await?;
        let order = self.sample_order(&servers).await?;
        let Some(server) = order.server(from) else { return Ok(SampledKeys::default()) };
        let pattern = self.session_pattern("*");
        let scan = async |cursors| {
            let cursor = order.cursor(server, from, cursors);
            self.scan_keys(&servers[server], &pattern, cursor, limit).await
        };
        let mut known = self.known_cursors(&servers[server]).await?;
        let mut page = scan(known.cursors).await?;
        if known.process.is_some() && page.process != known.process {
            // It was started again, maybe as another version, whose cursors mean something else.
            known = self.ask_cursors(&servers[server]).await?;
            page = scan(known.cursors).await?;
        }
        let KeyPage { cursor, keys, .. } = page;
        let next = order.position(server, cursor, known.cursors);
        if next.is_some_and(|next| next <= from) {
            return Err(Error::unavailable(CURSORS));
        }
        let session_keys = keys.iter().filter_map(|key| self.decode_key(key, apps)).collect();
        Ok(SampledKeys { session_keys, next, ..SampledKeys::default() })
    }

    async fn sample_heads(&self, session_keys: &[SessionKey]) -> Result<Vec<Option<Snapshot>>, Error> {
        if session_keys.is_empty() {
            return Ok(Vec::new());
        }
        let router = self.router().await?;
        let mut groups = BTreeMap::<Slot, Vec<usize>>::new();
        for (index, session_key) in session_keys.iter().enumerate() {
            groups.entry(router.common_slot(self.slot(session_key))).or_default().push(index);
        }
        let read = |(slot, group): (&Slot, &Vec<usize>)| self.heads_sequence(*slot, session_keys, group);
        let (sequences, generations): (Vec<_>, Vec<_>) = groups.iter().map(read).unzip();
        let mut snapshots = vec![None; session_keys.len()];
        for ((group, numbers), result) in groups.values().zip(generations).zip(router.all(&sequences).await) {
            let mut heads = result?;
            let newest: Vec<Option<u32>> = parse_several(heads.split_off(group.len().min(heads.len())))?;
            for ((index, number), fields) in group.iter().zip(numbers).zip(heads) {
                // A record that has expired since the SCAN has no fields, and is no head either.
                snapshots[*index] = head(fields).ok().zip(newest.get(number)).map(|(head, generation)| Snapshot {
                    record: Record { head, entries: Entries::default() },
                    generation: Generation(generation.unwrap_or_default()),
                });
            }
        }
        Ok(snapshots)
    }
}

impl Redis {
    /// Prepares the reading of some heads, and of each generation once. Returns the number of that of each head.
    fn heads_sequence(
        &self,
        slot: Slot,
        session_keys: &[SessionKey],
        group: &[usize],
    ) -> (Sequence<'static>, Vec<usize>) {
        let mut commands = Vec::with_capacity(group.len() + 1);
        let (mut generations, mut reads) = (HashMap::with_capacity(group.len()), Vec::new());
        let mut numbers = Vec::with_capacity(group.len());
        for session_key in group.iter().map(|index| &session_keys[*index]) {
            let mut head = redis::cmd("HMGET");
            head.arg(self.record_key(session_key));
            HEAD_FIELDS.iter().for_each(|field| _ = head.arg(&[*field]));
            commands.push(head);
            let (partition, next) = (self.partitions.of(&session_key.id), generations.len());
            numbers.push(*generations.entry((&session_key.app, partition)).or_insert_with(|| {
                // One by one: while their slot is being moved, the keys may be at two nodes.
                reads.push(key_command("GET", &self.generation_key(&session_key.app, partition)));
                next
            }));
        }
        // After the records: a generation may be newer than they are, but not older.
        commands.append(&mut reads);
        (Sequence::read(slot, commands), numbers)
    }
}

impl Redis {
    async fn sample_order(&self, servers: &[AnyServer]) -> Result<SampleOrder, Error> {
        let router = self.router().await?;
        if let Router::Single(_) = router {
            return Ok(SampleOrder::new(vec![vec![Slot(0)]]));
        }
        let slots_of = |server: &AnyServer| {
            let slots = self.partitions.all().map(|partition| self.partitions.slot(partition));
            slots.filter(|slot| router.has(server, *slot)).collect()
        };
        Ok(SampleOrder::new(servers.iter().map(slots_of).collect()))
    }

    /// Returns how a server makes its cursors. One that was scanned last is not asked again.
    async fn known_cursors(&self, server: &AnyServer) -> Result<KnownCursors, Error> {
        let known = self.known_cursors.lock().clone();
        match known.filter(|known| known.address == self.router.address(server)) {
            Some(known) => Ok(known),
            None => self.ask_cursors(server).await,
        }
    }

    /// Asks a server for its version. A single server needs not be asked: it has one table in each version.
    async fn ask_cursors(&self, server: &AnyServer) -> Result<KnownCursors, Error> {
        let address = self.router.address(server);
        let AnyServer::Node(_) = server else {
            return Ok(KnownCursors { address, process: None, cursors: Cursors::OneTable });
        };
        let mut info = redis::cmd("INFO");
        info.arg("server");
        let info: Option<String> = self.router.query_if_allowed(server, info).await?;
        let cursors = info.as_deref().and_then(cursors_of).ok_or_else(|| Error::unavailable(VERSION))?;
        let known = KnownCursors { address, process: info.as_deref().and_then(ProcessId::read), cursors };
        *self.known_cursors.lock() = Some(known.clone());
        Ok(known)
    }
}

/// How the server that was scanned last makes its cursors.
#[derive(Clone, Debug)]
pub(in crate::store::redis) struct KnownCursors {
    address: Arc<str>,
    /// `None`: a single server, which was not asked.
    process: Option<ProcessId>,
    cursors: Cursors,
}

/// Finds out by its version, in the answer to INFO, how a node of a cluster makes cursors.
fn cursors_of(info: &str) -> Option<Cursors> {
    let version = |name| {
        let (major, rest) = field(info, name)?.split_once('.')?;
        let minor = rest.split('.').next()?;
        Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    };
    let has_tables = match version("valkey_version") {
        Some(valkey) => valkey >= (8, 0),
        None => version("redis_version")? >= (7, 4),
    };
    Some(if has_tables { Cursors::TableForEachSlot } else { Cursors::OneTable })
}

const VERSION: &str = "this user may not run INFO, so the sessions in a cluster cannot be counted; grant +info";
const CURSORS: &str = "the cursors of SCAN do not go on as those of Redis do, so the sessions cannot be counted";
