//! Numbers: what this process did since it started, and how many sessions live by the last look.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::index::judge_as_admin;
use super::{Error, Served, Service};
use crate::app::{Accept, App, AppName, Apps, Door, Kind};
use crate::clock::Time;
use crate::flask;
use crate::session::{EndReason, Verdict};
use crate::store::{Cursor, Store};
use crate::token::Rejected;

/// The counters of all apps.
#[derive(Debug)]
pub(super) struct Stats {
    start_time: Time,
    /// An app that is served no more keeps its counters: should it come back, none of them goes backwards.
    apps: ArcSwap<BTreeMap<AppName, Arc<Counters>>>,
}

#[derive(Debug, Default)]
struct Counters {
    opened: AtomicU64,
    created: AtomicU64,
    /// By the byte of the reason.
    ended: [AtomicU64; 8],
    /// By the place of the reason in [`Rejected::ALL`].
    rejected: [AtomicU64; Rejected::ALL.len()],
    /// By the place of the reason in [`flask::Rejected::ALL`].
    rejected_cookies: [AtomicU64; flask::Rejected::ALL.len()],
    suspicious: AtomicU64,
    census: Mutex<Option<Census>>,
    doors: [DoorCounters; Door::ALL.len()],
}

#[derive(Debug, Default)]
struct DoorCounters {
    imported: AtomicU64,
    found: AtomicU64,
    /// By the place of the reason among all.
    refused: [AtomicU64; Refused::ALL.len()],
    /// Milliseconds since 1970; zero: nobody came.
    last_import: AtomicU64,
}

/// The live sessions of an app, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Census {
    /// All of them.
    pub live: u64,
    /// Those that are nobody's.
    pub live_anonymous: u64,
    /// When the count was done.
    pub time: Time,
}

/// The numbers of an app.
#[derive(Clone, Debug)]
pub struct Numbers {
    /// Since when this process counts.
    pub start_time: Time,
    /// Sessions that an open found alive.
    pub opened: u64,
    /// Sessions that were stored for the first time.
    pub created: u64,
    /// Sessions that a call ended, by every reason that a call can have.
    pub ended: Vec<(EndReason, u64)>,
    /// Tokens and tickets, or Flask's cookies, that opened nothing, by every reason that the app's kind has.
    pub rejected: Vec<(&'static str, u64)>,
    /// Cookie headers that named two live sessions.
    pub suspicious: u64,
    /// The live ones; nothing before the first count.
    pub census: Option<Census>,
    /// What came in by each door that the app has.
    pub doors: Vec<DoorNumbers>,
}

/// What came in by a door.
#[derive(Clone, Debug)]
pub struct DoorNumbers {
    /// Which.
    pub door: Door,
    /// When it shuts.
    pub until: Time,
    /// Sessions that came in.
    pub imported: u64,
    /// How often one that had come in before was found by its old credential.
    pub found: u64,
    /// Credentials that opened nothing, by reason.
    pub refused: Vec<(Refused, u64)>,
    /// When the last session came in.
    pub last_import: Option<Time>,
}

/// Why an old credential opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Forged, or signed with another key, salt or digest.
    BadSignature,
    /// Too old.
    Expired,
    /// Signed later than now: a clock is wrong.
    FromTheFuture,
    /// Not written as one, or nothing that a session can hold.
    Malformed,
    /// Over 1 MiB.
    TooLarge,
    /// A pickle, which is never looked into.
    Pickle,
    /// The store from before has no such session.
    Unknown,
    /// Its session came in, and has ended or changed its token since.
    Ended,
    /// Its session, its subject's sessions or the app's were revoked.
    Revoked,
}

impl Refused {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::BadSignature,
        Self::Expired,
        Self::FromTheFuture,
        Self::Malformed,
        Self::TooLarge,
        Self::Pickle,
        Self::Unknown,
        Self::Ended,
        Self::Revoked,
    ];

    /// The reason for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadSignature => "BAD_SIGNATURE",
            Self::Expired => "EXPIRED",
            Self::FromTheFuture => "FROM_THE_FUTURE",
            Self::Malformed => "MALFORMED",
            Self::TooLarge => "TOO_LARGE",
            Self::Pickle => "PICKLE",
            Self::Unknown => "UNKNOWN",
            Self::Ended => "ENDED",
            Self::Revoked => "REVOKED",
        }
    }
}

impl Stats {
    pub(super) fn new(apps: &Apps, start_time: Time) -> Self {
        let stats = Self { start_time, apps: ArcSwap::default() };
        stats.include(apps);
        stats
    }

    /// Counts for these apps as well.
    pub(super) fn include(&self, apps: &Apps) {
        let mut counters = BTreeMap::clone(&self.apps.load());
        apps.iter().for_each(|app| _ = counters.entry(app.name.clone()).or_default());
        self.apps.store(Arc::new(counters));
    }

    pub(super) fn opened(&self, app: &AppName) {
        self.count(app, |counters| &counters.opened);
    }

    pub(super) fn created(&self, app: &AppName) {
        self.count(app, |counters| &counters.created);
    }

