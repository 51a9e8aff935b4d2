//! "A user says that they were logged out": each cause is counted and explained as what it is.

use std::collections::BTreeMap;
use std::time::Duration;

use cloakroom::app::{self, FlaskCookieSettings, KindSetting, MigrationSettings};
use cloakroom::flask::{DEFAULT_SALT, Digest, Signer};
use cloakroom::grpc::wire::{
    Changes, CredentialExplanation, CredentialState, ExplainCredentialRequest, RotationCause, SaveSessionRequest,
    explain_credential_request,
};
use cloakroom::session::Entries;
use cloakroom::store::{Handle, Redis, RedisSettings};
use cloakroom::types::Clock as _;

use super::http_pages::page;
use crate::support::calls::{ChangesExt as _, open_cookie, save, save_cookie, save_unmodified};
use crate::support::redis::RedisServer;
use crate::support::sessions::{HOUR, LifetimeExt as _, MINUTE, millis};
use crate::support::{StoreKind, TestService, app_settings, long_timeouts};

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

/// Asks the service to explain each cookie of this header.
async fn explanations(service: &TestService, header: &str) -> Vec<CredentialExplanation> {
    let credential = Some(explain_credential_request::Credential::CookieHeader(header.to_owned()));
    let request = ExplainCredentialRequest { credential, ..Default::default() };
    service.admin.clone().explain_credential(request).await.unwrap().into_inner().explanations
}

/// Opens by this token in a cookie, and checks what that is counted as and how it is explained.
async fn expect(service: &TestService, token: &str, expected: &str) -> CredentialExplanation {
    let header = cookie(token);
    let before = explanations(service, &header).await.remove(0);
    assert_eq!(found(service, &header).await, expected);
    let explained = explanations(service, &header).await.remove(0);
    assert!(explained == before, "an explanation changes nothing");
    let reason = explained.end_reason().as_str_name().strip_prefix("END_REASON_").unwrap();
    let state = match explained.state() {
        CredentialState::Ended => reason,
        state => state.as_str_name().strip_prefix("CREDENTIAL_STATE_").unwrap(),
    };
    assert_eq!(state, expected);
    explained
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

    for (token, expected) in [
        (&live, "LIVE"),
        (&destroyed, "DESTROYED"),
        (&emptied, "EMPTIED"),
        (&superseded, "SUPERSEDED"),
        (&evicted, "EVICTED"),
        (&revoked.token, "REVOKED"),
        (&forged, "REJECTED"),
        (&"x".to_owned(), "REJECTED"),
    ] {
        let explained = expect(&service, token, expected).await;
        assert_eq!(explained.end_time.is_some(), expected != "REJECTED");
        assert_eq!(explained.session.is_some(), expected != "REJECTED");
    }
    for (header, expected) in [
        ("a=b".to_owned(), "NEW"),
        (format!("{}; {}", cookie(&live), cookie(&other)), "AMBIGUOUS"),
        (format!("{}; {}", cookie(&live), cookie(&destroyed)), "LIVE"),
        (format!("{}; {}", cookie(&forged), cookie(&destroyed)), "DESTROYED"),
    ] {
        assert_eq!(found(&service, &header).await, expected, "{header}");
    }

    let idle = stored().await;
    service.update(&idle, Changes::default().idle_timeout(MINUTE)).await;
    service.advance(MINUTE);
    let explained = expect(&service, &idle, "IDLE").await;
    assert_eq!(millis(&explained.end_time), service.millis());
    service.revoke_app("").await;
    expect(&service, &live, "REVOKED").await;
    let absolute = stored().await;
    service.advance(HOUR);
    let explained = expect(&service, &absolute, "ABSOLUTE").await;
    assert_eq!(millis(&explained.end_time), service.millis());
    // The reason is known for 16 minutes.
    service.advance(16 * MINUTE);
    let explained = expect(&service, &absolute, "UNKNOWN").await;
    assert!(explained.session.is_none() && explained.end_time.is_none() && !explained.id.is_empty());
}

#[tokio::test]
async fn a_store_that_lost_its_sessions_is_seen_in_the_counts() {
    let redis = RedisServer::start();
    let settings = RedisSettings { url: redis.url(), timeout: MINUTE, ..Default::default() };
    let store = Handle::from(Redis::new(&settings).unwrap());
    let service = TestService::on_store(store, [("default", app_settings())], long_timeouts()).await;
    let token = service.stored(&[("a", "1")]).await;
    expect(&service, &token, "LIVE").await;

    redis.cli(&["flushall"]);

    expect(&service, &token, "UNKNOWN").await;
}

#[apply(on_every_store)]
async fn a_legacy_session_is_counted_as_imported_and_a_legacy_credential_that_opens_nothing_as_refused(
    store: StoreKind,
) {
    let flask_cookie =
        FlaskCookieSettings { keys: vec!["what Flask signs with".to_owned().into()], ..Default::default() };
    let migrate =
        MigrationSettings { until: Some(crate::support::now() + HOUR), flask_cookie, ..MigrationSettings::default() };
    let service = TestService::with_apps(store, [("default", app::Settings { migrate, ..app_settings() })]).await;
    let sign = |key: &str| {
        let signer = Signer::new(&[key], DEFAULT_SALT.as_bytes(), Digest::Sha1).unwrap();
        signer.sign(&Entries::pack([("a", b"1".as_slice())]), None, service.clock.now()).unwrap()
    };
    let (legacy, forged) = (sign("what Flask signs with"), sign("what an attacker signs with"));

    assert_eq!(found(&service, &cookie(&legacy)).await, "IMPORTED");
    assert_eq!(found(&service, &cookie(&legacy)).await, "LIVE");
    assert_eq!(found(&service, &cookie(&forged)).await, "LEGACY_REFUSED");
    service.revoke_app("").await;
    assert_eq!(found(&service, &cookie(&legacy)).await, "REVOKED");
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
    expect(&service, &token, "LIVE").await;
    assert_eq!(expect(&service, &format!("{token}x"), "REJECTED").await.rejection, "BAD_SIGNATURE");
    service.advance(HOUR + MINUTE);
    assert_eq!(found(&service, &cookie(&token)).await, "IDLE");
    assert_eq!(explanations(&service, &cookie(&token)).await[0].rejection, "EXPIRED");
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
