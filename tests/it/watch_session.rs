//! WatchSession: a stream says when a token no longer opens its session, and why.

use std::time::{Duration, Instant};

use cloakroom::app;
use cloakroom::grpc::wire::{Changes, EndReason, RotationCause};
use cloakroom::server;
use cloakroom::service::{Credential, Error, WatchRequest, WatchStart};
use cloakroom::session;
use cloakroom::store::{Handle, Redis, RedisSettings};
use tokio::task::JoinSet;
use tonic::Code;

use crate::support::calls::{ChangesExt as _, open_cookie, reason, refused, save};
use crate::support::redis::{self, RedisServer};
use crate::support::sessions::{HOUR, LifetimeExt as _, MILLI, MINUTE, SECOND};
use crate::support::watches::{session_key, watch_cookie, watch_token};
use crate::support::{StoreKind, TestService, app_settings};

#[apply(on_every_store)]
async fn a_logout_ends_the_watch(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let watch = service.watch(&token).await;

    service.destroy(&token).await;

    assert_eq!(watch.ended().await, EndReason::Destroyed);
}

#[apply(on_every_store)]
async fn a_save_that_leaves_nothing_ends_the_watch(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let watch = service.watch(&token).await;

    service.save(save(&token, Changes::default().unset("a"))).await;

    assert_eq!(watch.ended().await, EndReason::Emptied);
}

#[apply(on_every_store)]
async fn a_revocation_and_an_eviction_end_the_watch(store: StoreKind) {
    let service = TestService::new(store).await;
    for (reason, expected) in
        [(session::EndReason::Revoked, EndReason::Revoked), (session::EndReason::Evicted, EndReason::Evicted)]
    {
        let token = service.stored(&[("a", "1")]).await;
        let watch = service.watch(&token).await;

        service.end(&service.session(&token).await.id, reason).await;

        assert_eq!(watch.ended().await, expected);
    }
}

#[apply(on_every_store)]
async fn the_revocation_of_an_app_ends_every_watch(store: StoreKind) {
    let service = TestService::new(store).await;
    let mut watches = Vec::new();
    for _ in 0..3 {
        watches.push(service.watch(&service.stored(&[("a", "1")]).await).await);
    }

    service.inner.store().revoke_app(&session_key(UNUSED_ID).app, service.now()).await.unwrap();

    for watch in watches {
        assert_eq!(watch.ended().await, EndReason::Revoked);
    }
}

#[apply(on_every_store)]
async fn a_login_supersedes_the_watched_token(store: StoreKind) {
    let service = TestService::new(store).await;
    let old = service.stored(&[("a", "1")]).await;
    let watch = service.watch(&old).await;

    let new = service.log_in(&old, "anna").await;

    assert_eq!(watch.ended().await, EndReason::Superseded);
    let watch = service.watch(&new).await;
    service.destroy(&new).await;
    assert_eq!(watch.ended().await, EndReason::Destroyed);
}

#[apply(on_every_store)]
async fn every_watch_of_a_session_ends(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let (one, other) = (service.watch(&token).await, service.watch(&token).await);

    service.destroy(&token).await;

    assert_eq!([one.ended().await, other.ended().await], [EndReason::Destroyed; 2]);
}

#[apply(on_every_store)]
async fn the_end_of_another_session_ends_no_watch(store: StoreKind) {
    let service = TestService::new(store).await;
    let (one, other) = (service.stored(&[("a", "1")]).await, service.stored(&[("a", "1")]).await);
    let (watch, watch_of_other) = (service.watch(&one).await, service.watch(&other).await);

    service.destroy(&other).await;
    assert_eq!(watch_of_other.ended().await, EndReason::Destroyed);
    service.save(save(&one, Changes::default().clear())).await;

    assert_eq!(watch.ended().await, EndReason::Emptied);
}

#[apply(on_every_store)]
async fn the_idle_timeout_ends_a_watch(store: StoreKind) {
    let service = TestService::with_lifetimes(store, HOUR, 10 * HOUR).await;
    let token = service.stored(&[("a", "1")]).await;
    let watch = service.watch(&token).await;
    assert_eq!(watch.expire_time, service.millis() + 3_600_000);

    service.advance(HOUR);

    assert_eq!(watch.ended().await, EndReason::Idle);
}

#[apply(on_every_store)]
async fn the_absolute_timeout_ends_a_watch(store: StoreKind) {
    let service = TestService::with_lifetimes(store, HOUR, HOUR).await;
    let watch = service.watch(&service.stored(&[("a", "1")]).await).await;
    assert_eq!(watch.expire_time, service.millis() + 3_600_000);

    service.advance(HOUR);

    assert_eq!(watch.ended().await, EndReason::Absolute);
}

#[apply(on_every_store)]
async fn a_save_that_shortens_the_lifetime_ends_the_watch_earlier(store: StoreKind) {
    let service = TestService::with_lifetimes(store, HOUR, 10 * HOUR).await;
    let token = service.stored(&[("a", "1")]).await;
    let watch = service.watch(&token).await;
    wait_for_poll(&service).await;

    service.save(save(&token, Changes::default().idle_timeout(MINUTE))).await;
    service.advance(MINUTE);

    assert_eq!(watch.ended().await, EndReason::Idle);
}

