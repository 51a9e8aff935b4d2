//! Lifetimes: when a session ends, to the millisecond, on the service's clock.

use cloakroom::grpc::wire::{Changes, EndReason, RotationCause};
use tonic::Code;

use crate::on_every_store;
use crate::support::calls::{ChangesExt as _, save};
use crate::support::sessions::{HOUR, LifetimeExt as _, MILLI, MINUTE, SECOND, gone, millis};
use crate::support::{House, On};

/// Sessions that end after 10 minutes without use, and after an hour in any case.
async fn house(on: On) -> House {
    House::with_lifetimes(on, 10 * MINUTE, HOUR).await
}

/// Uses a session every 9 minutes until this much of the hour is left.
async fn use_until(house: &House, token: &str, left_of_the_hour: std::time::Duration) {
    let mut left = HOUR;
    while left > left_of_the_hour {
        let step = (9 * MINUTE).min(left - left_of_the_hour);
        house.advance(step);
        assert!(house.lives(token).await);
        left -= step;
    }
}

/// Lives up to this moment and no longer.
async fn expect_end(house: &House, token: &str, end: u64, reason: EndReason) {
    house.clock.set(cloakroom::types::Time::from_millis(end - 1));
    let saved = house.save(crate::support::calls::save_unmodified(token)).await;
    assert!(saved.session.is_some(), "it lives up to its end");
    house.clock.set(cloakroom::types::Time::from_millis(end));
    assert!(!house.lives(token).await);
    assert_eq!(gone(&house.save(save(token, Changes::default().set("b", "2"))).await), reason);
}

async fn an_idle_session_ends_at_its_timeout(on: On) {
    let house = house(on).await;
    let (one, other) = (house.stored(&[("a", "1")]).await, house.stored(&[("a", "1")]).await);

    house.advance(10 * MINUTE - MILLI);
    assert!(house.lives(&one).await);
    house.advance(MILLI);
    assert!(!house.lives(&other).await);
    assert!(house.lives(&one).await, "it was used a millisecond ago");
}

async fn a_used_session_ends_at_its_absolute_deadline(on: On) {
    let house = house(on).await;
    let token = house.stored(&[("a", "1")]).await;

    use_until(&house, &token, MILLI).await;
    house.advance(MILLI);

    assert!(!house.lives(&token).await);
    assert_eq!(gone(&house.save(save(&token, Changes::default().set("b", "2"))).await), EndReason::Absolute);
}

async fn neither_saves_nor_rotations_move_the_absolute_deadline(on: On) {
    let house = house(on).await;
    let mut token = house.stored(&[("a", "1")]).await;
    let end = house.millis() + 60 * 60 * 1000;

    for _ in 0..6 {
        house.advance(9 * MINUTE);
        house.update(&token, Changes::default().set("a", "2")).await;
        token = house.rotate(&token, RotationCause::Privilege, "").await.session.unwrap().token;
        token = house.update(&token, Changes::default().clear().set("a", "1")).await.token;
    }

    assert_eq!(millis(&house.session(&token).await.expire_time), end);
    expect_end(&house, &token, end, EndReason::Absolute).await;
}

async fn a_save_moves_the_idle_deadline_at_once(on: On) {
    let house = house(on).await;
    let token = house.stored(&[("a", "1")]).await;

    house.advance(MILLI);
    house.update(&token, Changes::default().set("a", "2")).await;
    house.advance(10 * MINUTE - MILLI);

    assert!(house.lives(&token).await);
}

async fn expire_time_is_the_earlier_of_the_two_deadlines(on: On) {
    let house = house(on).await;
    let new = house.open_new().await;
    assert_eq!(millis(&new.expire_time), house.millis() + 600_000);

    let saved = house.save(save(&new.token, Changes::default().set("a", "1"))).await.session.unwrap();
    let end = house.millis() + 3_600_000;
    assert_eq!(millis(&saved.expire_time), house.millis() + 600_000);
    assert_eq!(millis(&saved.access_time), house.millis());
    assert_eq!(millis(&saved.create_time), house.millis());
    assert_eq!(saved.idle_timeout.unwrap().seconds, 600);

    use_until(&house, &saved.token, 11 * MINUTE).await;
    assert_eq!(millis(&house.session(&saved.token).await.expire_time), house.millis() + 600_000);
    house.advance(2 * MINUTE);
    let last = house.session(&saved.token).await;
    assert_eq!((millis(&last.expire_time), millis(&last.access_time)), (end, house.millis()));
}

async fn the_cookie_of_a_permanent_session_expires_with_it(on: On) {
    let house = house(on).await;
    let token = house.stored(&[("a", "1")]).await;

    let saved = house.save(save(&token, Changes::default().permanent(true))).await;

    let end = std::time::UNIX_EPOCH + std::time::Duration::from_millis(house.millis() + 600_000);
    let expires = format!("; Expires={};", httpdate::fmt_http_date(end));
    assert!(crate::support::calls::set_cookies(&saved.headers)[0].contains(&expires));
}

async fn a_save_may_shorten_the_idle_timeout(on: On) {
    let house = house(on).await;
    let token = house.stored(&[("a", "1")]).await;

    let session = house.update(&token, Changes::default().idle_timeout(2 * MINUTE)).await;

    let end = house.millis() + 120_000;
    assert_eq!((session.idle_timeout.unwrap().seconds, millis(&session.expire_time)), (120, end));
    house.advance(2 * MINUTE);
    assert!(!house.lives(&token).await);
    assert_eq!(gone(&house.save(save(&token, Changes::default().set("b", "2"))).await), EndReason::Idle);
}

