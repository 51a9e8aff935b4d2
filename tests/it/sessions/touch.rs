//! Touch: when a use moves the stored access time, and that reads write nothing else.

use std::time::Duration;

use cloakroom::app;
use cloakroom::grpc::wire::{Changes, EndReason, OpenSessionRequest, RequestContext};
use cloakroom::store::{Handle, Redis, RedisSettings};
use tokio::task::JoinSet;

use crate::support::calls::{ChangesExt as _, open_cookie, save, save_cookie, save_unmodified};
use crate::support::redis::RedisServer;
use crate::support::sessions::{HOUR, LifetimeExt as _, MILLI, MINUTE, SECOND, gone};
use crate::support::{StoreKind, TestService, app_settings};

/// A use is stored after a twentieth of the idle timeout: 30 seconds.
const IDLE: Duration = Duration::from_secs(10 * 60);
const THRESHOLD: Duration = Duration::from_secs(30);

async fn service(store: StoreKind) -> TestService {
    TestService::with_lifetimes(store, IDLE, 10 * HOUR).await
}

#[apply(on_every_store)]
async fn a_use_before_the_threshold_does_not_move_the_deadline(store: StoreKind) {
    let service = service(store).await;
    let token = service.stored(&[("a", "1")]).await;

    service.advance(THRESHOLD - MILLI);
    service.open_cookie(&token).await;
    service.save(save_unmodified(&token)).await;
    service.advance(IDLE - THRESHOLD + MILLI);

    assert!(!service.is_live(&token).await, "one threshold early");
}

#[apply(on_every_store)]
async fn a_use_at_the_threshold_moves_the_deadline(store: StoreKind) {
    let service = service(store).await;
    let (opened, saved) = (service.stored(&[("a", "1")]).await, service.stored(&[("a", "1")]).await);

    service.advance(THRESHOLD);
    service.open_cookie(&opened).await;
    service.save(save_unmodified(&saved)).await;
    service.advance(IDLE - MILLI);
    let both = [opened, saved];

    for token in &both {
        assert_eq!(service.save(save_unmodified(token)).await.end_reason(), EndReason::Unspecified);
    }
    service.advance(IDLE);
    for token in &both {
        assert_eq!(gone(&service.save(save_unmodified(token)).await), EndReason::Idle, "never late");
    }
}

