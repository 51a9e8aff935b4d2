//! `acknowledge`: writes that wait for replicas or for the disk.

use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloakroom::app::{self, FlaskCookieSettings, MigrationSettings};
use cloakroom::grpc::wire::{
    Changes, DestroySessionRequest, EndReason, Outcome, RevokeAppRequest, RevokeSubjectRequest, SaveSessionRequest,
    destroy_session_request::Credential,
};
use cloakroom::store::{
    self, Acknowledge, Error, Handle, Redis, RedisSettings, SessionKey, SideSettings, Store as _, StoreKind,
};
use cloakroom::types::with_causes;
use futures_util::future::join;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use super::failovers::rounds;
use super::sentinel::{Writers, until_saved};
use super::until;
use crate::conformance::fixtures::{
    START, by_token, create, create_session, record, save as save_entry, session_key, set,
};
use crate::conformance::{embedded_settings, open_moving};
use crate::support::calls::{ChangesExt as _, open_cookie, reason, refused, save};
use crate::support::proxy::Proxy;
use crate::support::redis::documented_rights;
use crate::support::sentinel::{SentinelService, Server, primary_and_replicas};
use crate::support::{TestService, app_settings, long_timeouts};

fn settings(primary: &Server, acknowledge: Acknowledge) -> RedisSettings {
    RedisSettings { url: primary.redis.url(), acknowledge, ..Default::default() }
}

/// Starts a service on this Redis. Its writes wait long enough for a busy machine, and short enough to fail often.
pub(super) async fn service_on(settings: RedisSettings) -> TestService {
    start(RedisSettings { timeout: TIMEOUT, ..settings }).await
}

/// As `service_on()`, with time for everything that has to happen while a write waits.
async fn service_with_long_timeouts(settings: RedisSettings) -> TestService {
    start(RedisSettings { timeout: 10 * TIMEOUT, ..settings }).await
}

async fn start(settings: RedisSettings) -> TestService {
    TestService::on_store(Redis::new(&settings).unwrap().into(), [("default", app_settings())], long_timeouts()).await
}

/// Starts a primary with so many replicas, and a service whose writes wait for so many of them.
async fn service(replicas: usize, needed: u8) -> (Vec<Server>, TestService) {
    let servers = primary_and_replicas(replicas, "").await;
    let service = service_on(settings(&servers[0], Acknowledge::Replicas(needed))).await;
    (servers, service)
}

fn counting(token: &str) -> SaveSessionRequest {
    let request_id = "0123456789abcdef".to_owned();
    SaveSessionRequest { request_id, ..save(token, Changes::default().increment("n", 1)) }
}

pub(super) fn destroy(token: &str) -> DestroySessionRequest {
    DestroySessionRequest { credential: Some(Credential::Token(token.to_owned())), ..Default::default() }
}

fn assert_unavailable<T>(answer: Result<T, Status>) {
    assert_eq!(reason(&refused(answer)), (Code::Unavailable, "STORE_UNAVAILABLE".to_owned()));
}

/// How often a Redis was asked to wait: each wait comes after a write of its own. INFO commandstats counts only those
/// that did not have to wait.
fn waits(server: &Server) -> u64 {
    server.redis.cli(&["hget", "cloakroom:waited", "n"]).trim().parse().unwrap_or(0)
}

/// Closes the connections that wait now. Returns whether there were any.
fn end_waits(server: &Server) -> bool {
    let clients = server.redis.cli(&["client", "list"]);
    let mut waits = clients.lines().filter(|line| line.contains(" flags=b"));
    waits.any(|line| {
        let id = line.strip_prefix("id=").and_then(|line| line.split(' ').next()).unwrap();
        server.redis.cli(&["client", "kill", "id", id]).trim() == "1"
    })
}

