//! Meeting: calls that are begun at the same moment, thousands of times. `CLOAKROOM_TEST_RACES` asks for more of them.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;

use crate::support::environment::race_rounds;

/// How often each race is run.
const RACES: u32 = 700;

/// How many of them run at once.
const AT_ONCE: usize = 64;

/// Runs a race many times, each time with what `given` makes for that round.
pub(crate) async fn rounds<T, G, F>(given: impl Fn(u32) -> G, race: impl Fn(T) -> F)
where
    G: Future<Output = T>,
    F: Future<Output = ()> + Send + 'static,
{
    let mut running = JoinSet::new();
    for n in 0..race_rounds(RACES) {
        if running.len() == AT_ONCE {
            running.join_next().await.expect("some are running").expect("the race ends well");
        }
        running.spawn(race(given(n).await));
    }
    running.join_all().await;
}

/// Runs two calls at once, each as a task of its own, from the same moment on.
pub(crate) async fn meet<A, B>(one: A, other: B) -> (A::Output, B::Output)
where
    A: Future<Output: Send> + Send + 'static,
    B: Future<Output: Send> + Send + 'static,
{
    let missing = Arc::new(AtomicUsize::new(2));
    let one = tokio::spawn(arrive(Arc::clone(&missing), one));
    let other = tokio::spawn(arrive(missing, other));
    (one.await.expect("the call ends well"), other.await.expect("the call ends well"))
}

/// Waits awake: a task that has to be woken comes too late to meet anybody.
async fn arrive<F: Future>(missing: Arc<AtomicUsize>, call: F) -> F::Output {
    missing.fetch_sub(1, Ordering::SeqCst);
    while missing.load(Ordering::SeqCst) > 0 {
        tokio::task::yield_now().await;
    }
    call.await
}
