//! The feed while a node is down: the events of all other nodes go on.

use std::sync::Arc;

use cloakroom::grpc::wire::{
    DestroySessionRequest, EndReason, RevokeAppRequest, Session, SessionEventKind, WatchEventsRequest,
    WatchEventsResponse, destroy_session_request,
};
use cloakroom::store::{Cursor, Feed as _, FeedRead, Redis, RedisSettings, SessionKey};
use cloakroom::token::SessionId;
use tonic::{Code, Status, Streaming};

use super::{CALM, service_on, session_at};
use crate::conformance::fixtures::{app, create, record};
use crate::redis_store::{TIMEOUT, until};
use crate::support::TestService;
use crate::support::calls::reason;
use crate::support::cluster::Cluster;
use crate::support::watches::Watch;

/// The events of the app, one at a time.
struct Events {
    stream: Streaming<WatchEventsResponse>,
    unread: Vec<(String, SessionEventKind)>,
}

impl Events {
    /// Begins at the end of the feed.
    async fn start(service: &TestService) -> Self {
        let stream = service.admin.clone().watch_events(WatchEventsRequest::default()).await.unwrap().into_inner();
        let mut events = Self { stream, unread: Vec::new() };
        let first = events.stream.message().await.unwrap().unwrap();
        assert!(first.events.is_empty());
        events
    }

    async fn next(&mut self) -> Result<(String, SessionEventKind), Status> {
        while self.unread.is_empty() {
            let batch = tokio::time::timeout(CALM, self.stream.message()).await.expect("an event within a minute");
            let batch = batch?.expect("the stream goes on");
            self.unread = batch.events.iter().map(|event| (event.id.clone(), event.kind())).collect();
        }
        Ok(self.unread.remove(0))
    }
}

/// Starts a cluster, and a service whose calls of it are short.
async fn start() -> (Cluster, Arc<TestService>) {
    let cluster = Cluster::start(3, 0, CALM);
    let service = service_on(RedisSettings { timeout: TIMEOUT, ..cluster.settings() }).await;
    (cluster, service)
}

async fn destroy(service: &TestService, session: &Session) {
    // A node that was down may not be connected to yet.
    until("the end of the session", async || {
        let credential = Some(destroy_session_request::Credential::Token(session.token.clone()));
        let request = DestroySessionRequest { credential, ..Default::default() };
        service.client.clone().destroy_session(request).await.is_ok()
    })
    .await;
}

