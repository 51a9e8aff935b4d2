//! The data in Redis: keys of one form that all expire, and no part of a token.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use cloakroom::grpc::wire::changes::Lifetime;
use cloakroom::grpc::wire::{Changes, RotationCause, SaveSessionRequest, Session};
use cloakroom::service::Error as ServiceError;
use cloakroom::session::Subject;
use cloakroom::store::{Cursor, Error, Redis, RedisSettings, Store as _};
use redis::Connection;

use super::{DAY, service};
use crate::conformance::fixtures::{self, START, create, create_session, record, touch};
use crate::support::TestService;
use crate::support::calls::{ChangesExt as _, save};
use crate::support::redis::RedisServer;

/// The time for which an ended session is remembered.
const TOMBSTONE_TTL: Duration = Duration::from_secs(16 * 60);

#[tokio::test]
async fn redis_has_no_token_and_no_part_of_one() {
    let (redis, service) = service().await;
    let tokens = write_everything(&service).await;

    let contents = contents(&mut connect(&redis));

    assert!(contents.len() >= 4);
    for token in &tokens {
        for part in parts(token) {
            for (key, value) in &contents {
                assert!(!contains(key.as_bytes(), &part) && !contains(value, &part), "{key} holds a part of {token}");
            }
        }
    }
}

#[tokio::test]
async fn a_touch_of_a_damaged_session_fails_and_leaves_it_as_it_is() {
    let redis = RedisServer::start();
    let store = Redis::new(&RedisSettings { url: redis.url(), ..Default::default() }).unwrap();
    let session_key = create_session(&store).await;
    let key = redis.keys().into_iter().find(|key| key.ends_with(&session_key.id.to_string())).unwrap();
    redis.cli(&["hset", &key, "m", "nonsense"]);
    let before = redis.cli(&["hgetall", &key]);

    let touched = store.touch(&session_key, &touch(0, START + Duration::from_secs(1))).await;

    assert!(matches!(touched, Err(Error::Corrupt)), "{touched:?}");
    assert_eq!(redis.cli(&["hgetall", &key]), before);
}

#[tokio::test]
async fn a_damaged_session_keeps_no_other_of_its_user_from_being_listed_and_ended() {
    let (redis, service) = service().await;
    let mut sessions = Vec::new();
    for _ in 0..100 {
        sessions.push(service.logged_in("anna").await);
    }
    let damaged = sessions.swap_remove(50);
    let key = redis.keys().into_iter().find(|key| key.ends_with(&damaged.id)).unwrap();
    redis.cli(&["hset", &key, "m", "nonsense"]);
    assert_eq!(service.ids_of("anna").await.len(), sessions.len());

    for _ in 0..2 {
        let revoked = service.inner.revoke_subject("", &Subject::parse("anna").unwrap(), None).await;

        assert!(matches!(revoked, Err(ServiceError::Store(Error::Corrupt))), "{revoked:?}");
        assert_eq!(service.ids_of("anna").await, [""; 0]);
    }
    for session in sessions {
        assert!(!service.is_live(&session.token).await);
    }
}

#[tokio::test]
async fn a_damaged_session_hides_no_other_of_its_app() {
    let redis = RedisServer::start();
    let store = Redis::new(&RedisSettings { url: redis.url(), ..Default::default() }).unwrap();
    let (damaged, whole) = (create_session(&store).await, fixtures::session_key(2));
    create(&store, whole.clone(), &record()).await;
    let key = redis.keys().into_iter().find(|key| key.ends_with(&damaged.id.to_string())).unwrap();
    redis.cli(&["hset", &key, "m", "nonsense"]);

    let (mut found, mut cursor) = (Vec::new(), Some(Cursor::default()));
    while let Some(from) = cursor {
        let page = store.scan(&whole.app, &from, 100).await.unwrap();
        found.extend(page.sessions.into_iter().map(|(id, _)| id));
        cursor = page.next;
    }

    assert_eq!(found, [whole.id]);
}

