//! The import of scs' sessions from its Redis, which is only read.

use cloakroom::app::ScsSettings;
use cloakroom::grpc::wire::{Changes, Outcome};

use super::*;
use crate::scs::{Vector, vectors};
use crate::support::calls::ChangesExt as _;
use crate::support::redis::RedisServer;
use crate::support::sessions::{HOUR, SECOND, millis};

/// An app that imports records from this Redis.
fn scs_settings(server: &RedisServer, scs: ScsSettings) -> app::Settings {
    let mut settings = settings();
    settings.migrate.flask_cookie = FlaskCookieSettings::default();
    settings.migrate.scs = ScsSettings { url: Some(server.url().into()), ..scs };
    app::Settings { subject_key: "userID".to_owned(), ..settings }
}

/// A service an hour before the deadline of the vectors.
async fn service_on(store: StoreKind, server: &RedisServer, scs: ScsSettings) -> TestService {
    let service = TestService::with_apps(store, [("default", scs_settings(server, scs))]).await;
    service.clock.set(vectors()[0].deadline().before(HOUR));
    service
}

/// Stores a record as scs does. Returns the vector.
fn store_record(server: &RedisServer, name: &str) -> Vector {
    let vector = vectors().into_iter().find(|vector| vector.name == name).unwrap();
    server.set_bytes(&format!("scs:session:{}", vector.key), &vector.record());
    vector
}

#[tokio::test]
async fn the_records_of_the_real_scs_are_imported_or_refused() {
    let server = RedisServer::start();
    let [service, hashing] = [false, true].map(|hash_token| ScsSettings { hash_token, ..Default::default() });
    let service = service_on(StoreKind::Memory, &server, service).await;
    let hashing = service_on(StoreKind::Memory, &server, hashing).await;
    let mut refused = 0;
    for vector in vectors() {
        let vector = store_record(&server, &vector.name);
        let service = if vector.name == "hashed_token" { &hashing } else { &service };

        let (_, session) = service.open_value(&vector.cookie).await;

        if vector.loaded.is_empty() {
            assert!(session.new, "{}", vector.name);
            refused += 1;
            continue;
        }
        assert_eq!(session.subject, if vector.loaded.contains_key("userID") { "anna" } else { "" }, "{}", vector.name);
        let names = entries(session).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names, vector.loaded.into_keys().collect::<Vec<_>>(), "{}", vector.name);
    }

    assert_eq!(service.rejections("scs").await, [("MALFORMED".to_owned(), refused)].into());
    let plain = store_record(&server, "plain");
    assert!(hashing.opens_nothing(&plain.cookie).await);
    assert_eq!(hashing.rejections("scs").await, [("UNKNOWN".to_owned(), 1)].into());
}

#[tokio::test]
async fn a_record_of_scs_is_imported_once_and_keeps_its_deadline() {
    let server = RedisServer::start();
    let old = store_record(&server, "plain");
    let service = service_on(StoreKind::Embedded, &server, ScsSettings::default()).await;

    let (id, token) = service.import(&old.cookie).await;
    service.update(&token, Changes::default().set("n", "5")).await;
    let again = service.import(&old.cookie).await;

    assert_eq!(again, (id, token));
    let (_, session) = service.open_value(&old.cookie).await;
    assert_eq!(millis(&session.expire_time), old.deadline().millis());
    assert_eq!((session.subject.as_str(), session.permanent), ("anna", Some(true)));
    assert_eq!(entries(session), pairs(&[("n", "5"), ("userID", "\"anna\"")]));
    service.advance(HOUR + SECOND);
    assert!(service.opens_nothing(&old.cookie).await);
    assert_eq!(service.rejections("scs").await, [("ENDED".to_owned(), 1)].into());
}

#[tokio::test]
async fn a_record_of_scs_after_its_deadline_opens_nothing() {
    let server = RedisServer::start();
    let old = store_record(&server, "plain");
    let service = service_on(StoreKind::Memory, &server, ScsSettings::default()).await;
    service.advance(HOUR);

    assert!(service.opens_nothing(&old.cookie).await);

    assert_eq!(service.rejections("scs").await, [("EXPIRED".to_owned(), 1)].into());
}

#[tokio::test]
async fn without_persist_only_a_remembered_session_outlives_the_browser() {
    let server = RedisServer::start();
    let persist = ScsSettings { persist: false, ..Default::default() };
    let service = service_on(StoreKind::Memory, &server, persist).await;
    for (name, permanent) in [("plain", false), ("remembered", true)] {
        let old = store_record(&server, name);

        let (_, session) = service.open_value(&old.cookie).await;

        assert_eq!(session.permanent, Some(permanent), "{name}");
        assert!(!json_entries(session).contains_key("__rememberMe"), "{name}");
    }
}

#[apply(on_every_store)]
async fn a_logout_ends_a_session_of_scs(store: StoreKind) {
    let server = RedisServer::start();
    let [old, never] = ["plain", "integers"].map(|name| store_record(&server, name));
    let service = service_on(store, &server, ScsSettings::default()).await;
    let (_, token) = service.import(&old.cookie).await;

    service.destroy(&token).await;
    let destroyed = service.destroy_header(&format!("session={}", never.cookie)).await;

    assert_eq!(destroyed.outcome(), Outcome::Deleted);
    for after in [SECOND, 30 * DAY] {
        service.advance(after);
        service.store.sweep(service.clock.now()).await.unwrap();
        assert!(service.opens_nothing(&old.cookie).await && service.opens_nothing(&never.cookie).await);
    }
}

#[tokio::test]
async fn a_text_that_is_no_token_of_scs_opens_nothing() {
    let server = RedisServer::start();
    let service = service_on(StoreKind::Memory, &server, ScsSettings::default()).await;
    server.cli(&["set", "scs:session:guess", "{}"]);

    assert!(service.opens_nothing("guess").await);

    assert_eq!(service.rejections("scs").await, [("MALFORMED".to_owned(), 1)].into());
}
