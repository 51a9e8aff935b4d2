//! The import of Django's sessions by session key, from records in Redis, which are only read.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloakroom::app::DjangoSessionSettings;
use cloakroom::grpc::wire::{Changes, Outcome};
use serde_json::Value;
use tokio::task::JoinSet;
use tonic::Code;

use super::*;
use crate::support::calls::{ChangesExt as _, reason, save_cookie};
use crate::support::redis::RedisServer;
use crate::support::sessions::{HOUR, MINUTE, SECOND, millis};

/// An app that imports records from this Redis, which are signed if there are keys.
fn records_settings(server: &RedisServer, source: DjangoSessionSettings) -> app::Settings {
    let mut settings = settings();
    settings.migrate.flask_cookie = FlaskCookieSettings::default();
    settings.migrate.django_session = DjangoSessionSettings { url: Some(server.url().into()), ..source };
    app::Settings { subject_key: "_auth_user_id".to_owned(), ..settings }
}

fn signed_rows() -> DjangoSessionSettings {
    DjangoSessionSettings { keys: vec![KEY.to_owned().into()], ..Default::default() }
}

async fn service_on(store: StoreKind, server: &RedisServer, source: DjangoSessionSettings) -> TestService {
    TestService::with_apps(store, [("default", records_settings(server, source))]).await
}

/// A session key, as Django makes them.
fn key(n: usize) -> String {
    format!("{n:0>32}")
}

