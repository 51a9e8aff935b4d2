//! Lifetimes: when a session ends, to the millisecond of the service's clock.

use std::time::{Duration, UNIX_EPOCH};

use cloakroom::grpc::wire::{Changes, EndReason, RotationCause};
use cloakroom::types::Time;
use tonic::Code;

use crate::support::calls::{ChangesExt as _, save, save_unmodified, set_cookies};
use crate::support::sessions::{HOUR, LifetimeExt as _, MILLI, MINUTE, SECOND, gone, millis};
use crate::support::{StoreKind, TestService};

/// Starts a service with an idle timeout of 10 minutes and an absolute timeout of an hour.
async fn service(store: StoreKind) -> TestService {
    TestService::with_lifetimes(store, 10 * MINUTE, HOUR).await
}

/// Uses a session every 9 minutes until this much of the hour is left.
async fn use_until(service: &TestService, token: &str, left_of_the_hour: Duration) {
    let mut left = HOUR;
    while left > left_of_the_hour {
        let step = (9 * MINUTE).min(left - left_of_the_hour);
        service.advance(step);
        assert!(service.is_live(token).await);
        left -= step;
    }
}

/// Checks that the session is live a millisecond before `end`, and at `end` has ended for this reason.
async fn expect_end(service: &TestService, token: &str, end: u64, reason: EndReason) {
    service.clock.set(Time::from_millis(end - 1));
    let saved = service.save(save_unmodified(token)).await;
    assert!(saved.session.is_some(), "it is live until its end");
    service.clock.set(Time::from_millis(end));
    assert!(!service.is_live(token).await);
    assert_eq!(gone(&service.save(save(token, Changes::default().set("b", "2"))).await), reason);
}

#[apply(on_every_store)]
async fn an_idle_session_ends_at_its_timeout(store: StoreKind) {
    let service = service(store).await;
    let (one, other) = (service.stored(&[("a", "1")]).await, service.stored(&[("a", "1")]).await);

    service.advance(10 * MINUTE - MILLI);
    assert!(service.is_live(&one).await);
    service.advance(MILLI);
    assert!(!service.is_live(&other).await);
    assert!(service.is_live(&one).await, "it was used a millisecond ago");
}

#[apply(on_every_store)]
async fn a_used_session_ends_at_its_absolute_deadline(store: StoreKind) {
    let service = service(store).await;
    let token = service.stored(&[("a", "1")]).await;

    use_until(&service, &token, MILLI).await;
    service.advance(MILLI);

    assert!(!service.is_live(&token).await);
    assert_eq!(gone(&service.save(save(&token, Changes::default().set("b", "2"))).await), EndReason::Absolute);
}

#[apply(on_every_store)]
async fn saves_and_rotations_do_not_move_the_absolute_deadline(store: StoreKind) {
    let service = service(store).await;
    let mut token = service.stored(&[("a", "1")]).await;
    let end = service.millis() + 60 * 60 * 1000;

    for _ in 0..6 {
        service.advance(9 * MINUTE);
        service.update(&token, Changes::default().set("a", "2")).await;
        token = service.rotate(&token, RotationCause::Privilege, "").await.session.unwrap().token;
        token = service.update(&token, Changes::default().clear().set("a", "1")).await.token;
    }

    assert_eq!(millis(&service.session(&token).await.expire_time), end);
    expect_end(&service, &token, end, EndReason::Absolute).await;
}

#[apply(on_every_store)]
async fn a_save_moves_the_idle_deadline_at_once(store: StoreKind) {
    let service = service(store).await;
    let token = service.stored(&[("a", "1")]).await;

    service.advance(MILLI);
    service.update(&token, Changes::default().set("a", "2")).await;
    service.advance(10 * MINUTE - MILLI);

    assert!(service.is_live(&token).await);
}

#[apply(on_every_store)]
async fn expire_time_is_the_earlier_of_the_two_deadlines(store: StoreKind) {
    let service = service(store).await;
    let new = service.open_new().await;
    assert_eq!(millis(&new.expire_time), service.millis() + 600_000);

    let saved = service.save(save(&new.token, Changes::default().set("a", "1"))).await.session.unwrap();
    let end = service.millis() + 3_600_000;
    assert_eq!(millis(&saved.expire_time), service.millis() + 600_000);
    assert_eq!(millis(&saved.access_time), service.millis());
    assert_eq!(millis(&saved.create_time), service.millis());
    assert_eq!(saved.idle_timeout.unwrap().seconds, 600);

    use_until(&service, &saved.token, 11 * MINUTE).await;
    assert_eq!(millis(&service.session(&saved.token).await.expire_time), service.millis() + 600_000);
    service.advance(2 * MINUTE);
    let last = service.session(&saved.token).await;
    assert_eq!((millis(&last.expire_time), millis(&last.access_time)), (end, service.millis()));
}

#[apply(on_every_store)]
async fn the_cookie_of_a_permanent_session_expires_with_the_session(store: StoreKind) {
    let service = service(store).await;
    let token = service.stored(&[("a", "1")]).await;

    let saved = service.save(save(&token, Changes::default().permanent(true))).await;

    let end = UNIX_EPOCH + Duration::from_millis(service.millis() + 600_000);
    let expires = format!("; Expires={};", httpdate::fmt_http_date(end));
    assert!(set_cookies(&saved.headers)[0].contains(&expires));
}

