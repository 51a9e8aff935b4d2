//! The hub: who watches which session, and when to ring.
//!
//! A room for each app that was ever watched. While somebody sits in it, one task reads the app's feed and the clock,
//! and rings where something may have happened; it judges nothing. A watcher costs a few words here and no timer.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::{MissedTickBehavior, interval};
use tracing::debug;

use crate::store::{Cursor, Error, FeedEntry, FeedRead, Handle, SessionKey};
use crate::token::SessionId;
use crate::types::{AppName, Clock, Time};

/// All watchers of the process.
#[derive(Debug, Default)]
pub(super) struct WatchRegistry(Mutex<HashMap<AppName, Arc<AppWatchers>>>);

impl WatchRegistry {
    /// A seat for one who watches a place; nothing if there are too many already.
    ///
    /// From now on it is rung at whatever is told of the place.
    pub(super) fn subscription(
        &self,
        store: &Handle,
        clock: &Arc<dyn Clock>,
        session_key: &SessionKey,
    ) -> Option<Subscription> {
        let watchers = Arc::clone(self.0.lock().entry(session_key.app.clone()).or_default());
        let mut seats = watchers.seats.lock();
        if seats.subscribers.len() >= MAX_WATCHERS {
            return None;
        }
        let (id, notify) = ((session_key.id, seats.next), Arc::new(Notify::new()));
        seats.next += 1;
        seats.subscribers.insert(id, Arc::clone(&notify));
        drop(seats);
        let subscription = Subscription { watchers, id, notify, deadline: None };
        subscription.ensure_poller(store, clock, &session_key.app);
        Some(subscription)
    }

    /// Rings all who watch sessions of an app.
    pub(super) fn notify_all(&self, app: &AppName) {
        let watchers = self.0.lock().get(app).cloned();
        if let Some(watchers) = watchers {
            watchers.seats.lock().notify_all();
        }
    }
}

/// The watchers of one app.
#[derive(Debug)]
struct AppWatchers {
    seats: Mutex<Subscriptions>,
    /// Who may look at the store: when all are rung at once, not all ask it at once.
    permits: Semaphore,
}

impl Default for AppWatchers {
    fn default() -> Self {
        Self { seats: Mutex::default(), permits: Semaphore::new(MAX_CONCURRENT_CHECKS) }
    }
}

/// The session, and which of its watchers.
type SubscriptionId = (SessionId, u64);

#[derive(Debug, Default)]
struct Subscriptions {
    next: u64,
    subscribers: BTreeMap<SubscriptionId, Arc<Notify>>,
    deadlines: BTreeSet<(Time, SubscriptionId)>,
    /// A task is there that rings.
    is_polled: bool,
}

impl Subscriptions {
    fn notify(&self, id: SessionId) {
        self.subscribers.range((id, 0)..=(id, u64::MAX)).for_each(|(_, notify)| notify.notify_one());
    }

    fn notify_all(&self) {
        self.subscribers.values().for_each(|notify| notify.notify_one());
    }

    /// Rings where a deadline has passed.
    fn notify_due(&mut self, now: Time) {
        while let Some((_, id)) = self.deadlines.first().copied().filter(|(deadline, _)| *deadline <= now) {
            self.deadlines.pop_first();
            if let Some(notify) = self.subscribers.get(&id) {
                notify.notify_one();
            }
        }
    }
}

/// A place in the hub; given up when it is dropped.
#[derive(Debug)]
pub(super) struct Subscription {
    watchers: Arc<AppWatchers>,
    id: SubscriptionId,
    notify: Arc<Notify>,
    deadline: Option<Time>,
}

impl Subscription {
    /// Sees to it that somebody rings.
    pub(super) fn ensure_poller(&self, store: &Handle, clock: &Arc<dyn Clock>, app: &AppName) {
        if !std::mem::replace(&mut self.watchers.seats.lock().is_polled, true) {
            let poller = Poller { watchers: Arc::clone(&self.watchers), app: app.clone(), is_done: false };
            tokio::spawn(poller.poll(store.clone(), Arc::clone(clock)));
        }
    }