#[apply(on_every_store)]
async fn the_watch_of_a_session_that_is_used_lasts_longer(store: StoreKind) {
    let service = TestService::with_lifetimes(store, HOUR, 10 * HOUR).await;
    let (used, unused) = (service.stored(&[("a", "1")]).await, service.stored(&[("a", "1")]).await);
    let (watch, watch_of_unused) = (service.watch(&used).await, service.watch(&unused).await);

    service.advance(40 * MINUTE);
    service.open_cookie(&used).await;
    service.advance(20 * MINUTE);
    assert_eq!(watch_of_unused.ended().await, EndReason::Idle);
    service.advance(20 * MINUTE);
    let marker = service.watch(&used).await;
    assert_eq!(marker.expire_time, service.millis() + 20 * 60_000);
    service.advance(20 * MINUTE);

    assert_eq!([watch.ended().await, marker.ended().await], [EndReason::Idle; 2]);
}

#[apply(on_every_store)]
async fn a_watch_is_no_use_of_its_session(store: StoreKind) {
    let service = TestService::with_lifetimes(store, HOUR, 10 * HOUR).await;
    let token = service.stored(&[("a", "1")]).await;
    service.advance(40 * MINUTE);

    let watch = service.watch(&token).await;

    assert_eq!(watch.expire_time, service.millis() + 20 * 60_000);
    service.advance(20 * MINUTE);
    assert_eq!(watch.ended().await, EndReason::Idle);
}

#[apply(on_every_store)]
async fn after_a_renewal_the_watch_of_the_old_token_ends_with_its_grace(store: StoreKind) {
    let service = TestService::with_grace(store, 30 * SECOND).await;
    let old = service.stored(&[("a", "1")]).await;
    let before = service.watch(&old).await;

    let new = service.rotate(&old, RotationCause::Renewal, "").await.session.unwrap().token;
    let (in_grace, of_new) = (service.watch(&old).await, service.watch(&new).await);
    assert_eq!(in_grace.expire_time, service.millis() + 30_000);
    service.advance(30 * SECOND - MILLI);
    wait_for_poll(&service).await;
    assert!(service.is_live(&old).await);
    service.advance(MILLI);

    assert_eq!([before.ended().await, in_grace.ended().await], [EndReason::Superseded; 2]);
    service.destroy(&new).await;
    assert_eq!(of_new.ended().await, EndReason::Destroyed);
}

#[apply(on_every_store)]
async fn a_second_rotation_ends_the_watch_of_a_token_in_its_grace(store: StoreKind) {
    let service = TestService::with_grace(store, 30 * SECOND).await;
    let old = service.stored(&[("a", "1")]).await;
    let watch = service.watch(&old).await;

    let new = service.rotate(&old, RotationCause::Renewal, "").await.session.unwrap().token;
    service.rotate(&new, RotationCause::Privilege, "").await;

    assert_eq!(watch.ended().await, EndReason::Superseded);
}

#[apply(on_every_store)]
async fn the_watch_of_an_ended_session_ends_at_once(store: StoreKind) {
    let service = TestService::new(store).await;
    let (gone, old) = (service.stored(&[("a", "1")]).await, service.stored(&[("a", "1")]).await);
    service.destroy(&gone).await;
    service.log_in(&old, "anna").await;
    let ticket = service.open_new().await.token;

    assert_eq!(service.watch_nothing(watch_token(&gone)).await, EndReason::Destroyed);
    assert_eq!(service.watch_nothing(watch_token(&old)).await, EndReason::Superseded);
    assert_eq!(service.watch_nothing(watch_token(&ticket)).await, EndReason::Unspecified);
    assert_eq!(service.watch_nothing(watch_cookie("")).await, EndReason::Unspecified);
    assert_eq!(service.watch_nothing(watch_cookie("session=forged")).await, EndReason::Unspecified);
}

#[apply(on_every_store)]
async fn a_cookie_header_can_be_watched(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let mut answers = service.try_watch(watch_cookie(&format!("other=1; session={token}"))).await.unwrap();
    answers.message().await.unwrap().unwrap();

    service.destroy(&token).await;

    assert_eq!(answers.message().await.unwrap().unwrap().end_reason(), EndReason::Destroyed);
}

#[apply(on_every_store)]
async fn a_watch_that_starts_during_the_end_of_its_session_ends(store: StoreKind) {
    let service = TestService::new(store).await;
    for _ in 0..50 {
        let token = service.stored(&[("a", "1")]).await;
        let (answers, _) = tokio::join!(service.try_watch(watch_token(&token)), service.destroy(&token));
        let mut answers = answers.unwrap();
        let mut last = None;
        while let Some(answer) = answers.message().await.unwrap() {
            last = Some(answer.end_reason());
        }
        assert_eq!(last, Some(EndReason::Destroyed));
    }
}

