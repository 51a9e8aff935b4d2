//! Touching: when a mere use is written down, and that nothing else is.

use std::time::Duration;

use cloakroom::app;
use cloakroom::grpc::wire::{Changes, EndReason};
use cloakroom::store::{Handle, Redis, RedisSettings};
use tokio::task::JoinSet;

use crate::on_every_store;
use crate::support::calls::{ChangesExt as _, open_cookie, save, save_cookie, save_unmodified};
use crate::support::redis::RedisServer;
use crate::support::sessions::{HOUR, MILLI, MINUTE, SECOND, gone};
use crate::support::{House, On, app_settings};

/// With this idle timeout a use is written down after a twentieth: 30 seconds.
const IDLE: Duration = Duration::from_secs(10 * 60);
const THRESHOLD: Duration = Duration::from_secs(30);

async fn house(on: On) -> House {
    House::with_lifetimes(on, IDLE, 10 * HOUR).await
}

async fn a_use_before_the_threshold_does_not_move_the_deadline(on: On) {
    let house = house(on).await;
    let token = house.stored(&[("a", "1")]).await;

    house.advance(THRESHOLD - MILLI);
    house.open_cookie(&token).await;
    house.save(save_unmodified(&token)).await;
    house.advance(IDLE - THRESHOLD + MILLI);

    assert!(!house.lives(&token).await, "one threshold early");
}

async fn a_use_at_the_threshold_moves_the_deadline(on: On) {
    let house = house(on).await;
    let (opened, saved) = (house.stored(&[("a", "1")]).await, house.stored(&[("a", "1")]).await);

    house.advance(THRESHOLD);
    house.open_cookie(&opened).await;
    house.save(save_unmodified(&saved)).await;
    house.advance(IDLE - MILLI);
    let ends = [opened, saved];

    for token in &ends {
        assert_eq!(house.save(save_unmodified(token)).await.end_reason(), EndReason::Unspecified);
    }
    house.advance(IDLE);
    for token in &ends {
        assert_eq!(gone(&house.save(save_unmodified(token)).await), EndReason::Idle, "never late");
    }
}

async fn a_use_at_the_threshold_moves_the_deadline_by_no_more_than_that(on: On) {
    let house = house(on).await;
    let token = house.stored(&[("a", "1")]).await;

    house.advance(THRESHOLD);
    house.open_cookie(&token).await;
    house.advance(IDLE);

    assert!(!house.lives(&token).await);
}

async fn the_threshold_is_at_least_10_seconds(on: On) {
    let house = House::with_lifetimes(on, MINUTE, HOUR).await;
    let (early, late) = (house.stored(&[("a", "1")]).await, house.stored(&[("a", "1")]).await);

    house.advance(10 * SECOND - MILLI);
    house.open_cookie(&early).await;
    house.advance(MILLI);
    house.open_cookie(&late).await;
    house.advance(50 * SECOND);

    assert!(!house.lives(&early).await);
    assert!(house.lives(&late).await);
}

async fn a_touch_leaves_the_etag_and_the_entries_alone(on: On) {
    let house = house(on).await;
    let token = house.stored(&[("a", "1")]).await;
    let before = house.session(&token).await;

    house.advance(THRESHOLD);
    house.open_cookie(&token).await;
    house.advance(THRESHOLD);
    let after = house.session(&token).await;

    assert_eq!((&after.etag, after.create_time), (&before.etag, before.create_time));
    assert!(after.entries == before.entries);
}

async fn a_superseded_token_touches_nothing(on: On) {
    let house = house(on).await;
    let token = house.stored(&[("a", "1")]).await;
    let next = house.log_in(&token, "alice").await;

    house.advance(5 * MINUTE);
    house.open_cookie(&token).await;
    house.save(save_unmodified(&token)).await;
    house.advance(5 * MINUTE);

    assert!(!house.lives(&next).await);
}

async fn a_clock_that_goes_back_takes_no_use_back(on: On) {
    let house = house(on).await;
    let token = house.stored(&[("a", "1")]).await;
    house.advance(5 * MINUTE);
    house.open_cookie(&token).await;
    let used = house.millis();

    house.clock.set(cloakroom::types::Time::from_millis(used - 200_000));
    house.open_cookie(&token).await;
    house.update(&token, Changes::default().set("a", "2")).await;
    house.clock.set(cloakroom::types::Time::from_millis(used + 599_999));

    assert!(house.lives(&token).await);
}