/// Ends two sessions, and checks that the events tell it of both, and the watch of the second one.
async fn assert_ends_are_told(
    service: &TestService,
    (events, first): (&mut Events, Session),
    (watch, second): (Watch, Session),
) {
    destroy(service, &first).await;
    assert_eq!(events.next().await.unwrap(), (first.id, SessionEventKind::Ended));
    destroy(service, &second).await;
    assert_eq!(watch.ended().await, EndReason::Destroyed);
    assert_eq!(events.next().await.unwrap(), (second.id, SessionEventKind::Ended));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_all_other_nodes_go_on_while_one_hangs_and_its_own_follow() {
    let (cluster, service) = start().await;
    let (there, elsewhere) = (session_at(&service, 0).await, session_at(&service, 1).await);
    let watched = session_at(&service, 2).await;
    let mut events = Events::start(&service).await;
    let watch = service.watch(&watched.token).await;

    cluster.nodes[0].redis.signal("-STOP");
    assert_ends_are_told(&service, (&mut events, elsewhere), (watch, watched)).await;

    cluster.nodes[0].redis.signal("-CONT");
    destroy(&service, &there).await;
    assert_eq!(events.next().await.unwrap(), (there.id, SessionEventKind::Ended));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_do_not_wait_for_the_answer_of_a_node_that_hangs() {
    let cluster = Cluster::start(3, 0, CALM);
    // An event is waited for less long.
    let service = service_on(RedisSettings { timeout: 10 * CALM, ..cluster.settings() }).await;
    let (there, elsewhere) = (session_at(&service, 0).await, session_at(&service, 1).await);
    let watched = session_at(&service, 2).await;
    let (first, before) = (session_at(&service, 0).await, session_at(&service, 1).await);
    let mut events = Events::start(&service).await;
    let watch = service.watch(&watched.token).await;
    // Watches know the end of the feed when this one has ended.
    let watch_before = service.watch(&before.token).await;
    assert_ends_are_told(&service, (&mut events, first), (watch_before, before)).await;

    cluster.nodes[0].redis.signal("-STOP");
    assert_ends_are_told(&service, (&mut events, elsewhere), (watch, watched)).await;

    cluster.nodes[0].redis.signal("-CONT");
    destroy(&service, &there).await;
    assert_eq!(events.next().await.unwrap(), (there.id, SessionEventKind::Ended));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_end_while_many_others_wait_for_a_node_that_hangs() {
    let cluster = Cluster::start(3, 0, CALM);
    // An end is waited for less long.
    let service = service_on(RedisSettings { timeout: 10 * CALM, ..cluster.settings() }).await;
    let (mut there, mut elsewhere) = (Vec::new(), Vec::new());
    for (watches, count, primary) in [(&mut there, WAITING_WATCHES, 0), (&mut elsewhere, 3, 1)] {
        for _ in 0..count {
            watches.push(service.watch(&session_at(&service, primary).await.token).await);
        }
    }
    let before = session_at(&service, 2).await;
    let watch_before = service.watch(&before.token).await;
    destroy(&service, &before).await;
    // Watches know the end of the feed when this one has ended.
    assert_eq!(watch_before.ended().await, EndReason::Destroyed);

    cluster.nodes[0].redis.signal("-STOP");
    let mut admin = service.admin.clone();
    let revoke = tokio::spawn(async move { admin.revoke_app(RevokeAppRequest::default()).await });
    for watch in elsewhere {
        assert_eq!(watch.ended().await, EndReason::Revoked);
    }

    cluster.nodes[0].redis.signal("-CONT");
    revoke.await.unwrap().unwrap();
    for watch in there {
        assert_eq!(watch.ended().await, EndReason::Revoked);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_begin_while_a_node_hangs_are_those_of_all_others_until_it_answers() {
    let (cluster, service) = start().await;
    let (elsewhere, watched) = (session_at(&service, 1).await, session_at(&service, 2).await);

    cluster.nodes[0].redis.signal("-STOP");
    let mut events = Events::start(&service).await;
    let watch = service.watch(&watched.token).await;
    assert_ends_are_told(&service, (&mut events, elsewhere), (watch, watched)).await;

    cluster.nodes[0].redis.signal("-CONT");
    let missed = events.next().await.unwrap_err();
    assert_eq!(reason(&missed), (Code::Aborted, "EVENTS_MISSED".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_back_without_its_data_has_missed_events() {
    let (mut cluster, service) = start().await;
    let elsewhere = session_at(&service, 1).await;
    session_at(&service, 0).await;
    let mut events = Events::start(&service).await;

    let redis = &mut cluster.nodes[0].redis;
    redis.signal("-KILL");
    redis.stop();
    destroy(&service, &elsewhere).await;
    assert_eq!(events.next().await.unwrap(), (elsewhere.id, SessionEventKind::Ended));

    cluster.nodes[0].restart();
    let missed = events.next().await.unwrap_err();
    assert_eq!(reason(&missed), (Code::Aborted, "EVENTS_MISSED".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_back_with_other_events_in_the_same_number_has_missed_some() {
    let cluster = Cluster::start(3, 0, CALM);
    let store = Redis::new(&RedisSettings { timeout: TIMEOUT, ..cluster.settings() }).unwrap();
    let session_key = SessionKey { app: app("default"), id: SessionId::from_bytes([0; 16]) };
    create(&store, session_key.clone(), &record()).await;
    let end = store.feed_end(&app("default")).await.unwrap();
    let node = &cluster.nodes[0];

    // The same node with the same events.
    node.redis.signal("-STOP");
    let unchecked = read(&store, &end).await;
    assert_ne!(unchecked, end);
    node.redis.signal("-CONT");
    until("the node", async || read(&store, &unchecked).await == end).await;

    // A node whose last event is another one, as after a failover that has lost one.
    let feed = "cloakroom:{460}:default:feed";
    let entry = node.redis.cli(&["--raw", "xrevrange", feed, "+", "-"]);
    let [id, _, number, ..] = entry.lines().collect::<Vec<_>>()[..] else { panic!("an entry is missing: {entry}") };
    let copy = "local entry = redis.call('XREVRANGE', KEYS[1], '+', '-')[1][2][4] \
                redis.call('XDEL', KEYS[1], ARGV[1]) \
                return redis.call('XADD', KEYS[1], '*', 'n', ARGV[2], 'e', entry)";
    node.redis.cli(&["eval", copy, "1", feed, id, number]);
    assert_eq!(store.read_feed(&app("default"), &unchecked).await.unwrap(), FeedRead::CursorExpired);
}

/// Reads the feed, where nothing is new. Returns the cursor.
async fn read(store: &Redis, cursor: &Cursor) -> Cursor {
    match store.read_feed(&app("default"), cursor).await.unwrap() {
        FeedRead::Entries(entries, next) => {
            assert_eq!(entries, []);
            next
        }
        FeedRead::CursorExpired => panic!("no event is missing"),
    }
}

/// More watches than load their sessions at once.
const WAITING_WATCHES: usize = 40;
