//! Renewals: for a while the old token opens the session and is given the one successor.

use std::time::Duration;

use cloakroom::grpc::wire::{Changes, EndReason, Outcome, RotationCause};
use tokio::task::JoinSet;

use crate::on_every_store;
use crate::support::calls::{ChangesExt as _, open_cookie, save, save_cookie, save_unmodified, set_cookies};
use crate::support::sessions::{HOUR, MILLI, MINUTE, SECOND, gone};
use crate::support::{House, On};

/// A stored session whose token was renewed: the old token and its successor.
async fn renewed(house: &House) -> (String, String) {
    let old = house.stored(&[("a", "1")]).await;
    let rotated = house.rotate(&old, RotationCause::Renewal, "").await;
    assert_eq!(rotated.outcome(), Outcome::Updated);
    let next = rotated.session.unwrap().token;
    assert_ne!(old, next);
    (old, next)
}

fn cookie(token: &str) -> String {
    format!("session={token}; HttpOnly; Path=/; SameSite=Lax")
}

async fn in_the_grace_an_open_with_the_old_token_is_given_the_successor(on: On) {
    let house = House::new(on).await;
    let (old, next) = renewed(&house).await;

    house.advance(30 * SECOND - MILLI);
    let opened = house.open_cookie(&old).await;

    assert_eq!(set_cookies(&opened.read_headers), [cookie(&next)]);
    assert_eq!(set_cookies(&opened.untouched_headers), [cookie(&next)]);
    let session = opened.session.unwrap();
    assert_eq!((session.new, session.token, session.entries.len()), (false, next, 1));
}

async fn after_the_grace_the_old_token_is_superseded(on: On) {
    let house = House::new(on).await;
    let (old, next) = renewed(&house).await;

    house.advance(30 * SECOND);

    let empty = house.session(&old).await;
    assert_eq!((empty.new, &empty.token), (true, &old));
    assert_eq!(gone(&house.save(save(&old, Changes::default().set("b", "2"))).await), EndReason::Superseded);
    assert_eq!(house.rotate(&old, RotationCause::Renewal, "").await.end_reason(), EndReason::Superseded);
    assert!(house.lives(&next).await);
}

async fn the_successor_needs_no_new_cookie(on: On) {
    let house = House::new(on).await;
    let (_, next) = renewed(&house).await;

    let opened = house.open_cookie(&next).await;

    assert_eq!(set_cookies(&opened.read_headers), [""; 0]);
    assert_eq!(opened.session.unwrap().token, next);
}

async fn a_save_in_the_grace_counts_as_the_successors(on: On) {
    let house = House::new(on).await;
    let (old, next) = renewed(&house).await;
    let change = |name: &str| Changes::default().set(name, "1");

    let by_token = house.save(save(&old, change("b"))).await;
    let by_cookie = house.save(save_cookie(&format!("session={old}"), change("c"))).await;
    let unmodified = house.save(save_unmodified(&old)).await;

    for saved in [&by_token, &by_cookie, &unmodified] {
        assert_eq!(set_cookies(&saved.headers), [cookie(&next)]);
        assert_eq!(saved.session.as_ref().unwrap().token, next);
    }
    let outcomes = [by_token, by_cookie, unmodified].map(|saved| saved.outcome());
    assert_eq!(outcomes, [Outcome::Updated, Outcome::Updated, Outcome::Unchanged]);
    assert_eq!(house.entries(&next).await.len(), 3);
}

async fn a_touch_in_the_grace_counts_as_the_successors(on: On) {
    let house = House::with_lifetimes(on, MINUTE, HOUR).await;
    let (old, next) = renewed(&house).await;

    house.advance(20 * SECOND);
    house.open_cookie(&old).await;
    house.advance(MINUTE - MILLI);

    assert!(house.lives(&next).await);
}

async fn a_renewal_in_the_grace_answers_the_successor_that_is_there(on: On) {
    let house = House::new(on).await;
    let (old, next) = renewed(&house).await;

    let again = house.rotate(&old, RotationCause::Renewal, "").await;
    let with_id = house.rotate(&old, RotationCause::Renewal, "another request").await;

    for rotated in [again, with_id] {
        assert_eq!(rotated.outcome(), Outcome::Updated);
        assert_eq!(set_cookies(&rotated.headers), [cookie(&next)]);
        assert_eq!(rotated.session.unwrap().token, next);
    }
    assert!(house.lives(&next).await);
}