#[tokio::test]
async fn an_end_on_one_replica_reaches_a_watch_on_another() {
    let (settings, app) = (redis::settings(), app_settings());
    let replica = || Handle::from(Redis::new(&settings).unwrap());
    let one = TestService::with_store(replica(), &app).await;
    let other = TestService::with_store(replica(), &app).await;

    let mut delays = Vec::new();
    for _ in 0..100 {
        let token = one.stored(&[("a", "1")]).await;
        let watch = other.watch(&token).await;
        one.destroy(&token).await;
        let begin = Instant::now();
        assert_eq!(watch.ended().await, EndReason::Destroyed);
        delays.push(begin.elapsed());
    }

    delays.sort();
    println!(
        "from an end to its watch on another replica: p50 {:?}, p99 {:?}, max {:?}",
        delays[49], delays[98], delays[99]
    );
}

#[tokio::test]
async fn a_watch_survives_an_outage_and_ends_after_it() {
    let (redis, service) = service_with_own_redis().await;
    let token = service.stored(&[("a", "1")]).await;
    let watch = service.watch(&token).await;

    redis.signal("-STOP");
    for _ in 0..3 {
        refused(service.try_open(open_cookie(&format!("session={token}"))).await);
    }
    redis.signal("-CONT");
    while service.client.clone().destroy_session(destroy(&token)).await.is_err() {}

    assert_eq!(watch.ended().await, EndReason::Destroyed);
}

#[tokio::test]
async fn a_session_that_was_lost_in_an_outage_ends_its_watch() {
    let (mut redis, service) = service_with_own_redis().await;
    let token = service.stored(&[("a", "1")]).await;
    let watch = service.watch(&token).await;

    redis.stop();
    refused(service.try_open(open_cookie(&format!("session={token}"))).await);
    redis.start_again();

    assert_eq!(watch.ended().await, EndReason::Unspecified);
}

#[tokio::test]
async fn a_stop_ends_every_watch_with_going_away_and_waits_for_none() {
    let service = TestService::new(StoreKind::Memory).await;
    let watch = service.watch(&service.stored(&[("a", "1")]).await).await;

    service.stop();

    assert_eq!(reason(&watch.failed().await), (Code::Unavailable, "GOING_AWAY".to_owned()));
}

#[tokio::test]
async fn an_app_has_ten_thousand_watchers_and_no_more() {
    let service = TestService::new(StoreKind::Memory).await;
    let token = service.stored(&[("a", "1")]).await;
    let watch = async || {
        service.inner.watch(WatchRequest { credential: Credential::Token(&token), ..Default::default() }).await
    };
    let mut watching = Vec::new();
    for _ in 0..10_000 {
        let Ok(WatchStart::Alive(one)) = watch().await else { panic!("the token opens its session") };
        watching.push(one);
    }

    assert!(matches!(watch().await, Err(Error::TooManyWatchers)));
    watching.pop();

    assert!(matches!(watch().await, Ok(WatchStart::Alive(_))));
    service.destroy(&token).await;
    for one in watching {
        assert_eq!(one.ended().await.unwrap(), Some(session::EndReason::Destroyed));
    }
}

#[apply(on_every_store)]
async fn two_thousand_watches_share_two_connections(store: StoreKind) {
    let settings = server::Settings { max_concurrent_streams: 1000, ..Default::default() };
    let service = TestService::with_server(store, settings).await;
    let mut watches = JoinSet::new();
    for _ in 0..2 {
        let mut client = service.another_client().await;
        let token = service.stored(&[("a", "1")]).await;
        for n in 0..1000 {
            let token = if n % 10 == 0 { service.stored(&[("a", "1")]).await } else { token.clone() };
            let mut answers = client.watch_session(watch_token(&token)).await.unwrap().into_inner();
            answers.message().await.unwrap().unwrap();
            watches.spawn(async move { answers.message().await.unwrap().unwrap().end_reason() });
        }
    }

    service.inner.store().revoke_app(&session_key(UNUSED_ID).app, service.now()).await.unwrap();

    assert_eq!(watches.join_all().await, vec![EndReason::Revoked; 2000]);
}

/// Waits until the watch registry has read the clock, by a watch of another session that ends.
async fn wait_for_poll(service: &TestService) {
    let token = service.stored(&[("a", "1")]).await;
    let watch = service.watch(&token).await;
    service.destroy(&token).await;
    watch.ended().await;
}

fn destroy(token: &str) -> cloakroom::grpc::wire::DestroySessionRequest {
    use cloakroom::grpc::wire::destroy_session_request::Credential;
    let credential = Some(Credential::Token(token.to_owned()));
    cloakroom::grpc::wire::DestroySessionRequest { credential, ..Default::default() }
}

/// A service with a short store timeout and a Redis that can be stopped and frozen.
async fn service_with_own_redis() -> (RedisServer, TestService) {
    let redis = RedisServer::start();
    let store = RedisSettings { url: redis.url(), timeout: Duration::from_millis(300), ..Default::default() };
    let app: app::Settings = app_settings();
    let service = TestService::with_store(Handle::from(Redis::new(&store).unwrap()), &app).await;
    (redis, service)
}

/// An id that no session has.
const UNUSED_ID: &str = "00000000000000000000000000000000";