#[tokio::test]
async fn a_wait_that_redis_refuses_says_that_the_write_is_done() {
    let servers = primary_and_replicas(1, "").await;
    let store = Redis::new(&settings(&servers[0], Acknowledge::Replicas(1))).unwrap();
    let key = create_session(&store).await;
    store.revoke_app(&key.app, START).await.unwrap();

    assert_eq!(servers[0].redis.cli(&["acl", "setuser", "default", "-wait"]), "OK\n");
    let revoked = store.revoke_app(&key.app, START).await.expect_err("nobody has acknowledged it");
    let saved = store.apply(&key, &by_token(1, START), &save_entry(set("a", "2"))).await;

    let saved = saved.expect_err("nobody has acknowledged it");
    assert!(matches!(revoked, Error::NotAcknowledged { applied: None, .. }), "{revoked:?}");
    assert!(matches!(saved, Error::Unavailable(_)), "{saved:?}");
    for error in [revoked, saved] {
        let problem = with_causes(&error);
        assert!(problem.contains("the write is done, but "), "{problem}");
    }
    let snapshot = store.load(&key).await.unwrap().expect("it is there");
    assert!(snapshot.generation.0 >= 2, "both revocations are done");
}

#[tokio::test]
async fn a_short_timeout_leaves_the_time_to_say_how_many_replicas_have_acknowledged() {
    let servers = primary_and_replicas(1, "").await;
    let short = Duration::from_millis(400);
    let settings = RedisSettings { timeout: short, ..settings(&servers[0], Acknowledge::Replicas(1)) };
    let store = Redis::new(&settings).unwrap();
    until("a session", async || store.create(&session_key(1), &record()).await.is_ok()).await;
    let key = session_key(1);

    servers[1].redis.signal("-STOP");
    let mut problems = Vec::new();
    for number in 0..20 {
        let saved = store.apply(&key, &by_token(1, START), &save_entry(set("a", &number.to_string()))).await;
        problems.push(with_causes(&saved.expect_err("nobody has acknowledged it")));
    }

    // An idle Redis notices the end of a wait only by its timer. A busy machine may be late now and then.
    let told = problems.iter().filter(|problem| problem.contains("0 of 1 replicas have acknowledged it")).count();
    assert!(told >= 15, "{problems:#?}");
}

#[tokio::test]
async fn a_write_without_its_replica_is_unavailable_and_can_be_repeated() {
    let (servers, service) = service(1, 1).await;
    let token = service.stored(&[("a", "1")]).await;
    let [destroyed, anna] = [service.stored(&[("a", "1")]).await, service.logged_in("anna").await.token];
    let new = service.open_new().await.token;

    servers[1].redis.signal("-STOP");
    let begin = Instant::now();
    for _ in 0..2 {
        let saves = join(service.try_save(counting(&token)), service.try_save(counting(&new)));
        let ((saved, new_saved), ended) = join(saves, service.try_destroy(destroy(&destroyed))).await;
        assert_unavailable(saved);
        assert_unavailable(new_saved);
        assert_unavailable(ended);
    }
    assert!(begin.elapsed() < 12 * TIMEOUT, "the six of them took {:?}", begin.elapsed());
    let mut admin = service.admin.clone();
    let subject = RevokeSubjectRequest { subject: "anna".to_owned(), ..Default::default() };
    assert_unavailable(admin.revoke_subject(subject.clone()).await);
    let opened = service.try_open(open_cookie(&format!("session={token}"))).await.unwrap();
    assert!(!opened.session.unwrap().new, "opens go on");

    servers[1].redis.signal("-CONT");
    for token in [&token, &new] {
        until("an acknowledged save", async || service.try_save(counting(token)).await.is_ok()).await;
        let repeated = service.save(counting(token)).await;
        let stored = service.entries(&repeated.session.unwrap().token).await;
        assert_eq!((repeated.counters["n"], &*stored["n"]), (1, "1"));
    }
    let ended = service.destroy(&destroyed).await;
    assert!(matches!(ended.outcome(), Outcome::Gone));
    admin.revoke_subject(subject).await.unwrap();
    assert!(!service.is_live(&anna).await);

    servers[1].redis.signal("-STOP");
    assert_unavailable(admin.revoke_app(RevokeAppRequest::default()).await);
    servers[1].redis.signal("-CONT");
    until("an acknowledged revocation", async || admin.revoke_app(RevokeAppRequest::default()).await.is_ok()).await;
    assert!(!service.is_live(&token).await);
}

