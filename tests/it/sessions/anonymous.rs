//! Anonymous sessions, which have no subject, can have shorter timeouts.

use std::time::Duration;

use cloakroom::app::{self, AnonymousSettings};
use cloakroom::grpc::wire::{Changes, EndReason, Session};

use crate::support::calls::{ChangesExt as _, save};
use crate::support::sessions::{HOUR, LifetimeExt as _, MILLI, MINUTE, gone, millis};
use crate::support::{StoreKind, TestService, app_settings};

const MINUTE_MILLIS: u64 = 60_000;

/// Starts a service with timeouts of an hour and a day, and of 10 minutes and 2 hours for anonymous sessions.
async fn service(store: StoreKind) -> TestService {
    let anonymous = AnonymousSettings { idle_timeout: Some(10 * MINUTE), absolute_timeout: Some(2 * HOUR) };
    let settings = app::Settings { idle_timeout: HOUR, absolute_timeout: 24 * HOUR, anonymous, ..app_settings() };
    TestService::with_apps(store, [("default", settings)]).await
}

impl TestService {
    /// Returns the minutes until an unused session ends, by its idle timeout and by its expire time.
    fn minutes_left(&self, session: &Session) -> (u64, u64) {
        let idle = Duration::try_from(session.idle_timeout.unwrap()).unwrap().as_secs() / 60;
        (idle, (millis(&session.expire_time) - self.millis()) / MINUTE_MILLIS)
    }

    /// Uses a session every 9 minutes during this time.
    async fn use_for(&self, token: &str, duration: Duration) {
        let mut left = duration;
        while !left.is_zero() {
            let step = left.min(9 * MINUTE);
            self.advance(step);
            assert!(self.is_live(token).await);
            left -= step;
        }
    }
}

#[apply(on_every_store)]
async fn an_anonymous_session_ends_at_the_anonymous_idle_timeout(store: StoreKind) {
    let service = service(store).await;
    let new = service.open_new().await;
    assert_eq!(service.minutes_left(&new), (10, 10));
    let (one, other) = (service.stored(&[("a", "1")]).await, service.stored(&[("a", "1")]).await);

    service.advance(10 * MINUTE - MILLI);
    assert!(service.is_live(&one).await);
    service.advance(MILLI);
    assert!(!service.is_live(&other).await);
    assert_eq!(gone(&service.save(save(&other, Changes::default())).await), EndReason::Idle);
}

#[apply(on_every_store)]
async fn an_anonymous_session_ends_at_the_anonymous_absolute_timeout(store: StoreKind) {
    let service = service(store).await;
    let token = service.stored(&[("a", "1")]).await;

    service.use_for(&token, 2 * HOUR - MILLI).await;
    service.advance(MILLI);

    assert!(!service.is_live(&token).await);
    assert_eq!(gone(&service.save(save(&token, Changes::default())).await), EndReason::Absolute);
}

#[apply(on_every_store)]
async fn a_login_grants_the_timeouts_of_the_app_counted_from_the_creation(store: StoreKind) {
    let service = service(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let created = service.millis();
    service.use_for(&token, HOUR).await;

    let session = service.update(&token, Changes::default().subject("anna")).await;

    assert_eq!(service.minutes_left(&session), (60, 60));
    service.use_for(&session.token, 22 * HOUR + 30 * MINUTE).await;
    let last = service.session(&session.token).await;
    assert_eq!(millis(&last.expire_time), created + 24 * 60 * MINUTE_MILLIS);
}

#[apply(on_every_store)]
async fn a_creation_with_a_subject_has_the_timeouts_of_the_app(store: StoreKind) {
    let service = service(store).await;
    let ticket = service.open_new().await.token;

    let session = service.save(save(&ticket, Changes::default().set("a", "1").subject("anna"))).await.session.unwrap();

    assert_eq!(service.minutes_left(&session), (60, 60));
}

#[apply(on_every_store)]
async fn an_anonymous_creation_cannot_set_a_longer_timeout(store: StoreKind) {
    let service = service(store).await;
    let ticket = service.open_new().await.token;

    let changes = Changes::default().set("a", "1").idle_timeout(HOUR);
    let session = service.save(save(&ticket, changes)).await.session.unwrap();

    assert_eq!(service.minutes_left(&session), (10, 10));
}

#[apply(on_every_store)]
async fn a_logout_that_keeps_the_session_grants_the_anonymous_timeouts(store: StoreKind) {
    let service = service(store).await;
    let token = service.log_in(&service.stored(&[("a", "1")]).await, "anna").await;
    service.use_for(&token, 12 * HOUR).await;
    let logout = service.millis();

    let session = service.update(&token, Changes::default().subject("")).await;

    assert_eq!(service.minutes_left(&session), (10, 10));
    service.use_for(&session.token, 2 * HOUR - MINUTE).await;
    let last = service.session(&session.token).await;
    assert_eq!(millis(&last.expire_time), logout + 120 * MINUTE_MILLIS);
}

#[apply(on_every_store)]
async fn the_default_lifetime_of_an_anonymous_session_is_the_anonymous_one(store: StoreKind) {
    let service = service(store).await;
    let token = service.stored(&[("a", "1")]).await;
    service.update(&token, Changes::default().idle_timeout(MINUTE)).await;

    let session = service.update(&token, Changes::default().default_lifetime()).await;

    assert_eq!(service.minutes_left(&session), (10, 10));
}

#[apply(on_every_store)]
async fn the_policy_has_both_pairs_of_timeouts(store: StoreKind) {
    let policy = service(store).await.policy("").await;

    let timeouts = [policy.idle_timeout, policy.absolute_timeout];
    let anonymous = [policy.anonymous_idle_timeout, policy.anonymous_absolute_timeout];
    assert_eq!(timeouts.map(|timeout| timeout.unwrap().seconds), [3600, 24 * 3600]);
    assert_eq!(anonymous.map(|timeout| timeout.unwrap().seconds), [600, 2 * 3600]);
}

#[apply(on_every_store)]
async fn without_anonymous_timeouts_a_login_keeps_the_lifetime(store: StoreKind) {
    let service = TestService::with_lifetimes(store, HOUR, 24 * HOUR).await;
    let token = service.stored(&[("a", "1")]).await;
    service.update(&token, Changes::default().idle_timeout(2 * MINUTE)).await;

    let session = service.update(&token, Changes::default().subject("anna")).await;
    let out = service.update(&session.token, Changes::default().subject("")).await;

    assert_eq!((service.minutes_left(&session), service.minutes_left(&out)), ((2, 2), (2, 2)));
}
