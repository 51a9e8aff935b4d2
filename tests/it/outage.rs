//! Redis that stops, freezes, comes back and forgets its scripts, and what is to be found in it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use cloakroom::grpc::wire::{Changes, OpenSessionRequest, Outcome, RotationCause, SaveSessionRequest};
use cloakroom::store::{Handle, Redis, RedisSettings, Store as _};
use cloakroom::{grpc, server};
use redis::Connection;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::support::calls::{ChangesExt as _, open_cookie, reason, refused, save, save_cookie};
use crate::support::redis::RedisServer;
use crate::support::{House, app_settings, patient};

#[tokio::test]
async fn a_stopped_store_is_unavailable_and_never_an_empty_session() {
    let (mut redis, house) = house().await;
    let token = house.stored(&[("a", "1")]).await;

    redis.stop();

    for _ in 0..3 {
        assert_unavailable(&house, &token).await;
    }
}

#[tokio::test]
async fn a_store_that_was_started_again_is_used_without_a_restart() {
    let (mut redis, house) = house().await;
    let token = house.stored(&[("a", "1")]).await;
    redis.stop();
    assert_unavailable(&house, &token).await;

    redis.start_again();

    until_it_opens(&house, &token).await;
    let token = house.stored(&[("b", "2")]).await;
    assert_eq!(house.entries(&token).await["b"], "2");
}

#[tokio::test]
async fn a_frozen_store_is_unavailable_within_the_deadline_and_then_goes_on() {
    let (redis, house) = house().await;
    let token = house.stored(&[("a", "1")]).await;

    redis.signal("-STOP");
    for _ in 0..3 {
        assert_unavailable(&house, &token).await;
    }
    redis.signal("-CONT");

    until_it_opens(&house, &token).await;
    assert!(["1", "2"].contains(&house.entries(&token).await["a"].as_str()), "a write without an answer may be done");
}

#[tokio::test]
async fn a_write_whose_outcome_is_unknown_is_done_once_if_it_is_repeated() {
    let (redis, house) = house().await;
    let token = house.stored(&[("a", "1")]).await;
    let counting = || SaveSessionRequest {
        request_id: "0123456789abcdef".to_owned(),
        ..save(&token, Changes::default().increment("n", 1))
    };

    redis.signal("-STOP");
    let unknown = refused(house.try_save(counting()).await);
    redis.signal("-CONT");
    until_it_opens(&house, &token).await;
    let repeated = house.save(counting()).await;

    assert_eq!(reason(&unknown), (Code::Unavailable, "STORE_UNAVAILABLE".to_owned()));
    assert_eq!(repeated.counters["n"], 1);
    assert_eq!(house.entries(&token).await["n"], "1");
}

#[tokio::test]
async fn what_needs_no_store_goes_on_without_it() {
    let (mut redis, house) = house().await;
    redis.stop();

    let session = house.open_new().await;
    let forged = house.open_cookie("forged").await.session.unwrap();

    assert!(session.new && forged.new);
    assert_eq!(house.policy("").await.cookie_name, "session");
    let saved = refused(house.try_save(save(&session.token, Changes::default().set("a", "1"))).await);
    assert_eq!(reason(&saved), (Code::Unavailable, "STORE_UNAVAILABLE".to_owned()));
}

#[tokio::test]
async fn health_tells_when_the_store_is_silent_and_when_it_answers_again() {
    let (redis, house) = house().await;
    let mut health = health(&house).await;
    let mut answers = health.watch(check(grpc::SESSION_SERVICE)).await.unwrap().into_inner();
    let mut next = async || status(&answers.message().await.unwrap().unwrap());
    assert_eq!(next().await, ServingStatus::Serving);

    redis.signal("-STOP");
    assert_eq!(next().await, ServingStatus::NotServing);
    let alive = health.clone().check(check("")).await.unwrap();
    redis.signal("-CONT");

    assert_eq!(next().await, ServingStatus::Serving);
    assert_eq!(status(alive.get_ref()), ServingStatus::Serving, "liveness never looks at the store");
}

#[tokio::test]
async fn health_knows_the_service_and_no_other() {
    let (_redis, house) = house().await;
    let mut health = health(&house).await;

    let service = health.check(check("cloakroom.v1.SessionService")).await.unwrap();
    let other = refused(health.check(check("cloakroom.v1.Nobody")).await);

    assert_eq!(status(service.get_ref()), ServingStatus::Serving);
    assert_eq!(other.code(), Code::NotFound);
}

