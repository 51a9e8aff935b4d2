//! The layout marker: a key that says how many partitions the apps of a key space have.
//!
//! With another number the service would look for sessions under other keys, and everybody would be logged out. So no
//! operation is done before the number is known to be right.
//!
//! One node of a cluster has the marker. While it does not answer, the keys of sessions at the other nodes tell the
//! number, because no session is stored before the marker. They count for the other nodes alone: the first operation at
//! the node of the marker reads the marker.
//!
//! No marker is written to a cluster before most nodes of the settings have told that it is theirs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use redis::Value;
use tokio::time::Instant;

use super::is_of_every_node;
use crate::store::Error;
use crate::store::redis::partitions::{PartitionCount, Partitions, Slot, marker_key};
use crate::store::redis::router::{AnyServer, Router};
use crate::store::redis::sequence::Sequence;
use crate::store::redis::{Redis, key_command};

/// The known facts about the layout.
#[derive(Debug, Default)]
pub(in crate::store::redis) struct Layout {
    /// A [`LayoutEvidence`] in the lowest two bits, and above them how often the server had changed when it was found.
    evidence: AtomicU64,
    last_search: Mutex<Option<Instant>>,
}

/// The evidence that the number of partitions is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store::redis) enum LayoutEvidence {
    None = 0,
    /// Sessions at some nodes of a cluster, but not at that of the marker.
    Sessions = 1,
    Marker = 2,
}

impl Layout {
    /// Returns what was found at the server after so many changes. What another server had says nothing of this one.
    fn evidence(&self, server_changes: u64) -> LayoutEvidence {
        let found = self.evidence.load(Ordering::Relaxed);
        match found & EVIDENCE_BITS {
            _ if found >> EVIDENCE_BITS.count_ones() != server_changes => LayoutEvidence::None,
            0 => LayoutEvidence::None,
            1 => LayoutEvidence::Sessions,
            _ => LayoutEvidence::Marker,
        }
    }

    fn set(&self, evidence: LayoutEvidence, server_changes: u64) {
        self.evidence.store(server_changes << EVIDENCE_BITS.count_ones() | evidence as u64, Ordering::Relaxed);
    }

    /// Whether sessions may be looked for now. A Redis without any is not searched by each call.
    fn begin_search(&self) -> bool {
        let mut last = self.last_search.lock();
        let is_due = last.is_none_or(|last| last.elapsed() >= SEARCH_INTERVAL);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }
}

