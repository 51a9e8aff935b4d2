//! "A user says that they were logged out": each cause is counted as what it is, so that an operator finds it.

use std::collections::BTreeMap;
use std::time::Duration;

use cloakroom::app::{self, KindSetting};
use cloakroom::grpc::wire::{Changes, RotationCause, SaveSessionRequest};
use cloakroom::store::{Handle, Redis, RedisSettings};

use super::http_pages::page;
use crate::support::calls::{ChangesExt as _, open_cookie, save, save_cookie, save_unmodified};
use crate::support::redis::RedisServer;
use crate::support::sessions::{HOUR, LifetimeExt as _, MINUTE};
use crate::support::{StoreKind, TestService, app_settings, patient};

/// The values of a counter of the app `default` that are not zero, by its other labels.
async fn counts(service: &TestService, metric: &str) -> BTreeMap<String, u64> {
    let page = page(service, "/metrics").await;
    let count = |line: &str| {
        let (labels, count) = line.strip_prefix(metric)?.strip_prefix("{app=\"default\",")?.rsplit_once("} ")?;
        Some((labels.replace('"', ""), count.parse().ok().filter(|count| *count > 0)?))
    };
    page.lines().filter_map(count).collect()
}

/// Opens by this `Cookie` header; returns what that was counted as.
async fn found(service: &TestService, header: &str) -> String {
    let before = counts(service, "cloakroom_opens_total").await;
    service.open(open_cookie(header)).await;
    let after = counts(service, "cloakroom_opens_total").await;
    let grown = after.iter().filter(|(label, count)| before.get(*label).copied().unwrap_or(0) != **count);
    let grown: Vec<_> = grown.map(|(label, _)| label.strip_prefix("found=").unwrap().to_owned()).collect();
    assert_eq!(grown.len(), 1, "one open is counted once: {before:?} {after:?}");
    grown[0].clone()
}

fn cookie(token: &str) -> String {
    format!("a=b; session={token}")
}

/// The token with another signature.
fn forged(token: &str) -> String {
    let (start, signature) = token.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{start}.{first}{}", &signature[1..])
}

#[apply(on_every_store)]
async fn each_open_is_counted_by_what_it_found(store: StoreKind) {
    let settings = app::Settings { idle_timeout: HOUR, absolute_timeout: HOUR, ..app_settings() };
    let settings = app::Settings { max_sessions_per_subject: 1, rotation_grace: Duration::ZERO, ..settings };
    let service = TestService::with_apps(store, [("default", settings)]).await;
    let stored = async || service.stored(&[("a", "1")]).await;
    let (live, other) = (stored().await, stored().await);
    let (destroyed, emptied, superseded) = (stored().await, stored().await, stored().await);
    service.destroy(&destroyed).await;
    service.save(save(&emptied, Changes::default().unset("a"))).await;
    service.rotate(&superseded, RotationCause::Privilege, "").await;
    let evicted = service.logged_in("ann").await.token;
    service.advance(Duration::from_millis(1));
    let revoked = service.logged_in("ann").await;
    service.revoke(&revoked.id).await;
    let forged = forged(&live);

    for (header, expected) in [
        ("a=b".to_owned(), "NEW"),
        (cookie(&live), "LIVE"),
        (cookie(&destroyed), "DESTROYED"),
        (cookie(&emptied), "EMPTIED"),
        (cookie(&superseded), "SUPERSEDED"),
        (cookie(&evicted), "EVICTED"),
        (cookie(&revoked.token), "REVOKED"),
        (cookie(&forged), "REJECTED"),
        (cookie("x"), "REJECTED"),
        (format!("{}; {}", cookie(&live), cookie(&other)), "AMBIGUOUS"),
        (format!("{}; {}", cookie(&live), cookie(&destroyed)), "LIVE"),
        (format!("{}; {}", cookie(&forged), cookie(&destroyed)), "DESTROYED"),
    ] {
        assert_eq!(found(&service, &header).await, expected, "{header}");
    }

    let idle = stored().await;
    service.update(&idle, Changes::default().idle_timeout(MINUTE)).await;
    service.advance(MINUTE);
    assert_eq!(found(&service, &cookie(&idle)).await, "IDLE");
    service.revoke_app("").await;
    assert_eq!(found(&service, &cookie(&live)).await, "REVOKED");
    let absolute = stored().await;
    service.advance(HOUR);
    assert_eq!(found(&service, &cookie(&absolute)).await, "ABSOLUTE");
    service.advance(16 * MINUTE);
    assert_eq!(found(&service, &cookie(&absolute)).await, "UNKNOWN", "the reason is known for 16 minutes");
}