async fn a_privilege_rotation_in_the_grace_counts_as_the_successors(on: On) {
    let house = House::new(on).await;
    let (old, next) = renewed(&house).await;

    let rotated = house.rotate(&old, RotationCause::Privilege, "").await;

    assert_eq!(rotated.outcome(), Outcome::Updated);
    let fresh = rotated.session.unwrap().token;
    assert!(![&old, &next].contains(&&fresh));
    assert_eq!([house.lives(&old).await, house.lives(&next).await, house.lives(&fresh).await], [false, false, true]);
}

async fn all_racers_are_given_the_same_successor(on: On) {
    let house = House::new(on).await;
    let old = house.stored(&[("a", "1")]).await;
    let mut racers = JoinSet::new();

    for n in 0..40 {
        let (mut client, old) = (house.client.clone(), old.clone());
        racers.spawn(async move {
            let request = cloakroom::grpc::wire::RotateSessionRequest {
                credential: Some(cloakroom::grpc::wire::rotate_session_request::Credential::Token(old)),
                cause: RotationCause::Renewal.into(),
                request_id: if n % 2 == 0 { String::new() } else { format!("request {n}") },
                ..Default::default()
            };
            client.rotate_session(request).await.unwrap().into_inner().session.unwrap().token
        });
    }
    let mut tokens = racers.join_all().await;

    tokens.dedup();
    assert_eq!(tokens.len(), 1);
    assert_ne!(tokens[0], old);
    assert!(house.lives(&tokens[0]).await);
}

async fn a_grace_of_zero_supersedes_at_once(on: On) {
    let house = House::with_grace(on, Duration::ZERO).await;
    let (old, next) = renewed(&house).await;

    assert!(!house.lives(&old).await);
    assert!(house.lives(&next).await);
    assert_eq!(gone(&house.save(save(&old, Changes::default().set("b", "2"))).await), EndReason::Superseded);
}

async fn only_one_previous_token_is_kept(on: On) {
    let house = House::with_grace(on, HOUR).await;
    let (first, second) = renewed(&house).await;

    let third = house.rotate(&second, RotationCause::Renewal, "").await.session.unwrap().token;

    assert!(!house.lives(&first).await);
    assert_eq!(house.session(&second).await.token, third);
    assert_eq!(gone(&house.save(save(&first, Changes::default().set("b", "2"))).await), EndReason::Superseded);
}

async fn a_grace_longer_than_10_minutes_is_kept_to(on: On) {
    let house = House::with_grace(on, HOUR).await;
    let (old, next) = renewed(&house).await;

    house.advance(HOUR - MILLI);
    assert_eq!(house.session(&old).await.token, next);
    house.advance(MILLI);
    assert!(!house.lives(&old).await);
}

async fn the_old_cookie_and_its_successor_are_one_session(on: On) {
    let house = House::new(on).await;
    let (old, next) = renewed(&house).await;

    for header in [format!("session={old}; session={next}"), format!("session={next}; session={old}")] {
        let opened = house.open(open_cookie(&header)).await;
        let saved = house.save(save_cookie(&header, Changes::default().increment("n", 1))).await;

        assert_eq!([opened.session.unwrap().token, saved.session.unwrap().token], [next.clone(), next.clone()]);
    }
}

on_every_store!(
    in_the_grace_an_open_with_the_old_token_is_given_the_successor,
    after_the_grace_the_old_token_is_superseded,
    the_successor_needs_no_new_cookie,
    a_save_in_the_grace_counts_as_the_successors,
    a_touch_in_the_grace_counts_as_the_successors,
    a_renewal_in_the_grace_answers_the_successor_that_is_there,
    a_privilege_rotation_in_the_grace_counts_as_the_successors,
    all_racers_are_given_the_same_successor,
    a_grace_of_zero_supersedes_at_once,
    only_one_previous_token_is_kept,
    a_grace_longer_than_10_minutes_is_kept_to,
    the_old_cookie_and_its_successor_are_one_session,
);