#[tokio::test]
async fn a_key_has_prefix_slot_app_and_kind() {
    let (redis, service) = service().await;
    write_everything(&service).await;

    let keys: Vec<String> = contents(&mut connect(&redis)).into_keys().collect();

    let is_hash = |text: &str| text.len() == 32 && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    for key in keys.into_iter().filter(|key| key != "cloakroom:layout") {
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
async fn a_key_expires_sixteen_minutes_after_its_session() {
    let (redis, service) = service().await;
    let mut connection = connect(&redis);
    let live = service.stored(&[("a", "1")]).await;
    let expires_in = |connection: &mut Connection| -> u64 {
        redis::cmd("PTTL").arg(session_key(connection)).query(connection).unwrap()
    };
    let assert_about = |millis: u64, duration: Duration| {
        // The expiry has a minute to spare, so that most saves need not move it.
        let tolerance = Duration::from_secs(60);
        assert!(
            (duration - tolerance..=duration + tolerance).contains(&Duration::from_millis(millis)),
            "{millis} ms, not {duration:?}"
        );
    };

    assert_about(expires_in(&mut connection), 31 * DAY + TOMBSTONE_TTL);
    service.save(save(&live, lifetime(3600))).await;
    assert_about(expires_in(&mut connection), Duration::from_secs(3600) + TOMBSTONE_TTL);
    service.rotate(&live, RotationCause::Renewal, "").await;
    assert_about(expires_in(&mut connection), Duration::from_secs(3600) + TOMBSTONE_TTL);
    service.destroy(&live).await;
    assert_about(expires_in(&mut connection), TOMBSTONE_TTL);
}

#[tokio::test]
async fn a_due_touch_moves_the_expiry() {
    let (redis, service) = service().await;
    let mut connection = connect(&redis);
    let token = service.stored(&[("a", "1")]).await;
    let key = session_key(&mut connection);
    let mut expire_time = || -> u64 { redis::cmd("PEXPIRETIME").arg(&key).query(&mut connection).unwrap() };

    let created = expire_time();
    service.advance(DAY);
    service.open_cookie(&token).await;
    let not_due = expire_time();
    service.advance(DAY);
    service.open_cookie(&token).await;
    let due = expire_time();

    assert_eq!(not_due, created, "a twentieth of 31 days has not passed");
    assert_eq!(due - created, 2 * 86_400_000);
}

/// Writes all that a session can have: entries, a subject, rotations of both kinds, idempotency records, an end.
/// Returns every token and ticket.
async fn write_everything(service: &TestService) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut remember = |session: Option<Session>| {
        let token = session.unwrap().token;
        tokens.push(token.clone());
        token
    };
    for n in 0..4 {
        let ticket = remember(Some(service.open_new().await));
        let first = save(&ticket, Changes::default().set("a", "1").set_raw("raw", b"\0\x01").permanent(true));
        let token = remember(
            service.save(SaveSessionRequest { request_id: format!("create-{n}-0123456789"), ..first }).await.session,
        );
        let login = save(&token, Changes::default().subject("mallory").increment("n", 1));
        let token = remember(
            service.save(SaveSessionRequest { request_id: format!("login-{n}-0123456789"), ..login }).await.session,
        );
        let token = remember(service.rotate(&token, RotationCause::Renewal, "renewal-0123456789").await.session);
        let token = remember(service.rotate(&token, RotationCause::Privilege, "").await.session);
        service.open_cookie(&token).await;
        if n == 0 {
            service.destroy_as(&token, "destroy-0123456789").await;
        }
    }
    tokens
}

/// Returns the parts of a token that must stay secret: its text, its random part and its signature, their bytes,
/// and selector and verifier alone, in every usual encoding.
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

/// Returns every key with the bytes of its value.
fn contents(connection: &mut Connection) -> BTreeMap<String, Vec<u8>> {
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

/// Returns the key of the only session.
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
    let idle_timeout = prost_types::Duration { seconds, nanos: 0 };
    Changes { lifetime: Some(Lifetime::IdleTimeout(idle_timeout)), ..Default::default() }
}
