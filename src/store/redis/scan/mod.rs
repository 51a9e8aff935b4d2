//! Scans: SCAN on one server after the other, and then the sessions of its keys, in one round trip to each server.

pub(super) mod position;
pub(super) mod sample;
pub(super) mod sample_position;

use std::collections::BTreeSet;
use std::sync::Arc;

use self::position::ScanPosition;
use super::answer::parse_several;
use super::cluster::Cluster;
use super::cluster::slot_nodes::SlotNodes;
use super::connection::process_id::ProcessId;
use super::partitions::Slot;
use super::reply::SnapshotReply;
use super::router::{AnyServer, Router};
use super::sequence::Sequence;
use super::{Redis, key_command};
use crate::store::transfer::ExportPage;
use crate::store::{Cursor, Error, SessionKey};
use crate::token::SessionId;
use crate::types::AppName;

/// The keys that a scan looks for.
pub(in crate::store::redis) struct ScannedKeys<'k> {
    pub(in crate::store::redis) pattern: String,
    /// The slots in which such keys are, in order, each with a tag that leads to it.
    pub(in crate::store::redis) slots: &'k [(Slot, Box<[u8]>)],
}

/// The result of a SCAN.
pub(in crate::store::redis) struct KeyPage {
    /// The process that it was. `None`: it does not say.
    process: Option<ProcessId>,
    /// The cursor of that process after these keys; 0 is the end.
    pub(in crate::store::redis) cursor: u64,
    pub(in crate::store::redis) keys: Vec<String>,
}

impl Redis {
    pub(in crate::store::redis) async fn scan_app(
        &self,
        app: &AppName,
        from: &Cursor,
        limit: usize,
    ) -> Result<ExportPage, Error> {
        let scanned =
            ScannedKeys { pattern: self.session_pattern(app.as_str()), slots: self.partitions.slots_in_order() };
        let (keys, next) = self.scan_servers(&scanned, from, limit).await?;
        let apps = BTreeSet::from([app.clone()]);
        let session_keys: Vec<SessionKey> = keys.iter().filter_map(|key| self.decode_key(key, &apps)).collect();
        let sequences: Vec<_> = session_keys.iter().map(|session_key| self.load_sequence(session_key)).collect();
        let mut sessions = Vec::with_capacity(session_keys.len());
        for (SessionKey { id, .. }, result) in session_keys.into_iter().zip(self.router().await?.all(&sequences).await)
        {
            match result.map_err(Error::from).and_then(parse_several) {
                Ok(SnapshotReply(snapshot)) => sessions.extend(snapshot.map(|snapshot| (id, Some(snapshot)))),
                Err(Error::Corrupt) => sessions.push((id, None)),
                Err(error) => return Err(error),
            }
        }
        Ok(ExportPage { sessions, next })
    }

    /// Lists keys that match, of one server after the other. Returns them and the cursor after them.
    ///
    /// If another process answers than the one that gave the cursor, that server is scanned from the begin.
    pub(in crate::store::redis) async fn scan_servers(
        &self,
        scanned: &ScannedKeys<'_>,
        from: &Cursor,
        limit: usize,
    ) -> Result<(Vec<String>, Option<Cursor>), Error> {
        match self.router().await? {
            Router::Single(_) => {
                let (process, cursor) = decode_cursor(from);
                let mut page = self.scan_keys(&AnyServer::Single, &scanned.pattern, cursor, limit).await?;
                if cursor != 0 && page.process != process {
                    page = self.scan_keys(&AnyServer::Single, &scanned.pattern, 0, limit).await?;
                }
                let KeyPage { process, cursor, keys } = page;
                Ok((keys, (cursor != 0).then(|| encode_cursor(process, cursor))))
            }
            Router::Cluster(cluster) => self.scan_nodes(cluster, scanned, from, limit).await,
        }
    }