/// Why the layout is not known, although some nodes answer.
#[derive(Debug, thiserror::Error)]
#[error(
    "the node of the key {key} does not answer, and no session at another node shows how many partitions there are"
)]
struct UnknownLayout {
    key: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl Redis {
    /// Returns the way to Redis, once the layout there is known to be this one.
    pub(in crate::store::redis) async fn router(&self) -> Result<&Router, Error> {
        if self.layout_evidence() == LayoutEvidence::None {
            self.check_layout().await?;
        }
        Ok(&self.router)
    }

    /// The same for an operation on keys in this slot.
    pub(in crate::store::redis) async fn router_to(&self, slot: Slot) -> Result<&Router, Error> {
        if self.layout_evidence() == LayoutEvidence::Sessions && self.router.are_at_one_node(slot, self.marker_slot()) {
            self.check_marker().await?;
        }
        self.router().await
    }

    /// Returns the evidence about the layout at the server that connections lead to now.
    pub(in crate::store::redis) fn layout_evidence(&self) -> LayoutEvidence {
        self.layout.evidence(self.router.server_changes())
    }

    /// Checks the marker, or else the keys of sessions, if the node of the marker does not answer.
    pub(in crate::store::redis) async fn check_layout(&self) -> Result<(), Error> {
        let unread = match self.check_marker().await {
            Err(error @ (Error::Unavailable(_) | Error::Refused(_))) if !is_of_every_node(&error) => error,
            result => return result,
        };
        if !matches!(self.router, Router::Cluster(_)) || self.layout_evidence() != LayoutEvidence::None {
            return Err(unread);
        }
        let server_changes = self.router.server_changes();
        if self.layout.begin_search() && self.is_shown_by_sessions().await? {
            self.layout.set(LayoutEvidence::Sessions, server_changes);
            return Ok(());
        }
        match unread {
            Error::Unavailable(source) => Err(Error::unavailable(UnknownLayout { key: self.marker_key(), source })),
            refused => Err(refused),
        }
    }

    /// Checks the marker, and writes it if there is none.
    async fn check_marker(&self) -> Result<(), Error> {
        let (key, slot) = (self.marker_key(), self.marker_slot());
        // Before the read: if the server changes meanwhile, the marker is read again.
        let server_changes = self.router.server_changes();
        let read = || Sequence::read(slot, [key_command("GET", key.as_bytes())]);
        let mut found: Option<String> = self.router.query(read()).await?;
        if found.is_none() {
            self.router.await_identity().await?;
            self.check_for_other_layout().await?;
            let mut write = redis::cmd("SET");
            write.arg(&key).arg(self.partitions.count()).arg("NX");
            match self.router.query::<Value>(Sequence::write(slot, write)).await {
                // Another replica may have been faster.
                Ok(_) => found = self.router.query(read()).await?,
                // A Redis that takes no writes can be read, and full it can end sessions. What there is without a marker
                // is in 64 partitions.
                Err(Error::Full(_) | Error::Refused(_)) if self.partitions.count() == 64 => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        let count = self.partitions.count().to_string();
        let is_right = found.as_deref() == Some(&count);
        self.layout.set(if is_right { LayoutEvidence::Marker } else { LayoutEvidence::None }, server_changes);
        if is_right {
            return Ok(());
        }
        match found.and_then(|marker| marker.parse().ok()) {
            Some(found) => Err(self.other_layout(found).await),
            None => Err(self.unsuitable_layout(self.unreadable_marker()).await),
        }
    }

    fn marker_key(&self) -> String {
        marker_key(&self.prefix)
    }

    /// Returns the slot of the marker. One node has it.
    pub(in crate::store::redis) fn marker_slot(&self) -> Slot {
        Slot::of_tag(self.marker_key().as_bytes())
    }

    /// Fails if there are sessions without a marker, which earlier versions stored, in another number of partitions.
    async fn check_for_other_layout(&self) -> Result<(), Error> {
        if self.partitions.count() == 64 {
            return Ok(());
        }
        for server in self.router.servers().await? {
            let mut command = redis::cmd("SCAN");
            command.arg(0).arg("MATCH").arg(self.session_pattern("*")).arg("COUNT").arg(SAMPLE);
            let (_, keys): (u64, Vec<String>) = self.router.query_on(&server, command).await?;
            if keys.iter().any(|key| self.is_misplaced(key)) {
                return Err(self.other_layout(64).await);
            }
        }
        Ok(())
    }

    /// Whether there are sessions, at the nodes that answer, in this number of partitions.
    ///
    /// Fails if some are in another number.
    async fn is_shown_by_sessions(&self) -> Result<bool, Error> {
        let servers = self.router.servers().await?;
        let samples = join_all(servers.iter().map(|server| self.sample_counts(server))).await;
        // The nodes that do not answer are not needed.
        let counts: Vec<PartitionCount> = samples.into_iter().filter_map(Result::ok).flatten().collect();
        match counts.iter().find(|count| u16::from(**count) != self.partitions.count()) {
            Some(other) => Err(self.other_layout(u16::from(*other).into()).await),
            None => Ok(!counts.is_empty()),
        }
    }

    /// Returns in how many partitions the first sessions of a node are. A key that fits several numbers tells nothing.
    async fn sample_counts(&self, server: &AnyServer) -> Result<Vec<PartitionCount>, Error> {
        let known = PartitionCount::ALL.map(|count| (count, Partitions::new(count)));
        let (mut cursor, mut pages) = (0_u64, 0);
        loop {
            let mut command = redis::cmd("SCAN");
            command.arg(cursor).arg("MATCH").arg(self.session_pattern("*")).arg("COUNT").arg(SAMPLE);
            let (next, keys): (u64, Vec<String>) = self.router.query_on(server, command).await?;
            let shown_by = |key: &String| {
                let (tag, _, id) = self.parse_key(key)?;
                let mut fitting = known.iter().filter(|(_, all)| all.tag(all.of(&id)) == tag.as_bytes());
                let first = fitting.next().map(|(count, _)| *count);
                first.filter(|_| fitting.next().is_none())
            };
            let counts: Vec<PartitionCount> = keys.iter().filter_map(shown_by).collect();
            (cursor, pages) = (next, pages + 1);
            if !counts.is_empty() || cursor == 0 || pages == MAX_PAGES {
                return Ok(counts);
            }
        }
    }

    /// Whether this is the key of a session that would be looked for under another one.
    fn is_misplaced(&self, key: &str) -> bool {
        self.parse_key(key).is_some_and(|(tag, _, id)| tag.as_bytes() != self.partitions.tag(self.partitions.of(&id)))
    }

    async fn other_layout(&self, found: u32) -> Error {
        let (prefix, count) = (&self.prefix, self.partitions.count());
        let problem = format!(
            "the sessions under key_prefix = \"{prefix}\" are in {found} partitions, and this service would look for them \
             in {count}; set partitions = {found} in [store.redis], or a key_prefix without sessions"
        );
        self.unsuitable_layout(problem).await
    }

    /// Says what is wrong with the marker, but not what is in it: whatever wrote it may have written a secret.
    fn unreadable_marker(&self) -> String {
        let (key, count) = (self.marker_key(), self.partitions.count());
        format!(
            "the key {key} says in how many partitions the sessions are, and has no number in it; set it to {count} if \
             they are in as many, or set a key_prefix without sessions"
        )
    }

    async fn unsuitable_layout(&self, problem: String) -> Error {
        match self.router.servers().await {
            Ok(servers) if !servers.is_empty() => self.router.unsuitable(&servers[0], problem),
            Ok(_) => Error::Refused(problem.into()),
            Err(error) => error,
        }
    }
}

const EVIDENCE_BITS: u64 = 0b11;

/// About how many keys are looked at, in one command.
const SAMPLE: usize = 1000;

/// How many commands look for a session at one node, among other keys.
const MAX_PAGES: usize = 16;

const SEARCH_INTERVAL: Duration = Duration::from_secs(1);
