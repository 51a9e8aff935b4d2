//! The memory that the peers of a server make it hold: requests that are not whole, and responses that are not read.
//!
//! Both are in the hands of the peer, so both are counted in bytes, for each connection and in total. Above the budget
//! the connection that has held memory for the longest time is cut, among those of the network that holds most. An
//! honest peer holds memory for the time of a round trip. A connection that leaves a response unread for too long
//! ends even if there is memory enough.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Buf, Bytes};
use parking_lot::Mutex;

use super::connection_metrics::{ConnectionMetrics, Cut};
use super::context::ConnectionContext;
use crate::server::Settings;
use crate::server::accept::ConnectionControl;

/// The bytes that the peers of one server may make it hold. Clones are the same budget.
#[derive(Clone, Debug)]
pub(in crate::server) struct PendingBudget(Arc<Budget>);

#[derive(Debug)]
struct Budget {
    max_bytes: usize,
    metrics: Arc<ConnectionMetrics>,
    holders: Mutex<Holders>,
}

/// The connections that hold memory, and the sums.
#[derive(Debug, Default)]
struct Holders {
    next_turn: u64,
    total: usize,
    by_network: HashMap<Option<IpAddr>, usize>,
    connections: HashMap<u64, Holder>,
}

#[derive(Debug)]
struct Holder {
    control: Arc<ConnectionControl>,
    bytes: usize,
    /// Rises with the time since when the connection holds memory without a pause.
    turn: u64,
}

impl PendingBudget {
    pub(in crate::server) fn new(settings: &Settings, metrics: Arc<ConnectionMetrics>) -> Self {
        let max_bytes = settings.pending_budget_bytes;
        Self(Arc::new(Budget { max_bytes, metrics, holders: Mutex::default() }))
    }

    /// Returns how many bytes are held.
    pub(in crate::server) fn used_bytes(&self) -> usize {
        self.0.holders.lock().total
    }

    /// Sets what a connection holds, and cuts others or itself if that is too much.
    fn set(&self, control: &Arc<ConnectionControl>, bytes: usize) {
        let mut holders = self.0.holders.lock();
        holders.set(control, bytes);
        while holders.total > self.0.max_bytes
            && let Some(longest) = holders.longest()
        {
            holders.set(&longest, 0);
            longest.record_violation();
            longest.cut();
            self.0.metrics.cut(Cut::Memory);
        }
    }
}

impl Default for PendingBudget {
    fn default() -> Self {
        Self::new(&Settings::default(), Arc::default())
    }
}

impl Holders {
    fn set(&mut self, control: &Arc<ConnectionControl>, bytes: usize) {
        let before = match self.connections.get_mut(&control.number) {
            Some(holder) if bytes > 0 => std::mem::replace(&mut holder.bytes, bytes),
            Some(_) => self.connections.remove(&control.number).map_or(0, |holder| holder.bytes),
            None if bytes == 0 => return,
            None => {
                let holder = Holder { control: Arc::clone(control), bytes, turn: self.next_turn };
                self.next_turn += 1;
                self.connections.insert(control.number, holder);
                0
            }
        };
        self.total = self.total + bytes - before;
        let network = self.by_network.entry(control.network).or_default();
        *network = *network + bytes - before;
        if *network == 0 {
            self.by_network.remove(&control.network);
        }
    }

    /// Returns the connection that has held memory for the longest time, of the network that holds most.
    fn longest(&self) -> Option<Arc<ConnectionControl>> {
        let (network, _) = self.by_network.iter().max_by_key(|(_, bytes)| **bytes)?;
        let holders = self.connections.values().filter(|holder| holder.control.network == *network);
        holders.min_by_key(|holder| holder.turn).map(|holder| Arc::clone(&holder.control))
    }
}

/// The memory that the peer of one connection makes the server hold.
#[derive(Debug)]
pub(in crate::server) struct PendingBytes {
    budget: PendingBudget,
    control: Arc<ConnectionControl>,
    requests: AtomicUsize,
    /// By the period in which a response began, modulo [`PERIODS`].
    responses: [AtomicUsize; PERIODS],
    period: AtomicUsize,
    /// What the budget knows of.
    reported: AtomicUsize,
}

impl PendingBytes {
    pub(super) fn new(budget: PendingBudget, control: Arc<ConnectionControl>) -> Self {
        Self {
            budget,
            control,
            requests: AtomicUsize::default(),
            responses: Default::default(),
            period: AtomicUsize::default(),
            reported: AtomicUsize::default(),
        }
    }

    /// Counts the bytes of a request that is not whole, in place of those that it had before, and tells the budget.
    pub(in crate::server) fn set_request(&self, before: usize, bytes: usize) {
        self.requests.fetch_add(bytes, Ordering::Relaxed);
        self.requests.fetch_sub(before, Ordering::Relaxed);
        self.report();
    }

    /// Whether a request is not whole yet.
    pub(super) fn has_requests(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > 0
    }

    /// Whether a response is not sent yet.
    pub(super) fn has_responses(&self) -> bool {
        self.responses.iter().any(|bytes| bytes.load(Ordering::Relaxed) > 0)
    }

