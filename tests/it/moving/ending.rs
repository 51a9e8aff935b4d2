//! An end lasts as long as the old cookie could have been shown.

use cloakroom::app;
use cloakroom::grpc::wire::{Changes, EndReason, Outcome};
use cloakroom::store::Store as _;

use super::*;
use crate::on_every_store;
use crate::support::calls::{ChangesExt as _, save, save_cookie};
use crate::support::sessions::{HOUR, MINUTE, SECOND, gone};

/// Until the old cookie is too old by itself, step by step, with the store swept at each.
async fn stays_dead(house: &House, old: &str) {
    let begin = house.clock.now();
    house.advance(20 * MINUTE);
    let saved = house.save(save_cookie(&format!("session={old}"), Changes::default().set("new", "1"))).await;
    assert_eq!(saved.outcome(), Outcome::Created, "whoever comes later begins anew");
    for after in [SECOND, 17 * MINUTE, DAY, LIFETIME - 2 * SECOND, LIFETIME + SECOND] {
        house.clock.set(begin + after);
        house.store.sweep(house.clock.now()).await.unwrap();
        assert!(house.is_nothing(old).await, "it is back after {after:?}");
    }
}

#[apply(on_every_store)]
async fn a_logout_lasts_as_long_as_the_old_cookie_could(on: On) {
    let house = house(on).await;
    let old = house.old(&[("a", "1")]);
    let (_, token) = house.moves_in(&old).await;

    house.destroy(&token).await;

    let saved = house.save(save_cookie(&format!("session={old}"), Changes::default().set("b", "1"))).await;
    assert_eq!(gone(&saved), EndReason::Destroyed);
    stays_dead(&house, &old).await;
}

#[apply(on_every_store)]
async fn a_logout_with_a_cookie_that_never_came_in_lasts_too(on: On) {
    let house = house(on).await;
    let old = house.old(&[("a", "1")]);

    let destroyed = house.destroy_header(&format!("session={old}")).await;

    assert_eq!(destroyed.outcome(), Outcome::Deleted);
    stays_dead(&house, &old).await;
}

#[apply(on_every_store)]
async fn an_emptied_session_lasts_as_dead(on: On) {
    let house = house(on).await;
    let old = house.old(&[("a", "1")]);
    let (_, token) = house.moves_in(&old).await;

    let saved = house.save(save(&token, Changes::default().clear())).await;

    assert_eq!(saved.outcome(), Outcome::Deleted);
    stays_dead(&house, &old).await;
}

#[apply(on_every_store)]
async fn a_revoked_session_lasts_as_dead(on: On) {
    let house = house(on).await;
    let old = house.old(&[("a", "1")]);
    let (id, _) = house.moves_in(&old).await;

    house.revoke(&id).await;

    stays_dead(&house, &old).await;
}

#[apply(on_every_store)]
async fn a_session_that_ended_by_itself_lasts_as_dead(on: On) {
    let idle = app::Settings { idle_timeout: HOUR, absolute_timeout: 2 * HOUR, ..settings() };
    let house = House::with_apps(on, [("default", idle)]).await;
    let [one, other] = [house.old(&[("a", "1")]), house.old(&[("a", "2")])];
    house.moves_in(&one).await;
    let (_, token) = house.moves_in(&other).await;
    house.update(&token, Changes::default().set("b", "1").clear()).await;

    house.advance(HOUR);

    assert!(house.is_nothing(&one).await && house.is_nothing(&other).await);
    stays_dead(&house, &one).await;
}
