//! The memory that the peers of a server make it hold: requests that are not whole, and responses that are not read.
//!
//! Both are in the hands of the peer, so both are counted in bytes, for each connection, for each thread and in total.
//! Above the budget the connection that has held memory for the longest time is cut, among those of the network that holds
//! most. What it held counts for its thread until it is freed. An honest peer holds memory for the time of a round trip. A
//! connection that leaves a response unread for too long ends even if there is memory enough.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ThreadId};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use super::connection_limits::ConnectionControl;
use crate::grpc::MAX_REQUEST_BYTES;
use crate::server::Settings;
use crate::server::connection_metrics::{ConnectionMetrics, Cut};

/// The bytes that the peers of one server may make it hold. Clones are the same budget.
#[derive(Clone, Debug)]
pub(in crate::server) struct PendingBudget(Arc<Budget>);

#[derive(Debug)]
struct Budget {
    max_bytes: usize,
    max_bytes_of_thread: usize,
    metrics: Arc<ConnectionMetrics>,
    holders: Mutex<Holders>,
}

/// The connections that hold memory, and the sums.
#[derive(Debug, Default)]
struct Holders {
    next_turn: u64,
    /// Without those of connections that were cut.
    total: usize,
    connections: HashMap<u64, Holder>,
    threads: HashMap<ThreadId, Arc<ThreadBytes>>,
}

#[derive(Debug)]
struct Holder {
    control: Arc<ConnectionControl>,
    thread: Arc<ThreadBytes>,
    bytes: usize,
    /// Rises with the time since when the connection holds memory without a pause.
    turn: u64,
    /// It holds its memory until its calls have had their turn.
    is_cut: bool,
}

/// The bytes that the connections of one thread hold. They are written under the lock of the holders.
#[derive(Debug)]
struct ThreadBytes {
    max: usize,
    all: AtomicUsize,
    /// Those of connections that were cut.
    of_cut: AtomicUsize,
    /// The responses that are not sent, also those that were made since the last turn of their connection.
    responses: AtomicUsize,
}

impl PendingBudget {
    pub(in crate::server) fn new(settings: &Settings, metrics: Arc<ConnectionMetrics>) -> Self {
        let max_bytes = settings.pending_budget_bytes;
        // A thread cannot use what another one has freed, because each has its own part of the heap. With half for each,
        // two are not both at the budget in turn, and a thread with all of the honest callers has enough.
        let max_bytes_of_thread = (max_bytes / settings.worker_count().min(2)).max(MAX_REQUEST_BYTES + OVERHEAD);
        Self(Arc::new(Budget { max_bytes, max_bytes_of_thread, metrics, holders: Mutex::default() }))
    }

    /// Returns how many bytes are held.
    pub(in crate::server) fn used_bytes(&self) -> usize {
        self.0.holders.lock().total
    }

    fn current_thread(&self) -> Arc<ThreadBytes> {
        let mut holders = self.0.holders.lock();
        let thread = holders.threads.entry(thread::current().id()).or_insert_with(|| {
            let (all, of_cut, responses) = Default::default();
            Arc::new(ThreadBytes { max: self.0.max_bytes_of_thread, all, of_cut, responses })
        });
        Arc::clone(thread)
    }

