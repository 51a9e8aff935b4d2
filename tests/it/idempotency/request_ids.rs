//! Request ids: all requests with one id for one session are one save.

use cloakroom::grpc::wire::{
    Changes, EndReason, Outcome, RotateSessionRequest, RotationCause, SaveSessionRequest, rotate_session_request,
};
use tonic::Code;

use crate::support::calls::{ChangesExt as _, reason, save, save_cookie, save_unmodified, set_cookies};
use crate::support::sessions::{HOUR, LifetimeExt as _, MILLI, MINUTE, SaveExt as _, deleted_cookie, gone};
use crate::support::{StoreKind, TestService};

const ID: &str = "0123456789abcdef";

fn reused() -> (Code, String) {
    (Code::Aborted, "REQUEST_ID_REUSED".to_owned())
}

#[apply(on_every_store)]
async fn a_repeated_save_is_applied_once(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let request = || save(&token, Changes::default().increment("n", 1).set("b", "2").unset("a")).request_id(ID);

    let first = service.save(request()).await;
    let second = service.save(request()).await;

    assert_eq!([first.outcome(), second.outcome()], [Outcome::Updated; 2]);
    assert_eq!(first.counters, [("n".to_owned(), 1)].into());
    assert_eq!(second.counters, first.counters);
    assert_eq!([first.headers.len(), second.headers.len()], [1; 2]);
    let (first, second) = (first.session.unwrap(), second.session.unwrap());
    assert_eq!((first.token, first.etag), (second.token, second.etag));
    assert_eq!(service.entries(&token).await["n"], "1");
}

#[apply(on_every_store)]
async fn a_repeated_save_answers_the_current_session(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let request = || save(&token, Changes::default().increment("n", 1).set("b", "1")).request_id(ID);
    service.save(request()).await;
    let etag = service.update(&token, Changes::default().increment("n", 9).set("b", "2")).await.etag;

    let again = service.save(request()).await;

    assert_eq!(again.outcome(), Outcome::Updated);
    assert_eq!(again.counters, [("n".to_owned(), 10)].into());
    assert_eq!(again.session.unwrap().etag, etag);
    assert_eq!(service.entries(&token).await["b"], "2");
}

#[apply(on_every_store)]
async fn a_repeated_creation_answers_created_again(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;
    let request = || save(&ticket, Changes::default().increment("n", 1)).request_id(ID);

    let first = service.save(request()).await;
    let second = service.save(request()).await;

    assert_eq!([first.outcome(), second.outcome()], [Outcome::Created; 2]);
    assert_eq!(second.counters, first.counters);
    assert_eq!(set_cookies(&second.headers), set_cookies(&first.headers));
    let (first, second) = (first.session.unwrap(), second.session.unwrap());
    assert_eq!((&first.id, &first.token, &first.etag), (&second.id, &second.token, &second.etag));
    assert_eq!(service.entries(&first.token).await["n"], "1");
}

#[apply(on_every_store)]
async fn a_repeated_save_that_rotated_answers_the_same_new_token(store: StoreKind) {
    let service = TestService::new(store).await;
    let n = || Changes::default().increment("n", 1);
    for (changes, rotate) in [(n(), true), (n().subject("alice"), false), (n().clear(), false)] {
        let token = service.stored(&[("a", "1")]).await;
        let request = || SaveSessionRequest { rotate, ..save(&token, changes.clone()).request_id(ID) };

        let (first, second) = (service.save(request()).await, service.save(request()).await);

        assert_eq!([first.outcome(), second.outcome()], [Outcome::Updated; 2]);
        assert_eq!(set_cookies(&first.headers), set_cookies(&second.headers));
        let next = first.session.unwrap().token;
        assert_ne!(next, token);
        assert_eq!(second.session.unwrap().token, next);
        assert_eq!(service.entries(&next).await["n"], "1");
    }
}

#[apply(on_every_store)]
async fn a_repeated_save_that_only_rotates_answers_the_same_new_token(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let request = || save_unmodified(&token).rotate().request_id(ID);

    let (first, second) = (service.save(request()).await, service.save(request()).await);

    let next = first.session.unwrap().token;
    assert_eq!(second.session.unwrap().token, next);
    assert!(service.is_live(&next).await);
}

#[apply(on_every_store)]
async fn a_repeated_deletion_answers_deleted_again(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let request = || save(&token, Changes::default().unset("a")).request_id(ID);

    for _ in 0..2 {
        let saved = service.save(request()).await;
        assert_eq!((saved.outcome(), saved.end_reason()), (Outcome::Deleted, EndReason::Emptied));
        assert!(saved.session.is_none());
        deleted_cookie(&saved.headers);
    }

    assert_eq!(gone(&service.save(save(&token, Changes::default().unset("a"))).await), EndReason::Emptied);
}

