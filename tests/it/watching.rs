//! Watching: a stream says when a token stops to open its session, and why.

use std::time::{Duration, Instant};

use cloakroom::app;
use cloakroom::grpc::wire::{Changes, EndReason, RotationCause};
use cloakroom::server;
use cloakroom::service::{Credential, Error, WatchRequest, WatchStart};
use cloakroom::session;
use cloakroom::store::{AnyStore, Redis, RedisSettings, Store as _};
use tokio::task::JoinSet;
use tonic::Code;

use crate::on_every_store;
use crate::support::calls::{ChangesExt as _, open_cookie, reason, refused, save};
use crate::support::redis::{self, RedisServer};
use crate::support::sessions::{HOUR, MILLI, MINUTE, SECOND};
use crate::support::watches::{place, watch_cookie, watch_token};
use crate::support::{House, On, app_settings};

#[apply(on_every_store)]
async fn a_logout_ends_the_watch(on: On) {
    let house = House::new(on).await;
    let token = house.stored(&[("a", "1")]).await;
    let watch = house.watch(&token).await;

    house.destroy(&token).await;

    assert_eq!(watch.ended().await, EndReason::Destroyed);
}

#[apply(on_every_store)]
async fn a_save_that_leaves_nothing_ends_the_watch(on: On) {
    let house = House::new(on).await;
    let token = house.stored(&[("a", "1")]).await;
    let watch = house.watch(&token).await;

    house.save(save(&token, Changes::default().unset("a"))).await;

    assert_eq!(watch.ended().await, EndReason::Emptied);
}

#[apply(on_every_store)]
async fn a_revocation_and_an_eviction_end_the_watch(on: On) {
    let house = House::new(on).await;
    for (asked, told) in
        [(session::EndReason::Revoked, EndReason::Revoked), (session::EndReason::Evicted, EndReason::Evicted)]
    {
        let token = house.stored(&[("a", "1")]).await;
        let watch = house.watch(&token).await;

        house.end(&house.session(&token).await.id, asked).await;

        assert_eq!(watch.ended().await, told);
    }
}

#[apply(on_every_store)]
async fn the_revocation_of_an_app_ends_every_watch(on: On) {
    let house = House::new(on).await;
    let mut watches = Vec::new();
    for _ in 0..3 {
        watches.push(house.watch(&house.stored(&[("a", "1")]).await).await);
    }

    house.service.store().revoke_app(&place(NOBODY).app, house.now()).await.unwrap();

    for watch in watches {
        assert_eq!(watch.ended().await, EndReason::Revoked);
    }
}

#[apply(on_every_store)]
async fn a_login_supersedes_the_watched_token(on: On) {
    let house = House::new(on).await;
    let old = house.stored(&[("a", "1")]).await;
    let watch = house.watch(&old).await;

    let new = house.log_in(&old, "anna").await;

    assert_eq!(watch.ended().await, EndReason::Superseded);
    let watch = house.watch(&new).await;
    house.destroy(&new).await;
    assert_eq!(watch.ended().await, EndReason::Destroyed);
}

#[apply(on_every_store)]
async fn every_watcher_of_a_session_is_told(on: On) {
    let house = House::new(on).await;
    let token = house.stored(&[("a", "1")]).await;
    let (one, other) = (house.watch(&token).await, house.watch(&token).await);

    house.destroy(&token).await;

    assert_eq!([one.ended().await, other.ended().await], [EndReason::Destroyed; 2]);
}

#[apply(on_every_store)]
async fn the_end_of_another_session_ends_nothing(on: On) {
    let house = House::new(on).await;
    let (one, other) = (house.stored(&[("a", "1")]).await, house.stored(&[("a", "1")]).await);
    let (watch, watch_of_other) = (house.watch(&one).await, house.watch(&other).await);

    house.destroy(&other).await;
    assert_eq!(watch_of_other.ended().await, EndReason::Destroyed);
    house.save(save(&one, Changes::default().clear())).await;

    assert_eq!(watch.ended().await, EndReason::Emptied);
}

#[apply(on_every_store)]
async fn an_idle_session_ends_its_watch_when_its_time_is_over(on: On) {
    let house = House::with_lifetimes(on, HOUR, 10 * HOUR).await;
    let token = house.stored(&[("a", "1")]).await;
    let watch = house.watch(&token).await;
    assert_eq!(watch.expire_time, house.millis() + 3_600_000);

    house.advance(HOUR);

    assert_eq!(watch.ended().await, EndReason::Idle);
}

#[apply(on_every_store)]
async fn the_absolute_deadline_ends_a_watch(on: On) {
    let house = House::with_lifetimes(on, HOUR, HOUR).await;
    let watch = house.watch(&house.stored(&[("a", "1")]).await).await;
    assert_eq!(watch.expire_time, house.millis() + 3_600_000);

    house.advance(HOUR);

    assert_eq!(watch.ended().await, EndReason::Absolute);
}