/// Copies a row to Redis, as the management command does. It has the entry `n`, and is the session of anna.
fn copy_row(server: &RedisServer, n: usize) -> String {
    let row = django::row(KEY, &format!(r#"{{"_auth_user_id":"anna","n":{n}}}"#), crate::support::now());
    let in_an_hour = (crate::support::now() + HOUR).millis().to_string();
    server.cli(&["set", &format!("django_session:{}", key(n)), &row, "pxat", &in_an_hour]);
    key(n)
}

#[tokio::test]
async fn a_row_is_imported_once_and_not_changed() {
    let server = RedisServer::start();
    let old = copy_row(&server, 1);
    let record = format!("django_session:{old}");
    let read = || [["get", record.as_str()], ["pexpiretime", &record]].map(|command| server.cli(&command));
    let before = read();
    let service = service_on(StoreKind::Embedded, &server, signed_rows()).await;

    let (id, token) = service.import(&old).await;
    service.update(&token, Changes::default().set("n", "5")).await;
    let again = service.import(&old).await;

    assert_eq!(again, (id, token));
    let (_, session) = service.open_value(&old).await;
    assert_eq!((session.subject.as_str(), session.permanent), ("anna", Some(true)));
    assert_eq!(entries(session), pairs(&[("_auth_user_id", "\"anna\""), ("n", "5")]));
    assert_eq!(read(), before);
    assert_eq!(service.migration("django_session").await.imported, 1);
}

#[tokio::test]
async fn the_records_of_a_real_django_are_imported_or_refused() {
    let vectors: Value = serde_json::from_str(include_str!("../django/vectors.json")).unwrap();
    let secrets = vectors["meta"]["secret_keys"].as_array().unwrap();
    let keys: Vec<_> = secrets.iter().map(|key| key.as_str().unwrap().to_owned().into()).collect();
    let server = RedisServer::start();
    for signed in [true, false] {
        let prefix = if signed { "django_session:" } else { ":1:django.contrib.sessions.cache" };
        let keys = if signed { keys.clone() } else { Vec::new() };
        let source = DjangoSessionSettings { keys, key_prefix: prefix.to_owned(), ..Default::default() };
        let service = service_on(StoreKind::Memory, &server, source).await;
        let records = vectors["records"].as_array().unwrap().iter().filter(|record| record["signed"] == signed);

        for (n, record) in records.enumerate() {
            let value = STANDARD.decode(record["value"].as_str().unwrap()).unwrap();
            server.set_bytes(&format!("{prefix}{}", key(n)), &value);

            let (_, session) = service.open_value(&key(n)).await;

            let loaded: Option<BTreeMap<String, Value>> = serde_json::from_value(record["loaded"].clone()).unwrap();
            let Some(loaded) = loaded else {
                assert!(session.new, "{}", record["name"]);
                continue;
            };
            let names: Vec<_> = entries(session).into_iter().map(|(name, _)| name).collect();
            assert_eq!(names, loaded.into_keys().collect::<Vec<_>>(), "{}", record["name"]);
        }

        let refused = service.rejections("django_session").await;
        assert_eq!(refused["PICKLE"], if signed { 1 } else { 2 });
        assert_eq!(refused.get("BAD_SIGNATURE").copied().unwrap_or_default(), if signed { 3 } else { 0 });
    }
}

#[tokio::test]
async fn with_keys_only_signed_records_are_imported_and_without_keys_only_json() {
    let server = RedisServer::start();
    let row = copy_row(&server, 1);
    let json = key(2);
    server.cli(&["set", &format!("django_session:{json}"), r#"{"_auth_user_id": "anna"}"#]);
    let foreign =
        DjangoSessionSettings { keys: vec!["of another application".to_owned().into()], ..Default::default() };
    let other_class = DjangoSessionSettings { salt: "django.contrib.sessions.Other".to_owned(), ..signed_rows() };
    let [signed, unsigned, foreign, other_class] = [
        service_on(StoreKind::Memory, &server, signed_rows()).await,
        service_on(StoreKind::Memory, &server, DjangoSessionSettings::default()).await,
        service_on(StoreKind::Memory, &server, foreign).await,
        service_on(StoreKind::Memory, &server, other_class).await,
    ];

    assert!(signed.opens_nothing(&json).await && unsigned.opens_nothing(&row).await);
    assert!(foreign.opens_nothing(&row).await && other_class.opens_nothing(&row).await);
    signed.import(&row).await;
    unsigned.import(&json).await;

    for (service, reason) in
        [(&signed, "MALFORMED"), (&unsigned, "MALFORMED"), (&foreign, "BAD_SIGNATURE"), (&other_class, "BAD_SIGNATURE")]
    {
        assert_eq!(service.rejections("django_session").await, [(reason.to_owned(), 1)].into());
    }
}

#[apply(on_every_store)]
async fn a_logout_lasts_although_the_record_is_still_there(store: StoreKind) {
    let server = RedisServer::start();
    let [old, never] = [copy_row(&server, 1), copy_row(&server, 2)];
    for n in [1, 2] {
        server.cli(&["persist", &format!("django_session:{}", key(n))]);
    }
    let service = service_on(store, &server, signed_rows()).await;
    let (_, token) = service.import(&old).await;

    service.destroy(&token).await;
    let destroyed = service.destroy_header(&format!("session={never}")).await;

    assert_eq!(destroyed.outcome(), Outcome::Deleted);
    for after in [SECOND, 20 * MINUTE, 30 * DAY, 29 * DAY] {
        service.advance(after);
        service.store.sweep(service.clock.now()).await.unwrap();
        assert!(service.opens_nothing(&old).await && service.opens_nothing(&never).await);
    }
}

#[tokio::test]
async fn a_record_that_is_no_session_opens_nothing() {
    let server = RedisServer::start();
    let service = service_on(StoreKind::Memory, &server, DjangoSessionSettings::default()).await;
    let set = |n: usize, value: &str| server.cli(&["set", &format!("django_session:{}", key(n)), value]);
    set(1, "(dp0\nS'_auth_user_id'\np1\nS'anna'\np2\ns.");
    set(2, r#"["a"]"#);
    set(3, "{}");
    set(4, r#"{"_session_expiry": "2020-01-01T00:00:00+00:00"}"#);
    server.cli(&["hset", &format!("django_session:{}", key(5)), "a", "b"]);
    let large = r#"return redis.call('set', KEYS[1], '{"a":"' .. string.rep('x', 1048576) .. '"}')"#;
    server.cli(&["eval", large, "1", &format!("django_session:{}", key(6))]);
    server.set_bytes(&format!("django_session:{}", key(7)), b"\x80\x04\x95\x01\0\0");

    for n in 1..=8 {
        assert!(service.opens_nothing(&key(n)).await, "{n}");
    }
    for cookie in ["short", &"A".repeat(32), &"a".repeat(33), "../../0123456789abcdefghijklmnopq", &"*".repeat(32)] {
        assert!(service.opens_nothing(cookie).await, "{cookie}");
    }

    let counted = [("EXPIRED", 1), ("MALFORMED", 7), ("PICKLE", 1), ("TOO_LARGE", 1), ("UNKNOWN", 1)];
    assert_eq!(service.rejections("django_session").await, counted.map(|(why, n)| (why.to_owned(), n)).into());
}

#[tokio::test]
async fn a_session_has_the_expiry_that_the_application_has_set() {
    let server = RedisServer::start();
    let service = service_on(StoreKind::Memory, &server, DjangoSessionSettings::default()).await;
    let table = [("300", 300 * SECOND, true), ("0", 31 * DAY, false)];

    for (n, (expiry, left, permanent)) in table.into_iter().enumerate() {
        server.cli(&["set", &format!("django_session:{}", key(n)), &format!(r#"{{"_session_expiry": {expiry}}}"#)]);
        let (_, session) = service.open_value(&key(n)).await;

        assert_eq!(session.permanent, Some(permanent));
        assert_eq!(millis(&session.expire_time), (service.clock.now() + left).millis());
    }
}

#[tokio::test]
async fn an_outage_of_the_legacy_redis_is_an_error_for_legacy_cookies_only() {
    let mut server = RedisServer::start();
    let [old, imported] = [copy_row(&server, 1), copy_row(&server, 2)];
    let service = service_on(StoreKind::Memory, &server, signed_rows()).await;
    let found = service.import(&imported).await;
    let token = service.stored(&[("a", "1")]).await;

    server.stop();

    let opened = service.try_open(open_cookie(&format!("session={old}"))).await.err().unwrap();
    let saved = service.try_save(save_cookie(&format!("session={old}"), Changes::default().set("a", "1"))).await;
    assert_eq!(reason(&opened), (Code::Unavailable, "STORE_UNAVAILABLE".to_owned()));
    assert_eq!(saved.err().unwrap().code(), Code::Unavailable);
    assert!(service.is_live(&token).await);
    assert_eq!(service.import(&imported).await, found);
}

#[tokio::test]
async fn after_a_revocation_no_record_is_imported_because_its_age_is_unknown() {
    let server = RedisServer::start();
    let [imported, late] = [copy_row(&server, 1), copy_row(&server, 2)];
    let by_subject = service_on(StoreKind::Memory, &server, signed_rows()).await;
    let (id, token) = by_subject.import(&imported).await;
    assert_eq!(by_subject.revoke_subject("anna", &id).await, 0);
    // Django saves the session again. The session key stays the same, and a copy of it stays good.
    copy_row(&server, 2);
    assert!(by_subject.opens_nothing(&late).await && by_subject.is_live(&token).await);
    assert_eq!(by_subject.import(&imported).await, (id, token));

    let by_app = service_on(StoreKind::Redis, &server, signed_rows()).await;
    by_app.revoke_app("").await;
    by_app.clock.advance(DAY);
    assert!(by_app.opens_nothing(&imported).await && by_app.opens_nothing(&late).await);
}

/// Two processes that share a store and a clock, and import from this Redis.
async fn replicas(store: StoreKind, server: &RedisServer) -> [Arc<TestService>; 2] {
    let service = service_on(store, server, signed_rows()).await;
    let other = service.another_process().await;
    [Arc::new(service), Arc::new(other)]
}

#[apply(on_every_store)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_first_requests_with_one_session_key_make_one_session(store: StoreKind) {
    let server = RedisServer::start();
    let replicas = replicas(store, &server).await;
    for round in 0..ROUNDS {
        let old = copy_row(&server, round);
        let mut requests = JoinSet::new();
        for n in 0..8 {
            let (service, old) = (Arc::clone(&replicas[n % 2]), old.clone());
            requests.spawn(async move { service.import(&old).await });
        }

        let found = requests.join_all().await.into_iter().collect::<BTreeSet<_>>();

        assert_eq!(found.len(), 1);
    }
    let stats = [replicas[0].migration("django_session").await, replicas[1].migration("django_session").await];
    assert_eq!(stats[0].imported + stats[1].imported, u64::try_from(ROUNDS).unwrap());
    assert_eq!(replicas[0].ids_of("anna").await.len(), ROUNDS);
}

#[apply(on_every_store)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_import_survives_or_undoes_a_logout_or_a_revocation(store: StoreKind) {
    let server = RedisServer::start();
    let [one, other] = replicas(store, &server).await;
    for round in 0..ROUNDS {
        let old = copy_row(&server, round);

        let header = format!("session={old}");
        let (_, destroyed) = tokio::join!(one.open_value(&old), other.destroy_header(&header));

        assert_eq!(destroyed.outcome(), Outcome::Deleted);
        assert!(one.opens_nothing(&old).await && other.opens_nothing(&old).await);
    }
    let old = copy_row(&server, ROUNDS);
    let ((_, session), _) = tokio::join!(one.open_value(&old), other.revoke_subject("anna", ""));
    assert!(one.opens_nothing(&old).await && other.opens_nothing(&old).await);
    assert!(session.new || !one.is_live(&session.token).await);
}

const ROUNDS: usize = 10;