/// A house on a Redis of its own, so that its commands can be counted.
async fn counted() -> (House, RedisServer) {
    let redis = RedisServer::start();
    let settings = RedisSettings { url: redis.url(), timeout: Duration::from_secs(60), ..Default::default() };
    let store = Handle::from(Redis::new(&settings).unwrap());
    let app = app::Settings { idle_timeout: IDLE, ..app_settings() };
    (House::around(store, &app).await, redis)
}

/// How many scripts, and so how many writes, a Redis has run.
fn scripts(redis: &RedisServer) -> usize {
    let statistics = redis.cli(&["info", "commandstats"]);
    let lines = statistics.lines().filter(|line| line.starts_with("cmdstat_eval"));
    lines.map(|line| line.split(['=', ',']).nth(1).unwrap().parse::<usize>().unwrap()).sum()
}

#[tokio::test]
async fn ten_thousand_opens_without_a_cookie_are_zero_writes() {
    let (house, redis) = counted().await;
    let mut opens = JoinSet::new();

    for _ in 0..50 {
        let mut client = house.client.clone();
        opens.spawn(async move {
            for _ in 0..200 {
                assert!(
                    client.open_session(open_cookie("theme=dark")).await.unwrap().into_inner().session.unwrap().new
                );
            }
        });
    }
    opens.join_all().await;

    assert_eq!(redis.cli(&["dbsize"]).trim(), "0");
    assert_eq!(scripts(&redis), 0);
    assert!(!redis.cli(&["info", "commandstats"]).contains("cmdstat_hgetall"), "the store was not even asked");
}

#[tokio::test]
async fn a_forged_cookie_never_reaches_the_store() {
    let (house, redis) = counted().await;
    let token = House::new(On::Memory).await.stored(&[("a", "1")]).await;

    assert!(!house.lives(&token).await);
    house.save(save_cookie(&format!("session={token}"), Changes::default().unset("a"))).await;

    assert_eq!(redis.cli(&["dbsize"]).trim(), "0");
    assert!(!redis.cli(&["info", "commandstats"]).contains("cmdstat_hgetall"));
}

#[tokio::test]
async fn reads_below_the_threshold_write_nothing_and_those_above_write_once() {
    let (house, redis) = counted().await;
    let token = house.stored(&[("a", "1")]).await;
    let before = scripts(&redis);

    house.advance(THRESHOLD - MILLI);
    for _ in 0..10 {
        house.open_cookie(&token).await;
        house.save(save_unmodified(&token)).await;
    }
    assert_eq!(scripts(&redis), before);

    house.advance(MILLI);
    house.open_cookie(&token).await;
    let touched = scripts(&redis);
    assert!(touched > before);
    house.open_cookie(&token).await;
    house.save(save_unmodified(&token)).await;
    assert_eq!(scripts(&redis), touched);
}

#[tokio::test]
async fn refused_saves_leave_every_byte_as_it_was() {
    let (house, redis) = counted().await;
    let token = house.stored(&[("a", "1"), ("n", "\"text\"")]).await;
    let key = redis.cli(&["keys", "*"]).trim().to_owned();
    let before = redis.cli(&["--no-raw", "hgetall", &key]);

    house.refusal(save(&token, Changes::default().increment("a", 1).increment("n", 1).set("b", "1"))).await;
    let long = format!("\"{}\"", "x".repeat(70_000));
    house.refusal(save(&token, Changes::default().increment("a", 1).increment("z", 1).set("b", &long))).await;

    assert_eq!(redis.cli(&["--no-raw", "hgetall", &key]), before);
}

on_every_store!(
    a_use_before_the_threshold_does_not_move_the_deadline,
    a_use_at_the_threshold_moves_the_deadline,
    a_use_at_the_threshold_moves_the_deadline_by_no_more_than_that,
    the_threshold_is_at_least_10_seconds,
    a_touch_leaves_the_etag_and_the_entries_alone,
    a_superseded_token_touches_nothing,
    a_clock_that_goes_back_takes_no_use_back,
);