    /// Sets what a connection of this thread holds, and cuts others or itself if that is too much.
    fn set(&self, control: &Arc<ConnectionControl>, thread: &Arc<ThreadBytes>, bytes: usize) {
        let mut holders = self.0.holders.lock();
        holders.set(control, thread, bytes);
        while let Some(longest) = holders.cut_above(self.0.max_bytes, thread) {
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
    fn set(&mut self, control: &Arc<ConnectionControl>, thread: &Arc<ThreadBytes>, bytes: usize) {
        let (before, is_cut) = match self.connections.get_mut(&control.number) {
            Some(holder) => (mem::replace(&mut holder.bytes, bytes), holder.is_cut),
            None if bytes == 0 => return,
            None => {
                let (control, thread) = (Arc::clone(control), Arc::clone(thread));
                let holder = Holder { control, thread, bytes, turn: self.next_turn, is_cut: false };
                self.next_turn += 1;
                self.connections.insert(holder.control.number, holder);
                (0, false)
            }
        };
        if bytes == 0 {
            self.connections.remove(&control.number);
        }
        let change = |sum: usize| sum + bytes - before;
        thread.all.store(change(thread.all.load(Ordering::Relaxed)), Ordering::Relaxed);
        if is_cut {
            thread.of_cut.store(change(thread.of_cut.load(Ordering::Relaxed)), Ordering::Relaxed);
        } else {
            self.total = change(self.total);
        }
    }

    /// If all connections hold more than this, or those of the thread more than it may, records that one of them is cut,
    /// and returns it: the one that has held memory for the longest time, of the network that holds most.
    fn cut_above(&mut self, max_bytes: usize, thread: &Arc<ThreadBytes>) -> Option<Arc<ConnectionControl>> {
        let is_total_above = self.total > max_bytes;
        if !is_total_above && !thread.is_above_max() {
            return None;
        }
        let candidates = || {
            let uncut = self.connections.values().filter(|holder| !holder.is_cut);
            uncut.filter(|holder| is_total_above || Arc::ptr_eq(&holder.thread, thread))
        };
        let mut by_network = HashMap::<_, usize>::new();
        for holder in candidates() {
            *by_network.entry(holder.control.network).or_default() += holder.bytes;
        }
        let (network, _) = by_network.into_iter().max_by_key(|(_, bytes)| *bytes)?;
        let of_network = candidates().filter(|holder| holder.control.network == network);
        let number = of_network.min_by_key(|holder| holder.turn)?.control.number;

        let longest = self.connections.get_mut(&number)?;
        longest.is_cut = true;
        self.total -= longest.bytes;
        longest.thread.of_cut.fetch_add(longest.bytes, Ordering::Relaxed);
        Some(Arc::clone(&longest.control))
    }
}

impl ThreadBytes {
    /// Whether connections that are not cut hold too much.
    fn is_above_max(&self) -> bool {
        self.all.load(Ordering::Relaxed) - self.of_cut.load(Ordering::Relaxed) > self.max
    }

    /// Whether responses take so much memory that their number is limited.
    fn is_short(&self) -> bool {
        self.responses.load(Ordering::Relaxed) > self.max / 2
    }
}

/// The memory that the peer of one connection makes the server hold.
#[derive(Debug)]
pub(in crate::server) struct PendingBytes {
    budget: PendingBudget,
    control: Arc<ConnectionControl>,
    thread: Arc<ThreadBytes>,
    /// Of requests that are not whole.
    unfinished: AtomicUsize,
    /// Of whole requests whose calls wait until responses are sent.
    waiting: AtomicUsize,
    /// By the period in which a response began, modulo [`PERIODS`].
    responses: [AtomicUsize; PERIODS],
    period: AtomicUsize,
    /// The bytes that the budget knows of.
    reported: AtomicUsize,
    /// How many responses are begun and not sent, and the bytes of their begins.
    begun: AtomicUsize,
    begun_bytes: AtomicUsize,
    /// Notified when one of the calls that wait may look again.
    sent: Arc<Notify>,
}

impl PendingBytes {
    /// For a connection of the current thread.
    pub(in crate::server) fn new(budget: PendingBudget, control: Arc<ConnectionControl>) -> Self {
        Self {
            thread: budget.current_thread(),
            budget,
            control,
            unfinished: AtomicUsize::default(),
            waiting: AtomicUsize::default(),
            responses: Default::default(),
            period: AtomicUsize::default(),
            reported: AtomicUsize::default(),
            begun: AtomicUsize::default(),
            begun_bytes: AtomicUsize::default(),
            sent: Arc::default(),
        }
    }

    /// Counts the bytes of a request that is not whole, in place of those that it had before, and tells the budget.
    pub(in crate::server) fn set_request(&self, before: usize, bytes: usize) {
        self.unfinished.fetch_add(bytes, Ordering::Relaxed);
        self.unfinished.fetch_sub(before, Ordering::Relaxed);
        self.report();
    }

    /// Whether a request is not whole yet.
    pub(in crate::server) fn has_unfinished(&self) -> bool {
        self.unfinished.load(Ordering::Relaxed) > 0
    }

    /// Whether a call waits until responses are sent.
    pub(in crate::server) fn has_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Whether connections of this thread hold so much that some of them were cut, and still hold it.
    pub(in crate::server) fn is_thread_full(&self) -> bool {
        self.thread.all.load(Ordering::Relaxed) > self.thread.max
    }

    /// Whether a response is not sent yet.
    pub(in crate::server) fn has_responses(&self) -> bool {
        self.responses.iter().any(|bytes| bytes.load(Ordering::Relaxed) > 0)
    }

    /// Begins the next period. Returns whether a response is left that is at least two periods old.
    pub(in crate::server) fn next_period(&self) -> bool {
        let period = self.period.load(Ordering::Relaxed) + 1;
        self.period.store(period, Ordering::Relaxed);
        // The counter was used last for the period that began three periods ago and ended two periods ago.
        self.responses[period % PERIODS].load(Ordering::Relaxed) > 0
    }

    /// Counts a response until it is taken off. Returns its period.
    pub(in crate::server) fn add_response(&self, bytes: usize) -> usize {
        let period = self.period.load(Ordering::Relaxed) % PERIODS;
        self.responses[period].fetch_add(bytes, Ordering::Relaxed);
        self.thread.responses.fetch_add(bytes, Ordering::Relaxed);
        period
    }

    /// Takes a response of this period off.
    pub(in crate::server) fn remove_response(&self, bytes: usize, period: usize) {
        self.responses[period].fetch_sub(bytes, Ordering::Relaxed);
        self.thread.responses.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Counts the begin of a response, which keeps other calls from their begin until it is sent.
    pub(in crate::server) fn add_begun(&self, bytes: usize) {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.begun_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes the begin of a response off.
    pub(in crate::server) fn remove_begun(&self, bytes: usize) {
        self.begun.fetch_sub(1, Ordering::Relaxed);
        self.begun_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.wake_next();
    }

    /// Whether the peer has read so many of the responses that its next call may begin. Those that it leaves unread would
    /// be made for nothing, and one read may bring hundreds of calls, before any of their responses counts.
    ///
    /// A single response holds up nothing: it may be large, or a stream that its caller reads when it has time.
    pub(in crate::server) fn may_begin(&self) -> bool {
        let is_little = self.begun_bytes.load(Ordering::Relaxed) <= MAX_BEGUN && !self.thread.is_short();
        is_little || self.begun.load(Ordering::Relaxed) <= 1
    }

    /// Counts the bytes of a call that waits until responses are sent, and tells the budget.
    pub(in crate::server) fn add_waiting(&self, bytes: usize) {
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
        self.report();
    }

    pub(in crate::server) fn remove_waiting(&self, bytes: usize) {
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        self.report();
    }

    /// Returns when a call that waits has to look whether it may begin. Dropped, it leaves that to another one.
    pub(in crate::server) fn sent(&self) -> OwnedNotified {
        Arc::clone(&self.sent).notified_owned()
    }

    /// Lets a call that waits look whether it may begin. If it begins, it lets the next one look.
    pub(in crate::server) fn wake_next(&self) {
        if self.has_waiting() {
            self.sent.notify_one();
        }
    }

    /// Tells the budget what the connection holds, if that has changed.
    pub(in crate::server) fn report(&self) {
        let responses: usize = self.responses.iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum();
        let requests = self.unfinished.load(Ordering::Relaxed) + self.waiting.load(Ordering::Relaxed);
        let bytes = responses + requests;
        if bytes != self.reported.load(Ordering::Relaxed) {
            self.reported.store(bytes, Ordering::Relaxed);
            self.budget.set(&self.control, &self.thread, bytes);
        }
    }
}

impl Drop for PendingBytes {
    fn drop(&mut self) {
        if *self.reported.get_mut() > 0 {
            self.budget.set(&self.control, &self.thread, 0);
        }
    }
}

/// The bytes of an unfinished call besides its message: its stream, its task and its headers. Measured: 4.3 KiB, and 6
/// with the freed memory that cannot be used again.
pub(in crate::server) const OVERHEAD: usize = 6 * 1024;

/// The bytes of responses that are made for a peer that has not read those before. About a dozen small ones are written
/// together.
const MAX_BEGUN: usize = 128 * 1024;

/// The present period, the last one, and the one before, whose responses are old when the next period begins.
const PERIODS: usize = 3;

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn control(number: u64, network: u8) -> Arc<ConnectionControl> {
        Arc::new(ConnectionControl::new(number, Some(IpAddr::from([192, 0, 2, network]))))
    }

    fn budget(max_bytes: usize) -> PendingBudget {
        PendingBudget::new(&Settings { pending_budget_bytes: max_bytes, ..Settings::default() }, Arc::default())
    }

    fn set(budget: &PendingBudget, control: &Arc<ConnectionControl>, bytes: usize) {
        budget.set(control, &budget.current_thread(), bytes);
    }

    async fn is_cut(control: &ConnectionControl) -> bool {
        tokio::time::timeout(std::time::Duration::ZERO, control.wait_until_cut()).await.is_ok()
    }

    #[tokio::test]
    async fn the_longest_holder_of_the_network_that_holds_most_is_cut() {
        let budget = budget(100);
        let (honest, first, second) = (control(0, 1), control(1, 2), control(2, 2));

        set(&budget, &honest, 40);
        set(&budget, &first, 20);
        set(&budget, &second, 40);
        assert_eq!(budget.used_bytes(), 100);
        set(&budget, &second, 41);

        assert!(is_cut(&first).await);
        assert!(!is_cut(&second).await && !is_cut(&honest).await);
        assert_eq!(budget.used_bytes(), 81);
    }

    #[tokio::test]
    async fn a_pause_makes_a_holder_the_newest_one() {
        let budget = budget(100);
        let (honest, other) = (control(0, 1), control(1, 1));

        set(&budget, &honest, 50);
        set(&budget, &other, 50);
        set(&budget, &honest, 0);
        set(&budget, &honest, 51);

        assert!(is_cut(&other).await);
        assert!(!is_cut(&honest).await);
    }

    #[tokio::test]
    async fn a_thread_may_hold_half_of_the_budget_of_two() {
        let most = 16 * 1024 * 1024;
        let settings = Settings { pending_budget_bytes: 2 * most, workers: 2, ..Settings::default() };
        let budget = PendingBudget::new(&settings, Arc::default());
        let (first, second, other) = (control(0, 1), control(1, 1), control(2, 2));
        let elsewhere = thread::scope(|scope| scope.spawn(|| budget.current_thread()).join().unwrap());

        budget.set(&other, &elsewhere, most);
        set(&budget, &first, most / 2);
        set(&budget, &second, most / 2);
        assert!(!is_cut(&first).await);
        set(&budget, &second, most / 2 + 1);

        assert!(is_cut(&first).await);
        assert!(!is_cut(&second).await && !is_cut(&other).await);
    }

    #[tokio::test]
    async fn what_a_cut_connection_holds_counts_for_its_thread_until_it_is_freed() {
        let budget = budget(100);
        let (first, second) =
            (PendingBytes::new(budget.clone(), control(0, 1)), PendingBytes::new(budget, control(1, 1)));
        let most = first.thread.max;

        first.set_request(0, 100);
        second.set_request(0, most);
        assert!(is_cut(&first.control).await && is_cut(&second.control).await);
        assert!(second.is_thread_full());
        first.set_request(100, 50);
        assert_eq!(first.budget.used_bytes(), 0);
        first.set_request(50, 0);

        assert!(!second.is_thread_full());
    }

    #[test]
    fn nothing_is_remembered_of_those_that_hold_nothing() {
        let budget = budget(100);

        for number in 0..10 {
            set(&budget, &control(number, 1), 60);
            set(&budget, &control(number, 1), 0);
        }

        assert_eq!(budget.current_thread().all.load(Ordering::Relaxed), 0);
        let holders = budget.0.holders.lock();
        assert!(holders.connections.is_empty() && holders.total == 0);
    }

    #[test]
    fn a_call_that_waits_takes_memory_and_is_no_unfinished_request() {
        let pending = PendingBytes::new(budget(100), control(0, 1));

        pending.add_waiting(60);
        assert!(pending.has_waiting() && !pending.has_unfinished());
        assert_eq!(pending.budget.used_bytes(), 60);
        pending.remove_waiting(60);

        assert!(!pending.has_waiting());
        assert_eq!(pending.budget.used_bytes(), 0);
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
