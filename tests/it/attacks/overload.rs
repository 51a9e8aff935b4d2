//! More load than the service can bear: it does as much as before, and fails nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cloakroom::grpc::wire::session_service_client::SessionServiceClient;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tonic::transport::Channel;

use super::scene::{CONFIG, MIB, MOST_GROWTH, memory, stored};
use crate::process::child::Process;
use crate::support::calls::open_cookie;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_times_the_load_lowers_the_rate_by_a_fifth_at_most() {
    let process = Process::start(CONFIG, &[], &[]).await;
    let cookie = stored(&process, 100).await;
    let clients: Vec<_> = (0..4).map(|_| process.client()).collect();
    calls_with(&clients, &cookie, FULL_LOAD).await;
    let memory_before = memory(&process).await;

    let mut shares = Vec::new();
    for _ in 0..5 {
        let full = calls_with(&clients, &cookie, FULL_LOAD).await;
        shares.push(calls_with(&clients, &cookie, 5 * FULL_LOAD).await as f64 / full as f64);
    }

    shares.sort_unstable_by(f64::total_cmp);
    assert!(shares[2] >= 0.8, "{shares:?}");
    let grown = (memory(&process).await - memory_before) / MIB;
    assert!(grown <= MOST_GROWTH, "{grown} MiB more");
}

/// Returns how many calls so many callers make within a while. Panics if one fails.
async fn calls_with(clients: &[SessionServiceClient<Channel>], cookie: &str, callers: usize) -> u64 {
    let (end, calls) = (Instant::now() + Duration::from_millis(500), Arc::new(AtomicU64::new(0)));
    let mut running = JoinSet::new();
    for number in 0..callers {
        let (mut client, calls, cookie) =
            (clients[number % clients.len()].clone(), Arc::clone(&calls), cookie.to_owned());
        running.spawn(async move {
            while Instant::now() < end {
                client.open_session(open_cookie(&cookie)).await.unwrap();
                calls.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    sleep_until(end).await;
    let count = calls.load(Ordering::Relaxed);
    running.join_all().await;
    count
}

/// The callers at once that use all of the service.
const FULL_LOAD: usize = 40;
