//! Statistics: what this process did since it started, and how many sessions lived at the last count.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::call_counts::{CallCounts, CallFinding, Found, NONE, SaveResult, save_result};
use super::live_count::LiveCount;
use super::{Error, Outcome, ServedApp, Service};
use crate::app::{App, Apps, Kind, Migration, MigrationSource};
use crate::flask;
use crate::session::EndReason;
use crate::telemetry::CallContext;
use crate::token::TokenRejection;
use crate::types::{AppName, Time};

/// The counters of all apps.
#[derive(Debug)]
pub(super) struct Stats {
    start_time: Time,
    /// A removed app keeps its counters: if it comes back, none of them goes backwards.
    apps: ArcSwap<BTreeMap<AppName, Arc<AppCounters>>>,
}

#[derive(Debug, Default)]
struct AppCounters {
    opened: AtomicU64,
    calls: CallCounts,
    created: AtomicU64,
    /// Indexed by the byte of the [`EndReason`].
    ended: [AtomicU64; 8],
    /// Indexed as [`TokenRejection::ALL`].
    rejected: [AtomicU64; TokenRejection::ALL.len()],
    /// Indexed as [`flask::CookieRejection::ALL`].
    rejected_cookies: [AtomicU64; flask::CookieRejection::ALL.len()],
    ambiguous_cookies: AtomicU64,
    live_count: Mutex<Option<LiveCount>>,
    /// Indexed as [`MigrationSource::ALL`].
    sources: [MigrationCounters; MigrationSource::ALL.len()],
}

#[derive(Debug, Default)]
struct MigrationCounters {
    imported: AtomicU64,
    found: AtomicU64,
    /// Indexed as [`MigrationRefusal::ALL`].
    refused: [AtomicU64; MigrationRefusal::ALL.len()],
    /// Milliseconds since 1970; zero: there was none.
    last_import: AtomicU64,
}

/// The statistics of an app. The counters are those of this process since `start_time`.
#[derive(Clone, Debug)]
pub struct AppStats {
    pub start_time: Time,
    /// Sessions that an open found alive.
    pub opened: u64,
    /// Opens by what they found.
    pub opens: Vec<(Found, u64)>,
    /// Saves by their result.
    pub saves: Vec<(SaveResult, u64)>,
    /// Sessions that were stored for the first time.
    pub created: u64,
    /// Sessions that a call ended, by every reason that a call can have.
    pub ended: Vec<(EndReason, u64)>,
    /// Tokens and tickets, or Flask's cookies, that opened nothing, by every reason that the app's kind has.
    pub rejected: Vec<(&'static str, u64)>,
    /// Cookie headers that named two live sessions.
    pub ambiguous_cookies: u64,
    /// `None` before the first count, and in an app of kind `cookie`.
    pub live_count: Option<LiveCount>,
    /// One for each migration source of the app.
    pub migrations: Vec<MigrationStats>,
}

/// The statistics of a migration source.
#[derive(Clone, Debug)]
pub struct MigrationStats {
    pub source: MigrationSource,
    /// The time from which nothing is imported any more.
    pub until: Time,
    /// Sessions that were imported.
    pub imported: u64,
    /// How often a legacy credential found its session imported already.
    pub found: u64,
    /// Legacy credentials that opened nothing, by every reason.
    pub refused: Vec<(MigrationRefusal, u64)>,
    /// `None`: nothing was imported.
    pub last_import: Option<Time>,
}

/// Why a legacy credential opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationRefusal {
    /// It is forged, or signed with another key, salt or digest.
    BadSignature,
    Expired,
    /// It was signed later than now: a clock is wrong.
    FromTheFuture,
    /// It is not written as a credential of its source, or holds something that a session cannot hold.
    Malformed,
    /// It is larger than 1 MiB.
    TooLarge,
    /// It is a pickle, which is never read.
    Pickle,
    /// The source's store has no such session.
    Unknown,
    /// Its session was imported, and has ended or changed its token since.
    Ended,
    /// Its session, its subject's sessions or the app's sessions were revoked.
    Revoked,
}

impl MigrationRefusal {
    /// All reasons, each at the index of its value.
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

    /// The reason as a word of the contract.
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

    /// Adds counters for these apps.
    pub(super) fn include(&self, apps: &Apps) {
        let mut counters = BTreeMap::clone(&self.apps.load());
        apps.iter().for_each(|app| _ = counters.entry(app.name.clone()).or_default());
        self.apps.store(Arc::new(counters));
    }

    pub(super) fn count_opened(&self, app: &AppName) {
        self.increment(app, |counters| &counters.opened);
    }

    pub(super) fn count_open(&self, app: &AppName, finding: &CallFinding) {
        let found = finding.found();
        self.increment(app, |counters| counters.calls.open(found));
        CallContext::with_span(|span| span.note("cloakroom.found", found.as_str()));
    }

    pub(super) fn count_null_open(&self, app: &AppName) {
        let finding = CallFinding::default();
        finding.note(Found::Null);
        self.count_open(app, &finding);
    }