#[apply(on_every_store)]
async fn a_save_can_shorten_the_idle_timeout(store: StoreKind) {
    let service = service(store).await;
    let token = service.stored(&[("a", "1")]).await;

    let session = service.update(&token, Changes::default().idle_timeout(2 * MINUTE)).await;

    let end = service.millis() + 120_000;
    assert_eq!((session.idle_timeout.unwrap().seconds, millis(&session.expire_time)), (120, end));
    service.advance(2 * MINUTE);
    assert!(!service.is_live(&token).await);
    assert_eq!(gone(&service.save(save(&token, Changes::default().set("b", "2"))).await), EndReason::Idle);
}

#[apply(on_every_store)]
async fn a_creation_can_set_its_lifetime(store: StoreKind) {
    let service = service(store).await;
    let ticket = service.open_new().await.token;

    let changes = Changes::default().set("a", "1").idle_timeout(2 * MINUTE);
    let session = service.save(save(&ticket, changes)).await.session.unwrap();

    assert_eq!(millis(&session.expire_time), service.millis() + 120_000);
    service.advance(2 * MINUTE);
    assert!(!service.is_live(&session.token).await);
}

#[apply(on_every_store)]
async fn a_save_cannot_set_a_longer_idle_timeout_than_the_app(store: StoreKind) {
    let service = service(store).await;
    let token = service.stored(&[("a", "1")]).await;

    let session = service.update(&token, Changes::default().idle_timeout(11 * MINUTE)).await;

    assert_eq!(session.idle_timeout.unwrap().seconds, 600);
    service.advance(10 * MINUTE);
    assert!(!service.is_live(&token).await);
}

#[apply(on_every_store)]
async fn a_deadline_ends_a_used_and_an_unused_session(store: StoreKind) {
    let service = service(store).await;
    let (used, unused) = (service.stored(&[("a", "1")]).await, service.stored(&[("a", "1")]).await);
    let end = service.millis() + 1_800_000;

    for token in [&used, &unused] {
        let session = service.update(token, Changes::default().deadline(end)).await;
        assert_eq!(millis(&session.expire_time), end);
    }
    use_until(&service, &used, 31 * MINUTE).await;
    assert!(service.is_live(&unused).await);

    expect_end(&service, &used, end, EndReason::Absolute).await;
    assert!(!service.is_live(&unused).await);
}

#[apply(on_every_store)]
async fn a_save_cannot_set_a_later_deadline_than_the_app(store: StoreKind) {
    let service = service(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let end = service.millis() + 3_600_000;

    service.advance(MINUTE);
    let session = service.update(&token, Changes::default().deadline(end + 1)).await;

    assert_eq!(millis(&session.expire_time), end);
    expect_end(&service, &token, end, EndReason::Absolute).await;
}

#[apply(on_every_store)]
async fn a_deadline_must_be_in_the_future(store: StoreKind) {
    let service = service(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let now = service.millis();
    let lifetime_invalid = (Code::InvalidArgument, "LIFETIME_INVALID".to_owned());

    for past in [0, now - 1, now] {
        assert_eq!(service.refusal(save(&token, Changes::default().deadline(past))).await, lifetime_invalid);
    }
    let zero = service.refusal(save(&token, Changes::default().idle_timeout(Duration::ZERO))).await;
    let next = service.update(&token, Changes::default().deadline(now + 1)).await;

    assert_eq!(zero, lifetime_invalid);
    assert_eq!(millis(&next.expire_time), now + 1);
}

#[apply(on_every_store)]
async fn a_save_can_restore_the_default_lifetime(store: StoreKind) {
    let service = service(store).await;
    let create = service.millis();
    for changes in [Changes::default().idle_timeout(MINUTE), Changes::default().deadline(create + 120_000)] {
        let token = service.stored(&[("a", "1")]).await;
        service.update(&token, changes).await;

        let session = service.update(&token, Changes::default().default_lifetime()).await;

        assert_eq!((session.idle_timeout.unwrap().seconds, millis(&session.expire_time)), (600, create + 600_000));
        assert!(service.is_live(&token).await);
    }
}

#[apply(on_every_store)]
async fn a_lifetime_stays_until_another_save_sets_one(store: StoreKind) {
    let service = service(store).await;
    let token = service.stored(&[("a", "1")]).await;
    service.update(&token, Changes::default().idle_timeout(2 * MINUTE)).await;

    service.advance(MINUTE);
    let session = service.update(&token, Changes::default().set("a", "2")).await;
    let next = service.rotate(&token, RotationCause::Privilege, "").await.session.unwrap();

    for session in [session, next] {
        assert_eq!(
            (session.idle_timeout.unwrap().seconds, millis(&session.expire_time)),
            (120, service.millis() + 120_000)
        );
    }
}

#[apply(on_every_store)]
async fn a_clock_that_goes_back_revives_no_ended_session(store: StoreKind) {
    let service = service(store).await;
    let token = service.stored(&[("a", "1")]).await;
    service.advance(5 * SECOND);
    service.destroy(&token).await;

    service.clock.set(Time::from_millis(service.millis() - 4_000));

    assert_eq!(gone(&service.save(save(&token, Changes::default().set("b", "2"))).await), EndReason::Destroyed);
    assert!(!service.is_live(&token).await);
}
