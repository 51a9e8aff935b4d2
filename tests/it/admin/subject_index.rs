//! The index of subjects: it lists every live session, its outdated entries are removed, and its cost is bounded.

use std::collections::BTreeSet;
use std::time::Duration;

use cloakroom::app;
use cloakroom::grpc::wire::{Changes, ListSessionsRequest, SaveSessionRequest};
use cloakroom::service::{Credential, SaveRequest, Service};
use cloakroom::session::{self, Subject, SubjectChange};
use cloakroom::store::{Cursor, Handle, INDEX_CLEANUP_MIN, INDEX_SAMPLE, IndexEntry, Redis, RedisSettings, SubjectRef};
use cloakroom::token::SessionId;
use cloakroom::types::{AppName, Clock as _};

use crate::support::calls::{ChangesExt as _, save};
use crate::support::redis::RedisServer;
use crate::support::sessions::{HOUR, LifetimeExt as _, MINUTE, SECOND};
use crate::support::{StoreKind, TestService, app_settings, long_timeouts};

fn subject_ref(subject: &str) -> SubjectRef {
    let app = AppName::parse(AppName::DEFAULT).unwrap();
    SubjectRef { app, subject: Subject::parse(subject).unwrap() }
}

/// Returns the ids of a subject's index entries, of ended sessions too.
async fn entries(service: &TestService, subject: &str) -> Vec<String> {
    let entries = service.store.list_index(&subject_ref(subject), &Cursor::default()).await.unwrap().entries;
    entries.iter().map(|entry| entry.id.to_string()).collect()
}

/// Adds an index entry as a login does that crashes before it writes the session.
async fn add_entry(service: &TestService, subject: &str, id: &str) {
    let now = service.clock.now();
    let entry = IndexEntry { id: SessionId::parse(id).unwrap(), add_time: now, until: now + HOUR };
    service.store.add_to_index(&subject_ref(subject), &entry).await.unwrap();
}

#[apply(on_every_store)]
async fn a_login_that_crashed_is_not_listed_and_its_entry_is_removed_after_five_minutes(store: StoreKind) {
    let service = TestService::new(store).await;
    let never_created = service.open_new().await.id;
    let of_bob = service.logged_in("bob").await.id;
    add_entry(&service, "alice", &never_created).await;
    add_entry(&service, "alice", &of_bob).await;

    service.advance(5 * MINUTE);
    assert!(service.ids_of("alice").await.is_empty());
    assert_eq!(entries(&service, "alice").await.len(), 2, "the logins may still be running");

    service.advance(SECOND);
    assert!(service.ids_of("alice").await.is_empty());
    assert!(entries(&service, "alice").await.is_empty());
    assert_eq!(service.ids_of("bob").await, [of_bob]);
}

#[tokio::test]
async fn a_list_with_entries_misses_no_session_of_a_long_index_that_changes_meanwhile() {
    let settings = app::Settings { max_sessions_per_subject: 0, ..app_settings() };
    let service = TestService::with_apps(StoreKind::Redis, [("default", settings)]).await;
    let large = format!("\"{}\"", "x".repeat(60_000));
    let mut sessions = Vec::new();
    // More than Redis answers at once.
    for n in 0..2300 {
        let changes = Changes::default().set("a", if n % 30 == 0 { &large } else { "1" }).subject("robot");
        let new = service.open_new().await.token;
        sessions.push(service.save(save(&new, changes)).await.session.unwrap());
    }
    let page = async |page_token: String| {
        let subject = "robot".to_owned();
        let request = ListSessionsRequest { subject, page_token, with_entries: true, ..Default::default() };
        service.try_list(request).await.unwrap()
    };

    let mut next = page(String::new()).await;
    let (mut listed, mut pages) = (Vec::new(), 0);
    for session in sessions.iter().step_by(3) {
        service.destroy(&session.token).await;
    }
    loop {
        pages += 1;
        listed.extend(next.sessions.into_iter().map(|session| session.id));
        if next.next_page_token.is_empty() {
            break;
        }
        next = page(next.next_page_token).await;
    }

    let found: BTreeSet<&String> = listed.iter().collect();
    let live = sessions.iter().enumerate().filter(|(n, _)| n % 3 != 0).map(|(_, session)| &session.id);
    let missing: Vec<_> = live.filter(|id| !found.contains(id)).collect();
    assert!(pages >= 2 && missing.is_empty() && found.len() == listed.len(), "{pages} pages without {missing:?}");
}

