//! Renewal: for a grace period the old token opens the session and gets the next token.

use std::time::Duration;

use cloakroom::grpc::wire::{Changes, EndReason, Outcome, RotationCause};
use tokio::task::JoinSet;

use crate::support::calls::{ChangesExt as _, open_cookie, save, save_cookie, save_unmodified, set_cookies};
use crate::support::sessions::{HOUR, MILLI, MINUTE, SECOND, gone};
use crate::support::{StoreKind, TestService};

/// Stores a session and renews its token; returns the old and the next token.
async fn renewed(service: &TestService) -> (String, String) {
    let old = service.stored(&[("a", "1")]).await;
    let rotated = service.rotate(&old, RotationCause::Renewal, "").await;
    assert_eq!(rotated.outcome(), Outcome::Updated);
    let next = rotated.session.unwrap().token;
    assert_ne!(old, next);
    (old, next)
}

fn cookie(token: &str) -> String {
    format!("session={token}; HttpOnly; Path=/; SameSite=Lax")
}

#[apply(on_every_store)]
async fn during_the_grace_an_open_with_the_old_token_gets_the_next_token(store: StoreKind) {
    let service = TestService::new(store).await;
    let (old, next) = renewed(&service).await;

    service.advance(30 * SECOND - MILLI);
    let opened = service.open_cookie(&old).await;

    assert_eq!(set_cookies(&opened.read_headers), [cookie(&next)]);
    assert_eq!(set_cookies(&opened.untouched_headers), [cookie(&next)]);
    let session = opened.session.unwrap();
    assert_eq!((session.new, session.token, session.entries.len()), (false, next, 1));
}

#[apply(on_every_store)]
async fn after_the_grace_the_old_token_is_superseded(store: StoreKind) {
    let service = TestService::new(store).await;
    let (old, next) = renewed(&service).await;

    service.advance(30 * SECOND);

    assert!(service.session(&old).await.new);
    assert_eq!(gone(&service.save(save(&old, Changes::default().set("b", "2"))).await), EndReason::Superseded);
    assert_eq!(service.rotate(&old, RotationCause::Renewal, "").await.end_reason(), EndReason::Superseded);
    assert!(service.is_live(&next).await);
}

#[apply(on_every_store)]
async fn the_next_token_gets_no_new_cookie(store: StoreKind) {
    let service = TestService::new(store).await;
    let (_, next) = renewed(&service).await;

    let opened = service.open_cookie(&next).await;

    assert_eq!(set_cookies(&opened.read_headers), [""; 0]);
    assert_eq!(opened.session.unwrap().token, next);
}

#[apply(on_every_store)]
async fn a_save_during_the_grace_is_applied(store: StoreKind) {
    let service = TestService::new(store).await;
    let (old, next) = renewed(&service).await;
    let change = |name: &str| Changes::default().set(name, "1");

    let by_token = service.save(save(&old, change("b"))).await;
    let by_cookie = service.save(save_cookie(&format!("session={old}"), change("c"))).await;
    let unmodified = service.save(save_unmodified(&old)).await;

    for saved in [&by_token, &by_cookie, &unmodified] {
        assert_eq!(set_cookies(&saved.headers), [cookie(&next)]);
        assert_eq!(saved.session.as_ref().unwrap().token, next);
    }
    let outcomes = [by_token, by_cookie, unmodified].map(|saved| saved.outcome());
    assert_eq!(outcomes, [Outcome::Updated, Outcome::Updated, Outcome::Unchanged]);
    assert_eq!(service.entries(&next).await.len(), 3);
}

#[apply(on_every_store)]
async fn a_touch_during_the_grace_is_applied(store: StoreKind) {
    let service = TestService::with_lifetimes(store, MINUTE, HOUR).await;
    let (old, next) = renewed(&service).await;

    service.advance(20 * SECOND);
    service.open_cookie(&old).await;
    service.advance(MINUTE - MILLI);

    assert!(service.is_live(&next).await);
}

#[apply(on_every_store)]
async fn a_renewal_during_the_grace_is_a_use_of_the_session(store: StoreKind) {
    for by_old_token in [true, false] {
        let service = TestService::with_lifetimes(store, MINUTE, HOUR).await;
        let (old, next) = renewed(&service).await;

        service.advance(20 * SECOND);
        service.rotate(if by_old_token { &old } else { &next }, RotationCause::Renewal, "").await;
        service.advance(MINUTE - MILLI);

        assert!(service.is_live(&next).await);
    }
}