#[tokio::test]
async fn what_is_ended_but_not_acknowledged_is_in_the_audit_log_once() {
    let (servers, service) = service(1, 1).await;
    let service = service.another_process_with_audit_log().await;
    let anna = service.logged_in("anna").await;
    let mut admin = service.admin.clone();

    servers[1].redis.signal("-STOP");
    assert_unavailable(service.try_destroy(destroy(&anna.token)).await);
    // After a failover it may live again.
    let index = servers[0].redis.keys().into_iter().find(|key| key.ends_with(":subject")).expect("it is in the index");
    assert_eq!(servers[0].redis.cli(&["hlen", &index]), "1\n");
    assert_unavailable(admin.revoke_app(RevokeAppRequest::default()).await);
    servers[1].redis.signal("-CONT");
    until("an acknowledged end", async || service.try_destroy(destroy(&anna.token)).await.is_ok()).await;

    // The end of the app is one of the session's, too.
    let ends = service.ends_of(&anna.id, 2).await;
    let found: Vec<_> = ends.iter().map(|end| (end.reason(), end.subject.as_str())).collect();
    assert_eq!(found, [(EndReason::Revoked, ""), (EndReason::Destroyed, "anna")]);
}

#[tokio::test]
async fn as_many_replicas_count_as_are_asked_for() {
    let (servers, both) = service(2, 2).await;
    let one = service_on(settings(&servers[0], Acknowledge::Replicas(1))).await;
    let [token_of_both, token_of_one] = [both.stored(&[("a", "1")]).await, one.stored(&[("a", "1")]).await];

    servers[2].redis.signal("-STOP");

    assert_unavailable(both.try_save(counting(&token_of_both)).await);
    assert_eq!(one.save(counting(&token_of_one)).await.outcome(), Outcome::Updated);
    servers[2].redis.signal("-CONT");
    until("an acknowledged save", async || both.try_save(counting(&token_of_both)).await.is_ok()).await;
    assert_eq!(both.save(counting(&token_of_both)).await.counters["n"], 1);
}

#[tokio::test]
async fn many_writes_wait_behind_one_command() {
    let servers = primary_and_replicas(1, "").await;
    let service = service_with_long_timeouts(settings(&servers[0], Acknowledge::Replicas(1))).await;
    let (mut writers, begin) = (JoinSet::new(), Arc::new(Barrier::new(WRITERS + 1)));
    for _ in 0..WRITERS {
        let (token, mut client) = (service.stored(&[("n", "0")]).await, service.another_client().await);
        let begin = Arc::clone(&begin);
        writers.spawn(async move {
            begin.wait().await;
            for n in 0..SAVES {
                client.save_session(save(&token, Changes::default().set("n", &n.to_string()))).await.unwrap();
            }
        });
    }
    let before = waits(&servers[0]);
    begin.wait().await;
    writers.join_all().await;

    let (waits, saves) = (waits(&servers[0]) - before, SAVES * WRITERS as u64);
    assert!(waits > 0 && waits < saves / 2, "{waits} waits for {saves} saves");
}

#[tokio::test]
async fn nothing_waits_if_the_primary_acknowledges() {
    let servers = primary_and_replicas(1, "").await;
    let service = service_on(settings(&servers[0], Acknowledge::Primary)).await;
    servers[1].redis.signal("-STOP");

    let token = service.stored(&[("a", "1")]).await;
    service.destroy(&token).await;

    assert_eq!(waits(&servers[0]), 0);
    servers[1].redis.signal("-CONT");
}