#[apply(on_every_store)]
async fn a_session_that_is_used_is_watched_for_longer(on: On) {
    let house = House::with_lifetimes(on, HOUR, 10 * HOUR).await;
    let (used, unused) = (house.stored(&[("a", "1")]).await, house.stored(&[("a", "1")]).await);
    let (watch, watch_of_unused) = (house.watch(&used).await, house.watch(&unused).await);

    house.advance(40 * MINUTE);
    house.open_cookie(&used).await;
    house.advance(20 * MINUTE);
    assert_eq!(watch_of_unused.ended().await, EndReason::Idle);
    house.advance(20 * MINUTE);
    let marker = house.watch(&used).await;
    assert_eq!(marker.expire_time, house.millis() + 20 * 60_000);
    house.advance(20 * MINUTE);

    assert_eq!([watch.ended().await, marker.ended().await], [EndReason::Idle; 2]);
}

#[apply(on_every_store)]
async fn to_watch_is_no_use_of_a_session(on: On) {
    let house = House::with_lifetimes(on, HOUR, 10 * HOUR).await;
    let token = house.stored(&[("a", "1")]).await;
    house.advance(40 * MINUTE);

    let watch = house.watch(&token).await;

    assert_eq!(watch.expire_time, house.millis() + 20 * 60_000);
    house.advance(20 * MINUTE);
    assert_eq!(watch.ended().await, EndReason::Idle);
}

#[apply(on_every_store)]
async fn after_a_renewal_the_old_token_is_watched_until_its_grace_is_over(on: On) {
    let house = House::with_grace(on, 30 * SECOND).await;
    let old = house.stored(&[("a", "1")]).await;
    let before = house.watch(&old).await;

    let new = house.rotate(&old, RotationCause::Renewal, "").await.session.unwrap().token;
    let (in_grace, of_new) = (house.watch(&old).await, house.watch(&new).await);
    assert_eq!(in_grace.expire_time, house.millis() + 30_000);
    house.advance(30 * SECOND - MILLI);
    ticks(&house).await;
    assert!(house.lives(&old).await);
    house.advance(MILLI);

    assert_eq!([before.ended().await, in_grace.ended().await], [EndReason::Superseded; 2]);
    house.destroy(&new).await;
    assert_eq!(of_new.ended().await, EndReason::Destroyed);
}

#[apply(on_every_store)]
async fn a_second_rotation_ends_the_grace_of_a_watch(on: On) {
    let house = House::with_grace(on, 30 * SECOND).await;
    let old = house.stored(&[("a", "1")]).await;
    let watch = house.watch(&old).await;

    let new = house.rotate(&old, RotationCause::Renewal, "").await.session.unwrap().token;
    house.rotate(&new, RotationCause::Privilege, "").await;

    assert_eq!(watch.ended().await, EndReason::Superseded);
}

#[apply(on_every_store)]
async fn what_has_ended_is_told_at_once(on: On) {
    let house = House::new(on).await;
    let (gone, old) = (house.stored(&[("a", "1")]).await, house.stored(&[("a", "1")]).await);
    house.destroy(&gone).await;
    house.log_in(&old, "anna").await;
    let ticket = house.open_new().await.token;

    assert_eq!(house.watch_nothing(watch_token(&gone)).await, EndReason::Destroyed);
    assert_eq!(house.watch_nothing(watch_token(&old)).await, EndReason::Superseded);
    assert_eq!(house.watch_nothing(watch_token(&ticket)).await, EndReason::Unspecified);
    assert_eq!(house.watch_nothing(watch_cookie("")).await, EndReason::Unspecified);
    assert_eq!(house.watch_nothing(watch_cookie("session=forged")).await, EndReason::Unspecified);
}

#[apply(on_every_store)]
async fn a_cookie_header_is_watched_as_a_token_is(on: On) {
    let house = House::new(on).await;
    let token = house.stored(&[("a", "1")]).await;
    let mut answers = house.try_watch(watch_cookie(&format!("other=1; session={token}"))).await.unwrap();
    answers.message().await.unwrap().unwrap();

    house.destroy(&token).await;

    assert_eq!(answers.message().await.unwrap().unwrap().end_reason(), EndReason::Destroyed);
}

