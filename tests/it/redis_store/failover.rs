//! A replica that becomes the primary, while the old primary hangs, comes back or is demoted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cloakroom::grpc::wire::Changes;
use cloakroom::store::{Acknowledge, Cursor, Redis, RedisSettings, Store as _};
use cloakroom::types::with_causes;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tonic::Code;

use super::connections::service_on;
use super::failovers::rounds;
use super::until;
use crate::conformance::fixtures::{app, create, create_session, record, session_key};
use crate::support::calls::{ChangesExt as _, open_cookie, reason, refused, save};
use crate::support::proxy::Proxy;
use crate::support::redis::RedisServer;
use crate::support::sentinel::{await_replicas, primary_and_replicas};

/// Starts a primary and a replica that has caught up with it.
async fn primary_and_replica() -> (RedisServer, RedisServer) {
    let mut servers = primary_and_replicas(1, "").await.into_iter().map(|server| server.redis);
    let mut next = || servers.next().expect("there are two");
    (next(), next())
}

#[tokio::test]
async fn a_primary_that_hung_and_came_back_takes_no_acknowledged_write_with_it() {
    for _ in 0..rounds() {
        lose_no_acknowledged_write().await;
    }
}

async fn lose_no_acknowledged_write() {
    let (primary, replica) = primary_and_replica().await;
    let proxy = Proxy::start(primary.socket()).await;
    let service = Arc::new(service_on(&proxy.url()).await);
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for _ in 0..16 {
        let (token, mut client) = (service.stored(&[("n", "0")]).await, service.another_client().await);
        let stop = Arc::clone(&stop);
        writers.spawn(async move {
            let (mut acknowledged, mut last_success) = (0, Instant::now());
            for n in 1.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                if client.save_session(save(&token, Changes::default().set("n", &n.to_string()))).await.is_ok() {
                    (acknowledged, last_success) = (n, Instant::now());
                }
            }
            (token, acknowledged, last_success)
        });
    }

    sleep(Duration::from_millis(500)).await;
    primary.signal("-STOP");
    let stopped = Instant::now();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(replica.cli(&["replicaof", "no", "one"]), "OK\n");
    proxy.lead_to(replica.socket());
    sleep(Duration::from_secs(6) - stopped.elapsed()).await;
    primary.signal("-CONT");
    sleep(Duration::from_secs(1)).await;
    stop.store(true, Ordering::Relaxed);

    let writers = writers.join_all().await;
    // What the promoted replica has is what counts, whatever the old primary has.
    proxy.close();
    for (token, acknowledged, last_success) in writers {
        let stored: u64 = service.entries(&token).await["n"].parse().unwrap();
        assert!(stored >= acknowledged, "{acknowledged} was acknowledged, {stored} is stored");
        assert!(last_success > stopped + Duration::from_secs(5), "no save after the failover");
    }
}

#[tokio::test]
async fn workers_that_only_read_leave_a_primary_that_was_demoted() {
    let (primary, replica) = primary_and_replica().await;
    let proxy = Proxy::start(primary.socket()).await;
    let service = service_on(&proxy.url()).await;
    let token = service.stored(&[("a", "1")]).await;
    let mut clients = Vec::new();
    for _ in 0..6 {
        let mut client = service.another_client().await;
        client.open_session(open_cookie(&format!("session={token}"))).await.unwrap();
        clients.push(client);
    }
    let replication = || replica.cli(&["info", "replication"]);
    until("the replica", async || replication().contains("slave_read_repl_offset")).await;

    assert_eq!(replica.cli(&["replicaof", "no", "one"]), "OK\n");
    proxy.lead_to(replica.socket());
    // A port without a Redis: it is cut off, and keeps the data that it has.
    assert_eq!(primary.cli(&["replicaof", "127.0.0.1", "1"]), "OK\n");
    let before = proxy.accepted();
    until("new connections", async || proxy.accepted() > before).await;
    service.destroy(&token).await;

    for client in &mut clients {
        let opened = client.open_session(open_cookie(&format!("session={token}"))).await.unwrap().into_inner();
        assert!(opened.session.unwrap().new, "the end was acknowledged");
    }
}

#[tokio::test]
async fn the_revocation_of_an_app_leaves_a_primary_that_takes_no_writes() {
    let (primary, replica) = primary_and_replica().await;
    let proxy = Proxy::start(primary.socket()).await;
    let settings = RedisSettings { url: proxy.url(), timeout: Duration::from_secs(60), ..Default::default() };
    let store = Redis::new(&settings).unwrap();
    let key = create_session(&store).await;
    await_replicas(&primary, 1).await;

    assert_eq!(replica.cli(&["replicaof", "no", "one"]), "OK\n");
    proxy.lead_to(replica.socket());
    // It goes on to say that it is a primary, so only the answer to the script shows what it is.
    assert_eq!(primary.cli(&["config", "set", "min-replicas-to-write", "1"]), "OK\n");

    // A connection that was opened within the last second is not left yet.
    let revoke = async || store.revoke_app(&key.app, crate::support::now()).await.is_ok();
    until("the revocation", revoke).await;
    let snapshot = store.load(&key).await.unwrap().expect("the replica had it");
    assert!(snapshot.generation > snapshot.record.head.generation, "the new primary has the revocation");
}

