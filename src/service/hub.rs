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

use crate::app::AppName;
use crate::clock::{Clock, Time};
use crate::store::{Cursor, Error, Notice, Place, Since, Store};
use crate::token::Id;

/// All watchers of the process.
#[derive(Debug, Default)]
pub(super) struct Hub(Mutex<HashMap<AppName, Arc<Room>>>);

impl Hub {
    /// A seat for one who watches a place; nothing if there are too many already.
    ///
    /// From now on it is rung at whatever is told of the place.
    pub(super) fn seat<S: Store>(&self, store: &Arc<S>, clock: &Arc<dyn Clock>, place: &Place) -> Option<Seat> {
        let room = Arc::clone(self.0.lock().entry(place.app.clone()).or_default());
        let mut seats = room.seats.lock();
        if seats.bells.len() >= MAX_WATCHERS {
            return None;
        }
        let (number, bell) = ((place.id, seats.next), Arc::new(Notify::new()));
        seats.next += 1;
        seats.bells.insert(number, Arc::clone(&bell));
        drop(seats);
        let seat = Seat { room, number, bell, deadline: None };
        seat.be_attended(store, clock, &place.app);
        Some(seat)
    }

    /// Rings all who watch sessions of an app.
    pub(super) fn ring_all(&self, app: &AppName) {
        let room = self.0.lock().get(app).cloned();
        if let Some(room) = room {
            room.seats.lock().ring_all();
        }
    }
}

/// The watchers of one app.
#[derive(Debug)]
struct Room {
    seats: Mutex<Seats>,
    /// Who may look at the store: when all are rung at once, not all ask it at once.
    turns: Semaphore,
}

impl Default for Room {
    fn default() -> Self {
        Self { seats: Mutex::default(), turns: Semaphore::new(TURNS) }
    }
}

/// The session, and which of its watchers.
type Number = (Id, u64);

#[derive(Debug, Default)]
struct Seats {
    next: u64,
    bells: BTreeMap<Number, Arc<Notify>>,
    deadlines: BTreeSet<(Time, Number)>,
    /// A task is there that rings.
    attended: bool,
}

impl Seats {
    fn ring(&self, id: Id) {
        self.bells.range((id, 0)..=(id, u64::MAX)).for_each(|(_, bell)| bell.notify_one());
    }

    fn ring_all(&self) {
        self.bells.values().for_each(|bell| bell.notify_one());
    }

    /// Rings where a deadline has passed.
    fn ring_due(&mut self, now: Time) {
        while let Some((_, number)) = self.deadlines.first().copied().filter(|(deadline, _)| *deadline <= now) {
            self.deadlines.pop_first();
            if let Some(bell) = self.bells.get(&number) {
                bell.notify_one();
            }
        }
    }
}

/// A place in the hub; given up when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    room: Arc<Room>,
    number: Number,
    bell: Arc<Notify>,
    deadline: Option<Time>,
}

impl Seat {
    /// Sees to it that somebody rings.
    pub(super) fn be_attended<S: Store>(&self, store: &Arc<S>, clock: &Arc<dyn Clock>, app: &AppName) {
        if !std::mem::replace(&mut self.room.seats.lock().attended, true) {
            let attendant = Attendant { room: Arc::clone(&self.room), app: app.clone(), is_done: false };
            tokio::spawn(attendant.attend(Arc::clone(store), Arc::clone(clock)));
        }
    }

    /// Rings at that time, if not before.
    pub(super) fn expect(&mut self, deadline: Time) {
        let mut seats = self.room.seats.lock();
        if let Some(before) = self.deadline.replace(deadline) {
            seats.deadlines.remove(&(before, self.number));
        }
        seats.deadlines.insert((deadline, self.number));
    }

    /// Waits until something may have happened.
    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Rings this very bell.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Waits until it is this watcher's turn to look at the store.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.room.turns.acquire().await.ok()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.room.seats.lock();
        seats.bells.remove(&self.number);
        if let Some(deadline) = self.deadline {
            seats.deadlines.remove(&(deadline, self.number));
        }
    }
}

/// The task that rings in a room, until nobody sits there.
struct Attendant {
    room: Arc<Room>,
    app: AppName,
    is_done: bool,
}

impl Attendant {
    async fn attend<S: Store>(mut self, store: Arc<S>, clock: Arc<dyn Clock>) {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reader = Reader { store, cursor: None, is_lost: false };
        while !self.is_done {
            ticks.tick().await;
            self.room.seats.lock().ring_due(clock.now());
            while reader.read(&self.room, &self.app).await == More::Likely {}
            let mut seats = self.room.seats.lock();
            self.is_done = seats.bells.is_empty();
            seats.attended = !self.is_done;
        }
    }
}

impl Drop for Attendant {
    /// The thread that it ran on may end before the others: who is rung sees to it that another comes.
    fn drop(&mut self) {
        if !self.is_done {
            let mut seats = self.room.seats.lock();
            seats.attended = false;
            seats.ring_all();
        }
    }
}

/// Reads a feed, and rings for what it tells.
struct Reader<S> {
    store: Arc<S>,
    /// Where it was read to; nothing before the first time.
    cursor: Option<Cursor>,
    /// The store did not answer the last time.
    is_lost: bool,
}

#[derive(PartialEq, Eq)]
enum More {
    Likely,
    Unlikely,
}

impl<S: Store> Reader<S> {
    async fn read(&mut self, room: &Room, app: &AppName) -> More {
        match self.news(app).await {
            // What a lost link may have lost with it is not told.
            Ok(_) if std::mem::take(&mut self.is_lost) => room.seats.lock().ring_all(),
            Ok(None) => room.seats.lock().ring_all(),
            Ok(Some(ids)) => {
                let seats = room.seats.lock();
                ids.iter().for_each(|id| seats.ring(*id));
                return if ids.len() >= MANY { More::Likely } else { More::Unlikely };
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
        More::Unlikely
    }

    /// The sessions that were told of since the last time; nothing if it may have been any.
    async fn news(&mut self, app: &AppName) -> Result<Option<Vec<Id>>, Error> {
        if let Some(cursor) = &self.cursor
            && let Since::Notices(notices, next) = self.store.since(app, cursor).await?
        {
            self.cursor = Some(next);
            return Ok(notices.iter().map(id).collect());
        }
        self.cursor = Some(self.store.latest(app).await?);
        Ok(None)
    }
}

const fn id(notice: &Notice) -> Option<Id> {
    match notice {
        Notice::Session(event) => Some(event.id),
        Notice::AppRevoked { .. } => None,
    }
}

/// How often a feed and the clock are looked at.
const INTERVAL: Duration = Duration::from_millis(100);

/// The most watchers of one app.
const MAX_WATCHERS: usize = 10_000;

/// How many of an app's watchers look at the store at once.
const TURNS: usize = 32;

/// So many notices at once, and there are likely more.
const MANY: usize = 32;
