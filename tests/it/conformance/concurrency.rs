//! Calls that start at the same moment, in many rounds. `CLOAKROOM_TEST_RACES` sets how many.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;

use crate::support::environment::race_rounds;

/// Rounds of each race on each store.
const ROUNDS: u32 = 350;

/// Rounds that run one after another, on one app.
pub(crate) const ROUNDS_IN_SERIES: u32 = 40;

/// Rounds that run at the same time.
const PARALLEL_ROUNDS: usize = 64;

/// Runs a race in many rounds, each with what `set_up` makes for it.
pub(crate) async fn run_rounds<T, G, F>(set_up: impl Fn(u32) -> G, race: impl Fn(T) -> F)
where
    G: Future<Output = T>,
    F: Future<Output = ()> + Send + 'static,
{
    let mut running = JoinSet::new();
    for n in 0..race_rounds(ROUNDS) {
        if running.len() == PARALLEL_ROUNDS {
            running.join_next().await.expect("some rounds are running").expect("the round passes");
        }
        running.spawn(race(set_up(n).await));
    }
    running.join_all().await;
}

/// Runs two calls at once, each as a task that starts when both are ready.
pub(crate) async fn at_once<A, B>(one: A, other: B) -> (A::Output, B::Output)
where
    A: Future<Output: Send> + Send + 'static,
    B: Future<Output: Send> + Send + 'static,
{
    let missing = Arc::new(AtomicUsize::new(2));
    let one = tokio::spawn(start_together(Arc::clone(&missing), one));
    let other = tokio::spawn(start_together(missing, other));
    (one.await.expect("the call does not panic"), other.await.expect("the call does not panic"))
}

// Yields in a loop: a task that has to be woken would start too late for a race.
async fn start_together<F: Future>(missing: Arc<AtomicUsize>, call: F) -> F::Output {
    missing.fetch_sub(1, Ordering::SeqCst);
    while missing.load(Ordering::SeqCst) > 0 {
        tokio::task::yield_now().await;
    }
    call.await
}