    /// Begins the next period. Returns whether a response is left that is at least two periods old.
    pub(super) fn next_period(&self) -> bool {
        let period = self.period.load(Ordering::Relaxed) + 1;
        self.period.store(period, Ordering::Relaxed);
        // The counter was used last for the period that began three periods ago and ended two periods ago.
        self.responses[period % PERIODS].load(Ordering::Relaxed) > 0
    }

    /// Tells the budget what the connection holds, if that has changed.
    pub(super) fn report(&self) {
        let responses: usize = self.responses.iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum();
        let bytes = responses + self.requests.load(Ordering::Relaxed);
        if bytes != self.reported.load(Ordering::Relaxed) {
            self.reported.store(bytes, Ordering::Relaxed);
            self.budget.set(&self.control, bytes);
        }
    }
}

impl Drop for PendingBytes {
    fn drop(&mut self) {
        if *self.reported.get_mut() > 0 {
            self.budget.set(&self.control, 0);
        }
    }
}

/// Bytes of a response, which count as held until they are written to the socket.
#[derive(Debug)]
pub(in crate::server) struct ResponseBytes {
    bytes: Bytes,
    /// `None` for no bytes.
    held: Option<HeldBytes>,
}

/// Counts bytes as held until it is dropped.
#[derive(Debug)]
pub(super) struct HeldBytes {
    connection: Arc<ConnectionContext>,
    bytes: usize,
    period: usize,
}

impl ResponseBytes {
    pub(in crate::server) fn new(bytes: Bytes, connection: &Arc<ConnectionContext>) -> Self {
        let held = (!bytes.is_empty()).then(|| HeldBytes::new(bytes.len(), connection));
        Self { bytes, held }
    }
}

impl Drop for ResponseBytes {
    fn drop(&mut self) {
        if let Some(HeldBytes { connection, bytes, .. }) = &self.held {
            connection.credit.add_for_response(bytes - OVERHEAD);
        }
    }
}

impl HeldBytes {
    pub(super) fn new(bytes: usize, connection: &Arc<ConnectionContext>) -> Self {
        let (bytes, pending) = (bytes + OVERHEAD, &connection.pending);
        let period = pending.period.load(Ordering::Relaxed) % PERIODS;
        pending.responses[period].fetch_add(bytes, Ordering::Relaxed);
        Self { connection: Arc::clone(connection), bytes, period }
    }
}

impl Buf for ResponseBytes {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.connection.pending.responses[self.period].fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What an unfinished call uses besides the bytes of its message: its stream, its task and its headers. Measured: 4.3 KiB,
/// and 6 with the freed memory that cannot be used again.
pub(in crate::server) const OVERHEAD: usize = 6 * 1024;

/// The present period, the last one, and the one before, whose responses are old when the next period begins.
const PERIODS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::accept::ConnectionControl;

    fn control(number: u64, network: u8) -> Arc<ConnectionControl> {
        Arc::new(ConnectionControl::new(number, Some(IpAddr::from([192, 0, 2, network]))))
    }

    fn budget(max_bytes: usize) -> PendingBudget {
        PendingBudget::new(&Settings { pending_budget_bytes: max_bytes, ..Settings::default() }, Arc::default())
    }

    async fn is_cut(control: &ConnectionControl) -> bool {
        tokio::time::timeout(std::time::Duration::ZERO, control.wait_until_cut()).await.is_ok()
    }

    #[tokio::test]
    async fn the_longest_holder_of_the_network_that_holds_most_is_cut() {
        let budget = budget(100);
        let (honest, first, second) = (control(0, 1), control(1, 2), control(2, 2));

        budget.set(&honest, 40);
        budget.set(&first, 20);
        budget.set(&second, 40);
        assert_eq!(budget.used_bytes(), 100);
        budget.set(&second, 41);

        assert!(is_cut(&first).await);
        assert!(!is_cut(&second).await && !is_cut(&honest).await);
        assert_eq!(budget.used_bytes(), 81);
    }

    #[tokio::test]
    async fn a_pause_makes_a_holder_the_newest_one() {
        let budget = budget(100);
        let (honest, stranger) = (control(0, 1), control(1, 1));

        budget.set(&honest, 50);
        budget.set(&stranger, 50);
        budget.set(&honest, 0);
        budget.set(&honest, 51);

        assert!(is_cut(&stranger).await);
        assert!(!is_cut(&honest).await);
    }

    #[test]
    fn nothing_is_remembered_of_those_that_hold_nothing() {
        let budget = budget(100);

        for number in 0..10 {
            budget.set(&control(number, 1), 60);
            budget.set(&control(number, 1), 0);
        }

        let holders = budget.0.holders.lock();
        assert!(holders.connections.is_empty() && holders.by_network.is_empty() && holders.total == 0);
    }

    #[test]
    fn a_response_is_old_two_periods_after_its_own() {
        let pending = PendingBytes::new(budget(100), control(0, 1));
        pending.responses[0].store(1, Ordering::Relaxed);

        assert!(!pending.next_period());
        assert!(!pending.next_period());
        assert!(pending.next_period());
        pending.responses[0].store(0, Ordering::Relaxed);
        pending.responses[2].store(1, Ordering::Relaxed);
        assert!(!pending.next_period());
        assert!(pending.next_period());
    }
}
