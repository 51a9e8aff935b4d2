//! Connections that hang, forget or close, and servers that are no longer the primary: calls go to new connections.

use std::time::{Duration, Instant};

use cloakroom::grpc::wire::Changes;
use cloakroom::store::{Handle, Redis, RedisSettings};
use tokio::time::sleep;

use super::{TIMEOUT, until};
use crate::support::calls::{ChangesExt as _, open_cookie, save};
use crate::support::environment::number;
use crate::support::proxy::Proxy;
use crate::support::redis::RedisServer;
use crate::support::{TestService, app_settings, long_timeouts};

/// Starts a service whose connections go through a proxy to a Redis of its own.
async fn service_behind_proxy() -> (RedisServer, Proxy, TestService) {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.socket()).await;
    let service = service_on(&proxy.url()).await;
    (redis, proxy, service)
}

pub(super) async fn service_on(url: &str) -> TestService {
    let settings = RedisSettings { url: url.to_owned(), timeout: TIMEOUT, ..Default::default() };
    let store = Handle::from(Redis::new(&settings).unwrap());
    TestService::on_store(store, [("default", app_settings())], long_timeouts()).await
}

/// Uses a session over connections to both workers, until each worker has a connection to Redis.
async fn use_every_worker(service: &TestService, proxy: &Proxy, token: &str) {
    while proxy.accepted() < WORKERS + 1 {
        let mut client = service.another_client().await;
        client.open_session(open_cookie(&format!("session={token}"))).await.unwrap();
    }
}

#[tokio::test]
async fn connections_that_forget_are_replaced_within_three_timeouts() {
    are_replaced_within_three_timeouts(Proxy::forget).await;
}

#[tokio::test]
async fn connections_that_answer_byte_by_byte_are_replaced_within_three_timeouts() {
    are_replaced_within_three_timeouts(Proxy::trickle).await;
}

/// Checks that calls work again in time after the connections that exist were broken.
async fn are_replaced_within_three_timeouts(break_connections: fn(&Proxy)) {
    let (_redis, proxy, service) = service_behind_proxy().await;
    let token = service.stored(&[("a", "1")]).await;
    use_every_worker(&service, &proxy, &token).await;

    break_connections(&proxy);

    let mut clients = Vec::new();
    for _ in 0..2 * WORKERS {
        clients.push(service.another_client().await);
    }
    let begin = Instant::now();
    while begin.elapsed() < 2 * TIMEOUT + TIMEOUT / 2 {
        let _ = service.try_open(open_cookie(&format!("session={token}"))).await;
    }
    for client in &mut clients {
        client.open_session(open_cookie(&format!("session={token}"))).await.unwrap();
    }
    service.save(save(&token, Changes::default().set("a", "2"))).await;
}

#[tokio::test]
async fn idle_connections_that_forget_are_replaced_before_a_call_uses_them() {
    let (_redis, proxy, service) = service_behind_proxy().await;
    let token = service.stored(&[("a", "1")]).await;
    use_every_worker(&service, &proxy, &token).await;
    let before = proxy.accepted();

    proxy.forget();
    until("new connections", async || proxy.accepted() > before + WORKERS).await;

    for _ in 0..2 * WORKERS {
        let mut client = service.another_client().await;
        client.open_session(open_cookie(&format!("session={token}"))).await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_fails_no_call() {
    let (redis, proxy, service) = service_behind_proxy().await;
    let token = service.stored(&[("a", "1")]).await;
    use_every_worker(&service, &proxy, &token).await;
    let mut clients = Vec::new();
    for _ in 0..2 * WORKERS {
        clients.push(service.another_client().await);
    }

    for round in 0..number("CLOAKROOM_TEST_CLIENT_KILLS").unwrap_or(20) {
        let before = proxy.accepted();
        match round % 2 {
            0 => proxy.close(),
            _ => drop(redis.cli(&["client", "kill", "type", "normal"])),
        }
        // Reads need not even wait until the service can know.
        for client in &mut clients {
            client.open_session(open_cookie(&format!("session={token}"))).await.unwrap();
        }
        until("new connections", async || proxy.accepted() > before + WORKERS).await;
        for (number, client) in clients.iter_mut().enumerate() {
            let changes = Changes::default().set("a", &(10 * round + number).to_string());
            client.save_session(save(&token, changes)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_redis_that_closes_idle_connections_fails_no_call() {
    let redis = RedisServer::start();
    let service = service_on(&redis.url()).await;
    redis.cli(&["config", "set", "timeout", "1"]);
    let token = service.stored(&[("a", "1")]).await;

    for round in 0..3 {
        sleep(Duration::from_millis(1_500)).await;
        service.save(save(&token, Changes::default().set("a", &round.to_string()))).await;
    }
}

/// The workers of a test's service.
const WORKERS: usize = 2;
