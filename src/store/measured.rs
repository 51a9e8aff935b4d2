//! A store that is watched at work: how long each verb takes, and how it fails.
//!
//! Changes nothing of what goes through it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use super::{
    Applied, Created, Cursor, Entry, Error, Feed, Index, Kept, Owner, Page, Place, Revocation, Since, Store, Touch,
    Write,
};
use crate::app::AppName;
use crate::clock::Time;
use crate::session::{Guard, Record};
use crate::telemetry::metrics::{Histogram, Striped, Times};
use crate::token::Id;

/// Hands every verb on to the store underneath.
#[derive(Debug)]
pub struct Measured<S> {
    store: Arc<S>,
    work: Arc<Work>,
}

/// What a store has done since the start, verb by verb.
#[derive(Debug)]
pub struct Work(Striped<[Tally; VERBS.len()]>);

#[derive(Debug, Default)]
struct Tally {
    times: Histogram,
    /// By the place of the failure in [`Failure::ALL`].
    failures: [AtomicU64; Failure::ALL.len()],
}

/// How a verb fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The store did not answer.
    Unavailable,
    /// It has no room.
    Full,
    /// What it keeps is no session.
    Corrupt,
    /// The caller waited no longer.
    Abandoned,
}

/// What was seen of one verb.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its name.
    pub verb: &'static str,
    /// How long it took, however it ended.
    pub times: Times,
    /// How often it failed, by every way to fail.
    pub failures: [(Failure, u64); Failure::ALL.len()],
}

impl<S> Measured<S> {
    /// Watches a store.
    pub fn new(store: Arc<S>) -> Self {
        Self { store, work: Arc::new(Work(Striped::default())) }
    }

    /// What it has done; goes on counting.
    pub fn work(&self) -> Arc<Work> {
        Arc::clone(&self.work)
    }

    /// The answer, counted.
    async fn watch<T>(&self, verb: Verb, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let watch = Watch { work: &self.work, verb, begin: Instant::now(), failure: Some(Failure::Abandoned) };
        let answer = answer.await;
        watch.end(answer.as_ref().err());
        answer
    }
}

impl Work {
    /// What was seen of every verb.
    pub fn seen(&self) -> impl Iterator<Item = Seen> {
        VERBS.iter().enumerate().map(|(number, (_, verb))| Seen {
            verb,
            times: Histogram::read(&self.0, |tallies| &tallies[number].times),
            failures: Failure::ALL.map(|failure| {
                let read =
                    |tallies: &[Tally; VERBS.len()]| tallies[number].failures[failure as usize].load(Ordering::Relaxed);
                (failure, self.0.sum(read))
            }),
        })
    }
}

impl Failure {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Unavailable, Self::Full, Self::Corrupt, Self::Abandoned];

    /// The failure in one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "UNAVAILABLE",
            Self::Full => "FULL",
            Self::Corrupt => "CORRUPT",
            Self::Abandoned => "ABANDONED",
        }
    }

    const fn of(error: &Error) -> Self {
        match error {
            Error::Unavailable(_) => Self::Unavailable,
            Error::Full(_) => Self::Full,
            Error::Corrupt => Self::Corrupt,
        }
    }
}

/// A verb that runs; one that is dropped before its end was abandoned.
struct Watch<'w> {
    work: &'w Work,
    verb: Verb,
    begin: Instant,
    failure: Option<Failure>,
}

