//! An end lasts as long as the old cookie could have been shown.

use cloakroom::app;
use cloakroom::grpc::wire::{Changes, EndReason, Outcome};
use cloakroom::store::Store as _;

use super::*;
use crate::support::calls::{ChangesExt as _, save, save_cookie};
use crate::support::sessions::{HOUR, MINUTE, SECOND, gone};

/// Until the old cookie is too old by itself, step by step, with the store swept at each.
async fn stays_dead(service: &TestService, old: &str) {
    let begin = service.clock.now();
    service.advance(20 * MINUTE);
    let saved = service.save(save_cookie(&format!("session={old}"), Changes::default().set("new", "1"))).await;
    assert_eq!(saved.outcome(), Outcome::Created, "whoever comes later begins anew");
    for after in [SECOND, 17 * MINUTE, DAY, LIFETIME - 2 * SECOND, LIFETIME + SECOND] {
        service.clock.set(begin + after);
        service.store.sweep(service.clock.now()).await.unwrap();
        assert!(service.is_nothing(old).await, "it is back after {after:?}");
    }
}

#[apply(on_every_store)]
async fn a_logout_lasts_as_long_as_the_old_cookie_could(on: On) {
    let service = service(on).await;
    let old = service.old(&[("a", "1")]);
    let (_, token) = service.moves_in(&old).await;

    service.destroy(&token).await;

    let saved = service.save(save_cookie(&format!("session={old}"), Changes::default().set("b", "1"))).await;
    assert_eq!(gone(&saved), EndReason::Destroyed);
    stays_dead(&service, &old).await;
}

#[apply(on_every_store)]
async fn a_logout_with_a_cookie_that_never_came_in_lasts_too(on: On) {
    let service = service(on).await;
    let old = service.old(&[("a", "1")]);

    let destroyed = service.destroy_header(&format!("session={old}")).await;

    assert_eq!(destroyed.outcome(), Outcome::Deleted);
    stays_dead(&service, &old).await;
}

#[apply(on_every_store)]
async fn an_emptied_session_lasts_as_dead(on: On) {
    let service = service(on).await;
    let old = service.old(&[("a", "1")]);
    let (_, token) = service.moves_in(&old).await;

    let saved = service.save(save(&token, Changes::default().clear())).await;

    assert_eq!(saved.outcome(), Outcome::Deleted);
    stays_dead(&service, &old).await;
}

#[apply(on_every_store)]
async fn a_revoked_session_lasts_as_dead(on: On) {
    let service = service(on).await;
    let old = service.old(&[("a", "1")]);
    let (id, _) = service.moves_in(&old).await;

    service.revoke(&id).await;

    stays_dead(&service, &old).await;
}

#[apply(on_every_store)]
async fn a_session_that_ended_by_itself_lasts_as_dead(on: On) {
    let idle = app::Settings { idle_timeout: HOUR, absolute_timeout: 2 * HOUR, ..settings() };
    let service = TestService::with_apps(on, [("default", idle)]).await;
    let [one, other] = [service.old(&[("a", "1")]), service.old(&[("a", "2")])];
    service.moves_in(&one).await;
    let (_, token) = service.moves_in(&other).await;
    service.update(&token, Changes::default().set("b", "1").clear()).await;

    service.advance(HOUR);

    assert!(service.is_nothing(&one).await && service.is_nothing(&other).await);
    stays_dead(&service, &one).await;
}
