//! The watch registry: notifies watchers when something may have happened to their sessions, and readers of events when
//! there may be some.
//!
//! While an app has any of them, one poller reads its event feed and the clock, and notifies the watchers of the sessions
//! concerned. The poller judges nothing: the watchers load their sessions, and the readers read the feed. A watcher costs
//! a few words of memory here, and no timer.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::debug;

use crate::store::{Cursor, Error, FeedEntry, FeedRead, Handle, SessionKey};
use crate::token::SessionId;
use crate::types::{AppName, Clock, Time};

/// The watchers of the process, by app.
#[derive(Debug, Default)]
pub(super) struct WatchRegistry(Mutex<HashMap<AppName, Arc<AppWatchers>>>);

impl WatchRegistry {
    /// Subscribes a watcher to a session; `None` if the app has too many watchers already.
    ///
    /// From now on it is notified of everything that the feed has of the session.
    pub(super) fn subscribe(
        &self,
        store: &Handle,
        clock: &Arc<dyn Clock>,
        session_key: &SessionKey,
    ) -> Option<Subscription> {
        let watchers = Arc::clone(self.0.lock().entry(session_key.app.clone()).or_default());
        let mut subscriptions = watchers.subscriptions.lock();
        if subscriptions.watchers.len() >= MAX_WATCHERS {
            return None;
        }
        let (id, notify) = ((session_key.id, subscriptions.next_number), Arc::new(Notify::new()));
        subscriptions.next_number += 1;
        subscriptions.watchers.insert(id, Arc::clone(&notify));
        drop(subscriptions);
        let subscription = Subscription { watchers, id, notify, deadline: None };
        subscription.ensure_poller(store, clock, &session_key.app);
        Some(subscription)
    }

    /// Subscribes a reader to the events of an app; `None` if the app has too many readers already.
    pub(super) fn subscribe_reader(&self, app: &AppName) -> Option<ReaderSubscription> {
        let watchers = Arc::clone(self.0.lock().entry(app.clone()).or_default());
        let changes = {
            // As the poller does when it decides whether to end.
            let _locked = watchers.subscriptions.lock();
            (watchers.changes.receiver_count() < MAX_READERS).then(|| watchers.changes.subscribe())?
        };
        Some(ReaderSubscription { watchers, changes })
    }

    /// Notifies all watchers and readers of an app.
    pub(super) fn notify_all(&self, app: &AppName) {
        let watchers = self.0.lock().get(app).cloned();
        if let Some(watchers) = watchers {
            watchers.notify_all();
        }
    }
}

/// The watchers of one app.
#[derive(Debug, Default)]
struct AppWatchers {
    subscriptions: Mutex<Subscriptions>,
    /// For each node of the store, by its number: they bound the loads at once, when all watchers are notified together.
    ///
    /// Loads of a node that hangs hold their permits until they fail. Those of other nodes do not wait for that.
    permits: Mutex<BTreeMap<u16, Arc<Semaphore>>>,
    /// Changes whenever the feed may have events. Each reader of events has a receiver.
    changes: watch::Sender<()>,
}

impl AppWatchers {
    fn notify_all(&self) {
        self.subscriptions.lock().notify_all();
        self.changes.send_replace(());
    }

    /// Starts the app's poller, unless it runs.
    fn ensure_poller(self: &Arc<Self>, store: &Handle, clock: &Arc<dyn Clock>, app: &AppName) {
        if !std::mem::replace(&mut self.subscriptions.lock().is_polled, true) {
            let poller = Poller { watchers: Arc::clone(self), app: app.clone(), is_done: false };
            tokio::spawn(poller.poll(store.clone(), Arc::clone(clock)));
        }
    }
}

/// A session, and the number of one of its watchers.
type SubscriptionId = (SessionId, u64);

#[derive(Debug, Default)]
struct Subscriptions {
    next_number: u64,
    watchers: BTreeMap<SubscriptionId, Arc<Notify>>,
    deadlines: BTreeSet<(Time, SubscriptionId)>,
    /// Whether a poller runs.
    is_polled: bool,
}

impl Subscriptions {
    fn notify(&self, id: SessionId) {
        self.watchers.range((id, 0)..=(id, u64::MAX)).for_each(|(_, notify)| notify.notify_one());
    }

    fn notify_all(&self) {
        self.watchers.values().for_each(|notify| notify.notify_one());
    }

    /// Notifies the watchers whose deadline has passed.
    fn notify_due(&mut self, now: Time) {
        while let Some((_, id)) = self.deadlines.first().copied().filter(|(deadline, _)| *deadline <= now) {
            self.deadlines.pop_first();
            if let Some(notify) = self.watchers.get(&id) {
                notify.notify_one();
            }
        }
    }
}

/// One watcher's subscription. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Subscription {
    watchers: Arc<AppWatchers>,
    id: SubscriptionId,
    notify: Arc<Notify>,
    deadline: Option<Time>,
}

impl Subscription {
    /// Starts the app's poller, unless it runs.
    pub(super) fn ensure_poller(&self, store: &Handle, clock: &Arc<dyn Clock>, app: &AppName) {
        self.watchers.ensure_poller(store, clock, app);
    }

    /// Sets the time at which the watcher is notified at the latest.
    pub(super) fn notify_at(&mut self, deadline: Time) {
        let mut subscriptions = self.watchers.subscriptions.lock();
        if let Some(before) = self.deadline.replace(deadline) {
            subscriptions.deadlines.remove(&(before, self.id));
        }
        subscriptions.deadlines.insert((deadline, self.id));
    }

