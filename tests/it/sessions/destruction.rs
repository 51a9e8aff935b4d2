//! Destruction: which tokens end a session, and the deletion of the cookie.

use cloakroom::grpc::wire::{Changes, DestroySessionResponse, EndReason, Outcome, RotationCause};

use crate::support::calls::{ChangesExt as _, save};
use crate::support::sessions::{MILLI, MINUTE, SaveExt as _, deleted_cookie, destroy_cookie};
use crate::support::{StoreKind, TestService};

fn expect_deleted(destroyed: &DestroySessionResponse) {
    assert_eq!((destroyed.outcome(), destroyed.end_reason()), (Outcome::Deleted, EndReason::Destroyed));
    deleted_cookie(&destroyed.headers);
}

fn expect_superseded(destroyed: &DestroySessionResponse) {
    assert_eq!((destroyed.outcome(), destroyed.end_reason()), (Outcome::Gone, EndReason::Superseded));
    assert!(destroyed.headers.is_empty());
}

#[apply(on_every_store)]
async fn the_current_token_ends_the_session(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;

    let destroyed = service.destroy(&token).await;

    expect_deleted(&destroyed);
    assert!(!service.is_live(&token).await);
}

#[apply(on_every_store)]
async fn the_previous_token_ends_the_session_after_any_rotation(store: StoreKind) {
    let service = TestService::new(store).await;
    for cause in [RotationCause::Privilege, RotationCause::Renewal] {
        let token = service.stored(&[("a", "1")]).await;
        let next = service.rotate(&token, cause, "").await.session.unwrap().token;
        service.advance(10 * MINUTE - MILLI);

        let destroyed = service.destroy(&token).await;

        expect_deleted(&destroyed);
        assert!(!service.is_live(&next).await);
    }
}

#[apply(on_every_store)]
async fn the_previous_token_ends_the_session_even_if_an_older_one_rotated_it(store: StoreKind) {
    let service = TestService::new(store).await;
    let first = service.stored(&[("a", "1")]).await;
    let second = service.rotate(&first, RotationCause::Renewal, "").await.session.unwrap().token;
    let third = service.rotate(&first, RotationCause::Privilege, "").await.session.unwrap().token;

    let saved = service.save(save(&second, Changes::default().set("b", "1"))).await;
    let destroyed = service.destroy(&second).await;

    assert_eq!((saved.outcome(), saved.end_reason()), (Outcome::Gone, EndReason::Superseded));
    expect_deleted(&destroyed);
    assert!(!service.is_live(&third).await);
}

#[apply(on_every_store)]
async fn an_older_token_ends_nothing(store: StoreKind) {
    let service = TestService::new(store).await;
    let first = service.stored(&[("a", "1")]).await;
    let second = service.rotate(&first, RotationCause::Renewal, "").await.session.unwrap().token;
    let third = service.rotate(&second, RotationCause::Privilege, "").await.session.unwrap().token;

    let by_token = service.destroy(&first).await;
    let by_cookie = service.try_destroy(destroy_cookie(&format!("session={first}"))).await.unwrap();

    expect_superseded(&by_token);
    expect_superseded(&by_cookie);
    assert!(service.is_live(&third).await);
}

#[apply(on_every_store)]
async fn a_ticket_ends_the_session_that_it_created(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;
    let token = service.save(save(&ticket, Changes::default().set("a", "1"))).await.session.unwrap().token;

    let destroyed = service.destroy(&ticket).await;

    expect_deleted(&destroyed);
    assert!(!service.is_live(&token).await);
}

#[apply(on_every_store)]
async fn an_unused_ticket_ends_nothing(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;

    let destroyed = service.destroy(&ticket).await;

    assert_eq!((destroyed.outcome(), destroyed.end_reason()), (Outcome::Gone, EndReason::Unspecified));
    deleted_cookie(&destroyed.headers);
}

#[apply(on_every_store)]
async fn a_second_destruction_is_gone_with_the_first_reason(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    service.save(save(&token, Changes::default().unset("a")).request_id("a request id")).await;

    let destroyed = service.destroy(&token).await;

    assert_eq!((destroyed.outcome(), destroyed.end_reason()), (Outcome::Gone, EndReason::Emptied));
    deleted_cookie(&destroyed.headers);
}

#[apply(on_every_store)]
async fn a_live_cookie_beside_a_dead_one_is_destroyed(store: StoreKind) {
    let service = TestService::new(store).await;
    let (dead, live) = (service.stored(&[("a", "1")]).await, service.stored(&[("a", "1")]).await);
    service.destroy(&dead).await;

    let destroyed = service.try_destroy(destroy_cookie(&format!("session={dead}; session={live}"))).await.unwrap();

    expect_deleted(&destroyed);
    assert!(!service.is_live(&live).await);
}

#[apply(on_every_store)]
async fn a_logout_ends_every_session_that_the_cookies_name(store: StoreKind) {
    let service = TestService::new(store).await;
    let (planted, own) = (service.stored(&[("a", "1")]).await, service.stored(&[("a", "1")]).await);

    let destroyed = service.try_destroy(destroy_cookie(&format!("session={planted}; session={own}"))).await.unwrap();

    expect_deleted(&destroyed);
    assert!(!service.is_live(&planted).await && !service.is_live(&own).await);
}

#[apply(on_every_store)]
async fn the_deleted_cookie_has_the_name_in_the_request(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let mut request = destroy_cookie(&format!("sid={token}"));
    request.cookie_name = "sid".to_owned();

    let destroyed = service.try_destroy(request).await.unwrap();

    expect_deleted(&destroyed);
    assert!(deleted_cookie(&destroyed.headers).starts_with("sid=;"));
}