#[tokio::test]
async fn endings_can_be_stricter_than_saves() {
    let servers = primary_and_replicas(1, "").await;
    let strict = Some(Acknowledge::Replicas(1));
    let settings = RedisSettings { acknowledge_endings: strict, ..settings(&servers[0], Acknowledge::Primary) };
    let service = service_on(settings).await;
    let tokens = [service.stored(&[("a", "1")]).await, service.stored(&[("a", "1")]).await];

    servers[1].redis.signal("-STOP");

    let saved = service.save(save(&tokens[0], Changes::default().set("a", "2"))).await;
    assert_eq!(saved.outcome(), Outcome::Updated);
    assert_unavailable(service.try_destroy(destroy(&tokens[0])).await);
    let clear = || SaveSessionRequest {
        request_id: "0123456789abcdef".to_owned(),
        ..save(&tokens[1], Changes { clear: true, ..Default::default() })
    };
    assert_unavailable(service.try_save(clear()).await);
    servers[1].redis.signal("-CONT");
    until("an acknowledged logout", async || service.try_save(clear()).await.is_ok()).await;
    assert_eq!(service.save(clear()).await.outcome(), Outcome::Deleted);
}

#[tokio::test]
async fn a_revocation_that_is_not_acknowledged_ends_every_session_of_the_user() {
    let servers = primary_and_replicas(1, "").await;
    let acknowledge_endings = Some(Acknowledge::Replicas(1));
    let redis =
        RedisSettings { acknowledge_endings, timeout: TIMEOUT / 3, ..settings(&servers[0], Acknowledge::Primary) };
    let flask_cookie = FlaskCookieSettings { keys: vec!["key".to_owned().into()], ..Default::default() };
    let until = Some(crate::support::now() + Duration::from_secs(3600));
    let migrate = MigrationSettings { until, flask_cookie, ..Default::default() };
    let importing = app::Settings { migrate, ..app_settings() };
    let store = Redis::new(&redis).unwrap();
    let service = TestService::on_store(store.into(), [("default", importing)], long_timeouts()).await;
    let mut tokens = Vec::new();
    // More than end at once.
    for _ in 0..70 {
        tokens.push(service.log_in(&service.stored(&[("a", "1")]).await, "anna").await);
    }

    servers[1].redis.signal("-STOP");
    let anna = RevokeSubjectRequest { subject: "anna".to_owned(), ..Default::default() };
    let revoked = service.admin.clone().revoke_subject(anna).await;

    assert_unavailable(revoked);
    for token in &tokens {
        assert!(!service.is_live(token).await);
    }
    servers[1].redis.signal("-CONT");
}

#[tokio::test]
async fn a_revocation_of_an_app_reaches_the_new_store_whatever_the_old_one_answers() {
    let mut servers = primary_and_replicas(1, "").await;
    let acknowledge_endings = Some(Acknowledge::Replicas(1));
    let old =
        RedisSettings { acknowledge_endings, timeout: TIMEOUT / 3, ..settings(&servers[0], Acknowledge::Primary) };
    let (embedded, _folder) = embedded_settings();
    let previous = SideSettings { kind: StoreKind::Redis, redis: old, ..Default::default() };
    let both = store::Settings { kind: StoreKind::Embedded, embedded, previous: Some(previous), ..Default::default() };
    let store = open_moving(&both);
    let is_live = async |key: &SessionKey| {
        let snapshot = store.load(key).await.unwrap().expect("its record stays until it expires");
        snapshot.generation == snapshot.record.head.generation
    };
    let keys = [create(&*store, session_key(1), &record()).await, create(&*store, session_key(2), &record()).await];

    servers[1].redis.signal("-STOP");
    let unacknowledged = store.revoke_app(&keys[0].app, START).await.unwrap_err();
    assert!(!is_live(&keys[0]).await && !is_live(&keys[1]).await);
    servers[1].redis.signal("-CONT");
    until("the replica", async || store.revoke_app(&keys[0].app, START).await.is_ok()).await;
    let later = create(&*store, session_key(3), &record()).await;
    servers[0].redis.stop();
    let in_part = store.revoke_app(&keys[0].app, START).await.unwrap_err();
    servers[0].redis.start_again();

    assert!(matches!(unacknowledged, Error::NotAcknowledged { .. }), "{unacknowledged:?}");
    assert!(matches!(in_part, Error::RevokedInPart { done: 1, all: 2, .. }), "{in_part:?}");
    until("the old store", async || store.load(&later).await.is_ok()).await;
    assert!(!is_live(&later).await);
}

