//! An imported session that has ended stays ended for as long as its legacy cookie is valid.

use cloakroom::app;
use cloakroom::grpc::wire::{Changes, EndReason, Outcome};

use super::*;
use crate::support::calls::{ChangesExt as _, save, save_cookie};
use crate::support::sessions::{HOUR, MINUTE, SECOND, gone};

/// Checks that the cookie opens nothing at several times until it expires, with a sweep at each.
async fn assert_stays_ended(service: &TestService, old: &str) {
    let begin = service.clock.now();
    service.advance(20 * MINUTE);
    let saved = service.save(save_cookie(&format!("session={old}"), Changes::default().set("new", "1"))).await;
    assert_eq!(saved.outcome(), Outcome::Created, "a later save creates a new session");
    for after in [SECOND, 17 * MINUTE, DAY, LIFETIME - 2 * SECOND, LIFETIME + SECOND] {
        service.clock.set(begin + after);
        service.store.sweep(service.clock.now()).await.unwrap();
        assert!(service.opens_nothing(old).await, "it is imported again after {after:?}");
    }
}

#[apply(on_every_store_and_cookie)]
async fn a_logout_lasts_as_long_as_the_legacy_cookie(store: StoreKind, cookie: CookieSource) {
    let service = service_of(store, cookie).await;
    let old = cookie.sign(&service, &[("a", "1")]);
    let (_, token) = service.import(&old).await;

    service.destroy(&token).await;

    assert_eq!(gone(&service.save(save(&token, Changes::default().set("b", "1"))).await), EndReason::Destroyed);
    assert_stays_ended(&service, &old).await;
}

#[apply(on_every_store_and_cookie)]
async fn a_logout_lasts_also_if_the_lifetime_of_legacy_cookies_is_raised(store: StoreKind, cookie: CookieSource) {
    let lifetime = |days| {
        let mut settings = cookie.settings();
        settings.migrate.flask_cookie.lifetime = days * DAY;
        settings.migrate.django_cookie.lifetime = days * DAY;
        settings
    };
    let service = TestService::with_apps(store, [("default", lifetime(10))]).await;
    let old = cookie.sign(&service, &[("a", "1")]);
    let (_, token) = service.import(&old).await;
    service.destroy(&token).await;

    service.advance(11 * DAY);
    service.store.sweep(service.clock.now()).await.unwrap();
    let service = service.with_settings(&lifetime(30)).await;

    assert!(service.opens_nothing(&old).await);
}

#[apply(on_every_store_and_cookie)]
async fn a_logout_by_a_cookie_that_was_not_imported_lasts_too(store: StoreKind, cookie: CookieSource) {
    let service = service_of(store, cookie).await;
    let old = cookie.sign(&service, &[("a", "1")]);

    let destroyed = service.destroy_header(&format!("session={old}")).await;

    assert_eq!(destroyed.outcome(), Outcome::Deleted);
    assert_stays_ended(&service, &old).await;
}

#[apply(on_every_store_and_cookie)]
async fn an_emptied_session_stays_ended(store: StoreKind, cookie: CookieSource) {
    let service = service_of(store, cookie).await;
    let old = cookie.sign(&service, &[("a", "1")]);
    let (_, token) = service.import(&old).await;

    let saved = service.save(save(&token, Changes::default().clear())).await;

    assert_eq!(saved.outcome(), Outcome::Deleted);
    assert_stays_ended(&service, &old).await;
}

#[apply(on_every_store_and_cookie)]
async fn a_revoked_session_stays_ended(store: StoreKind, cookie: CookieSource) {
    let service = service_of(store, cookie).await;
    let old = cookie.sign(&service, &[("a", "1")]);
    let (id, _) = service.import(&old).await;

    service.revoke(&id).await;

    assert_stays_ended(&service, &old).await;
}

#[apply(on_every_store_and_cookie)]
async fn an_expired_session_stays_ended(store: StoreKind, cookie: CookieSource) {
    let idle = app::Settings { idle_timeout: HOUR, absolute_timeout: 2 * HOUR, ..cookie.settings() };
    let service = TestService::with_apps(store, [("default", idle)]).await;
    let [one, other] = [cookie.sign(&service, &[("a", "1")]), cookie.sign(&service, &[("a", "2")])];
    service.import(&one).await;
    let (_, token) = service.import(&other).await;
    service.update(&token, Changes::default().set("b", "1").clear()).await;

    service.advance(HOUR);

    assert!(service.opens_nothing(&one).await && service.opens_nothing(&other).await);
    assert_stays_ended(&service, &one).await;
}