#[tokio::test]
async fn a_store_that_lost_its_sessions_is_seen_in_the_counts() {
    let redis = RedisServer::start();
    let settings = RedisSettings { url: redis.url(), timeout: MINUTE, ..Default::default() };
    let store = Handle::from(Redis::new(&settings).unwrap());
    let service = TestService::on_store(store, [("default", app_settings())], patient()).await;
    let token = service.stored(&[("a", "1")]).await;
    assert_eq!(found(&service, &cookie(&token)).await, "LIVE");

    redis.cli(&["flushall"]);

    assert_eq!(found(&service, &cookie(&token)).await, "UNKNOWN");
}

#[tokio::test]
async fn an_app_without_a_key_finds_null_sessions() {
    let settings = app::Settings { keys: Vec::new(), ..app_settings() };
    let service = TestService::with_apps(StoreKind::Memory, [("default", settings)]).await;

    assert_eq!(found(&service, "session=x").await, "NULL");
}

#[tokio::test]
async fn an_app_of_kind_cookie_counts_its_opens_and_saves_too() {
    let keys = vec!["secret-key".to_owned().into()];
    let settings = app::Settings { kind: KindSetting::Cookie, keys, idle_timeout: HOUR, ..Default::default() };
    let service = TestService::with_apps(StoreKind::Memory, [("default", settings)]).await;
    let saved = service.save(save_cookie("", Changes::default().set("a", "1"))).await;
    let token = saved.session.unwrap().token;
    service.save(save_unmodified(&token)).await;
    service.save(save(&token, Changes::default().set("a", "2"))).await;
    service.save(save(&token, Changes::default().clear())).await;

    assert_eq!(found(&service, "").await, "NEW");
    assert_eq!(found(&service, &cookie(&token)).await, "LIVE");
    assert_eq!(found(&service, &cookie(&format!("{token}x"))).await, "REJECTED");
    service.advance(HOUR + MINUTE);
    assert_eq!(found(&service, &cookie(&token)).await, "IDLE");
    let saves = counts(&service, "cloakroom_saves_total").await;
    let once = ["CREATED", "UNCHANGED", "UPDATED", "DELETED"].map(|name| (format!("outcome={name},reason=NONE"), 1));
    assert_eq!(saves, BTreeMap::from(once));
}

#[apply(on_every_store)]
async fn each_save_is_counted_by_its_outcome(store: StoreKind) {
    let service = TestService::with_lifetimes(store, MINUTE, HOUR).await;
    let change = |token: &str| save(token, Changes::default().set("a", "2"));
    let created = service.stored(&[("a", "1")]).await;
    service.save(change(&created)).await;
    service.save(save_unmodified(&created)).await;
    let superseded = service.stored(&[("a", "1")]).await;
    service.rotate(&superseded, RotationCause::Privilege, "").await;
    service.save(change(&superseded)).await;
    let idle = service.stored(&[("a", "1")]).await;
    service.save(save(&created, Changes::default().clear())).await;
    service.save(change(&created)).await;
    service.advance(MINUTE);
    service.save(change(&idle)).await;
    service.advance(HOUR);
    service.save(change(&idle)).await;
    let refused = SaveSessionRequest { etag: "none".to_owned(), ..change(&idle) };
    service.try_save(refused).await.err().unwrap();

    let saves = counts(&service, "cloakroom_saves_total").await;

    let expected = [
        ("outcome=CREATED,reason=NONE", 3),
        ("outcome=UPDATED,reason=NONE", 1),
        ("outcome=UNCHANGED,reason=NONE", 1),
        ("outcome=DELETED,reason=NONE", 1),
        ("outcome=GONE,reason=SUPERSEDED", 1),
        ("outcome=GONE,reason=EMPTIED", 1),
        ("outcome=GONE,reason=IDLE", 1),
        ("outcome=GONE,reason=UNKNOWN", 1),
    ];
    assert_eq!(saves, expected.map(|(labels, count)| (labels.to_owned(), count)).into());
}
