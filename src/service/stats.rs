//! Numbers: what this process did since it started, and how many sessions live by the last look.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::index::judge_as_admin;
use super::{Error, Service};
use crate::app::{AppName, Apps};
use crate::clock::Time;
use crate::session::{EndReason, Verdict};
use crate::store::{Cursor, Store};
use crate::token::Rejected;

/// The counters of all apps.
#[derive(Debug)]
pub(super) struct Stats {
    start_time: Time,
    apps: BTreeMap<AppName, Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    opened: AtomicU64,
    created: AtomicU64,
    /// By the byte of the reason.
    ended: [AtomicU64; 8],
    /// By the place of the reason in [`Rejected::ALL`].
    rejected: [AtomicU64; Rejected::ALL.len()],
    suspicious: AtomicU64,
    census: Mutex<Option<Census>>,
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
    /// Tokens and tickets that did not verify, by every reason.
    pub rejected: Vec<(Rejected, u64)>,
    /// Cookie headers that named two live sessions.
    pub suspicious: u64,
    /// The live ones; nothing before the first count.
    pub census: Option<Census>,
}

impl Stats {
    pub(super) fn new(apps: &Apps, start_time: Time) -> Self {
        Self { start_time, apps: apps.iter().map(|app| (app.name.clone(), Counters::default())).collect() }
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

    pub(super) fn suspicious(&self, app: &AppName) {
        self.count(app, |counters| &counters.suspicious);
    }

    fn count(&self, app: &AppName, counter: impl FnOnce(&Counters) -> &AtomicU64) {
        if let Some(counters) = self.apps.get(app) {
            counter(counters).fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Counters {
    fn numbers(&self, start_time: Time) -> Numbers {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Numbers {
            start_time,
            opened: read(&self.opened),
            created: read(&self.created),
            ended: ENDS.map(|reason| (reason, read(&self.ended[usize::from(reason as u8)]))).into(),
            rejected: Rejected::ALL.map(|reason| (reason, read(&self.rejected[reason as usize]))).into(),
            suspicious: read(&self.suspicious),
            census: *self.census.lock(),
        }
    }
}

impl<S: Store> Service<S> {
    /// The numbers of an app.
    pub fn numbers(&self, app: &str) -> Result<Numbers, Error> {
        let counters = self.stats.apps.get(&self.app(app)?.name).ok_or(Error::AppUnknown)?;
        Ok(counters.numbers(self.stats.start_time))
    }

    /// The numbers of every app. Asks no store.
    pub fn all_numbers(&self) -> impl Iterator<Item = (&AppName, Numbers)> {
        self.stats.apps.iter().map(|(app, counters)| (app, counters.numbers(self.stats.start_time)))
    }

    /// Counts the live sessions of every app, page by page and without hurry.
    pub async fn take_census(&self) -> Result<(), Error> {
        for app in self.apps.iter() {
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
            if let Some(counters) = self.stats.apps.get(&app.name) {
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
