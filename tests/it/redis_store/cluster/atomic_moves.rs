//! Slots that Valkey moves in one step, while sessions are used in every way.

use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cloakroom::store::RedisSettings;
use tokio::task::block_in_place;

use super::{CALM, service_on};
use crate::redis_store::counters::{Counters, check_all_done};
use crate::redis_store::until;
use crate::support::TestService;
use crate::support::cluster::Cluster;
use crate::support::environment::number;

/// Creates sessions, logs in, opens and destroys them until it is told to stop. Each call has to succeed.
async fn live(service: Arc<TestService>, stop: Arc<AtomicBool>, lives: Arc<AtomicU64>) {
    while !stop.load(Ordering::Relaxed) {
        let anonymous = service.stored(&[("a", "1")]).await;
        let token = service.log_in(&anonymous, "anna").await;
        assert!(service.is_live(&token).await);
        service.destroy(&token).await;
        assert!(!service.is_live(&token).await);
        lives.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "only Valkey can do it; `make test-valkey` runs it"]
async fn slots_that_are_moved_in_one_step_fail_no_call_and_lose_no_session() {
    let cluster = Cluster::start(3, 0, CALM);
    let service = service_on(RedisSettings { timeout: Duration::from_secs(60), ..cluster.settings() }).await;
    let mut tokens = Vec::new();
    for n in 0..number("CLOAKROOM_TEST_MOVED_SESSIONS").unwrap_or(3_000) {
        tokens.push(service.stored(&[("n", &i32::to_string(&n))]).await);
    }
    let counters = Counters::start(&service, WRITERS).await;
    let (stop, lives) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let living = tokio::spawn(live(Arc::clone(&service), Arc::clone(&stop), Arc::clone(&lives)));

    // From the first node to the second one, and then to and fro between that and the third one.
    let nodes = iter::once(0).chain([1, 2].into_iter().cycle()).map(|number| &cluster.nodes[number]);
    let moves = nodes.clone().zip(nodes.skip(1));
    for (from, to) in moves.take(number("CLOAKROOM_TEST_SLOT_MOVES").unwrap_or(MOVES)) {
        let before = lives.load(Ordering::Relaxed);
        block_in_place(|| cluster.move_slots_at_once(FIRST_THIRD, from, to));
        counters.until_incremented(|_| true).await;
        until("lives", async || lives.load(Ordering::Relaxed) > before + 1 || living.is_finished()).await;
    }
    stop.store(true, Ordering::Relaxed);

    living.await.unwrap();
    check_all_done(&service, &counters.stop().await).await;
    for (n, token) in tokens.iter().enumerate() {
        assert_eq!(service.entries(token).await["n"], n.to_string());
    }
}

/// What the first of three nodes has at first.
const FIRST_THIRD: [&str; 2] = ["0", "5460"];

const WRITERS: usize = 32;

/// How often they move; `CLOAKROOM_TEST_SLOT_MOVES` sets it.
const MOVES: usize = 3;