#[apply(on_every_store)]
async fn a_look_is_no_use(store: StoreKind) {
    let service = service(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let before = service.session(&token).await;

    service.advance(IDLE - MILLI);
    let context = Some(RequestContext { user_agent: "monitor".to_owned(), ..RequestContext::default() });
    let look = OpenSessionRequest { no_touch: true, context, ..open_cookie(&format!("session={token}")) };
    let seen = service.open(look).await.session.expect("an open has a session");

    assert!(seen == before);
    service.advance(MILLI);
    assert!(!service.is_live(&token).await);
}

#[apply(on_every_store)]
async fn a_use_at_the_threshold_moves_the_deadline_by_no_more_than_that(store: StoreKind) {
    let service = service(store).await;
    let token = service.stored(&[("a", "1")]).await;

    service.advance(THRESHOLD);
    service.open_cookie(&token).await;
    service.advance(IDLE);

    assert!(!service.is_live(&token).await);
}

#[apply(on_every_store)]
async fn a_session_lives_while_it_is_used_however_short_its_idle_timeout_is(store: StoreKind) {
    let service = service(store).await;

    for idle_timeout in [SECOND, 8 * SECOND] {
        let token = service.stored(&[("a", "1")]).await;
        service.update(&token, Changes::default().idle_timeout(idle_timeout)).await;

        for _ in 0..20 {
            service.advance(idle_timeout / 5);
            service.open_cookie(&token).await;
        }
        service.advance(idle_timeout - idle_timeout / 20);

        assert!(service.is_live(&token).await);
    }
}

#[apply(on_every_store)]
async fn a_touch_leaves_the_etag_and_the_entries_alone(store: StoreKind) {
    let service = service(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let before = service.session(&token).await;

    service.advance(THRESHOLD);
    service.open_cookie(&token).await;
    service.advance(THRESHOLD);
    let after = service.session(&token).await;

    assert_eq!((&after.etag, after.create_time), (&before.etag, before.create_time));
    assert!(after.entries == before.entries);
}

#[apply(on_every_store)]
async fn a_superseded_token_touches_nothing(store: StoreKind) {
    let service = service(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let next = service.log_in(&token, "alice").await;

    service.advance(5 * MINUTE);
    service.open_cookie(&token).await;
    service.save(save_unmodified(&token)).await;
    service.advance(5 * MINUTE);

    assert!(!service.is_live(&next).await);
}

#[apply(on_every_store)]
async fn a_clock_that_goes_back_undoes_no_touch(store: StoreKind) {
    let service = service(store).await;
    let token = service.stored(&[("a", "1")]).await;
    service.advance(5 * MINUTE);
    service.open_cookie(&token).await;
    let used = service.millis();

    service.clock.set(cloakroom::types::Time::from_millis(used - 200_000));
    service.open_cookie(&token).await;
    service.update(&token, Changes::default().set("a", "2")).await;
    service.clock.set(cloakroom::types::Time::from_millis(used + 599_999));

    assert!(service.is_live(&token).await);
}

/// Starts a service on a Redis of its own, so that its commands can be counted.
async fn service_with_redis() -> (TestService, RedisServer) {
    let redis = RedisServer::start();
    // It logs every command.
    redis.cli(&["config", "set", "slowlog-max-len", "1000000", "slowlog-log-slower-than", "0"]);
    let settings = RedisSettings { url: redis.url(), timeout: Duration::from_secs(60), ..Default::default() };
    let store = Handle::from(Redis::new(&settings).unwrap());
    let app = app::Settings { idle_timeout: IDLE, ..app_settings() };
    (TestService::with_store(store, &app).await, redis)
}

/// Returns how many scripts a Redis has run, besides those that look for missing rights. Every write is one.
fn scripts_run(redis: &RedisServer) -> usize {
    let log = redis.cli(&["slowlog", "get", "-1"]);
    let words: Vec<&str> = log.lines().collect();
    // EVALSHA, the script, the number of keys, and the first key.
    words.windows(4).filter(|words| words[0] == "EVALSHA" && !words[3].ends_with(":health")).count()
}

/// Whether a session was read. The script that looks for missing rights reads another key.
fn is_read(redis: &RedisServer) -> bool {
    let log = redis.cli(&["slowlog", "get", "-1"]);
    let words: Vec<&str> = log.lines().collect();
    words.windows(2).any(|words| words[0] == "HGETALL" && !words[1].ends_with(":health"))
}

#[tokio::test]
async fn ten_thousand_opens_without_a_cookie_write_nothing() {
    let (service, redis) = service_with_redis().await;
    let mut opens = JoinSet::new();

    for _ in 0..50 {
        let mut client = service.client.clone();
        opens.spawn(async move {
            for _ in 0..200 {
                assert!(
                    client.open_session(open_cookie("theme=dark")).await.unwrap().into_inner().session.unwrap().new
                );
            }
        });
    }
    opens.join_all().await;

    assert_eq!(redis.keys(), [""; 0]);
    assert_eq!(scripts_run(&redis), 0);
    assert!(!is_read(&redis), "the store was not read either");
}

#[tokio::test]
async fn a_forged_cookie_never_reaches_the_store() {
    let (service, redis) = service_with_redis().await;
    let token = TestService::new(StoreKind::Memory).await.stored(&[("a", "1")]).await;

    assert!(!service.is_live(&token).await);
    service.save(save_cookie(&format!("session={token}"), Changes::default().unset("a"))).await;

    assert_eq!(redis.keys(), [""; 0]);
    assert!(!is_read(&redis));
}

#[tokio::test]
async fn reads_below_the_threshold_write_nothing_and_reads_above_write_once() {
    let (service, redis) = service_with_redis().await;
    let token = service.stored(&[("a", "1")]).await;
    let before = scripts_run(&redis);

    service.advance(THRESHOLD - MILLI);
    for _ in 0..10 {
        service.open_cookie(&token).await;
        service.save(save_unmodified(&token)).await;
    }
    assert_eq!(scripts_run(&redis), before);

    service.advance(MILLI);
    service.open_cookie(&token).await;
    let touched = scripts_run(&redis);
    assert!(touched > before);
    service.open_cookie(&token).await;
    service.save(save_unmodified(&token)).await;
    assert_eq!(scripts_run(&redis), touched);
}

#[tokio::test]
async fn refused_saves_change_no_byte() {
    let (service, redis) = service_with_redis().await;
    let token = service.stored(&[("a", "1"), ("n", "\"text\"")]).await;
    let is_of_session = |key: &String| key.rsplit(':').next().is_some_and(|id| id.len() == 32);
    let key = redis.keys().into_iter().find(is_of_session).unwrap();
    let before = redis.cli(&["--no-raw", "hgetall", &key]);
    assert!(before.contains("e:n"), "{before}");

    service.refusal(save(&token, Changes::default().increment("a", 1).increment("n", 1).set("b", "1"))).await;
    let long = format!("\"{}\"", "x".repeat(70_000));
    service.refusal(save(&token, Changes::default().increment("a", 1).increment("z", 1).set("b", &long))).await;

    assert_eq!(redis.cli(&["--no-raw", "hgetall", &key]), before);
}
