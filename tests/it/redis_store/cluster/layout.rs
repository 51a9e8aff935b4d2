//! The layout marker, and settings that do not fit a cluster.

use std::time::Duration;

use cloakroom::grpc::wire::{Changes, Session};
use cloakroom::store::{Error, Handle, PartitionCount, Redis, RedisMode, RedisSettings, Store as _};
use cloakroom::types::with_causes;
use tonic::Code;

use super::{CALM, session_at};
use crate::conformance::fixtures::{create_session, record, session_key};
use crate::redis_store::{TIMEOUT, until};
use crate::support::calls::{ChangesExt as _, open_cookie, save};
use crate::support::cluster::Cluster;
use crate::support::redis::RedisServer;
use crate::support::{TestService, app_settings, cluster, long_timeouts, redis, watches};

/// Waits until the health of a store is bad for such a reason, and returns it.
///
/// One look leaves out a node that is slower than most of the others.
async fn problem(settings: &RedisSettings, is_meant: impl Fn(&str) -> bool) -> String {
    let store = Redis::new(settings).unwrap();
    let mut problem = String::new();
    until("the problem", async || {
        let Err(error) = store.ping().await else { return false };
        problem = with_causes(&error);
        is_meant(&problem)
    })
    .await;
    problem
}

/// Waits until a store can be relied on.
async fn until_healthy(settings: &RedisSettings) {
    let store = Redis::new(settings).unwrap();
    until("a store without a problem", async || store.ping().await.is_ok()).await;
}

#[tokio::test]
async fn another_number_of_partitions_is_refused_and_named() {
    let settings = redis::settings();
    let other = RedisSettings { partitions: Some(PartitionCount::P1024), ..settings.clone() };
    create_session(&Redis::new(&settings).unwrap()).await;

    let problem = problem(&other, |problem| problem.contains("are in 64 partitions")).await;

    assert!(problem.contains("set partitions = 64"), "{problem}");
    let store = Redis::new(&other).unwrap();
    store.load(&session_key(1)).await.expect_err("it would look where the session is not");
    store.revoke_app(&session_key(1).app, crate::support::now()).await.expect_err("it would miss the session");
}

#[tokio::test]
async fn sessions_from_before_the_marker_are_found_by_their_keys() {
    let server = RedisServer::start();
    let settings = RedisSettings { url: server.url(), ..Default::default() };
    create_session(&Redis::new(&settings).unwrap()).await;
    assert_eq!(server.cli(&["del", "cloakroom:layout"]), "1\n");

    let other = RedisSettings { partitions: Some(PartitionCount::P1024), ..settings.clone() };
    problem(&other, |problem| problem.contains("set partitions = 64")).await;
    Redis::new(&settings).unwrap().ping().await.unwrap();
    assert_eq!(server.cli(&["get", "cloakroom:layout"]), "64\n");
}

#[tokio::test]
async fn a_full_redis_without_the_marker_still_ends_sessions() {
    let server = RedisServer::start();
    let settings = RedisSettings { url: server.url(), timeout: Duration::from_secs(60), ..Default::default() };
    let key = create_session(&Redis::new(&settings).unwrap()).await;
    assert_eq!(server.cli(&["del", "cloakroom:layout"]), "1\n");
    assert_eq!(server.cli(&["config", "set", "maxmemory", "1"]), "OK\n");

    let store = Redis::new(&settings).unwrap();
    store.load(&key).await.unwrap().expect("it is stored");
    store.revoke_app(&key.app, crate::support::now()).await.unwrap();

    assert_eq!(server.cli(&["exists", "cloakroom:layout"]), "0\n");
}

#[tokio::test]
async fn a_cluster_may_have_64_partitions() {
    let settings = RedisSettings { partitions: Some(PartitionCount::P64), ..cluster::settings() };
    let store = Redis::new(&settings).unwrap();

    let key = create_session(&store).await;

    store.load(&key).await.unwrap().expect("it is stored");
    store.ping().await.unwrap();
}

#[tokio::test]
async fn a_marker_without_a_number_is_named_and_its_text_is_not_printed() {
    let server = RedisServer::start();
    server.cli(&["set", "cloakroom:layout", "a-secret"]);
    let settings = RedisSettings { url: server.url(), ..Default::default() };

    let problem = problem(&settings, |problem| problem.contains("cloakroom:layout")).await;

    assert!(problem.contains("set it to 64") && !problem.contains("a-secret"), "{problem}");
    server.cli(&["set", "cloakroom:layout", "64"]);
    until_healthy(&settings).await;
}

/// Starts three primaries, the second of which has the marker, and stores a session at each.
async fn start() -> (Cluster, RedisSettings, cloakroom::app::Settings, [Session; 3]) {
    let cluster = Cluster::start(3, 0, CALM);
    let (settings, app) = (RedisSettings { timeout: TIMEOUT, ..cluster.settings() }, app_settings());
    let service = service_on(&settings, &app).await;
    let sessions = [session_at(&service, 0).await, session_at(&service, 1).await, session_at(&service, 2).await];
    assert_eq!(cluster.nodes[1].redis.cli(&["get", MARKER]), "1024\n");
    (cluster, settings, app, sessions)
}

async fn service_on(settings: &RedisSettings, app: &cloakroom::app::Settings) -> TestService {
    let store = Handle::from(Redis::new(settings).unwrap());
    TestService::on_store(store, [("default", app.clone())], long_timeouts()).await
}

