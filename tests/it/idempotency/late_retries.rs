//! Late retries: a request is repeated after its session or its token has changed.

use cloakroom::grpc::wire::{Changes, EndReason, Outcome, RotationCause, SaveSessionRequest};
use cloakroom::types::Time;
use tonic::Code;

use crate::support::calls::{ChangesExt as _, save, save_cookie, set_cookies};
use crate::support::sessions::{HOUR, LifetimeExt as _, MILLI, MINUTE, SECOND, SaveExt as _, gone};
use crate::support::{StoreKind, TestService};

const ID: &str = "0123456789abcdef";

fn count(token: &str) -> SaveSessionRequest {
    save(token, Changes::default().increment("n", 1)).request_id(ID)
}

#[apply(on_every_store)]
async fn a_repeated_save_after_a_logout_still_answers_updated(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    service.save(count(&token)).await;
    service.destroy(&token).await;

    let again = service.save(count(&token)).await;

    assert_eq!(again.outcome(), Outcome::Updated);
    assert!(again.session.is_none() && again.counters.is_empty());
    assert_eq!(set_cookies(&again.headers), [""; 0]);
    assert!(!service.is_live(&token).await);
}

#[apply(on_every_store)]
async fn a_repeated_save_revives_no_idle_session(store: StoreKind) {
    let service = TestService::with_lifetimes(store, MINUTE, HOUR).await;
    let token = service.stored(&[("a", "1")]).await;
    service.save(count(&token)).await;
    service.advance(MINUTE);

    let again = service.save(count(&token)).await;

    assert_eq!(again.outcome(), Outcome::Updated);
    assert!(again.session.is_none());
    assert_eq!(set_cookies(&again.headers), [""; 0]);
    assert!(!service.is_live(&token).await);
}

#[apply(on_every_store)]
async fn a_repeated_rotation_after_a_logout_still_answers_updated(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let next = service.rotate(&token, RotationCause::Privilege, ID).await.session.unwrap().token;
    service.destroy(&next).await;

    let again = service.rotate(&token, RotationCause::Privilege, ID).await;

    assert_eq!(again.outcome(), Outcome::Updated);
    assert!(again.session.is_none() && again.headers.is_empty());
}

#[apply(on_every_store)]
async fn a_repeated_rotation_revives_no_idle_session(store: StoreKind) {
    let service = TestService::with_lifetimes(store, MINUTE, HOUR).await;
    let token = service.stored(&[("a", "1")]).await;
    service.rotate(&token, RotationCause::Privilege, ID).await;
    service.advance(MINUTE);

    let again = service.rotate(&token, RotationCause::Privilege, ID).await;

    assert_eq!(again.outcome(), Outcome::Updated);
    assert!(again.session.is_none() && again.headers.is_empty());
}

#[apply(on_every_store)]
async fn a_repeated_deletion_keeps_its_reason(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let request = || save(&token, Changes::default().unset("a")).request_id(ID);
    service.save(request()).await;
    service.destroy(&token).await;

    let again = service.save(request()).await;

    assert_eq!((again.outcome(), again.end_reason()), (Outcome::Deleted, EndReason::Emptied));
}

#[apply(on_every_store)]
async fn a_save_repeated_after_a_rotation_does_not_get_the_new_token(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    service.save(count(&token)).await;
    let next = service.log_in(&token, "alice").await;

    let again = service.save(count(&token)).await;

    assert_eq!((again.outcome(), again.counters["n"]), (Outcome::Updated, 1));
    assert_eq!(again.session.unwrap().token, "");
    assert_eq!(set_cookies(&again.headers), [""; 0]);
    assert_eq!(service.entries(&next).await["n"], "1");
}

#[apply(on_every_store)]
async fn another_request_does_not_get_the_token_of_a_privilege_rotation(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let login = |id| save(&token, Changes::default().subject("alice")).request_id(id);
    service.save(login(ID)).await;

    let other_id = service.save(login("another request")).await;
    let no_id = service.save(login("")).await;
    let rotation = service.rotate(&token, RotationCause::Renewal, "a third request").await;

    assert_eq!([gone(&other_id), gone(&no_id)], [EndReason::Superseded; 2]);
    assert_eq!((rotation.outcome(), rotation.session.is_none()), (Outcome::Gone, true));
}

#[apply(on_every_store)]
async fn a_repeated_privilege_rotation_gets_the_token_for_10_minutes(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let login = || save(&token, Changes::default().subject("alice")).request_id(ID);
    let next = service.save(login()).await.session.unwrap().token;

    service.advance(10 * MINUTE - MILLI);
    let within = service.save(login()).await;
    service.advance(MILLI);
    let after = service.save(login()).await;

    assert_eq!(within.session.unwrap().token, next);
    assert_eq!(gone(&after), EndReason::Superseded);
}

#[apply(on_every_store)]
async fn a_rotation_repeated_after_another_does_not_get_the_newest_token(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let login = || save(&token, Changes::default().subject("alice")).request_id(ID);
    let alice = service.save(login()).await.session.unwrap().token;
    let bob = service.update(&alice, Changes::default().subject("bob").set("b", "2")).await.token;

    let again = service.save(login()).await;

    assert_eq!(again.outcome(), Outcome::Updated);
    assert_eq!(again.session.unwrap().token, "");
    assert!(service.is_live(&bob).await && !service.is_live(&alice).await);
}