#[tokio::test]
async fn a_worker_that_has_ended_takes_no_connection_of_others_with_it() {
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
async fn scripts_that_redis_forgot_are_loaded_again() {
    let (redis, house) = house().await;
    let forget = || assert!(redis.cli(&["script", "flush"]).starts_with("OK"));

    forget();
    let token = house.stored(&[("a", "1")]).await;
    forget();
    let saved = house.save(save(&token, Changes::default().set("b", "2"))).await;
    forget();
    house.advance(3 * DAY);
    house.open_cookie(&token).await;
    forget();
    let rotated = house.rotate(&token, RotationCause::Privilege, "").await;
    forget();
    let ended = house.destroy(&rotated.session.as_ref().unwrap().token).await;

    assert_eq!(
        [saved.outcome(), rotated.outcome(), ended.outcome()],
        [Outcome::Updated, Outcome::Updated, Outcome::Deleted]
    );
}

#[tokio::test]
async fn no_token_and_no_part_of_one_is_to_be_found_in_redis() {
    let (redis, house) = house().await;
    let tokens = story(&house).await;

    let everything = everything(&mut connect(&redis));

    assert!(everything.len() >= 4);
    for token in &tokens {
        for part in parts(token) {
            for (key, value) in &everything {
                assert!(!contains(key.as_bytes(), &part) && !contains(value, &part), "{key} holds a part of {token}");
            }
        }
    }
}

#[tokio::test]
async fn keys_say_prefix_slot_app_and_what_they_hold() {
    let (redis, house) = house().await;
    story(&house).await;

    let keys: Vec<String> = everything(&mut connect(&redis)).into_keys().collect();

    let is_hash = |text: &str| text.len() == 32 && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    for key in keys {
        let [prefix, slot, app, what @ ..] = &key.split(':').collect::<Vec<_>>()[..] else { panic!("{key}") };
        assert_eq!((*prefix, *app), ("cloakroom", "default"));
        let slot = slot.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
        let is_partition = slot.len() == 2 && slot.parse::<u8>().is_ok_and(|number| number < 64);
        match what {
            ["feed"] | ["feed", "count"] => assert!(is_partition, "{key}"),
            ["subject"] => assert!(is_hash(slot), "{key}"),
            [id] => {
                assert!(is_hash(id), "{key}");
                let first = u8::from_str_radix(&id[..2], 16).unwrap();
                assert_eq!(slot, format!("{:02}", first >> 2), "the partition is the first six bits of the id");
            }
            _ => panic!("{key}"),
        }
    }
}

#[tokio::test]
async fn every_key_expires_sixteen_minutes_after_its_session() {
    let (redis, house) = house().await;
    let mut connection = connect(&redis);
    let live = house.stored(&[("a", "1")]).await;
    let expires_in = |connection: &mut Connection| -> u64 {
        redis::cmd("PTTL").arg(session_key(connection)).query(connection).unwrap()
    };
    let within = |millis: u64, span: Duration| {
        let late = Duration::from_secs(60);
        // A minute more, so that most saves need not move it.
        assert!((span - late..=span + late).contains(&Duration::from_millis(millis)), "{millis} ms, not {span:?}");
    };

    within(expires_in(&mut connection), 31 * DAY + TOMBSTONE_TTL);
    house.save(save(&live, lifetime(3600))).await;
    within(expires_in(&mut connection), Duration::from_secs(3600) + TOMBSTONE_TTL);
    house.rotate(&live, RotationCause::Renewal, "").await;
    within(expires_in(&mut connection), Duration::from_secs(3600) + TOMBSTONE_TTL);
    house.destroy(&live).await;
    within(expires_in(&mut connection), TOMBSTONE_TTL);
}

#[tokio::test]
async fn a_due_touch_moves_the_expiry_on() {
    let (redis, house) = house().await;
    let mut connection = connect(&redis);
    let token = house.stored(&[("a", "1")]).await;
    let key = session_key(&mut connection);
    let mut expire_time = || -> u64 { redis::cmd("PEXPIRETIME").arg(&key).query(&mut connection).unwrap() };

    let created = expire_time();
    house.advance(DAY);
    house.open_cookie(&token).await;
    let not_due = expire_time();
    house.advance(DAY);
    house.open_cookie(&token).await;
    let due = expire_time();

    assert_eq!(not_due, created, "a twentieth of 31 days has not passed");
    assert_eq!(due - created, 2 * 86_400_000);
}

/// A life of all that is written: entries, a subject, rotations of both kinds, marks, an end. Answers every token
/// and ticket that was given out.
async fn story(house: &House) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut given = |session: Option<grpc::wire::Session>| {
        let token = session.unwrap().token;
        tokens.push(token.clone());
        token
    };
    for n in 0..4 {
        let ticket = given(Some(house.open_new().await));
        let first = save(&ticket, Changes::default().set("a", "1").set_raw("raw", b"\0\x01").permanent(true));
        let token = given(
            house.save(SaveSessionRequest { request_id: format!("create-{n}-0123456789"), ..first }).await.session,
        );
        let login = save(&token, Changes::default().subject("mallory").increment("n", 1));
        let token = given(
            house.save(SaveSessionRequest { request_id: format!("login-{n}-0123456789"), ..login }).await.session,
        );
        let token = given(house.rotate(&token, RotationCause::Renewal, "renewal-0123456789").await.session);
        let token = given(house.rotate(&token, RotationCause::Privilege, "").await.session);
        house.open_cookie(&token).await;
        if n == 0 {
            house.destroy_as(&token, "destroy-0123456789").await;
        }
    }
    tokens
}