    pub(super) fn ended(&self, app: &AppName, reason: EndReason) {
        self.count(app, |counters| &counters.ended[usize::from(reason as u8)]);
    }

    pub(super) fn rejected(&self, app: &AppName, reason: Rejected) {
        self.count(app, |counters| &counters.rejected[reason as usize]);
    }

    pub(super) fn rejected_cookie(&self, app: &AppName, reason: flask::Rejected) {
        self.count(app, |counters| &counters.rejected_cookies[reason as usize]);
    }

    pub(super) fn suspicious(&self, app: &AppName) {
        self.count(app, |counters| &counters.suspicious);
    }

    pub(super) fn imported(&self, app: &AppName, door: Door, now: Time) {
        self.count(app, |counters| &counters.doors[door as usize].imported);
        if let Some(counters) = self.apps.load().get(app) {
            counters.doors[door as usize].last_import.fetch_max(now.millis(), Ordering::Relaxed);
        }
    }

    pub(super) fn found(&self, app: &AppName, door: Door) {
        self.count(app, |counters| &counters.doors[door as usize].found);
    }

    pub(super) fn refused(&self, app: &AppName, door: Door, why: Refused) {
        self.count(app, |counters| &counters.doors[door as usize].refused[why as usize]);
    }

    fn count(&self, app: &AppName, counter: impl FnOnce(&Counters) -> &AtomicU64) {
        if let Some(counters) = self.apps.load().get(app) {
            counter(counters).fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Counters {
    fn numbers(&self, app: &App, start_time: Time) -> Numbers {
        let doors = app.accept.iter();
        Numbers {
            start_time,
            opened: read(&self.opened),
            created: read(&self.created),
            ended: ENDS.map(|reason| (reason, read(&self.ended[usize::from(reason as u8)]))).into(),
            rejected: match app.kind {
                Kind::Stored => Rejected::ALL.map(|why| (why.as_str(), read(&self.rejected[why as usize]))).into(),
                Kind::Cookie(_) => {
                    let count = |why: flask::Rejected| (why.as_str(), read(&self.rejected_cookies[why as usize]));
                    flask::Rejected::ALL.map(count).into()
                }
            },
            suspicious: read(&self.suspicious),
            census: *self.census.lock(),
            doors: doors.flat_map(|accept| accept.doors().map(|door| self.door_numbers(door, accept))).collect(),
        }
    }

    fn door_numbers(&self, door: Door, accept: &Accept) -> DoorNumbers {
        let counters = &self.doors[door as usize];
        DoorNumbers {
            door,
            until: accept.until,
            imported: read(&counters.imported),
            found: read(&counters.found),
            refused: Refused::ALL.map(|why| (why, read(&counters.refused[why as usize]))).into(),
            last_import: Some(read(&counters.last_import)).filter(|millis| *millis > 0).map(Time::from_millis),
        }
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl<S: Store> Service<S> {
    /// The numbers of an app.
    pub fn numbers(&self, app: &str) -> Result<Numbers, Error> {
        let app = self.app(app)?;
        let counters = self.stats.apps.load();
        let counters = counters.get(&app.name).ok_or(Error::AppUnknown)?;
        Ok(counters.numbers(&app, self.stats.start_time))
    }

    /// The numbers of every app. Asks no store.
    pub fn all_numbers(&self) -> Vec<(Arc<Served>, Numbers)> {
        let counters = self.stats.apps.load();
        let numbers = |app: &App| Some(counters.get(&app.name)?.numbers(app, self.stats.start_time));
        self.apps.all().values().filter_map(|app| Some((Arc::clone(app), numbers(app)?))).collect()
    }

    /// Counts the live sessions of every app, page by page and without hurry.
    pub async fn take_census(&self) -> Result<(), Error> {
        for app in self.apps.all().values().filter(|app| matches!(app.kind, Kind::Stored)) {
            let (mut live, mut live_anonymous, mut from) = (0, 0, Some(Cursor::default()));
            while let Some(cursor) = from {
                let page = self.store.scan(&app.name, &cursor, CENSUS_PAGE).await?;
                let now = self.clock.now();
                for (_, kept) in page.sessions.iter().filter(|(_, kept)| judge_as_admin(kept, now) == Verdict::Go) {
                    live += 1;
                    live_anonymous += u64::from(kept.record.head.subject.is_none());
                }
                from = page.next;
                if from.is_some() {
                    tokio::time::sleep(CENSUS_PAUSE).await;
                }
            }
            if let Some(counters) = self.stats.apps.load().get(&app.name) {
                *counters.census.lock() = Some(Census { live, live_anonymous, time: self.clock.now() });
            }
        }
        Ok(())
    }
}

/// The ends that a call brings about. The others come by themselves, unseen.
const ENDS: [EndReason; 4] = [EndReason::Destroyed, EndReason::Emptied, EndReason::Revoked, EndReason::Evicted];

const CENSUS_PAGE: usize = 1000;

/// Between two pages, so that a count of millions takes nothing from those who wait for an answer.
const CENSUS_PAUSE: Duration = Duration::from_millis(10);
