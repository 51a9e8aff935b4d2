//! Lifetimes of the sessions of keys.

use cloakroom::app::AnonymousSettings;
use cloakroom::grpc::wire::{Changes, EndReason, Outcome, RequestContext};

use super::*;
use crate::support::calls::ChangesExt as _;
use crate::support::sessions::{HOUR, LifetimeExt as _, MILLI, MINUTE, SECOND, gone};
use crate::support::watches::session_key;

#[apply(on_every_store)]
async fn a_session_of_a_key_expires_by_its_timeouts(store: StoreKind) {
    let settings = app::Settings { idle_timeout: HOUR, absolute_timeout: 90 * MINUTE, ..settings() };
    let service = TestService::with_apps(store, [("default", settings)]).await;
    for key in [KEY, OTHER_KEY] {
        service.save(save(key, Changes::default().set("a", "1"))).await;
    }

    service.advance(HOUR - MILLI);
    assert!(!service.session_of(KEY).await.new);
    service.advance(MILLI);
    let idle = service.open(open(OTHER_KEY)).await;
    assert_eq!((null_reason(&idle), idle.end_reason()), ("GONE", EndReason::Idle));
    service.advance(30 * MINUTE);
    let absolute = service.open(open(KEY)).await;

    assert_eq!((null_reason(&absolute), absolute.end_reason()), ("GONE", EndReason::Absolute));
    assert_eq!(gone(&service.save(save(KEY, Changes::default().set("a", "2"))).await), EndReason::Absolute);
}

#[apply(on_every_store)]
async fn the_first_save_may_set_the_lifetime(store: StoreKind) {
    let service = service(store).await;
    let deadline = service.millis() + 60_000;
    service.save(save(KEY, Changes::default().set("a", "1").idle_timeout(MINUTE))).await;
    service.save(save(OTHER_KEY, Changes::default().set("a", "1").deadline(deadline))).await;

    service.advance(59 * SECOND);
    assert!(!service.session_of(KEY).await.new);
    assert!(!service.session_of(OTHER_KEY).await.new);
    service.advance(SECOND);
    assert!(!service.session_of(KEY).await.new, "the open before was a use");
    assert_eq!(service.open(open(OTHER_KEY)).await.end_reason(), EndReason::Absolute);
}

#[apply(on_every_store)]
async fn an_anonymous_session_of_a_key_has_shorter_timeouts(store: StoreKind) {
    let anonymous = AnonymousSettings { idle_timeout: Some(MINUTE), absolute_timeout: None };
    let settings = app::Settings { anonymous, ..settings() };
    let service = TestService::with_apps(store, [("default", settings)]).await;
    service.save(save(KEY, Changes::default().set("a", "1"))).await;
    service.save(save(OTHER_KEY, Changes::default().set("a", "1"))).await;
    service.save(save(OTHER_KEY, Changes::default().subject("ann"))).await;

    service.advance(MINUTE);

    assert_eq!(service.open(open(KEY)).await.end_reason(), EndReason::Idle);
    assert_eq!(service.session_of(OTHER_KEY).await.subject, "ann");
}

#[apply(on_every_store)]
async fn a_look_at_the_session_of_a_key_writes_nothing(store: StoreKind) {
    let settings = app::Settings { idle_timeout: HOUR, ..settings() };
    let service = TestService::with_apps(store, [("default", settings)]).await;
    service.save(save(KEY, Changes::default().set("a", "1"))).await;
    let before = service.session_of(KEY).await;
    let key_in_store = session_key(&before.id);
    let stored = service.store.load(&key_in_store).await.unwrap().unwrap();

    service.advance(HOUR - MILLI);
    let context = Some(RequestContext { user_agent: "monitor".to_owned(), ..Default::default() });
    let look = OpenSessionRequest { no_touch: true, context, ..open(KEY) };
    let seen = service.open(look.clone()).await.session.unwrap();

    assert!(seen == before, "the times are those of the last use");
    assert_eq!(service.store.load(&key_in_store).await.unwrap().unwrap().record, stored.record);
    service.advance(MILLI);
    for _ in 0..2 {
        let late = service.open(look.clone()).await;
        assert_eq!((null_reason(&late), late.end_reason()), ("GONE", EndReason::Idle));
    }
}

#[apply(on_every_store)]
async fn a_look_at_an_unknown_key_begins_no_session(store: StoreKind) {
    let service = service(store).await;
    let look = OpenSessionRequest { no_touch: true, ..open(KEY) };

    let seen = service.open(look).await.session.unwrap();

    assert!(seen.new);
    assert!(service.store.load(&session_key(&seen.id)).await.unwrap().is_none());
    assert_eq!(service.save(save(KEY, Changes::default().set("a", "1"))).await.outcome(), Outcome::Created);
}