/// Opens a session; the code of the error if that fails.
async fn open(service: &TestService, session: &Session) -> Result<(), Code> {
    let opened = service.try_open(open_cookie(&format!("session={}", session.token))).await;
    opened.map(|opened| assert_eq!(opened.session.unwrap().id, session.id)).map_err(|status| status.code())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_starts_while_the_node_of_the_marker_hangs_serves_all_other_nodes() {
    let (cluster, settings, app, [first, there, last]) = start().await;

    cluster.nodes[1].redis.signal("-STOP");
    let service = service_on(&settings, &app).await;
    until("a healthy store", async || service.store.ping().await.is_ok()).await;
    open(&service, &first).await.unwrap();
    service.save(save(&last.token, Changes::default().set("a", "2"))).await;
    assert_eq!(open(&service, &there).await, Err(Code::Unavailable));

    cluster.nodes[1].redis.signal("-CONT");
    until("the node", async || open(&service, &there).await.is_ok()).await;
    service.save(save(&there.token, Changes::default().set("a", "2"))).await;
    assert_eq!(cluster.nodes[1].redis.cli(&["get", MARKER]), "1024\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_the_marker_that_comes_back_with_another_number_is_not_used() {
    let (cluster, settings, _, [first, there, _]) = start().await;
    assert_eq!(cluster.nodes[1].redis.cli(&["set", MARKER, "64"]), "OK\n");

    cluster.nodes[1].redis.signal("-STOP");
    let store = Redis::new(&settings).unwrap();
    until("the sessions of other nodes", async || store.load(&watches::session_key(&first.id)).await.is_ok()).await;
    cluster.nodes[1].redis.signal("-CONT");

    let there = watches::session_key(&there.id);
    until("the marker", async || {
        let refused = store.load(&there).await.expect_err("the marker has another number");
        matches!(refused, Error::Refused(_))
    })
    .await;
    let refused = with_causes(&store.load(&watches::session_key(&first.id)).await.unwrap_err());
    assert!(refused.contains("are in 64 partitions"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_number_of_partitions_is_refused_by_the_sessions_while_the_marker_cannot_be_read() {
    let (cluster, settings, _, _) = start().await;
    let others = || [0, 2].map(|number: usize| cluster.nodes[number].redis.cli(&["dbsize"]));
    let before = others();

    cluster.nodes[1].redis.signal("-STOP");
    let other = RedisSettings { partitions: Some(PartitionCount::P64), ..settings };
    problem(&other, |problem| problem.contains("are in 1024 partitions")).await;
    let store = Redis::new(&other).unwrap();
    for n in 0..3 {
        store.create(&session_key(n), &record()).await.unwrap_err();
    }

    assert_eq!(others(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_sessions_nothing_is_stored_before_the_marker_can_be_read() {
    let cluster = Cluster::start(3, 0, CALM);
    let settings = RedisSettings { timeout: TIMEOUT, ..cluster.settings() };

    cluster.nodes[1].redis.signal("-STOP");
    let store = Redis::new(&settings).unwrap();
    let mut unread = String::new();
    until("the cause", async || {
        let error = store.ping().await.unwrap_err();
        unread = with_causes(&error);
        matches!(error, Error::Unavailable(_)) && unread.contains("cloakroom:layout does not answer")
    })
    .await;
    let node = format!("127.0.0.1:{}", cluster.nodes[1].port);
    assert!(unread.contains(&node), "{unread}");
    for n in 0..3 {
        store.create(&session_key(n), &record()).await.unwrap_err();
    }
    for number in [0, 2] {
        assert_eq!(cluster.nodes[number].redis.keys(), Vec::<String>::new());
    }

    cluster.nodes[1].redis.signal("-CONT");
    until("a healthy store", async || store.ping().await.is_ok()).await;
    assert_eq!(cluster.nodes[1].redis.cli(&["get", MARKER]), "1024\n");
}

#[tokio::test]
async fn a_redis_that_is_no_cluster_says_so() {
    let server = crate::support::sentinel::Server::redis("");
    let url = format!("redis://127.0.0.1:{}", server.port);

    let settings = RedisSettings { mode: RedisMode::Cluster, url, ..Default::default() };
    problem(&settings, |problem| problem.contains("cluster support disabled")).await;
}

#[tokio::test]
async fn each_right_that_a_cluster_needs_besides_is_missed_at_the_start() {
    let cluster = Cluster::start(3, 0, CALM);
    until_healthy(&cluster.settings()).await;

    for (right, command) in [("-asking", "asking"), ("-cluster|slots", "cluster")] {
        for node in &cluster.nodes {
            node.run(&["acl", "setuser", "cloakroom", right]);
        }
        let names = |problem: &str| problem.contains("NOPERM") && problem.to_lowercase().contains(command);
        problem(&cluster.settings(), names).await;
        for node in &cluster.nodes {
            node.run(&["acl", "setuser", "cloakroom", &right.replace('-', "+")]);
        }
        until_healthy(&cluster.settings()).await;
    }
}

#[tokio::test]
async fn a_node_that_evicts_is_refused_by_name() {
    let cluster = Cluster::start(3, 0, CALM);
    let evicting = &cluster.nodes[1];
    evicting.run(&["config", "set", "maxmemory-policy", "allkeys-lru"]);
    evicting.run(&["config", "set", "maxmemory", "1gb"]);

    let problem = problem(&cluster.settings(), |problem| problem.contains("would evict sessions")).await;

    assert!(problem.contains(&format!("127.0.0.1:{}", evicting.port)), "{problem}");
}

const MARKER: &str = "cloakroom:layout";
