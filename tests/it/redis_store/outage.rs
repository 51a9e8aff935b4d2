//! A Redis that stops, freezes, comes back or loses its scripts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cloakroom::grpc;
use cloakroom::grpc::wire::{Changes, OpenSessionRequest, Outcome, RotationCause, SaveSessionRequest};
use cloakroom::store::{Error, Redis, RedisSettings, Store as _};
use cloakroom::types::with_causes;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::connections::service_on;
use super::{DAY, TIMEOUT, service, until};
use crate::conformance::fixtures::{START, app, create_session};
use crate::support::TestService;
use crate::support::calls::{ChangesExt as _, open_cookie, reason, refused, save, save_cookie};
use crate::support::environment::number;
use crate::support::redis::RedisServer;

#[tokio::test]
async fn a_stopped_store_is_unavailable_and_never_an_empty_session() {
    let (mut redis, service) = service().await;
    let token = service.stored(&[("a", "1")]).await;

    redis.stop();

    for _ in 0..3 {
        assert_unavailable(&service, &token).await;
    }
}

#[tokio::test]
async fn a_revocation_that_reaches_no_partition_is_told_as_an_outage() {
    let mut redis = RedisServer::start();
    let store = Redis::new(&RedisSettings { url: redis.url(), timeout: TIMEOUT, ..Default::default() }).unwrap();
    store.ping().await.unwrap();

    redis.stop();
    let unavailable = store.revoke_app(&app("default"), START).await.unwrap_err();

    assert!(matches!(unavailable, Error::Unavailable(_)), "{unavailable:?}");
}

/// It refuses writes then, and PING with them.
#[tokio::test]
async fn a_redis_that_cannot_save_its_data_is_read_by_new_connections_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let redis = RedisServer::start_on(&data, "--save 3600 1 --shutdown-on-sigterm nosave force");
    let service = service_on(&redis.url()).await;
    let token = service.stored(&[("a", "1")]).await;
    std::fs::remove_dir(&data).unwrap();
    redis.cli(&["bgsave"]);
    let has_failed = async || redis.cli(&["info", "persistence"]).contains("rdb_last_bgsave_status:err");
    until("the end of the save", has_failed).await;

    redis.cli(&["client", "kill", "type", "normal"]);

    until_it_opens(&service, &token).await;
    let saved = refused(service.try_save(save(&token, Changes::default().set("a", "2"))).await);
    assert_eq!(saved.code(), Code::Unavailable);
    assert_eq!(service.entries(&token).await["a"], "1");
}

#[tokio::test]
async fn a_restarted_store_is_used_without_a_restart_of_the_service() {
    let (mut redis, service) = service().await;
    let token = service.stored(&[("a", "1")]).await;
    redis.stop();
    assert_unavailable(&service, &token).await;

    redis.start_again();

    until_it_opens(&service, &token).await;
    let token = service.stored(&[("b", "2")]).await;
    assert_eq!(service.entries(&token).await["b"], "2");
}

#[tokio::test]
async fn a_frozen_store_is_unavailable_within_the_deadline_and_then_answers_again() {
    let (redis, service) = service().await;
    let token = service.stored(&[("a", "1")]).await;

    redis.signal("-STOP");
    for _ in 0..3 {
        assert_unavailable(&service, &token).await;
    }
    redis.signal("-CONT");

    until_it_opens(&service, &token).await;
    assert!(
        ["1", "2"].contains(&service.entries(&token).await["a"].as_str()),
        "a write without an answer may have been applied"
    );
}

/// The cause is the answer that did not come: a call that waited for a new connection would name that.
#[tokio::test]
async fn a_call_that_begins_after_a_store_was_found_silent_does_not_wait_for_it_again() {
    let redis = RedisServer::start();
    let timeout = Duration::from_secs(4);
    let store = Redis::new(&RedisSettings { url: redis.url(), timeout, ..Default::default() }).unwrap();
    let key = create_session(&store).await;

    redis.signal("-STOP");
    store.load(&key).await.unwrap_err();
    let at_once = with_causes(&store.load(&key).await.unwrap_err());
    redis.signal("-CONT");

    assert!(at_once.contains("no answer within 4s"), "{at_once}");
    until("the store", async || store.load(&key).await.is_ok()).await;
}

#[tokio::test]
async fn a_repeated_write_with_an_unknown_outcome_is_applied_once() {
    let (redis, service) = service().await;
    let token = service.stored(&[("a", "1")]).await;
    let counting = || SaveSessionRequest {
        request_id: "0123456789abcdef".to_owned(),
        ..save(&token, Changes::default().increment("n", 1))
    };

    redis.signal("-STOP");
    let unknown = refused(service.try_save(counting()).await);
    redis.signal("-CONT");
    until_it_opens(&service, &token).await;
    let repeated = service.save(counting()).await;

    assert_eq!(reason(&unknown), (Code::Unavailable, "STORE_UNAVAILABLE".to_owned()));
    assert_eq!(repeated.counters["n"], 1);
    assert_eq!(service.entries(&token).await["n"], "1");
}