#[apply(on_every_store)]
async fn a_renewal_during_the_grace_answers_the_existing_next_token(store: StoreKind) {
    let service = TestService::new(store).await;
    let (old, next) = renewed(&service).await;

    let again = service.rotate(&old, RotationCause::Renewal, "").await;
    let with_id = service.rotate(&old, RotationCause::Renewal, "another request").await;

    for rotated in [again, with_id] {
        assert_eq!(rotated.outcome(), Outcome::Updated);
        assert_eq!(set_cookies(&rotated.headers), [cookie(&next)]);
        assert_eq!(rotated.session.unwrap().token, next);
    }
    assert!(service.is_live(&next).await);
}

#[apply(on_every_store)]
async fn a_privilege_rotation_during_the_grace_supersedes_both_tokens(store: StoreKind) {
    let service = TestService::new(store).await;
    let (old, next) = renewed(&service).await;

    let rotated = service.rotate(&old, RotationCause::Privilege, "").await;

    assert_eq!(rotated.outcome(), Outcome::Updated);
    let fresh = rotated.session.unwrap().token;
    assert!(![&old, &next].contains(&&fresh));
    assert_eq!(
        [service.is_live(&old).await, service.is_live(&next).await, service.is_live(&fresh).await],
        [false, false, true]
    );
}

#[apply(on_every_store)]
async fn concurrent_renewals_get_the_same_next_token(store: StoreKind) {
    let service = TestService::new(store).await;
    let old = service.stored(&[("a", "1")]).await;
    let mut renewals = JoinSet::new();

    for n in 0..40 {
        let (mut client, old) = (service.client.clone(), old.clone());
        renewals.spawn(async move {
            let request = cloakroom::grpc::wire::RotateSessionRequest {
                credential: Some(cloakroom::grpc::wire::rotate_session_request::Credential::Token(old)),
                cause: RotationCause::Renewal.into(),
                request_id: if n % 2 == 0 { String::new() } else { format!("request {n}") },
                ..Default::default()
            };
            client.rotate_session(request).await.unwrap().into_inner().session.unwrap().token
        });
    }
    let mut tokens = renewals.join_all().await;

    tokens.dedup();
    assert_eq!(tokens.len(), 1);
    assert_ne!(tokens[0], old);
    assert!(service.is_live(&tokens[0]).await);
}

#[apply(on_every_store)]
async fn a_grace_of_zero_supersedes_at_once(store: StoreKind) {
    let service = TestService::with_grace(store, Duration::ZERO).await;
    let (old, next) = renewed(&service).await;

    assert!(!service.is_live(&old).await);
    assert!(service.is_live(&next).await);
    assert_eq!(gone(&service.save(save(&old, Changes::default().set("b", "2"))).await), EndReason::Superseded);
}

#[apply(on_every_store)]
async fn a_grace_can_be_longer_than_10_minutes(store: StoreKind) {
    let service = TestService::with_grace(store, HOUR).await;
    let (old, next) = renewed(&service).await;

    service.advance(HOUR - MILLI);
    assert_eq!(service.session(&old).await.token, next);
    service.advance(MILLI);
    assert!(!service.is_live(&old).await);
}

#[apply(on_every_store)]
async fn the_old_and_the_next_cookie_open_one_session(store: StoreKind) {
    let service = TestService::new(store).await;
    let (old, next) = renewed(&service).await;

    for header in [format!("session={old}; session={next}"), format!("session={next}; session={old}")] {
        let opened = service.open(open_cookie(&header)).await;
        let saved = service.save(save_cookie(&header, Changes::default().increment("n", 1))).await;

        assert_eq!([opened.session.unwrap().token, saved.session.unwrap().token], [next.clone(), next.clone()]);
    }
}

#[apply(on_every_store)]
async fn a_second_renewal_during_the_grace_leaves_the_old_token_valid(store: StoreKind) {
    let service = TestService::new(store).await;
    let (old, next) = renewed(&service).await;

    service.advance(30 * SECOND - MILLI);
    let again = service.rotate(&next, RotationCause::Renewal, "").await;

    assert_eq!(again.outcome(), Outcome::Updated);
    assert_eq!(set_cookies(&again.headers), [cookie(&next)]);
    assert_eq!(again.session.unwrap().token, next);
    assert!(service.is_live(&old).await);

    service.advance(MILLI);
    let renewed = service.rotate(&next, RotationCause::Renewal, "").await.session.unwrap().token;
    assert_ne!(renewed, next);
}