    /// The same in a cluster, where [`ScanPosition`] says what is to be done next.
    async fn scan_nodes(
        &self,
        cluster: &Arc<Cluster>,
        scanned: &ScannedKeys<'_>,
        from: &Cursor,
        limit: usize,
    ) -> Result<(Vec<String>, Option<Cursor>), Error> {
        let count = scanned.slots.len();
        let mut position = ScanPosition::decode(from, count).unwrap_or_else(|| ScanPosition::begin(count));
        let table = cluster.known_table().await?;
        position.keep(|slot, node| table.node(scanned.slots[slot].0).is_some_and(|owner| owner.address == *node));
        // The cursor has been with a caller, and no caller says where the service connects to.
        let node = match position.node().and_then(|address| cluster.known_node(address)) {
            Some(node) => node,
            None => {
                position.leave_node();
                let waiting = self.slot_nodes(cluster, scanned, position.waiting()).await?;
                position.begin_node(&waiting);
                let Some(address) = position.node() else { return Ok((Vec::new(), None)) };
                cluster.named_node(address)
            }
        };
        let server = AnyServer::Node(node);
        let page = self.scan_keys(&server, &scanned.pattern, position.cursor(), limit).await?;
        let KeyPage { process, cursor, mut keys } = page;
        keys.retain(|key| self.slot_of(key).is_some_and(|slot| scanned.is_at(slot, &position)));
        if !position.advance(process, cursor) {
            position.leave_node();
        } else if cursor == 0 {
            let nodes = self.slot_nodes(cluster, scanned, position.scanned()).await?;
            position.end_node(&nodes);
        }
        Ok((keys, (!position.is_done()).then(|| position.encode())))
    }

    /// Finds out where slots are, by their numbers among those that are scanned.
    async fn slot_nodes(
        &self,
        cluster: &Arc<Cluster>,
        scanned: &ScannedKeys<'_>,
        numbers: Vec<usize>,
    ) -> Result<Vec<(usize, SlotNodes)>, Error> {
        let read = |number: &usize| {
            let (slot, tag) = &scanned.slots[*number];
            Sequence::read(*slot, [key_command("GET", &self.absent_key(tag))])
        };
        let reads: Vec<_> = numbers.iter().map(read).collect();
        Ok(numbers.into_iter().zip(cluster.slot_nodes(&reads).await?).collect())
    }

    /// The slot of a key of the store.
    fn slot_of(&self, key: &str) -> Option<Slot> {
        let (tag, _) = key.strip_prefix(&self.prefix)?.strip_prefix(":{")?.split_once('}')?;
        Some(Slot::of_tag(tag.as_bytes()))
    }

    /// Lists keys of one server that match, each once.
    pub(in crate::store::redis) async fn scan_keys(
        &self,
        server: &AnyServer,
        pattern: &str,
        cursor: u64,
        limit: usize,
    ) -> Result<KeyPage, Error> {
        let mut command = redis::cmd("SCAN");
        command.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(limit.max(10));
        let answer = self.router().await?.query_process_on(server, command).await?;
        let ((cursor, mut keys), process): ((u64, Vec<String>), _) = answer;
        keys.sort_unstable();
        keys.dedup();
        Ok(KeyPage { process, cursor, keys })
    }

    /// Makes a pattern that matches the keys of an app's sessions, and few others.
    pub(in crate::store::redis) fn session_pattern(&self, app: &str) -> String {
        format!("{}:{{*}}:{app}:????????????????????????????????", escape(&self.prefix))
    }

    /// Reads the key of a session of one of these apps.
    pub(in crate::store::redis) fn decode_key(&self, key: &str, apps: &BTreeSet<AppName>) -> Option<SessionKey> {
        let (tag, app, id) = self.parse_key(key)?;
        let is_in_place = tag.as_bytes() == self.partitions.tag(self.partitions.of(&id));
        is_in_place.then_some(())?;
        Some(SessionKey { app: apps.get(app)?.clone(), id })
    }

    /// Reads tag, app and id of the key of a session.
    pub(in crate::store::redis) fn parse_key<'k>(&self, key: &'k str) -> Option<(&'k str, &'k str, SessionId)> {
        let (tag, rest) = key.strip_prefix(&self.prefix)?.strip_prefix(":{")?.split_once("}:")?;
        let (app, id) = rest.rsplit_once(':')?;
        Some((tag, app, SessionId::parse(id)?))
    }
}

impl ScannedKeys<'_> {
    /// Whether the node that is being scanned is scanned for this slot.
    fn is_at(&self, slot: Slot, position: &ScanPosition) -> bool {
        self.slots.binary_search_by_key(&slot, |(slot, _)| *slot).is_ok_and(|number| position.is_scanned(number))
    }
}

/// Writes the cursor of a single server.
fn encode_cursor(process: Option<ProcessId>, cursor: u64) -> Cursor {
    Cursor([ProcessId::encode(process), cursor.to_be_bytes()].concat())
}

/// Reads it. What an older version has written begins anew.
fn decode_cursor(Cursor(bytes): &Cursor) -> (Option<ProcessId>, u64) {
    match bytes.as_chunks() {
        ([process, cursor], []) => (ProcessId::decode(*process), u64::from_be_bytes(*cursor)),
        _ => (None, 0),
    }
}

/// Makes a pattern that matches only this prefix.
pub(in crate::store::redis) fn escape(prefix: &str) -> String {
    prefix.chars().flat_map(|c| ['\\', c]).collect()
}
