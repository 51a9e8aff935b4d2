//! Privilege rotation: every earlier token is useless at once, and no answer to it holds a token of the session.

use std::time::Duration;

use cloakroom::grpc::wire::{Changes, EndReason, Outcome, RotationCause, SaveSessionRequest};

use crate::support::browser::Browser;
use crate::support::calls::{ChangesExt as _, open_cookie, save, save_unmodified, set_cookies, varies};
use crate::support::sessions::{HOUR, SECOND, SaveExt as _, gone};
use crate::support::{StoreKind, TestService};

/// Checks that the token opens only an empty session of its own, and writes nothing.
async fn expect_useless(service: &TestService, dead: &str) {
    let opened = service.open_cookie(dead).await;
    let session = opened.session.unwrap();
    assert!(session.new && session.entries.is_empty() && session.subject.is_empty());
    assert!(session.token.starts_with("t1"), "{}", session.token);
    assert!(varies(&opened.read_headers) && set_cookies(&opened.read_headers).is_empty());
    assert!(opened.untouched_headers.is_empty());
    for request in [save_unmodified(dead), save(dead, Changes::default().set("x", "1")), save_unmodified(dead).rotate()]
    {
        assert_eq!(gone(&service.save(request).await), EndReason::Superseded);
    }
    for cause in [RotationCause::Privilege, RotationCause::Renewal] {
        let rotated = service.rotate(dead, cause, "").await;
        assert_eq!((rotated.outcome(), rotated.end_reason()), (Outcome::Gone, EndReason::Superseded));
        assert!(rotated.session.is_none() && rotated.headers.is_empty());
    }
}

#[apply(on_every_store)]
async fn every_privilege_rotation_supersedes_the_old_token_at_once(store: StoreKind) {
    let service = TestService::new(store).await;
    let ways: [fn(&str) -> SaveSessionRequest; 4] = [
        |token| save_unmodified(token).rotate(),
        |token| save(token, Changes::default().set("b", "2")).rotate(),
        |token| save(token, Changes::default().subject("alice")),
        |token| save(token, Changes::default().clear().set("b", "2")),
    ];
    for way in ways {
        let token = service.stored(&[("a", "1")]).await;
        let next = service.save(way(&token)).await.session.unwrap().token;
        expect_useless(&service, &token).await;
        assert!(service.is_live(&next).await);
    }

    let token = service.stored(&[("a", "1")]).await;
    service.rotate(&token, RotationCause::Unspecified, "").await;
    expect_useless(&service, &token).await;
}

/// A call reads the clock before it waits for the store, and the clocks of two replicas differ.
#[apply(on_every_store)]
async fn a_call_whose_clock_is_before_the_rotation_has_no_grace_either(store: StoreKind) {
    for grace in [HOUR, Duration::ZERO] {
        let service = TestService::with_grace(store, grace).await;
        let begin = service.now();
        let token = service.stored(&[("a", "1")]).await;
        let next = service.log_in(&token, "alice").await;
        let later = service.rotate(&next, RotationCause::Privilege, "").await.session.unwrap().token;

        service.clock.set(begin.before(SECOND));

        expect_useless(&service, &token).await;
        expect_useless(&service, &next).await;
        assert!(service.is_live(&later).await);
    }
}

#[apply(on_every_store)]
async fn each_rotation_makes_a_new_token(store: StoreKind) {
    let service = TestService::new(store).await;
    let mut tokens = vec![service.stored(&[("a", "1")]).await];

    for _ in 0..5 {
        let next = service.rotate(tokens.last().unwrap(), RotationCause::Privilege, "").await.session.unwrap().token;
        assert!(!tokens.contains(&next));
        tokens.push(next);
    }

    let last = tokens.pop().unwrap();
    for dead in &tokens {
        expect_useless(&service, dead).await;
    }
    assert!(service.is_live(&last).await);
}

#[apply(on_every_store)]
async fn a_planted_cookie_is_useless_after_a_login(store: StoreKind) {
    let service = TestService::new(store).await;
    let planted = service.stored(&[("cart", "[]")]).await;
    let mut victim = Browser::default();
    let opened = service.open(open_cookie(&format!("session={planted}"))).await.session.unwrap();

    let login = service.save(save(&opened.token, Changes::default().subject("victim").set("secret", "1"))).await;
    victim.receive(&login.headers);

    expect_useless(&service, &planted).await;
    assert_eq!(service.session(victim.token().unwrap()).await.subject, "victim");
}

#[apply(on_every_store)]
async fn a_planted_and_renewed_cookie_is_useless_after_a_login(store: StoreKind) {
    let service = TestService::with_grace(store, HOUR).await;
    let planted = service.stored(&[("cart", "[]")]).await;
    let renewed = service.rotate(&planted, RotationCause::Renewal, "").await.session.unwrap().token;
    assert!(service.is_live(&planted).await);

    service.log_in(&renewed, "victim").await;

    expect_useless(&service, &planted).await;
    expect_useless(&service, &renewed).await;
}

#[apply(on_every_store)]
async fn a_login_with_a_token_in_its_grace_supersedes_the_renewed_one(store: StoreKind) {
    let service = TestService::with_grace(store, HOUR).await;
    let old = service.stored(&[("cart", "[]")]).await;
    let renewed = service.rotate(&old, RotationCause::Renewal, "").await.session.unwrap().token;

    let next = service.log_in(&old, "victim").await;

    expect_useless(&service, &old).await;
    expect_useless(&service, &renewed).await;
    assert_eq!(service.session(&next).await.subject, "victim");
}

#[apply(on_every_store)]
async fn a_save_of_a_request_that_opened_before_a_login_is_gone(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let slow = service.session(&token).await;
    let next = service.log_in(&token, "alice").await;

    let saved = service.save(save(&slow.token, Changes::default().set("a", "2")).etag(&slow.etag)).await;

    assert_eq!(gone(&saved), EndReason::Superseded);
    assert_eq!(service.entries(&next).await["a"], "1");
}

#[apply(on_every_store)]
async fn a_late_write_with_a_superseded_cookie_leaves_the_cookie_of_the_login(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let mut browser = Browser::default();
    browser.receive(&service.save(save(&token, Changes::default().subject("alice"))).await.headers);
    let login = browser.token().unwrap().to_owned();

    let late = service.session(&token).await;
    let saved = service.save(save(&late.token, Changes::default().set("csrf_token", "\"x\""))).await;
    browser.receive(&saved.headers);

    assert_eq!(saved.outcome(), Outcome::Created);
    assert_eq!(browser.token(), Some(login.as_str()));
}

#[apply(on_every_store)]
async fn the_empty_session_of_a_superseded_cookie_has_an_id_of_its_own(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let next = service.log_in(&token, "alice").await;

    let empty = service.session(&token).await;

    assert!(empty.new && !empty.id.is_empty());
    assert_ne!(empty.id, service.session(&next).await.id);
}

#[apply(on_every_store)]
async fn a_superseded_cookie_beside_the_new_one_is_ignored(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let next = service.log_in(&token, "alice").await;

    for header in [format!("session={token}; session={next}"), format!("session={next}; session={token}")] {
        let opened = service.open(open_cookie(&header)).await;
        assert_eq!(opened.session.unwrap().token, next);
        assert_eq!(set_cookies(&opened.read_headers), [""; 0]);
    }
}
