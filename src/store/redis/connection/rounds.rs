//! Rounds of connections: what leaves all connections of a store at once.
//!
//! Some signs concern the server, not one connection: it is silent, it has become a replica, it has lost its replicas.
//! A name, a proxy or a load balancer may lead to another server by now, but only for new connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tracing::debug;

use super::{Connection, ConnectionCounts};

/// The number of the current round. All connections of earlier rounds are left.
#[derive(Debug)]
pub(in crate::store::redis) struct Rounds {
    current: AtomicU64,
    /// The first round whose server was not found silent.
    first_not_silent: AtomicU64,
    /// How often a connection led to another server or database than the one before it.
    server_changes: AtomicU64,
    /// How often commands were not answered, and connections could not be opened.
    failures: AtomicU64,
    /// The address and database of the last connection.
    server: Mutex<Option<(Arc<str>, i64)>>,
    /// A younger connection is not left: a new one would lead to the same server.
    min_age: Duration,
}

impl Rounds {
    pub(in crate::store::redis) fn new(timeout: Duration) -> Self {
        let min_age = timeout.min(Duration::from_secs(1));
        let zero = || AtomicU64::new(0);
        let (current, first_not_silent) = (zero(), zero());
        Self { current, first_not_silent, server_changes: zero(), failures: zero(), server: Mutex::default(), min_age }
    }

    pub(in crate::store::redis) fn current(&self) -> u64 {
        self.current.load(Ordering::Relaxed)
    }

    /// The address of the last connection.
    pub(in crate::store::redis) fn address(&self) -> Option<Arc<str>> {
        self.server.lock().as_ref().map(|(address, _)| Arc::clone(address))
    }

    pub(in crate::store::redis) fn count_failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::store::redis) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    pub(in crate::store::redis) fn server_changes(&self) -> u64 {
        self.server_changes.load(Ordering::Acquire)
    }

    /// Whether calls may use a connection.
    pub(in crate::store::redis) fn is_usable(&self, connection: &Connection) -> bool {
        connection.round == self.current() && connection.is_usable()
    }

    /// Takes a new connection into the current round.
    ///
    /// If it leads to another server than the last one, because the url has changed, all others are left. Sessions would
    /// otherwise be in two places.
    pub(in crate::store::redis) fn admit(&self, connection: &mut Connection) {
        let server = Some((Arc::clone(&connection.address), connection.database));
        let before = std::mem::replace(&mut *self.server.lock(), server.clone());
        if before.is_some() && before != server {
            debug!(address = %connection.address, "the url leads to another Redis; opening all connections anew");
            // In this order: who sees the new number of changes takes no connection to the old server any more.
            connection.round = self.current.fetch_add(1, Ordering::Relaxed) + 1;
            self.server_changes.fetch_add(1, Ordering::Release);
        }
    }

    /// As [`Self::leave_all()`], because no command was answered since then, which is as long as an operation may take.
    pub(in crate::store::redis) fn leave_unanswered(
        &self,
        connection: &Connection,
        since: ConnectionCounts,
        why: &str,
    ) -> bool {
        if connection.has_answered_since(since) {
            return false;
        }
        // A part of an answer says that the server lives, so calls wait longer for the next connection.
        match connection.has_received_since(since) {
            true => self.leave_all(connection, why),
            false => self.leave_silent(connection, why),
        }
    }

    /// As [`Self::leave_all()`], because the server has not answered for as long as an operation may take.
    fn leave_silent(&self, connection: &Connection, why: &str) -> bool {
        let is_left = self.leave_all(connection, why);
        if is_left {
            self.first_not_silent.fetch_max(connection.round + 1, Ordering::Relaxed);
        }
        is_left
    }

    /// Whether a connection was left because its server was silent.
    pub(in crate::store::redis) fn was_silent(&self, connection: &Connection) -> bool {
        connection.round < self.first_not_silent.load(Ordering::Relaxed)
    }

    /// Begins the next round, if this connection is of the current one.
    ///
    /// Returns whether the connection is left, by this call or by an earlier one.
    pub(in crate::store::redis) fn leave_all(&self, connection: &Connection, why: &str) -> bool {
        if connection.round == self.current() && connection.opened.elapsed() < self.min_age {
            return false;
        }
        let (round, next) = (connection.round, connection.round + 1);
        // It fails if another call has begun the next round.
        if self.current.compare_exchange(round, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            debug!(address = %connection.address, why, "opening all connections to Redis anew");
        }
        true
    }
}
