//! Counters that are incremented while something goes wrong: they tell what was lost, and what was done twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use cloakroom::grpc::wire::{Changes, Session};
use tokio::task::JoinSet;

use super::until;
use crate::support::TestService;
use crate::support::calls::{ChangesExt as _, json_entries, open_cookie, save};

/// Increments counters, each in a session of its own, until it is stopped.
pub(super) struct Counters {
    stop: Arc<AtomicBool>,
    progress: Vec<Arc<Progress>>,
    tasks: JoinSet<Counter>,
}

/// How far a counter has come.
#[derive(Default)]
pub(super) struct Progress {
    pub(super) token: String,
    pub(super) partition: u16,
    acknowledged: AtomicI64,
    failed: AtomicI64,
}

impl Progress {
    pub(super) fn acknowledged(&self) -> i64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    pub(super) fn failed(&self) -> i64 {
        self.failed.load(Ordering::Relaxed)
    }
}

/// What happened to one counter.
pub(super) struct Counter {
    pub(super) token: String,
    /// One of 1,024.
    pub(super) partition: u16,
    pub(super) acknowledged: i64,
    pub(super) failed: i64,
    /// The longest time between two increments that succeeded.
    pub(super) gap: Duration,
}

impl Counters {
    pub(super) async fn start(service: &Arc<TestService>, count: usize) -> Self {
        let (stop, mut progress, mut tasks) = (Arc::<AtomicBool>::default(), Vec::new(), JoinSet::new());
        for _ in 0..count {
            let Session { token, id, .. } = create(service).await;
            let partition = partition(&id);
            let state = Arc::new(Progress { token: token.clone(), partition, ..Default::default() });
            progress.push(Arc::clone(&state));
            let (mut client, stop) = (service.another_client().await, Arc::clone(&stop));
            tasks.spawn(async move {
                let (mut gap, mut last) = (Duration::ZERO, Instant::now());
                while !stop.load(Ordering::Relaxed) {
                    let saved = client.save_session(save(&token, Changes::default().increment("n", 1))).await;
                    if saved.is_err() {
                        state.failed.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    state.acknowledged.fetch_add(1, Ordering::Relaxed);
                    gap = gap.max(last.elapsed());
                    last = Instant::now();
                }
                let [acknowledged, failed] = [state.acknowledged(), state.failed()];
                Counter { token, partition, acknowledged, failed, gap }
            });
        }
        Self { stop, progress, tasks }
    }

    /// Waits until each counter of these partitions has been incremented by a call that began after now.
    pub(super) async fn until_incremented(&self, is_meant: impl Fn(u16) -> bool) {
        let meant: Vec<_> = self.progress.iter().filter(|state| is_meant(state.partition)).collect();
        let before: Vec<_> = meant.iter().map(|state| state.acknowledged()).collect();
        // The first may have been under way.
        let is_so = async || meant.iter().zip(&before).all(|(state, before)| state.acknowledged() > before + 1);
        until("increments", is_so).await;
    }

    /// Waits until one more increment succeeds.
    pub(super) async fn until_any_is_incremented(&self) {
        let sum = || self.progress.iter().map(|state| state.acknowledged()).sum::<i64>();
        let before = sum();
        until("an increment", async || sum() > before).await;
    }

    /// Waits until each counter of these partitions has failed.
    pub(super) async fn until_failed(&self, is_meant: impl Fn(u16) -> bool) {
        let all: Vec<_> = self.progress.iter().filter(|state| is_meant(state.partition)).collect();
        assert!(!all.is_empty(), "no counter is in these partitions");
        until("errors", async || all.iter().all(|state| state.failed() > 0)).await;
    }

    /// How far each of them has come.
    pub(super) fn progress(&self) -> &[Arc<Progress>] {
        &self.progress
    }

    pub(super) async fn stop(self) -> Vec<Counter> {
        self.stop.store(true, Ordering::Relaxed);
        self.tasks.join_all().await
    }
}

/// Creates a session with a counter.
///
/// On a busy machine a call may take longer than it is given, so others are tried.
async fn create(service: &TestService) -> Session {
    let mut created = None;
    until("a session", async || {
        let ticket = service.open_new().await.token;
        let saved = service.try_save(save(&ticket, Changes::default().set("n", "0"))).await;
        created = saved.ok().and_then(|saved| saved.session);
        created.is_some()
    })
    .await;
    created.expect("it was waited for")
}

/// The partition of a session, one of 1,024.
pub(super) fn partition(id: &str) -> u16 {
    u16::from_str_radix(&id[..4], 16).expect("an id is in hexadecimal") >> 6
}

/// Checks that no increment failed, was lost or was done twice.
pub(super) async fn check_all_done(service: &TestService, counters: &[Counter]) {
    assert_eq!(counters.iter().map(|counter| counter.failed).sum::<i64>(), 0, "errors");
    assert_eq!(check(service, counters, 0).await, 0);
}

/// Checks that nothing was done twice, and that no counter has lost more than so many increments. Returns how many all
/// of them have lost.
pub(super) async fn check(service: &TestService, counters: &[Counter], most: i64) -> i64 {
    let found = compare(service, counters).await;
    assert!(found.most_lost <= most, "a counter has lost {} increments that were acknowledged", found.most_lost);
    assert_eq!(found.twice, 0, "increments were done twice");
    found.lost
}

/// What is stored, beside what was acknowledged.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// How many increments were acknowledged and are not stored: of all counters, and the most of one.
    pub(super) lost: i64,
    pub(super) most_lost: i64,
    /// How many are stored beyond those that may have been done.
    pub(super) twice: i64,
}

/// Compares what is stored with what was acknowledged.
pub(super) async fn compare(service: &TestService, counters: &[Counter]) -> Found {
    let mut found = Found::default();
    for Counter { token, acknowledged, failed, .. } in counters {
        let mut session = None;
        // A node may still be electing.
        until("the counter", async || {
            session = service.try_open(open_cookie(&format!("session={token}"))).await.ok();
            session.is_some()
        })
        .await;
        let session = session.and_then(|opened| opened.session).expect("no fault ends a session");
        let stored = json_entries(session)["n"].parse::<i64>().unwrap();
        let lost = (acknowledged - stored).max(0);
        found.lost += lost;
        found.most_lost = found.most_lost.max(lost);
        found.twice += (stored - acknowledged - failed).max(0);
    }
    found
}