#[tokio::test]
async fn what_ends_a_session_is_acknowledged_by_a_full_redis_too() {
    let servers = primary_and_replicas(1, "").await;
    let service = service_with_long_timeouts(settings(&servers[0], Acknowledge::Replicas(1))).await;
    let token = service.stored(&[("a", "1")]).await;

    assert_eq!(servers[0].redis.cli(&["config", "set", "maxmemory", "1"]), "OK\n");

    assert_eq!(service.destroy(&token).await.outcome(), Outcome::Deleted);
}

#[tokio::test]
async fn a_wait_goes_on_when_its_connection_is_closed() {
    let servers = primary_and_replicas(1, "").await;
    let service = Arc::new(service_with_long_timeouts(settings(&servers[0], Acknowledge::Replicas(1))).await);
    let token = service.stored(&[("a", "1")]).await;

    servers[1].redis.signal("-STOP");
    let saving = tokio::spawn({
        let (service, token) = (Arc::clone(&service), token.clone());
        async move { service.try_save(counting(&token)).await }
    });
    until("a wait", async || end_waits(&servers[0])).await;
    servers[1].redis.signal("-CONT");

    assert_eq!(saving.await.unwrap().unwrap().counters["n"], 1);
}

#[tokio::test]
async fn a_write_is_not_acknowledged_if_its_primary_becomes_a_replica_meanwhile() {
    let servers = primary_and_replicas(1, "").await;
    // The write waits for a primary until the end of its time.
    let settings = RedisSettings { timeout: 3 * TIMEOUT, ..settings(&servers[0], Acknowledge::Replicas(1)) };
    let store = Arc::new(Redis::new(&settings).unwrap());
    let key = create(&*store, session_key(1), &record()).await;
    let other = Server::redis("");

    servers[1].redis.signal("-STOP");
    let saving = tokio::spawn(async move { store.apply(&key, &by_token(1, START), &save_entry(set("a", "1"))).await });
    until("a wait", async || servers[0].redis.cli(&["client", "list"]).contains(" flags=b")).await;
    assert_eq!(servers[0].redis.cli(&["replicaof", "127.0.0.1", &other.port.to_string()]), "OK\n");

    let error = saving.await.unwrap().unwrap_err();
    servers[1].redis.signal("-CONT");
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    assert!(with_causes(&error).contains("the write is done, but it is no primary"), "{error:?}");
}

#[tokio::test]
async fn replicas_of_another_primary_do_not_count() {
    let [first, second] = [primary_and_replicas(1, "").await, primary_and_replicas(1, "").await];
    let proxy = Proxy::start(first[0].redis.socket()).await;
    let settings = RedisSettings { url: proxy.url(), ..settings(&first[0], Acknowledge::Replicas(1)) };
    let service = service_with_long_timeouts(settings).await;
    let token = service.stored(&[("a", "1")]).await;

    // The connections that only wait are replaced, and the others stay.
    proxy.lead_to(second[0].redis.socket());
    first[1].redis.signal("-STOP");
    let saved = service.try_save(counting(&token));
    let moved = async {
        until("a wait", async || end_waits(&first[0])).await;
        until("a wait on the other", async || waits(&second[0]) > 0).await;
    };
    let (saved, ()) = tokio::join!(saved, moved);

    assert_unavailable(saved);
    first[1].redis.signal("-CONT");
}

#[tokio::test]
async fn writes_are_acknowledged_as_soon_as_a_first_replica_is_there() {
    let primary = Server::redis("");
    let service = service_on(settings(&primary, Acknowledge::Replicas(1))).await;
    let token = service.open_new().await.token;
    assert_unavailable(service.try_save(counting(&token)).await);

    let _replica = Server::redis(&format!("--replicaof 127.0.0.1 {}", primary.port));

    until("an acknowledged save", async || service.try_save(counting(&token)).await.is_ok()).await;
    let saved = service.save(counting(&token)).await.session.unwrap();
    assert_eq!(service.entries(&saved.token).await["n"], "1");
}

