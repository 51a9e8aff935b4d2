//! Numbers: what this process did since it started, and how many sessions live by the last look.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::index::lives;
use super::{Error, ServedApp, Service};
use crate::app::{App, Apps, Kind, Migration, MigrationSource};
use crate::flask;
use crate::session::EndReason;
use crate::store::Cursor;
use crate::token::TokenRejection;
use crate::types::{AppName, Time};

/// The counters of all apps.
#[derive(Debug)]
pub(super) struct Stats {
    start_time: Time,
    /// An app that is served no more keeps its counters: should it come back, none of them goes backwards.
    apps: ArcSwap<BTreeMap<AppName, Arc<AppCounters>>>,
}

#[derive(Debug, Default)]
struct AppCounters {
    opened: AtomicU64,
    created: AtomicU64,
    /// By the byte of the reason.
    ended: [AtomicU64; 8],
    /// By the place of the reason in [`TokenRejection::ALL`].
    rejected: [AtomicU64; TokenRejection::ALL.len()],
    /// By the place of the reason in [`flask::CookieRejection::ALL`].
    rejected_cookies: [AtomicU64; flask::CookieRejection::ALL.len()],
    suspicious: AtomicU64,
    live_count: Mutex<Option<LiveCount>>,
    sources: [MigrationCounters; MigrationSource::ALL.len()],
}

#[derive(Debug, Default)]
struct MigrationCounters {
    imported: AtomicU64,
    found: AtomicU64,
    /// By the place of the reason among all.
    refused: [AtomicU64; MigrationRefusal::ALL.len()],
    /// Milliseconds since 1970; zero: nobody came.
    last_import: AtomicU64,
}

/// The live sessions of an app, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveCount {
    /// All of them.
    pub live: u64,
    /// Those that are nobody's.
    pub live_anonymous: u64,
    /// When the count was done.
    pub time: Time,
}

/// The numbers of an app.
#[derive(Clone, Debug)]
pub struct AppStats {
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
    pub live_count: Option<LiveCount>,
    /// What came in by each door that the app has.
    pub migrations: Vec<MigrationStats>,
}

/// What came in by a door.
#[derive(Clone, Debug)]
pub struct MigrationStats {
    /// Which.
    pub source: MigrationSource,
    /// When it shuts.
    pub until: Time,
    /// Sessions that came in.
    pub imported: u64,
    /// How often one that had come in before was found by its old credential.
    pub found: u64,
    /// Credentials that opened nothing, by reason.
    pub refused: Vec<(MigrationRefusal, u64)>,
    /// When the last session came in.
    pub last_import: Option<Time>,
}

/// Why an old credential opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationRefusal {
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

impl MigrationRefusal {
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

    pub(super) fn rejected(&self, app: &AppName, reason: TokenRejection) {
        self.count(app, |counters| &counters.rejected[reason as usize]);
    }

    pub(super) fn rejected_cookie(&self, app: &AppName, reason: flask::CookieRejection) {
        self.count(app, |counters| &counters.rejected_cookies[reason as usize]);
    }

    pub(super) fn suspicious(&self, app: &AppName) {
        self.count(app, |counters| &counters.suspicious);
    }

    pub(super) fn imported(&self, app: &AppName, source: MigrationSource, now: Time) {
        self.count(app, |counters| &counters.sources[source as usize].imported);
        if let Some(counters) = self.apps.load().get(app) {
            counters.sources[source as usize].last_import.fetch_max(now.millis(), Ordering::Relaxed);
        }
    }

    pub(super) fn found(&self, app: &AppName, source: MigrationSource) {
        self.count(app, |counters| &counters.sources[source as usize].found);
    }

    pub(super) fn refused(&self, app: &AppName, source: MigrationSource, why: MigrationRefusal) {
        self.count(app, |counters| &counters.sources[source as usize].refused[why as usize]);
    }

    fn count(&self, app: &AppName, counter: impl FnOnce(&AppCounters) -> &AtomicU64) {
        if let Some(counters) = self.apps.load().get(app) {
            counter(counters).fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl AppCounters {
    fn stats(&self, app: &App, start_time: Time) -> AppStats {
        let sources = app.migration.iter();
        AppStats {
            start_time,
            opened: read(&self.opened),
            created: read(&self.created),
            ended: ENDS.map(|reason| (reason, read(&self.ended[usize::from(reason as u8)]))).into(),
            rejected: match app.kind {
                Kind::Stored => {
                    TokenRejection::ALL.map(|why| (why.as_str(), read(&self.rejected[why as usize]))).into()
                }
                Kind::Cookie(_) => {
                    let count =
                        |why: flask::CookieRejection| (why.as_str(), read(&self.rejected_cookies[why as usize]));
                    flask::CookieRejection::ALL.map(count).into()
                }
            },
            suspicious: read(&self.suspicious),
            live_count: *self.live_count.lock(),
            migrations: sources
                .flat_map(|migration| migration.sources().map(|source| self.migration_stats(source, migration)))
                .collect(),
        }
    }

    fn migration_stats(&self, source: MigrationSource, migration: &Migration) -> MigrationStats {
        let counters = &self.sources[source as usize];
        MigrationStats {
            source,
            until: migration.until,
            imported: read(&counters.imported),
            found: read(&counters.found),
            refused: MigrationRefusal::ALL.map(|why| (why, read(&counters.refused[why as usize]))).into(),
            last_import: Some(read(&counters.last_import)).filter(|millis| *millis > 0).map(Time::from_millis),
        }
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Service {
    /// The numbers of an app.
    pub fn stats(&self, app: &str) -> Result<AppStats, Error> {
        let app = self.app(app)?;
        let counters = self.stats.apps.load();
        let counters = counters.get(&app.name).ok_or(Error::AppUnknown)?;
        Ok(counters.stats(&app, self.stats.start_time))
    }

    /// The numbers of every app. Asks no store.
    pub fn all_stats(&self) -> Vec<(Arc<ServedApp>, AppStats)> {
        let counters = self.stats.apps.load();
        let stats = |app: &App| Some(counters.get(&app.name)?.stats(app, self.stats.start_time));
        self.apps.all().values().filter_map(|app| Some((Arc::clone(app), stats(app)?))).collect()
    }

    /// Counts the live sessions of every app, page by page and without hurry.
    pub async fn count_live_sessions(&self) -> Result<(), Error> {
        for app in self.apps.all().values().filter(|app| matches!(app.kind, Kind::Stored)) {
            let (mut live, mut live_anonymous, mut from) = (0, 0, Some(Cursor::default()));
            while let Some(cursor) = from {
                let page = self.store.scan(&app.name, &cursor, CENSUS_PAGE).await?;
                let now = self.clock.now();
                for (_, snapshot) in page.sessions.iter().filter(|(_, snapshot)| lives(snapshot, now)) {
                    live += 1;
                    live_anonymous += u64::from(snapshot.record.head.subject.is_none());
                }
                from = page.next;
                if from.is_some() {
                    tokio::time::sleep(CENSUS_PAUSE).await;
                }
            }
            if let Some(counters) = self.stats.apps.load().get(&app.name) {
                *counters.live_count.lock() = Some(LiveCount { live, live_anonymous, time: self.clock.now() });
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