    pub(super) fn count_save(&self, app: &AppName, outcome: Outcome) {
        self.increment(app, |counters| counters.calls.save(outcome));
        CallContext::with_span(|span| {
            let (outcome, end_reason) = save_result(outcome);
            span.note("cloakroom.outcome", outcome);
            if end_reason != NONE {
                span.note("cloakroom.end_reason", end_reason);
            }
        });
    }

    pub(super) fn count_created(&self, app: &AppName) {
        self.increment(app, |counters| &counters.created);
    }

    pub(super) fn count_ended(&self, app: &AppName, reason: EndReason) {
        self.increment(app, |counters| &counters.ended[usize::from(reason as u8)]);
    }

    pub(super) fn count_rejected_token(&self, app: &AppName, reason: TokenRejection) {
        self.increment(app, |counters| &counters.rejected[reason as usize]);
    }

    pub(super) fn count_rejected_cookie(&self, app: &AppName, reason: flask::CookieRejection) {
        self.increment(app, |counters| &counters.rejected_cookies[reason as usize]);
    }

    pub(super) fn count_ambiguous_cookies(&self, app: &AppName) {
        self.increment(app, |counters| &counters.ambiguous_cookies);
    }

    pub(super) fn count_imported(&self, app: &AppName, source: MigrationSource, now: Time) {
        self.increment(app, |counters| &counters.sources[source as usize].imported);
        if let Some(counters) = self.apps.load().get(app) {
            counters.sources[source as usize].last_import.fetch_max(now.millis(), Ordering::Relaxed);
        }
    }

    pub(super) fn count_found(&self, app: &AppName, source: MigrationSource) {
        self.increment(app, |counters| &counters.sources[source as usize].found);
    }

    pub(super) fn count_refused(&self, app: &AppName, source: MigrationSource, reason: MigrationRefusal) {
        self.increment(app, |counters| &counters.sources[source as usize].refused[reason as usize]);
    }

    /// Returns the last count of an app's live sessions.
    pub(super) fn live_count(&self, app: &AppName) -> Option<LiveCount> {
        self.apps.load().get(app).and_then(|counters| *counters.live_count.lock())
    }

    pub(super) fn set_live_count(&self, app: &AppName, count: LiveCount) {
        if let Some(counters) = self.apps.load().get(app) {
            *counters.live_count.lock() = Some(count);
        }
    }

    fn increment(&self, app: &AppName, counter: impl FnOnce(&AppCounters) -> &AtomicU64) {
        if let Some(counters) = self.apps.load().get(app) {
            counter(counters).fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl AppCounters {
    fn stats(&self, app: &App, start_time: Time) -> AppStats {
        let migrations = app.migration.iter();
        let migrations = migrations.flat_map(|migration| migration.sources().map(move |source| (source, migration)));
        let token = |reason: TokenRejection| (reason.as_str(), read(&self.rejected[reason as usize]));
        let cookie = |reason: flask::CookieRejection| (reason.as_str(), read(&self.rejected_cookies[reason as usize]));
        AppStats {
            start_time,
            opened: read(&self.opened),
            opens: self.calls.opens(),
            saves: self.calls.saves(),
            created: read(&self.created),
            ended: ENDS_BY_CALLS.map(|reason| (reason, read(&self.ended[usize::from(reason as u8)]))).into(),
            rejected: match app.kind {
                Kind::Stored => TokenRejection::ALL.map(token).into(),
                Kind::External => Vec::new(),
                Kind::Cookie(_) => flask::CookieRejection::ALL.map(cookie).into(),
            },
            ambiguous_cookies: read(&self.ambiguous_cookies),
            live_count: *self.live_count.lock(),
            migrations: migrations.map(|(source, migration)| self.migration_stats(source, migration)).collect(),
        }
    }

    fn migration_stats(&self, source: MigrationSource, migration: &Migration) -> MigrationStats {
        let counters = &self.sources[source as usize];
        MigrationStats {
            source,
            until: migration.until,
            imported: read(&counters.imported),
            found: read(&counters.found),
            refused: MigrationRefusal::ALL.map(|reason| (reason, read(&counters.refused[reason as usize]))).into(),
            last_import: Some(read(&counters.last_import)).filter(|millis| *millis > 0).map(Time::from_millis),
        }
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Service {
    /// Returns the statistics of an app. Reads no store. Fails if the app is unknown.
    pub fn stats(&self, app: &str) -> Result<AppStats, Error> {
        let app = self.app(app)?;
        let counters = self.stats.apps.load();
        let counters = counters.get(&app.name).ok_or(Error::AppUnknown)?;
        Ok(counters.stats(&app, self.stats.start_time))
    }

    /// Returns the time from which this process counts.
    pub fn start_time(&self) -> Time {
        self.stats.start_time
    }

    /// Returns the statistics of every app. Reads no store.
    pub fn all_stats(&self) -> Vec<(Arc<ServedApp>, AppStats)> {
        let counters = self.stats.apps.load();
        let stats = |app: &App| Some(counters.get(&app.name)?.stats(app, self.stats.start_time));
        self.apps.all().values().filter_map(|app| Some((Arc::clone(app), stats(app)?))).collect()
    }
}

/// The ends that a call brings about. The others come with time, and no write records them.
const ENDS_BY_CALLS: [EndReason; 4] =
    [EndReason::Destroyed, EndReason::Emptied, EndReason::Revoked, EndReason::Evicted];