    /// Waits until something may have happened.
    pub(super) async fn notified(&self) {
        self.notify.notified().await;
    }

    /// Notifies this watcher alone.
    pub(super) fn notify(&self) {
        self.notify.notify_one();
    }

    /// Waits until this watcher may load its session, which is at this node.
    pub(super) async fn acquire_permit(&self, node: u16) -> Option<OwnedSemaphorePermit> {
        let new = || Arc::new(Semaphore::new(MAX_CONCURRENT_CHECKS));
        let permits = Arc::clone(self.watchers.permits.lock().entry(node).or_insert_with(new));
        permits.acquire_owned().await.ok()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut subscriptions = self.watchers.subscriptions.lock();
        subscriptions.watchers.remove(&self.id);
        if let Some(deadline) = self.deadline {
            subscriptions.deadlines.remove(&(deadline, self.id));
        }
    }
}

/// The subscription of one reader of events. Dropping it ends it.
#[derive(Debug)]
pub(super) struct ReaderSubscription {
    watchers: Arc<AppWatchers>,
    changes: watch::Receiver<()>,
}

impl ReaderSubscription {
    /// Begins a read of the feed: all that is not in it yet is notified from now on.
    pub(super) fn begin_read(&mut self) {
        self.changes.mark_unchanged();
    }

    /// Waits until there may be events that the last read has not found.
    pub(super) async fn wait(&mut self, store: &Handle, clock: &Arc<dyn Clock>, app: &AppName) {
        self.watchers.ensure_poller(store, clock, app);
        // A reader may have missed what the poller has not: its cursor may be older.
        _ = timeout(LONGEST_WAIT, self.changes.changed()).await;
    }
}

/// The task that notifies an app's watchers and readers, for as long as it has any.
struct Poller {
    watchers: Arc<AppWatchers>,
    app: AppName,
    is_done: bool,
}

impl Poller {
    async fn poll(mut self, store: Handle, clock: Arc<dyn Clock>) {
        let mut ticks = interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reader = FeedReader { store, cursor: None, has_failed: false };
        while !self.is_done {
            ticks.tick().await;
            self.watchers.subscriptions.lock().notify_due(clock.now());
            while reader.read(&self.watchers, &self.app).await == MoreEntries::Likely {}
            let mut subscriptions = self.watchers.subscriptions.lock();
            self.is_done = subscriptions.watchers.is_empty() && self.watchers.changes.receiver_count() == 0;
            subscriptions.is_polled = !self.is_done;
        }
    }
}

impl Drop for Poller {
    /// Notifies all of them if the poller was stopped: each makes sure that a new one runs.
    ///
    /// The worker thread that it ran on may end before the others.
    fn drop(&mut self) {
        if !self.is_done {
            self.watchers.subscriptions.lock().is_polled = false;
            self.watchers.notify_all();
        }
    }
}

/// Reads an app's feed, and notifies the watchers of the sessions in it.
struct FeedReader {
    store: Handle,
    /// The end of what was read; `None` before the first read.
    cursor: Option<Cursor>,
    /// Whether the last read failed.
    has_failed: bool,
}

#[derive(PartialEq, Eq)]
enum MoreEntries {
    Likely,
    Unlikely,
}

impl FeedReader {
    async fn read(&mut self, watchers: &AppWatchers, app: &AppName) -> MoreEntries {
        match self.changed_sessions(app).await {
            // After a lost connection, the entries that were lost with it are not known.
            Ok(_) if std::mem::take(&mut self.has_failed) => watchers.notify_all(),
            Ok(None) => watchers.notify_all(),
            Ok(Some(ids)) => {
                if !ids.is_empty() {
                    watchers.changes.send_replace(());
                }
                let subscriptions = watchers.subscriptions.lock();
                ids.iter().for_each(|id| subscriptions.notify(*id));
                return if ids.len() >= FULL_BATCH { MoreEntries::Likely } else { MoreEntries::Unlikely };
            }
            Err(error) => {
                debug!(error = &error as &dyn std::error::Error, %app, "could not read the feed; trying again");
                self.has_failed = true;
                // The readers say it.
                watchers.changes.send_replace(());
                if !matches!(error, Error::Unavailable(_) | Error::Refused(_)) {
                    // A read from the same cursor would fail again and again.
                    self.cursor = None;
                }
            }
        }
        MoreEntries::Unlikely
    }

    /// Returns the sessions in the feed since the last read; `None` if any session may have changed.
    async fn changed_sessions(&mut self, app: &AppName) -> Result<Option<Vec<SessionId>>, Error> {
        if let Some(cursor) = &self.cursor
            && let FeedRead::Entries(entries, next) = self.store.read_feed(app, cursor).await?
        {
            self.cursor = Some(next);
            return Ok(entries.iter().map(session_id).collect());
        }
        self.cursor = Some(self.store.feed_end(app).await?);
        Ok(None)
    }
}

/// The session of an entry; `None`: it concerns all of them.
const fn session_id(entry: &FeedEntry) -> Option<SessionId> {
    match entry {
        FeedEntry::Session(event) => Some(event.id),
        FeedEntry::AppRevoked { .. } => None,
    }
}

/// How often the feed and the clock are read.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The most watchers of one app.
const MAX_WATCHERS: usize = 10_000;

/// The most readers of one app's events: each of them reads the feed when it has something new.
const MAX_READERS: usize = 1000;

/// The longest time between two reads of a reader.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How many watchers of an app load sessions of one node at once.
const MAX_CONCURRENT_CHECKS: usize = 32;

/// After a read of so many entries there are likely more.
const FULL_BATCH: usize = 32;
