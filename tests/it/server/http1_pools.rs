//! Pools of connections by HTTP/1.1: a client that keeps its connections never meets a closed one.
//!
//! A day is made short: a second is a millisecond, in the settings and in the pauses of the clients. So a delay of the
//! machine weighs a thousand times as much as it does in earnest. `CLOAKROOM_TEST_POOL_HOURS` sets how many of these
//! hours the test lasts.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use cloakroom::server::Settings;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::support::raw_http1::{RawHttp1, request};
use super::support::test_server::{TestServer, settings};
use crate::support::environment::number;

#[tokio::test]
async fn a_call_now_and_then_never_meets_a_closed_connection() {
    let defaults = settings();
    let settings = Settings {
        first_request_timeout: short(defaults.first_request_timeout),
        idle_timeout: short(defaults.idle_timeout),
        max_connection_age: short(defaults.max_connection_age),
        ..defaults
    };
    let server = TestServer::start(&settings).await;
    let length = short(Duration::from_secs(3600 * number("CLOAKROOM_TEST_POOL_HOURS").unwrap_or(2)));
    let mut clients = JoinSet::new();

    for pause in [9, 10, 11, 20, 30, 40, 59, 61, 70] {
        let pause = short(Duration::from_secs(pause));
        clients.spawn(call_regularly(server.address(), pause, settings.idle_timeout, length));
    }
    let last_answers: u32 = clients.join_all().await.into_iter().sum();

    assert!(last_answers > 0, "no connection got old");
}

/// Calls with this pause until the time is over. Returns how many answers said that their connection ends.
async fn call_regularly(address: SocketAddr, pause: Duration, idle_timeout: Duration, length: Duration) -> u32 {
    let (begin, mut last_answers, mut connection) = (Instant::now(), 0, None);
    while begin.elapsed() < length {
        let (mut raw, since): (RawHttp1, _) = match connection.take() {
            Some(idle) => idle,
            None => (RawHttp1::connect(address).await, Instant::now()),
        };
        // As every pool does. Only a machine that stands still makes it necessary here.
        if since.elapsed() > idle_timeout / 2 {
            continue;
        }
        let answer = raw.exchange(request("Echo", "").as_bytes()).await;
        let answer = answer.unwrap_or_else(|| panic!("a call failed after {:?}", since.elapsed()));
        assert_eq!(answer.status, 200, "{answer:?}");
        if answer.is_last() {
            last_answers += 1;
        } else {
            connection = Some((raw, Instant::now()));
        }
        sleep(pause).await;
    }
    last_answers
}

/// Makes a second a millisecond.
fn short(time: Duration) -> Duration {
    time / 1000
}