#[apply(on_every_store)]
async fn the_entry_of_an_ended_session_is_removed_by_a_list(store: StoreKind) {
    let service = TestService::new(store).await;
    let session = service.logged_in("alice").await;
    service.destroy(&session.token).await;
    assert!(entries(&service, "alice").await.is_empty());
    add_entry(&service, "alice", &session.id).await;

    assert!(service.ids_of("alice").await.is_empty());

    assert!(entries(&service, "alice").await.is_empty());
}

#[apply(on_every_store)]
async fn the_entries_of_a_revoked_app_are_removed_by_a_list(store: StoreKind) {
    let service = TestService::new(store).await;
    service.logged_in("alice").await;
    service.revoke_app("").await;

    assert!(service.ids_of("alice").await.is_empty());

    assert!(entries(&service, "alice").await.is_empty());
}

#[apply(on_every_store)]
async fn the_entry_of_a_session_of_another_subject_is_removed_and_can_come_back(store: StoreKind) {
    let service = TestService::new(store).await;
    let session = service.logged_in("alice").await;
    let of_bob = service.update(&session.token, Changes::default().set("b", "1").subject("bob")).await;
    service.advance(6 * MINUTE);
    assert!(service.ids_of("alice").await.is_empty());
    assert!(entries(&service, "alice").await.is_empty());

    service.update(&of_bob.token, Changes::default().set("a", "1").subject("alice")).await;

    assert_eq!(service.ids_of("alice").await, [session.id]);
}

#[apply(on_every_store)]
async fn the_entry_of_an_expired_session_is_removed_after_16_minutes(store: StoreKind) {
    let service = TestService::with_lifetimes(store, HOUR, 9 * HOUR).await;
    service.logged_in("alice").await;

    service.advance(HOUR);
    assert!(service.ids_of("alice").await.is_empty());
    assert_eq!(entries(&service, "alice").await.len(), 1, "a replica whose clock is behind may still use it");
    service.advance(16 * MINUTE);
    assert!(service.ids_of("alice").await.is_empty());

    assert!(entries(&service, "alice").await.is_empty());
}

#[apply(on_every_store)]
async fn a_session_is_listed_until_it_ends(store: StoreKind) {
    let service = TestService::with_lifetimes(store, HOUR, 9 * HOUR).await;
    let session = service.logged_in("alice").await;
    let shorter = service.update(&session.token, Changes::default().idle_timeout(MINUTE)).await;
    let token = service.update(&shorter.token, Changes::default().default_lifetime()).await.token;

    for _ in 0..17 {
        service.advance(HOUR / 2);
        service.open_cookie(&token).await;
        assert_eq!(service.ids_of("alice").await, [session.id.as_str()]);
    }
}

#[apply(on_every_store)]
async fn a_longer_lifetime_extends_the_entry(store: StoreKind) {
    let service = TestService::with_lifetimes(store, HOUR, 9 * HOUR).await;
    let session = service.logged_in("alice").await;
    service.advance(HOUR / 2);

    service.update(&session.token, Changes::default().default_lifetime()).await;

    let entries = service.store.list_index(&subject_ref("alice"), &Cursor::default()).await.unwrap().entries;
    assert!(entries[0].until >= service.clock.now() + 8 * HOUR + HOUR / 2);
    assert_eq!(entries[0].add_time, service.clock.now());
}

#[apply(on_every_store)]
async fn a_session_with_an_older_longer_timeout_is_listed_until_it_ends(store: StoreKind) {
    let settings = app::Settings { idle_timeout: HOUR, absolute_timeout: 9 * HOUR, ..app_settings() };
    let service = TestService::with_apps(store, [("default", settings.clone())]).await;
    let token = service.stored(&[("a", "1")]).await;
    let shorter_app = app::Settings { absolute_timeout: HOUR, ..settings }.build("default").unwrap();
    let shorter = Service::new([shorter_app].into_iter().collect(), service.store.clone(), service.clock.clone());

    let subject = SubjectChange::Set(subject_ref("alice").subject);
    let changes = Some(session::Changes { subject, ..session::Changes::default() });
    shorter
        .save(
            &shorter.app("").unwrap(),
            SaveRequest { credential: Credential::Token(&token), changes, ..SaveRequest::default() },
        )
        .await
        .unwrap();

    let entries = service.store.list_index(&subject_ref("alice"), &Cursor::default()).await.unwrap().entries;
    assert_eq!(entries[0].until, service.clock.now() + 9 * HOUR);
}