/// What of a token would give it away: its text, its random part and its signature, and their bytes, the locator's
/// and the secret's apart, in every usual spelling.
fn parts(token: &str) -> Vec<Vec<u8>> {
    let mut parts = vec![token.as_bytes().to_vec()];
    let fields: Vec<&str> = token.split('.').collect();
    for field in &fields[fields.len() - 2..] {
        let bytes = URL_SAFE_NO_PAD.decode(field).unwrap();
        for secret in [&bytes[..], &bytes[..16], &bytes[16..]] {
            let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
            let texts = [STANDARD.encode(secret), STANDARD_NO_PAD.encode(secret), URL_SAFE_NO_PAD.encode(secret), hex];
            parts.push(secret.to_vec());
            parts.extend(texts.map(String::into_bytes));
        }
        parts.push(field.as_bytes().to_vec());
    }
    parts
}

/// Every key, with the bytes of all that lies there.
fn everything(connection: &mut Connection) -> BTreeMap<String, Vec<u8>> {
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(connection).unwrap();
    let mut all = BTreeMap::new();
    for key in keys {
        let kind: String = redis::cmd("TYPE").arg(&key).query(connection).unwrap();
        let fields: Vec<Vec<u8>> = match kind.as_str() {
            "hash" => redis::cmd("HGETALL").arg(&key).query(connection).unwrap(),
            "string" => vec![redis::cmd("GET").arg(&key).query(connection).unwrap()],
            "stream" => {
                let entries: Vec<(String, Vec<Vec<u8>>)> =
                    redis::cmd("XRANGE").arg(&key).arg("-").arg("+").query(connection).unwrap();
                entries.into_iter().flat_map(|(_, fields)| fields).collect()
            }
            _ => panic!("{key} is a {kind}"),
        };
        all.insert(key, fields.join(&b'|'));
    }
    all
}

/// The key of the only session that there is.
fn session_key(connection: &mut Connection) -> String {
    let id = "?".repeat(32);
    let keys: Vec<String> = redis::cmd("KEYS").arg(format!("*:{id}")).query(connection).unwrap();
    let [key] = &keys[..] else { panic!("one session was expected: {keys:?}") };
    key.clone()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn connect(redis: &RedisServer) -> Connection {
    redis::Client::open(redis.url()).unwrap().get_connection().unwrap()
}

fn lifetime(seconds: i64) -> Changes {
    use cloakroom::grpc::wire::changes::Lifetime;
    let idle_timeout = prost_types::Duration { seconds, nanos: 0 };
    Changes { lifetime: Some(Lifetime::IdleTimeout(idle_timeout)), ..Default::default() }
}

async fn assert_unavailable(house: &House, token: &str) {
    let cookie = format!("session={token}");
    let begin = Instant::now();

    let answers: [Status; 4] = [
        refused(house.try_open(open_cookie(&cookie)).await),
        refused(house.try_save(save(token, Changes::default().set("a", "2"))).await),
        refused(house.try_save(save_cookie(&cookie, Changes::default().set("a", "2"))).await),
        refused(house.try_open(OpenSessionRequest { cookie_name: "session".to_owned(), ..open_cookie(&cookie) }).await),
    ];

    assert!(begin.elapsed() < 8 * TIMEOUT, "{:?}", begin.elapsed());
    for status in answers {
        assert_eq!(reason(&status), (Code::Unavailable, "STORE_UNAVAILABLE".to_owned()));
    }
}

/// Asks until the store is there again; until then it has to be UNAVAILABLE.
async fn until_it_opens(house: &House, token: &str) {
    let begin = Instant::now();
    while let Err(status) = house.try_open(open_cookie(&format!("session={token}"))).await {
        assert_eq!(reason(&status), (Code::Unavailable, "STORE_UNAVAILABLE".to_owned()));
        assert!(begin.elapsed() < Duration::from_secs(60), "the store is not found again");
    }
}

async fn health(house: &House) -> HealthClient<Channel> {
    HealthClient::new(Channel::from_shared(house.address.clone()).unwrap().connect().await.unwrap())
}

fn check(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

fn status(response: &HealthCheckResponse) -> ServingStatus {
    response.status()
}

/// A house on a Redis of its own, which it gives up on soon.
async fn house() -> (RedisServer, House) {
    let redis = RedisServer::start();
    let settings = RedisSettings { url: redis.url(), timeout: TIMEOUT, ..Default::default() };
    let store = Handle::from(Redis::new(&settings).unwrap());
    let server = server::Settings { store_unhealthy_after: Duration::from_millis(500), ..patient() };
    let house = House::on_store(store, [("default", app_settings())], server).await;
    (redis, house)
}

const TIMEOUT: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// How long an end is remembered.
const TOMBSTONE_TTL: Duration = Duration::from_secs(16 * 60);