#[tokio::test]
async fn calls_that_need_no_store_work_without_it() {
    let (mut redis, service) = service().await;
    redis.stop();

    let session = service.open_new().await;
    let forged = service.open_cookie("forged").await.session.unwrap();

    assert!(session.new && forged.new);
    assert_eq!(service.policy("").await.cookie_name, "session");
    let saved = refused(service.try_save(save(&session.token, Changes::default().set("a", "1"))).await);
    assert_eq!(reason(&saved), (Code::Unavailable, "STORE_UNAVAILABLE".to_owned()));
}

#[tokio::test]
async fn health_follows_the_store() {
    let (redis, service) = service().await;
    let mut health = health(&service).await;
    let mut answers = health.watch(check(grpc::SESSION_SERVICE)).await.unwrap().into_inner();
    let mut next = async || status(&answers.message().await.unwrap().unwrap());
    // It is not serving until the store has answered.
    while next().await != ServingStatus::Serving {}

    redis.signal("-STOP");
    assert_eq!(next().await, ServingStatus::NotServing);
    let alive = health.clone().check(check("")).await.unwrap();
    redis.signal("-CONT");

    assert_eq!(next().await, ServingStatus::Serving);
    assert_eq!(status(alive.get_ref()), ServingStatus::Serving, "liveness does not depend on the store");
}

#[tokio::test]
async fn health_knows_only_served_services() {
    let (_redis, service) = service().await;
    let mut health = health(&service).await;

    health.check(check("cloakroom.v1.SessionService")).await.unwrap();
    let other = refused(health.check(check("cloakroom.v1.Unknown")).await);

    assert_eq!(other.code(), Code::NotFound);
}

#[tokio::test]
async fn a_worker_that_ends_keeps_the_connections_of_others() {
    let redis = RedisServer::start();
    let settings = RedisSettings { url: redis.url(), timeout: TIMEOUT, connections: 1, ..Default::default() };
    let store = Arc::new(Redis::new(&settings).unwrap());
    let worker = || {
        let store = Arc::clone(&store);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::spawn_blocking(move || runtime.block_on(store.ping()))
    };

    worker().await.unwrap().unwrap();
    worker().await.unwrap().unwrap();

    store.ping().await.unwrap();
}

#[tokio::test]
async fn lost_scripts_are_loaded_again() {
    let (redis, service) = service().await;
    let flush_scripts = || assert!(redis.cli(&["script", "flush"]).starts_with("OK"));

    flush_scripts();
    let token = service.stored(&[("a", "1")]).await;
    flush_scripts();
    let saved = service.save(save(&token, Changes::default().set("b", "2"))).await;
    flush_scripts();
    service.advance(3 * DAY);
    service.open_cookie(&token).await;
    flush_scripts();
    let rotated = service.rotate(&token, RotationCause::Privilege, "").await;
    flush_scripts();
    let ended = service.destroy(&rotated.session.as_ref().unwrap().token).await;

    assert_eq!(
        [saved.outcome(), rotated.outcome(), ended.outcome()],
        [Outcome::Updated, Outcome::Updated, Outcome::Deleted]
    );
}

async fn assert_unavailable(service: &TestService, token: &str) {
    let cookie = format!("session={token}");
    let begin = Instant::now();

    let answers: [Status; 4] = [
        refused(service.try_open(open_cookie(&cookie)).await),
        refused(service.try_save(save(token, Changes::default().set("a", "2"))).await),
        refused(service.try_save(save_cookie(&cookie, Changes::default().set("a", "2"))).await),
        refused(
            service.try_open(OpenSessionRequest { cookie_name: "session".to_owned(), ..open_cookie(&cookie) }).await,
        ),
    ];

    // Less than the deadlines of four calls.
    assert!(begin.elapsed() < 16 * TIMEOUT, "{:?}", begin.elapsed());
    for status in answers {
        assert_eq!(reason(&status), (Code::Unavailable, "STORE_UNAVAILABLE".to_owned()));
    }
}

/// Repeats an open until the store answers; until then it must be UNAVAILABLE. Three timeouts are promised on a machine that
/// does nothing else; a busy one gets a minute.
async fn until_it_opens(service: &TestService, token: &str) {
    let most = if number::<u64>("CLOAKROOM_TEST_HEALTH_MS").is_some() { 3 * TIMEOUT } else { Duration::from_secs(60) };
    let begin = Instant::now();
    while let Err(status) = service.try_open(open_cookie(&format!("session={token}"))).await {
        assert_eq!(reason(&status), (Code::Unavailable, "STORE_UNAVAILABLE".to_owned()));
        assert!(begin.elapsed() < most, "the store does not answer again");
    }
    assert!(begin.elapsed() < most, "the store answers after {:?}", begin.elapsed());
}

async fn health(service: &TestService) -> HealthClient<Channel> {
    HealthClient::new(Channel::from_shared(service.address.clone()).unwrap().connect().await.unwrap())
}

fn check(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

fn status(response: &HealthCheckResponse) -> ServingStatus {
    response.status()
}