    /// Rings at that time, if not before.
    pub(super) fn notify_at(&mut self, deadline: Time) {
        let mut seats = self.watchers.seats.lock();
        if let Some(before) = self.deadline.replace(deadline) {
            seats.deadlines.remove(&(before, self.id));
        }
        seats.deadlines.insert((deadline, self.id));
    }

    /// Waits until something may have happened.
    pub(super) async fn notified(&self) {
        self.notify.notified().await;
    }

    /// Rings this very bell.
    pub(super) fn notify(&self) {
        self.notify.notify_one();
    }

    /// Waits until it is this watcher's turn to look at the store.
    pub(super) async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        self.watchers.permits.acquire().await.ok()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut seats = self.watchers.seats.lock();
        seats.subscribers.remove(&self.id);
        if let Some(deadline) = self.deadline {
            seats.deadlines.remove(&(deadline, self.id));
        }
    }
}

/// The task that rings in a room, until nobody sits there.
struct Poller {
    watchers: Arc<AppWatchers>,
    app: AppName,
    is_done: bool,
}

impl Poller {
    async fn poll(mut self, store: Handle, clock: Arc<dyn Clock>) {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reader = FeedReader { store, cursor: None, is_lost: false };
        while !self.is_done {
            ticks.tick().await;
            self.watchers.seats.lock().notify_due(clock.now());
            while reader.read(&self.watchers, &self.app).await == MoreEntries::Likely {}
            let mut seats = self.watchers.seats.lock();
            self.is_done = seats.subscribers.is_empty();
            seats.is_polled = !self.is_done;
        }
    }
}

impl Drop for Poller {
    /// The thread that it ran on may end before the others: who is rung sees to it that another comes.
    fn drop(&mut self) {
        if !self.is_done {
            let mut seats = self.watchers.seats.lock();
            seats.is_polled = false;
            seats.notify_all();
        }
    }
}

/// Reads a feed, and rings for what it tells.
struct FeedReader {
    store: Handle,
    /// Where it was read to; nothing before the first time.
    cursor: Option<Cursor>,
    /// The store did not answer the last time.
    is_lost: bool,
}

#[derive(PartialEq, Eq)]
enum MoreEntries {
    Likely,
    Unlikely,
}

impl FeedReader {
    async fn read(&mut self, watchers: &AppWatchers, app: &AppName) -> MoreEntries {
        match self.changed_sessions(app).await {
            // What a lost link may have lost with it is not told.
            Ok(_) if std::mem::take(&mut self.is_lost) => watchers.seats.lock().notify_all(),
            Ok(None) => watchers.seats.lock().notify_all(),
            Ok(Some(ids)) => {
                let seats = watchers.seats.lock();
                ids.iter().for_each(|id| seats.notify(*id));
                return if ids.len() >= FULL_BATCH { MoreEntries::Likely } else { MoreEntries::Unlikely };
            }
            Err(error) => {
                debug!(error = &error as &dyn std::error::Error, %app, "could not read the feed; trying again");
                self.is_lost = true;
                if !matches!(error, Error::Unavailable(_)) {
                    // It would be met again and again.
                    self.cursor = None;
                }
            }
        }
        MoreEntries::Unlikely
    }

    /// The sessions that were told of since the last time; nothing if it may have been any.
    async fn changed_sessions(&mut self, app: &AppName) -> Result<Option<Vec<SessionId>>, Error> {
        if let Some(cursor) = &self.cursor
            && let FeedRead::Entries(notices, next) = self.store.read_feed(app, cursor).await?
        {
            self.cursor = Some(next);
            return Ok(notices.iter().map(id).collect());
        }
        self.cursor = Some(self.store.feed_end(app).await?);
        Ok(None)
    }
}

const fn id(notice: &FeedEntry) -> Option<SessionId> {
    match notice {
        FeedEntry::Session(event) => Some(event.id),
        FeedEntry::AppRevoked { .. } => None,
    }
}

/// How often a feed and the clock are looked at.
const INTERVAL: Duration = Duration::from_millis(100);

/// The most watchers of one app.
const MAX_WATCHERS: usize = 10_000;

/// How many of an app's watchers look at the store at once.
const MAX_CONCURRENT_CHECKS: usize = 32;

/// So many notices at once, and there are likely more.
const FULL_BATCH: usize = 32;
