//! Privilege rotations: every earlier token is worth nothing at once, and yields nothing.

use cloakroom::grpc::wire::{Changes, EndReason, Outcome, RotationCause, SaveSessionRequest};

use crate::on_every_store;
use crate::support::browser::Browser;
use crate::support::calls::{ChangesExt as _, open_cookie, save, save_unmodified, set_cookies, varies};
use crate::support::sessions::{HOUR, SaveExt as _, gone};
use crate::support::{House, On};

/// The token opens nothing, writes nothing, and no answer holds another token.
async fn expect_worthless(house: &House, dead: &str) {
    let opened = house.open_cookie(dead).await;
    let session = opened.session.unwrap();
    assert!(session.new && session.entries.is_empty() && session.subject.is_empty());
    assert_eq!(session.token, dead);
    assert!(varies(&opened.read_headers) && set_cookies(&opened.read_headers).is_empty());
    assert!(opened.untouched_headers.is_empty());
    for request in
        [save_unmodified(dead), save(dead, Changes::default().set("x", "1")), save_unmodified(dead).rotating()]
    {
        assert_eq!(gone(&house.save(request).await), EndReason::Superseded);
    }
    for cause in [RotationCause::Privilege, RotationCause::Renewal] {
        let rotated = house.rotate(dead, cause, "").await;
        assert_eq!((rotated.outcome(), rotated.end_reason()), (Outcome::Gone, EndReason::Superseded));
        assert!(rotated.session.is_none() && rotated.headers.is_empty());
    }
}

async fn every_way_to_rotate_by_privilege_supersedes_the_old_token_at_once(on: On) {
    let house = House::new(on).await;
    let ways: [fn(&str) -> SaveSessionRequest; 4] = [
        |token| save_unmodified(token).rotating(),
        |token| save(token, Changes::default().set("b", "2")).rotating(),
        |token| save(token, Changes::default().subject("alice")),
        |token| save(token, Changes::default().clear().set("b", "2")),
    ];
    for way in ways {
        let token = house.stored(&[("a", "1")]).await;
        let next = house.save(way(&token)).await.session.unwrap().token;
        expect_worthless(&house, &token).await;
        assert!(house.lives(&next).await);
    }

    let token = house.stored(&[("a", "1")]).await;
    house.rotate(&token, RotationCause::Unspecified, "").await;
    expect_worthless(&house, &token).await;
}

async fn each_rotation_has_a_fresh_secret(on: On) {
    let house = House::new(on).await;
    let mut tokens = vec![house.stored(&[("a", "1")]).await];

    for _ in 0..5 {
        let next = house.rotate(tokens.last().unwrap(), RotationCause::Privilege, "").await.session.unwrap().token;
        assert!(!tokens.contains(&next));
        tokens.push(next);
    }

    let last = tokens.pop().unwrap();
    for dead in &tokens {
        expect_worthless(&house, dead).await;
    }
    assert!(house.lives(&last).await);
}

async fn a_planted_cookie_is_worth_nothing_after_a_login(on: On) {
    let house = House::new(on).await;
    let planted = house.stored(&[("cart", "[]")]).await;
    let mut victim = Browser::default();
    let opened = house.open(open_cookie(&format!("session={planted}"))).await.session.unwrap();

    let login = house.save(save(&opened.token, Changes::default().subject("victim").set("secret", "1"))).await;
    victim.receive(&login.headers);

    expect_worthless(&house, &planted).await;
    assert_eq!(house.session(victim.token().unwrap()).await.subject, "victim");
}

async fn a_planted_cookie_that_was_renewed_is_worth_nothing_after_a_login(on: On) {
    let house = House::with_grace(on, HOUR).await;
    let planted = house.stored(&[("cart", "[]")]).await;
    let renewed = house.rotate(&planted, RotationCause::Renewal, "").await.session.unwrap().token;
    assert!(house.lives(&planted).await);

    house.log_in(&renewed, "victim").await;

    expect_worthless(&house, &planted).await;
    expect_worthless(&house, &renewed).await;
}

async fn a_login_with_the_token_in_its_grace_leaves_no_other_token(on: On) {
    let house = House::with_grace(on, HOUR).await;
    let old = house.stored(&[("cart", "[]")]).await;
    let renewed = house.rotate(&old, RotationCause::Renewal, "").await.session.unwrap().token;

    let next = house.log_in(&old, "victim").await;

    expect_worthless(&house, &old).await;
    expect_worthless(&house, &renewed).await;
    assert_eq!(house.session(&next).await.subject, "victim");
}

async fn a_request_that_opened_before_a_login_is_gone(on: On) {
    let house = House::new(on).await;
    let token = house.stored(&[("a", "1")]).await;
    let slow = house.session(&token).await;
    let next = house.log_in(&token, "alice").await;

    let saved = house.save(save(&slow.token, Changes::default().set("a", "2")).etag(&slow.etag)).await;

    assert_eq!(gone(&saved), EndReason::Superseded);
    assert_eq!(house.entries(&next).await["a"], "1");
}

async fn an_automatic_write_by_a_superseded_cookie_makes_no_second_session(on: On) {
    let house = House::new(on).await;
    let token = house.stored(&[("a", "1")]).await;
    let mut browser = Browser::default();
    browser.receive(&house.save(save(&token, Changes::default().subject("alice"))).await.headers);
    let login = browser.token().unwrap().to_owned();

    let late = house.session(&token).await;
    let saved = house.save(save(&late.token, Changes::default().set("csrf_token", "\"x\""))).await;
    browser.receive(&saved.headers);

    assert_eq!(gone(&saved), EndReason::Superseded);
    assert_eq!(browser.token(), Some(login.as_str()));
}

async fn the_empty_session_of_a_superseded_cookie_has_an_id_of_its_own(on: On) {
    let house = House::new(on).await;
    let token = house.stored(&[("a", "1")]).await;
    let next = house.log_in(&token, "alice").await;

    let empty = house.session(&token).await;

    assert!(empty.new && !empty.id.is_empty());
    assert_ne!(empty.id, house.session(&next).await.id);
}

async fn beside_its_successor_a_superseded_cookie_does_no_harm(on: On) {
    let house = House::new(on).await;
    let token = house.stored(&[("a", "1")]).await;
    let next = house.log_in(&token, "alice").await;

    for header in [format!("session={token}; session={next}"), format!("session={next}; session={token}")] {
        let opened = house.open(open_cookie(&header)).await;
        assert_eq!(opened.session.unwrap().token, next);
        assert_eq!(set_cookies(&opened.read_headers), [""; 0]);
    }
}

on_every_store!(
    every_way_to_rotate_by_privilege_supersedes_the_old_token_at_once,
    each_rotation_has_a_fresh_secret,
    a_planted_cookie_is_worth_nothing_after_a_login,
    a_planted_cookie_that_was_renewed_is_worth_nothing_after_a_login,
    a_login_with_the_token_in_its_grace_leaves_no_other_token,
    a_request_that_opened_before_a_login_is_gone,
    an_automatic_write_by_a_superseded_cookie_makes_no_second_session,
    the_empty_session_of_a_superseded_cookie_has_an_id_of_its_own,
    beside_its_successor_a_superseded_cookie_does_no_harm,
);
