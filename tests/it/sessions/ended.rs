//! Ended sessions: a save writes nothing, creates nothing and sets no cookie.

use std::time::Duration;

use cloakroom::grpc::wire::{Changes, EndReason, Outcome, RotationCause};

use crate::support::calls::{ChangesExt as _, save, save_unmodified, set_cookies};
use crate::support::sessions::{HOUR, MILLI, MINUTE, SECOND, SaveExt as _, deleted_cookie, gone};
use crate::support::{StoreKind, TestService, app_settings};

/// Checks that every kind of save with this token is GONE for this reason, without an effect.
async fn expect_gone(service: &TestService, token: &str, reason: EndReason) {
    let saves = [
        save(token, Changes::default().set("b", "2")),
        save(token, Changes::default().clear().set("b", "2").subject("mallory")),
        save(token, Changes::default().permanent(true)).rotate().keep_empty(),
        save(token, Changes::default().unset("a")).etag("1"),
        save_unmodified(token),
        save_unmodified(token).rotate(),
    ];
    for request in saves {
        assert_eq!(gone(&service.save(request).await), reason);
    }
    let rotated = service.rotate(token, RotationCause::Renewal, "").await;
    assert_eq!((rotated.outcome(), rotated.end_reason()), (Outcome::Gone, reason));
    assert!(rotated.session.is_none() && set_cookies(&rotated.headers).is_empty());
    assert!(!service.is_live(token).await);
    assert!(service.entries(token).await.is_empty());
}

#[apply(on_every_store)]
async fn a_save_cannot_undo_a_logout(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;

    service.destroy(&token).await;

    expect_gone(&service, &token, EndReason::Destroyed).await;
}

#[apply(on_every_store)]
async fn a_save_to_an_emptied_session_is_gone(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;

    service.save(save(&token, Changes::default().unset("a"))).await;

    expect_gone(&service, &token, EndReason::Emptied).await;
}

#[apply(on_every_store)]
async fn a_save_to_an_idle_session_is_gone(store: StoreKind) {
    let service = TestService::with_lifetimes(store, MINUTE, HOUR).await;
    let token = service.stored(&[("a", "1")]).await;

    service.advance(MINUTE);

    expect_gone(&service, &token, EndReason::Idle).await;
}

#[apply(on_every_store)]
async fn a_save_past_the_absolute_deadline_is_gone(store: StoreKind) {
    let service = TestService::with_lifetimes(store, MINUTE, 2 * MINUTE).await;
    let token = service.stored(&[("a", "1")]).await;
    service.advance(50 * SECOND);
    service.update(&token, Changes::default().set("a", "2")).await;
    service.advance(50 * SECOND);
    service.update(&token, Changes::default().set("a", "3")).await;

    service.advance(20 * SECOND);

    expect_gone(&service, &token, EndReason::Absolute).await;
}

#[apply(on_every_store)]
async fn a_save_with_a_superseded_token_is_gone_and_changes_nothing(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let next = service.log_in(&token, "alice").await;
    let etag = service.session(&next).await.etag;

    expect_gone(&service, &token, EndReason::Superseded).await;

    assert_eq!(service.session(&next).await.etag, etag);
    assert_eq!(service.entries(&next).await, [("a".to_owned(), "1".to_owned())].into());
}

#[apply(on_every_store)]
async fn the_reason_of_a_destruction_is_known_for_16_minutes(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    service.destroy(&token).await;

    service.advance(16 * MINUTE - MILLI);
    expect_gone(&service, &token, EndReason::Destroyed).await;
    service.advance(MILLI);
    expect_gone(&service, &token, EndReason::Unspecified).await;
    service.advance(1000 * HOUR);
    expect_gone(&service, &token, EndReason::Unspecified).await;
}

#[apply(on_every_store)]
async fn the_reason_of_an_expiry_is_known_for_16_minutes(store: StoreKind) {
    let service = TestService::with_lifetimes(store, MINUTE, HOUR).await;
    let token = service.stored(&[("a", "1")]).await;

    service.advance(17 * MINUTE - MILLI);
    expect_gone(&service, &token, EndReason::Idle).await;
    service.advance(MILLI);
    expect_gone(&service, &token, EndReason::Unspecified).await;
}

#[apply(on_every_store)]
async fn a_token_that_the_store_does_not_know_is_gone_without_a_reason(store: StoreKind) {
    let settings = app_settings();
    let before = TestService::with_apps(store, [("default", settings.clone())]).await;
    let after = TestService::with_apps(store, [("default", settings)]).await;

    let token = before.stored(&[("a", "1")]).await;

    expect_gone(&after, &token, EndReason::Unspecified).await;
}

#[apply(on_every_store)]
async fn destroying_an_ended_session_is_gone_and_deletes_the_cookie(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    service.destroy(&token).await;

    for (later, reason) in [(Duration::ZERO, EndReason::Destroyed), (16 * MINUTE, EndReason::Unspecified)] {
        service.advance(later);
        let again = service.destroy(&token).await;

        assert_eq!((again.outcome(), again.end_reason()), (Outcome::Gone, reason));
        deleted_cookie(&again.headers);
    }
}