async fn a_creation_may_set_its_lifetime(on: On) {
    let house = house(on).await;
    let ticket = house.open_new().await.token;

    let changes = Changes::default().set("a", "1").idle_timeout(2 * MINUTE);
    let session = house.save(save(&ticket, changes)).await.session.unwrap();

    assert_eq!(millis(&session.expire_time), house.millis() + 120_000);
    house.advance(2 * MINUTE);
    assert!(!house.lives(&session.token).await);
}

async fn no_save_gets_a_longer_idle_timeout_than_the_app_grants(on: On) {
    let house = house(on).await;
    let token = house.stored(&[("a", "1")]).await;

    let session = house.update(&token, Changes::default().idle_timeout(11 * MINUTE)).await;

    assert_eq!(session.idle_timeout.unwrap().seconds, 600);
    house.advance(10 * MINUTE);
    assert!(!house.lives(&token).await);
}

async fn a_deadline_ends_a_session_whether_it_is_used_or_not(on: On) {
    let house = house(on).await;
    let (used, unused) = (house.stored(&[("a", "1")]).await, house.stored(&[("a", "1")]).await);
    let end = house.millis() + 1_800_000;

    for token in [&used, &unused] {
        let session = house.update(token, Changes::default().deadline(end)).await;
        assert_eq!(millis(&session.expire_time), end);
    }
    use_until(&house, &used, 31 * MINUTE).await;
    assert!(house.lives(&unused).await);

    expect_end(&house, &used, end, EndReason::Absolute).await;
    assert!(!house.lives(&unused).await);
}

async fn no_deadline_is_later_than_the_app_grants(on: On) {
    let house = house(on).await;
    let token = house.stored(&[("a", "1")]).await;
    let end = house.millis() + 3_600_000;

    house.advance(MINUTE);
    let session = house.update(&token, Changes::default().deadline(end + 1)).await;

    assert_eq!(millis(&session.expire_time), end);
    expect_end(&house, &token, end, EndReason::Absolute).await;
}

async fn a_deadline_has_to_be_in_the_future(on: On) {
    let house = house(on).await;
    let token = house.stored(&[("a", "1")]).await;
    let now = house.millis();
    let lifetime_invalid = (Code::InvalidArgument, "LIFETIME_INVALID".to_owned());

    for past in [0, now - 1, now] {
        assert_eq!(house.refusal(save(&token, Changes::default().deadline(past))).await, lifetime_invalid);
    }
    let zero = house.refusal(save(&token, Changes::default().idle_timeout(std::time::Duration::ZERO))).await;
    let next = house.update(&token, Changes::default().deadline(now + 1)).await;

    assert_eq!(zero, lifetime_invalid);
    assert_eq!(millis(&next.expire_time), now + 1);
}

async fn the_default_lifetime_can_be_had_back(on: On) {
    let house = house(on).await;
    let create = house.millis();
    for changes in [Changes::default().idle_timeout(MINUTE), Changes::default().deadline(create + 120_000)] {
        let token = house.stored(&[("a", "1")]).await;
        house.update(&token, changes).await;

        let session = house.update(&token, Changes::default().default_lifetime()).await;

        assert_eq!((session.idle_timeout.unwrap().seconds, millis(&session.expire_time)), (600, create + 600_000));
        assert!(house.lives(&token).await);
    }
}

async fn a_lifetime_stays_until_another_save_sets_one(on: On) {
    let house = house(on).await;
    let token = house.stored(&[("a", "1")]).await;
    house.update(&token, Changes::default().idle_timeout(2 * MINUTE)).await;

    house.advance(MINUTE);
    let session = house.update(&token, Changes::default().set("a", "2")).await;
    let next = house.rotate(&token, RotationCause::Privilege, "").await.session.unwrap();

    for session in [session, next] {
        assert_eq!(
            (session.idle_timeout.unwrap().seconds, millis(&session.expire_time)),
            (120, house.millis() + 120_000)
        );
    }
}

async fn a_clock_that_goes_back_revives_nothing_that_was_ended(on: On) {
    let house = house(on).await;
    let token = house.stored(&[("a", "1")]).await;
    house.advance(5 * SECOND);
    house.destroy(&token).await;

    house.clock.set(cloakroom::types::Time::from_millis(house.millis() - 4_000));

    assert_eq!(gone(&house.save(save(&token, Changes::default().set("b", "2"))).await), EndReason::Destroyed);
    assert!(!house.lives(&token).await);
}

on_every_store!(
    an_idle_session_ends_at_its_timeout,
    a_used_session_ends_at_its_absolute_deadline,
    neither_saves_nor_rotations_move_the_absolute_deadline,
    a_save_moves_the_idle_deadline_at_once,
    expire_time_is_the_earlier_of_the_two_deadlines,
    the_cookie_of_a_permanent_session_expires_with_it,
    a_save_may_shorten_the_idle_timeout,
    a_creation_may_set_its_lifetime,
    no_save_gets_a_longer_idle_timeout_than_the_app_grants,
    a_deadline_ends_a_session_whether_it_is_used_or_not,
    no_deadline_is_later_than_the_app_grants,
    a_deadline_has_to_be_in_the_future,
    the_default_lifetime_can_be_had_back,
    a_lifetime_stays_until_another_save_sets_one,
    a_clock_that_goes_back_revives_nothing_that_was_ended,
);