#[apply(on_every_store)]
async fn a_repeated_destruction_answers_deleted_again(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;

    for _ in 0..2 {
        let destroyed = service.destroy_as(&token, ID).await;
        assert_eq!((destroyed.outcome(), destroyed.end_reason()), (Outcome::Deleted, EndReason::Destroyed));
        deleted_cookie(&destroyed.headers);
    }

    assert_eq!(service.destroy_as(&token, "another request").await.outcome(), Outcome::Gone);
}

#[apply(on_every_store)]
async fn a_repeated_rotation_answers_the_same_token(store: StoreKind) {
    let service = TestService::new(store).await;
    for cause in [RotationCause::Unspecified, RotationCause::Privilege, RotationCause::Renewal] {
        let token = service.stored(&[("a", "1")]).await;

        let first = service.rotate(&token, cause, ID).await;
        service.advance(10 * MINUTE - MILLI);
        let second = service.rotate(&token, cause, ID).await;

        assert_eq!([first.outcome(), second.outcome()], [Outcome::Updated; 2]);
        assert_eq!(set_cookies(&first.headers), set_cookies(&second.headers));
        let next = first.session.unwrap().token;
        assert_eq!(second.session.unwrap().token, next);
        assert!(service.is_live(&next).await);
    }
}

#[apply(on_every_store)]
async fn a_repeated_save_by_cookie_is_applied_once(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let request =
        || save_cookie(&format!("session={token}"), Changes::default().increment("n", 1).subject("a")).request_id(ID);

    let (first, second) = (service.save(request()).await, service.save(request()).await);

    assert_eq!(second.outcome(), Outcome::Updated);
    let next = first.session.unwrap().token;
    assert_eq!(second.session.unwrap().token, next);
    assert_eq!(service.entries(&next).await["n"], "1");
}

#[apply(on_every_store)]
async fn the_order_of_changes_in_a_repeated_request_does_not_matter(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1"), ("b", "1")]).await;
    let first = Changes::default().unset("a").unset("b").set("c", "1").set("_permanent", "true");
    let second = Changes::default().permanent(true).set("c", "1").unset("b").unset("a").unset("b");

    let (first, second) = (
        service.save(save(&token, first).request_id(ID)).await,
        service.save(save(&token, second).request_id(ID)).await,
    );

    assert_eq!(first.session.unwrap().etag, second.session.unwrap().etag);
}

#[apply(on_every_store)]
async fn the_same_id_with_other_changes_is_refused(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let first = || Changes::default().set("a", "2").increment("n", 1);
    service.save(save(&token, first()).request_id(ID)).await;
    let etag = service.session(&token).await.etag;

    let others = [
        save(&token, first().set("b", "2")),
        save(&token, Changes::default().set("a", "2").increment("n", 2)),
        save(&token, Changes::default().set_raw("a", b"2").increment("n", 1)),
        save(&token, first().unset("b")),
        save(&token, first().clear()),
        save(&token, first().permanent(false)),
        save(&token, first().subject("")),
        save(&token, first().subject("alice")),
        save(&token, first().idle_timeout(HOUR)),
        save(&token, first().default_lifetime()),
        save(&token, first()).rotate(),
        save(&token, first()).keep_empty(),
        save(&token, Changes::default()),
    ];
    for request in others {
        assert_eq!(service.refusal(request.request_id(ID)).await, reused());
    }

    assert_eq!(service.session(&token).await.etag, etag);
}

#[apply(on_every_store)]
async fn one_id_cannot_be_used_for_two_kinds_of_call(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    service.save(save(&token, Changes::default().set("a", "2")).request_id(ID)).await;
    let renewed = service.stored(&[("a", "1")]).await;
    service.rotate(&renewed, RotationCause::Renewal, ID).await;

    for (token, cause) in [(&token, RotationCause::Renewal), (&renewed, RotationCause::Privilege)] {
        let credential = Some(rotate_session_request::Credential::Token(token.clone()));
        let (cause, request_id) = (cause.into(), ID.to_owned());
        let rotation = RotateSessionRequest { credential, cause, request_id, ..Default::default() };
        assert_eq!(reason(&service.try_rotate(rotation).await.err().unwrap()), reused());
    }
    assert_eq!(service.refusal(save(&renewed, Changes::default().set("a", "2")).request_id(ID)).await, reused());
    assert!(service.is_live(&token).await);
}

#[apply(on_every_store)]
async fn the_request_id_is_checked_before_the_etag(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let etag = service.session(&token).await.etag;
    let request = || save(&token, Changes::default().set("a", "2")).etag(&etag).request_id(ID);

    let (first, second) = (service.save(request()).await, service.save(request()).await);

    assert_eq!([first.outcome(), second.outcome()], [Outcome::Updated; 2]);
}