#[tokio::test]
async fn a_replica_that_never_had_the_sessions_is_an_outage_and_logs_nobody_out() {
    let (mut primary, empty) = (RedisServer::start(), RedisServer::start());
    let proxy = Proxy::start(primary.socket()).await;
    let service = service_on(&proxy.url()).await;
    let token = service.stored(&[("a", "1")]).await;
    let watch = service.watch(&token).await;

    // It was started again without its data, and its primary is not reached yet. It answers reads as an empty Redis.
    assert_eq!(empty.cli(&["replicaof", "127.0.0.1", "1"]), "OK\n");
    proxy.lead_to(empty.socket());
    primary.stop();

    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(4) {
        match service.try_open(open_cookie(&format!("session={token}"))).await {
            Ok(opened) => assert!(!opened.session.unwrap().new, "a live user is told that there is no session"),
            Err(status) => assert_eq!(reason(&status), (Code::Unavailable, "STORE_UNAVAILABLE".to_owned())),
        }
        let saved = service.try_save(save(&token, Changes::default().set("a", "2"))).await;
        assert_eq!(reason(&refused(saved)), (Code::Unavailable, "STORE_UNAVAILABLE".to_owned()));
    }
    timeout(Duration::from_millis(500), watch.ended()).await.expect_err("the watch goes on");
}

#[tokio::test]
async fn no_scan_takes_a_replica_that_never_had_the_sessions_for_an_empty_store() {
    let empty = RedisServer::start();
    assert_eq!(empty.cli(&["replicaof", "127.0.0.1", "1"]), "OK\n");

    for acknowledge in [Acknowledge::Primary, Acknowledge::Replicas(1)] {
        let store = Redis::new(&RedisSettings { url: empty.url(), acknowledge, ..Default::default() }).unwrap();

        let scanned = store.scan(&app("default"), &Cursor::default(), 100).await;

        // An export scans: it would write an empty file, and say that it has all.
        let problem = with_causes(&scanned.expect_err("nobody knows which sessions there are"));
        let told = "this is a replica, which takes no writes, and has no data of this service";
        assert!(problem.contains(told), "{acknowledge}: {problem}");
    }
}

#[tokio::test]
async fn a_primary_that_became_a_replica_is_read_whatever_acknowledges_its_writes() {
    let redis = RedisServer::start();
    let settings = RedisSettings { url: redis.url(), timeout: Duration::from_secs(5), ..Default::default() };
    let key = create_session(&Redis::new(&settings).unwrap()).await;
    assert_eq!(redis.cli(&["replicaof", "127.0.0.1", "1"]), "OK\n");

    for acknowledge in [Acknowledge::Primary, Acknowledge::Replicas(1)] {
        let store = Redis::new(&RedisSettings { acknowledge, ..settings.clone() }).unwrap();

        let loaded = store.load(&key).await;
        let written = store.revoke_app(&key.app, crate::support::now()).await;

        assert!(matches!(loaded, Ok(Some(_))), "{acknowledge}: {loaded:?}");
        assert!(written.is_err(), "{acknowledge}");
    }
}

/// The buckets of SCAN are in another order at each process.
#[tokio::test]
async fn a_scan_has_every_session_after_a_failover_between_its_pages() {
    let (primary, replica) = primary_and_replica().await;
    let proxy = Proxy::start(primary.socket()).await;
    let settings = RedisSettings { url: proxy.url(), timeout: Duration::from_secs(60), ..Default::default() };
    let store = Redis::new(&settings).unwrap();
    let mut ids = BTreeSet::new();
    for number in 0..300 {
        create(&store, session_key(number), &record()).await;
        ids.insert(session_key(number).id);
    }
    await_replicas(&primary, 1).await;
    let first = store.scan(&app("default"), &Cursor::default(), 100).await.unwrap();

    assert_eq!(replica.cli(&["replicaof", "no", "one"]), "OK\n");
    proxy.lead_to(replica.socket());
    proxy.close();

    let mut found: BTreeSet<_> = first.sessions.into_iter().map(|(id, _)| id).collect();
    let mut next = first.next;
    while let Some(cursor) = next {
        let page = store.scan(&app("default"), &cursor, 100).await.unwrap();
        found.extend(page.sessions.into_iter().map(|(id, _)| id));
        next = page.next;
    }
    assert_eq!(found, ids);
}