#[tokio::test]
async fn a_failover_loses_no_acknowledged_write() {
    for _ in 0..rounds() {
        let redis = SentinelService::start_with(2).await;
        let settings = RedisSettings { acknowledge: Acknowledge::Replicas(1), ..redis.settings() };
        let service = Arc::new(service_on(settings).await);
        let writers = Writers::start(&service, 64).await;
        writers.all_succeed().await;

        redis.servers[0].redis.signal("-KILL");
        let written = writers.stop().await;
        until("the promotion", async || redis.servers[1..].iter().any(|server| redis.names(server))).await;
        // By the replica that is left.
        until_saved(&service).await;

        let (acknowledged, lost) = written.count_lost().await;
        assert!(acknowledged > 0 && lost == 0, "{lost} of {acknowledged} are lost");
    }
}

#[tokio::test]
async fn without_the_right_to_wait_nothing_is_served() {
    let servers = primary_and_replicas(1, "").await;
    let rights = documented_rights();
    let user = ["acl", "setuser", "cloakroom", "reset", "on", ">secret", "~cloakroom:*"];
    assert_eq!(servers[0].redis.cli(&[&user[..], &rights].concat()), "OK\n");
    let url = format!("{}?user=cloakroom&pass=secret", servers[0].redis.url());
    let settings = RedisSettings { url, acknowledge: Acknowledge::Replicas(1), ..Default::default() };

    let problem = problem(&settings).await;
    assert!(problem.contains("NOPERM") && problem.contains("'wait'"), "{problem}");

    servers[0].redis.cli(&["acl", "setuser", "cloakroom", "+wait"]);
    Redis::new(&settings).unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn replicas_that_are_missing_are_told_but_the_service_serves() {
    let primary = Server::redis("");
    let store = Handle::from(Redis::new(&settings(&primary, Acknowledge::Replicas(2))).unwrap());
    store.ping().await.unwrap();
    let missing = || async { store.check_replicas().await.unwrap_err().source().unwrap().to_string() };

    assert!(missing().await.contains("0 of the 2 replicas"));
    let replica = || Server::redis(&format!("--replicaof 127.0.0.1 {}", primary.port));
    let _first = replica();
    until("the first one", async || missing().await.contains("1 of the 2 replicas")).await;
    let _second = replica();
    until("the second one", async || store.check_replicas().await.is_ok()).await;
    store.ping().await.unwrap();
}

/// On a Redis that has no WAITAOF, the refusal is what is tested.
#[tokio::test]
async fn fsync_waits_for_the_disk() {
    let primary = Server::redis("--appendonly yes --appendfsync always");
    let settings = settings(&primary, Acknowledge::Fsync);
    if !primary.redis.cli(&["command", "info", "waitaof"]).contains("waitaof") {
        assert!(problem(&settings).await.contains("has no WAITAOF: it takes Redis 7.2"));
        return;
    }
    let service = service_on(settings.clone()).await;
    let token = service.stored(&[("a", "1")]).await;
    assert_eq!(service.save(save(&token, Changes::default().set("a", "2"))).await.outcome(), Outcome::Updated);
    assert!(waits(&primary) > 0);

    primary.redis.cli(&["config", "set", "appendfsync", "no"]);
    assert_unavailable(service.try_save(counting(&token)).await);
    primary.redis.cli(&["config", "set", "appendfsync", "everysec"]);
    until("an acknowledged save", async || service.try_save(counting(&token)).await.is_ok()).await;
    assert_eq!(service.entries(&token).await["n"], "1");

    primary.redis.cli(&["config", "set", "appendonly", "no"]);
    let refused = problem(&settings).await;
    assert!(refused.contains("has no append-only file: set appendonly to yes"), "{refused}");
}

/// Returns what is wrong, by a ping.
async fn problem(settings: &RedisSettings) -> String {
    let error = Redis::new(settings).unwrap().ping().await.unwrap_err();
    assert!(matches!(error, Error::Refused(_)), "{error:?}");
    error.source().unwrap().to_string()
}

/// The timeout of calls of the store.
const TIMEOUT: Duration = Duration::from_secs(3);

const WRITERS: usize = 64;
const SAVES: u64 = 20;