#[apply(on_every_store)]
async fn an_end_that_races_the_beginning_of_its_watch_is_told(on: On) {
    let house = House::new(on).await;
    for _ in 0..50 {
        let token = house.stored(&[("a", "1")]).await;
        let (answers, _) = tokio::join!(house.try_watch(watch_token(&token)), house.destroy(&token));
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
    let replica = || AnyStore::from(Redis::new(&settings).unwrap());
    let one = House::around(replica(), &app).await;
    let other = House::around(replica(), &app).await;

    let mut spans = Vec::new();
    for _ in 0..100 {
        let token = one.stored(&[("a", "1")]).await;
        let watch = other.watch(&token).await;
        one.destroy(&token).await;
        let begin = Instant::now();
        assert_eq!(watch.ended().await, EndReason::Destroyed);
        spans.push(begin.elapsed());
    }

    spans.sort();
    println!(
        "from an end to its watch on another replica: p50 {:?}, p99 {:?}, max {:?}",
        spans[49], spans[98], spans[99]
    );
    assert!(spans[99] < Duration::from_secs(5), "{spans:?}");
}

#[tokio::test]
async fn a_watch_outlives_an_outage_and_an_end_after_it_is_told() {
    let (redis, house) = house_on_a_redis_of_its_own().await;
    let token = house.stored(&[("a", "1")]).await;
    let watch = house.watch(&token).await;

    redis.signal("-STOP");
    for _ in 0..3 {
        refused(house.try_open(open_cookie(&format!("session={token}"))).await);
    }
    redis.signal("-CONT");
    while house.client.clone().destroy_session(destroy(&token)).await.is_err() {}

    assert_eq!(watch.ended().await, EndReason::Destroyed);
}

#[tokio::test]
async fn a_session_that_was_lost_in_an_outage_ends_its_watch() {
    let (mut redis, house) = house_on_a_redis_of_its_own().await;
    let token = house.stored(&[("a", "1")]).await;
    let watch = house.watch(&token).await;

    redis.stop();
    refused(house.try_open(open_cookie(&format!("session={token}"))).await);
    redis.start_again();

    assert_eq!(watch.ended().await, EndReason::Unspecified);
}

#[tokio::test]
async fn a_stop_tells_watchers_to_go_on_elsewhere_and_waits_for_none() {
    let house = House::new(On::Memory).await;
    let watch = house.watch(&house.stored(&[("a", "1")]).await).await;
    let begin = Instant::now();

    house.stop();

    assert_eq!(reason(&watch.failed().await), (Code::Unavailable, "GOING_AWAY".to_owned()));
    assert!(begin.elapsed() < server::Settings::default().drain_timeout);
}

#[tokio::test]
async fn an_app_has_ten_thousand_watchers_and_no_more() {
    let house = House::new(On::Memory).await;
    let token = house.stored(&[("a", "1")]).await;
    let watch = async || {
        house.service.watch(WatchRequest { credential: Credential::Token(&token), ..Default::default() }).await
    };
    let mut watching = Vec::new();
    for _ in 0..10_000 {
        let Ok(WatchStart::Alive(one)) = watch().await else { panic!("the token opens its session") };
        watching.push(one);
    }

    assert!(matches!(watch().await, Err(Error::TooManyWatchers)));
    watching.pop();

    assert!(matches!(watch().await, Ok(WatchStart::Alive(_))));
    house.destroy(&token).await;
    for one in watching {
        assert_eq!(one.ended().await.unwrap(), Some(session::EndReason::Destroyed));
    }
}

#[apply(on_every_store)]
async fn two_thousand_watches_share_two_connections(on: On) {
    let settings = server::Settings { max_concurrent_streams: 1000, ..Default::default() };
    let house = House::with_server(on, settings).await;
    let mut watches = JoinSet::new();
    for _ in 0..2 {
        let mut client = house.another_client().await;
        let token = house.stored(&[("a", "1")]).await;
        for n in 0..1000 {
            let token = if n % 10 == 0 { house.stored(&[("a", "1")]).await } else { token.clone() };
            let mut answers = client.watch_session(watch_token(&token)).await.unwrap().into_inner();
            answers.message().await.unwrap().unwrap();
            watches.spawn(async move { answers.message().await.unwrap().unwrap().end_reason() });
        }
    }

    house.service.store().revoke_app(&place(NOBODY).app, house.now()).await.unwrap();

    assert_eq!(watches.join_all().await, vec![EndReason::Revoked; 2000]);
}

/// Waits until the hub has looked at the clock: another session's watch has ended by it.
async fn ticks(house: &House) {
    let token = house.stored(&[("a", "1")]).await;
    let watch = house.watch(&token).await;
    house.destroy(&token).await;
    watch.ended().await;
}

fn destroy(token: &str) -> cloakroom::grpc::wire::DestroySessionRequest {
    use cloakroom::grpc::wire::destroy_session_request::Credential;
    let credential = Some(Credential::Token(token.to_owned()));
    cloakroom::grpc::wire::DestroySessionRequest { credential, ..Default::default() }
}

/// A house whose Redis may be stopped and frozen, and which gives up on it soon.
async fn house_on_a_redis_of_its_own() -> (RedisServer, House) {
    let redis = RedisServer::start();
    let store = RedisSettings { url: redis.url(), timeout: Duration::from_millis(300), ..Default::default() };
    let app: app::Settings = app_settings();
    let house = House::around(AnyStore::from(Redis::new(&store).unwrap()), &app).await;
    (redis, house)
}

/// No session's handle.
const NOBODY: &str = "00000000000000000000000000000000";