#[apply(on_every_store)]
async fn logins_remove_outdated_entries_of_an_index_that_is_never_listed(store: StoreKind) {
    let service = TestService::new(store).await;
    for _ in 0..60 {
        let session = service.logged_in("alice").await;
        service.update(&session.token, Changes::default().set("b", "1").subject("bob")).await;
        service.advance(6 * MINUTE);
    }

    let outdated = entries(&service, "alice").await.len();
    assert!((1..=INDEX_CLEANUP_MIN + INDEX_SAMPLE).contains(&outdated), "{outdated}");
    assert_eq!(service.ids_of("bob").await.len(), 60);
}

#[apply(on_every_store)]
async fn a_creation_that_is_refused_is_not_listed(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;

    let too_large = format!("\"{}\"", "x".repeat(70_000));
    service.refusal(save(&ticket, Changes::default().subject("alice").set("a", &too_large))).await;

    assert!(service.ids_of("alice").await.is_empty());
}

#[tokio::test]
async fn listing_ten_of_many_sessions_reads_ten() {
    let (redis, service) = service().await;
    for n in 0..300 {
        service.logged_in(&format!("user{}", n / 10)).await;
    }

    redis.cli(&["config", "resetstat"]);
    assert_eq!(service.ids_of("user7").await.len(), 10);

    // One read of the index, and one of each session.
    assert_eq!(redis.calls("hgetall"), 11);
    assert_eq!(redis.calls("scan"), 0);
}

#[tokio::test]
async fn a_login_of_a_subject_with_many_sessions_reads_at_most_four_others() {
    let (redis, service) = service().await;
    for _ in 0..30 {
        service.logged_in("alice").await;
    }

    redis.cli(&["config", "resetstat"]);
    service.logged_in("alice").await;

    let reads = redis.calls("hgetall");
    assert!((3..=4).contains(&reads), "{reads}");
}

#[tokio::test]
async fn a_save_without_a_subject_calls_the_store_once() {
    let (redis, service) = service().await;
    let token = service.logged_in("alice").await.token;

    let changes = || Changes::default().set("b", "1").permanent(true);
    // The first call loads the script.
    service.save(save(&token, changes())).await;

    redis.cli(&["config", "resetstat"]);
    service.save(save(&token, changes())).await;

    assert_eq!((redis.calls("evalsha"), redis.calls("hgetall")), (1, 0));
}

#[tokio::test]
async fn the_index_expires_in_redis_with_its_last_session() {
    let (redis, service) = service().await;
    service.logged_in("alice").await;
    let key = redis.cli(&["--raw", "keys", "*:subject"]);

    let ttl: i64 = redis.cli(&["pttl", key.trim()]).trim().parse().unwrap();

    let year = 365 * 24 * 3_600_000;
    assert!((year - 60_000..=year).contains(&ttl), "{ttl}");
}

#[tokio::test]
async fn the_entry_of_a_session_that_redis_expired_is_removed() {
    let (redis, service) = service().await;
    let session = service.logged_in("alice").await;
    let key = redis.cli(&["--raw", "keys", &format!("*:{}", session.id)]);
    redis.cli(&["pexpireat", key.trim(), "1"]);

    service.advance(6 * MINUTE);
    assert!(service.ids_of("alice").await.is_empty());

    assert!(entries(&service, "alice").await.is_empty());
}

#[tokio::test]
async fn a_login_that_cannot_be_indexed_is_not_applied() {
    let (redis, service) = service().await;
    let token = service.stored(&[("a", "1")]).await;

    redis.cli(&["config", "set", "maxmemory", "1"]);
    let login: SaveSessionRequest = save(&token, Changes::default().subject("alice"));
    let refused = service.try_save(login).await;
    redis.cli(&["config", "set", "maxmemory", "0"]);

    assert!(refused.is_err());
    assert_eq!(service.session(&token).await.subject, "");
}

/// Starts a service on a Redis of its own.
async fn service() -> (RedisServer, TestService) {
    let redis = RedisServer::start();
    let settings = RedisSettings { url: redis.url(), timeout: Duration::from_secs(60), ..Default::default() };
    let store = Handle::from(Redis::new(&settings).unwrap());
    let service = TestService::on_store(store, [("default", app_settings())], long_timeouts()).await;
    // The first count of live sessions would disturb the measurements.
    while service.stats("").await.scan_time.is_none() {
        tokio::task::yield_now().await;
    }
    (redis, service)
}