impl Watch<'_> {
    fn end(mut self, error: Option<&Error>) {
        self.failure = error.map(Failure::of);
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let tally = &self.work.0.mine()[self.verb as usize];
        tally.times.observe(self.begin.elapsed());
        if let Some(failure) = self.failure {
            tally.failures[failure as usize].fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What can be asked of a store.
#[derive(Clone, Copy, Debug)]
enum Verb {
    Load,
    Create,
    Apply,
    Touch,
    RevokeApp,
    Scan,
    Sweep,
    Ping,
    Enter,
    Leave,
    Forget,
    Entries,
    Revoke,
    Revocation,
    Latest,
    Since,
}

/// All of them in their order, and their names.
const VERBS: [(Verb, &str); 16] = [
    (Verb::Load, "load"),
    (Verb::Create, "create"),
    (Verb::Apply, "apply"),
    (Verb::Touch, "touch"),
    (Verb::RevokeApp, "revoke_app"),
    (Verb::Scan, "scan"),
    (Verb::Sweep, "sweep"),
    (Verb::Ping, "ping"),
    (Verb::Enter, "enter"),
    (Verb::Leave, "leave"),
    (Verb::Forget, "forget"),
    (Verb::Entries, "entries"),
    (Verb::Revoke, "revoke"),
    (Verb::Revocation, "revocation"),
    (Verb::Latest, "latest"),
    (Verb::Since, "since"),
];

impl<S: Store> Store for Measured<S> {
    async fn load(&self, place: &Place) -> Result<Option<Kept>, Error> {
        self.watch(Verb::Load, self.store.load(place)).await
    }

    async fn create(&self, place: &Place, record: &Record) -> Result<Created, Error> {
        self.watch(Verb::Create, self.store.create(place, record)).await
    }

    async fn apply(&self, place: &Place, guard: &Guard, write: &Write) -> Result<Applied, Error> {
        self.watch(Verb::Apply, self.store.apply(place, guard, write)).await
    }

    async fn touch(&self, place: &Place, touch: &Touch) -> Result<(), Error> {
        self.watch(Verb::Touch, self.store.touch(place, touch)).await
    }

    async fn revoke_app(&self, app: &AppName, now: Time) -> Result<(), Error> {
        self.watch(Verb::RevokeApp, self.store.revoke_app(app, now)).await
    }

    async fn scan(&self, app: &AppName, from: &Cursor, limit: usize) -> Result<Page, Error> {
        self.watch(Verb::Scan, self.store.scan(app, from, limit)).await
    }

    async fn sweep(&self, now: Time) -> Result<usize, Error> {
        self.watch(Verb::Sweep, self.store.sweep(now)).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.watch(Verb::Ping, self.store.ping()).await
    }
}

impl<S: Store> Index for Measured<S> {
    async fn enter(&self, owner: &Owner, entry: &Entry) -> Result<Vec<Entry>, Error> {
        self.watch(Verb::Enter, self.store.enter(owner, entry)).await
    }

    async fn leave(&self, owner: &Owner, entry: &Entry) -> Result<(), Error> {
        self.watch(Verb::Leave, self.store.leave(owner, entry)).await
    }

    async fn forget(&self, owner: &Owner, id: Id) -> Result<(), Error> {
        self.watch(Verb::Forget, self.store.forget(owner, id)).await
    }

    async fn entries(&self, owner: &Owner) -> Result<Vec<Entry>, Error> {
        self.watch(Verb::Entries, self.store.entries(owner)).await
    }

    async fn revoke(&self, owner: &Owner, revocation: &Revocation) -> Result<(), Error> {
        self.watch(Verb::Revoke, self.store.revoke(owner, revocation)).await
    }

    async fn revocation(&self, owner: &Owner) -> Result<Option<Revocation>, Error> {
        self.watch(Verb::Revocation, self.store.revocation(owner)).await
    }
}

impl<S: Store> Feed for Measured<S> {
    async fn latest(&self, app: &AppName) -> Result<Cursor, Error> {
        self.watch(Verb::Latest, self.store.latest(app)).await
    }

    async fn since(&self, app: &AppName, cursor: &Cursor) -> Result<Since, Error> {
        self.watch(Verb::Since, self.store.since(app, cursor)).await
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use super::*;
    use crate::store::Memory;

    #[test]
    fn every_verb_stands_where_its_tally_is() {
        for (number, (verb, _)) in VERBS.iter().enumerate() {
            assert_eq!(*verb as usize, number, "{verb:?}");
        }
        for (number, failure) in Failure::ALL.iter().enumerate() {
            assert_eq!(*failure as usize, number, "{failure:?}");
        }
    }

    #[tokio::test]
    async fn answers_failures_and_what_nobody_waits_for_are_told_apart() {
        let store = Measured::new(Arc::new(Memory::new()));

        store.ping().await.unwrap();
        let failed = store.watch(Verb::Ping, async { Err::<(), _>(Error::Corrupt) }).await;
        let hangs = store.watch(Verb::Ping, pending::<Result<(), Error>>());
        let gave_up = tokio::time::timeout(Duration::from_millis(1), hangs).await;

        assert!(failed.is_err() && gave_up.is_err());
        let seen = store.work().seen().find(|seen| seen.verb == "ping").unwrap();
        assert_eq!(seen.times.count, 3);
        let failures = seen.failures.map(|(failure, count)| (failure.as_str(), count));
        assert_eq!(failures, [("UNAVAILABLE", 0), ("FULL", 0), ("CORRUPT", 1), ("ABANDONED", 1)]);
    }
}