#[apply(on_every_store)]
async fn a_save_during_the_grace_can_be_repeated_with_either_token(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let next = service.rotate(&token, RotationCause::Renewal, "").await.session.unwrap().token;

    let first = service.save(count(&token)).await;
    let again = [service.save(count(&token)).await, service.save(count(&next)).await];
    service.advance(30 * SECOND);
    let late = service.save(count(&token)).await;

    assert_eq!(first.session.unwrap().token, next);
    for saved in again {
        assert_eq!((saved.outcome(), saved.counters["n"]), (Outcome::Updated, 1));
        assert_eq!(saved.session.unwrap().token, next);
    }
    assert_eq!((late.outcome(), late.counters["n"], late.session.unwrap().token.as_str()), (Outcome::Updated, 1, ""));
}

#[apply(on_every_store)]
async fn a_save_repeated_after_a_renewal_gets_the_next_token(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    service.save(count(&token)).await;
    let next = service.rotate(&token, RotationCause::Renewal, "").await.session.unwrap().token;

    let again = service.save(count(&token)).await;

    assert_eq!((again.outcome(), again.counters["n"]), (Outcome::Updated, 1));
    assert!(set_cookies(&again.headers)[0].starts_with(&format!("session={next};")));
    assert_eq!(again.session.unwrap().token, next);
}

#[apply(on_every_store)]
async fn a_login_during_the_grace_can_be_repeated_with_the_old_token(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let renewed = service.rotate(&token, RotationCause::Renewal, "").await.session.unwrap().token;
    let login = || save(&token, Changes::default().subject("alice")).request_id(ID);

    let first = service.save(login()).await.session.unwrap().token;
    let again = service.save(login()).await.session.unwrap().token;

    assert_eq!(first, again);
    assert!(service.is_live(&first).await && !service.is_live(&renewed).await && !service.is_live(&token).await);
}

#[apply(on_every_store)]
async fn a_repeated_save_whose_deadline_has_passed_answers_as_the_first_one(store: StoreKind) {
    let service = TestService::new(store).await;
    let (stored, ticket) = (service.stored(&[("a", "1")]).await, service.open_new().await.token);
    let deadline = service.millis() + 1000;

    for (token, outcome) in [(&stored, Outcome::Updated), (&ticket, Outcome::Created)] {
        let request = |id| save(token, Changes::default().set("b", "2").deadline(deadline)).request_id(id);
        assert_eq!(service.save(request(ID)).await.outcome(), outcome);
        service.advance(2 * SECOND);

        let again = service.save(request(ID)).await;

        assert_eq!((again.outcome(), again.session.is_none()), (outcome, true));
        service.clock.set(Time::from_millis(deadline - 1000));
    }
    service.advance(SECOND);
    let live = service.stored(&[("a", "1")]).await;
    for token in [&live, &service.open_new().await.token] {
        let late = save(token, Changes::default().set("b", "2").deadline(deadline)).request_id("another request_id");
        assert_eq!(service.refusal(late).await, (Code::InvalidArgument, "LIFETIME_INVALID".to_owned()));
    }
    assert_eq!(service.entries(&live).await.len(), 1);
}

/// Two sessions; the token of the first is superseded, and the session has ended since. Returns the header with both.
async fn superseded_beside(service: &TestService, other: &str) -> String {
    let superseded = service.stored(&[("b", "1")]).await;
    let next = service.rotate(&superseded, RotationCause::Privilege, "").await.session.unwrap().token;
    service.destroy(&next).await;
    format!("session={superseded}; session={other}")
}

#[apply(on_every_store)]
async fn a_login_repeated_beside_a_superseded_cookie_is_one_login(store: StoreKind) {
    let service = TestService::new(store).await;
    let header = superseded_beside(&service, &service.stored(&[("cart", "1")]).await).await;
    let login = || save_cookie(&header, Changes::default().subject("ann").increment("logins", 1)).request_id(ID);

    let [first, again] = [service.save(login()).await, service.save(login()).await];

    assert_eq!([first.outcome(), again.outcome()], [Outcome::Updated; 2]);
    assert_eq!(set_cookies(&first.headers), set_cookies(&again.headers));
    let token = again.session.unwrap().token;
    assert_eq!(service.entries(&token).await["logins"], "1");
    assert_eq!(service.entries(&token).await["cart"], "1");
}

#[apply(on_every_store)]
async fn a_login_repeated_beside_two_superseded_cookies_is_one_login(store: StoreKind) {
    let service = TestService::new(store).await;
    let second = service.stored(&[("a", "1")]).await;
    service.rotate(&second, RotationCause::Privilege, "").await;
    service.save(save_cookie(&format!("session={second}"), Changes::default().set("csrf", "1"))).await;
    let header = superseded_beside(&service, &second).await;
    let login = || save_cookie(&header, Changes::default().subject("ann").increment("logins", 1)).request_id(ID);

    let [first, again] = [service.save(login()).await, service.save(login()).await];

    assert_eq!([first.outcome(), again.outcome()], [Outcome::Updated; 2]);
    assert_eq!(set_cookies(&first.headers), set_cookies(&again.headers));
    assert_eq!(service.entries(&again.session.unwrap().token).await["logins"], "1");
}
