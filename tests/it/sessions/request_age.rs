//! Saves by Cookie header that say how old their request is: what has ended meanwhile stays ended, and no login is undone.

use std::time::Duration;

use cloakroom::app;
use cloakroom::grpc::wire::{Changes, EndReason, OpenSessionRequest, Outcome, RotationCause, SaveSessionRequest};

use crate::support::browser::Browser;
use crate::support::calls::{ChangesExt as _, open_cookie, save, save_cookie, save_unmodified, set_cookies};
use crate::support::frontend::header;
use crate::support::race::{Round, race};
use crate::support::sessions::{HOUR, MILLI, MINUTE, SECOND, SaveExt as _, gone};
use crate::support::{StoreKind, TestService, app_settings};

/// Builds a save of one entry by the browser's cookie, of a request of this age.
fn blind(browser: &Browser, age: Duration) -> SaveSessionRequest {
    save_cookie(&header(browser), Changes::default().set("b", "2")).request_age(age)
}

/// Begins a session, logs a subject in, and returns the browser.
async fn logged_in(service: &TestService, subject: &str) -> Browser {
    let token = service.stored(&[("a", "1")]).await;
    Browser::with(&service.log_in(&token, subject).await)
}

/// Logs a subject in by a save that the browser's cookie does not hinder.
async fn log_in_again(service: &TestService, browser: &mut Browser, subject: &str) {
    let login = service
        .save(save_cookie(&header(browser), Changes::default().subject(subject)).request_age(Duration::ZERO))
        .await;
    assert_eq!(set_cookies(&login.headers).len(), 1);
    browser.receive(&login.headers);
}

#[apply(on_every_store)]
async fn a_slow_blind_write_after_a_logout_and_a_new_login_leaves_the_cookie_of_the_login(store: StoreKind) {
    let service = TestService::new(store).await;
    let mut browser = logged_in(&service, "anna").await;
    let slow = browser.clone();
    service.advance(50 * MILLI);
    service.destroy(browser.token().unwrap()).await;
    service.advance(50 * MILLI);
    log_in_again(&service, &mut browser, "anna").await;

    service.advance(MINUTE);
    let saved = service.save(blind(&slow, MINUTE + 100 * MILLI)).await;

    assert_eq!(gone(&saved), EndReason::Destroyed);
    assert!(saved.session.is_none());
    assert_eq!(set_cookies(&saved.headers), [""; 0]);
    assert_eq!(service.session(browser.token().unwrap()).await.subject, "anna");
    assert_eq!(service.entries(browser.token().unwrap()).await, [].into());
}

#[apply(on_every_store)]
async fn a_slow_blind_write_after_the_login_of_its_session_is_gone(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let slow = Browser::with(&token);
    service.advance(SECOND);
    let login = service.log_in(&token, "anna").await;

    for wait in [0, 29, 2, 601] {
        service.advance(wait * SECOND);
        let saved = service.save(blind(&slow, (wait + 632) * SECOND)).await;

        assert_eq!((gone(&saved), set_cookies(&saved.headers).len()), (EndReason::Superseded, 0));
    }
    assert_eq!(service.entries(&login).await.len(), 1);
    assert!(service.session(&token).await.new, "it wrote to no recovery session");
}

#[apply(on_every_store)]
async fn every_save_of_a_request_that_an_end_overtook_is_gone_as_by_token(store: StoreKind) {
    let service = TestService::new(store).await;
    let new = Changes::default;
    let token = service.stored(&[("a", "1")]).await;
    service.destroy(&token).await;
    let unmodified = SaveSessionRequest { changes: None, ..save_cookie("", new()) };
    let saves = [
        save_cookie("", new().set("b", "2")),
        save_cookie("", new().clear()),
        save_cookie("", new().clear().set("b", "2")),
        save_cookie("", new().subject("anna")),
        save_cookie("", new().subject("anna").set("b", "2")).rotate(),
        save_cookie("", new().set("b", "2")).keep_empty(),
        unmodified.clone().rotate(),
        unmodified,
    ];

    service.advance(SECOND);
    for request in saves {
        let credential = save_cookie(&format!("session={token}"), new()).credential;
        let saved = service.save(SaveSessionRequest { credential, ..request }.request_age(2 * SECOND)).await;

        assert_eq!((gone(&saved), set_cookies(&saved.headers).len()), (EndReason::Destroyed, 0));
    }
}

#[apply(on_every_store)]
async fn a_save_begins_anew_if_its_session_ended_before_its_request(store: StoreKind) {
    let service = TestService::new(store).await;
    let browser = logged_in(&service, "anna").await;
    service.destroy(browser.token().unwrap()).await;
    service.advance(SECOND);

    let since = service.save(blind(&browser, SECOND + MILLI)).await;
    let at_the_end = service.save(blind(&browser, SECOND)).await;
    let without_age = service.save(save_cookie(&header(&browser), Changes::default().set("b", "2"))).await;

    assert_eq!(gone(&since), EndReason::Destroyed);
    for saved in [at_the_end, without_age, service.save(blind(&browser, Duration::ZERO)).await] {
        assert_eq!((saved.outcome(), set_cookies(&saved.headers).len()), (Outcome::Created, 1));
    }
}

#[apply(on_every_store)]
async fn the_first_requests_after_a_lost_answer_begin_anew_at_once(store: StoreKind) {
    let service = TestService::new(store).await;
    let (logged_out, superseded) =
        (logged_in(&service, "anna").await, Browser::with(&service.stored(&[("a", "1")]).await));
    service.destroy(logged_out.token().unwrap()).await;
    service.log_in(superseded.token().unwrap(), "bert").await;

    let first = service.save(blind(&logged_out, Duration::ZERO)).await;
    let second = service.save(blind(&superseded, Duration::ZERO)).await;

    assert_eq!((first.outcome(), set_cookies(&first.headers).len()), (Outcome::Created, 1));
    assert_eq!((second.outcome(), set_cookies(&second.headers).len()), (Outcome::Created, 0));
    for mut browser in [logged_out, superseded] {
        log_in_again(&service, &mut browser, "anna").await;
    }
}

#[apply(on_every_store)]
async fn only_the_end_by_a_call_that_the_store_remembers_hinders_a_save(store: StoreKind) {
    let service = TestService::with_lifetimes(store, HOUR, 24 * HOUR).await;
    let [idle, forgotten] = [service.stored(&[("a", "1")]).await, service.stored(&[("a", "1")]).await];
    service.destroy(&forgotten).await;
    service.advance(HOUR);

    for token in [idle, forgotten] {
        let saved = service.save(blind(&Browser::with(&token), 2 * HOUR)).await;

        assert_eq!((saved.outcome(), set_cookies(&saved.headers).len()), (Outcome::Created, 1));
    }
}

#[apply(on_every_store)]
async fn a_save_by_a_renewed_cookie_is_gone_if_the_grace_ended_during_its_request(store: StoreKind) {
    let service = TestService::with_grace(store, 10 * SECOND).await;
    let browser = Browser::with(&service.stored(&[("a", "1")]).await);
    service.rotate(browser.token().unwrap(), RotationCause::Renewal, "").await;

    service.advance(9 * SECOND);
    let in_grace = service.save(blind(&browser, 20 * SECOND)).await;
    service.advance(MINUTE);
    let began_in_grace = service.save(blind(&browser, 60 * SECOND)).await;
    let began_after = service.save(blind(&browser, 58 * SECOND)).await;

    assert_eq!(in_grace.outcome(), Outcome::Updated);
    assert_eq!((gone(&began_in_grace), set_cookies(&began_in_grace.headers).len()), (EndReason::Superseded, 0));
    assert_eq!(began_after.outcome(), Outcome::Created);
}

#[apply(on_every_store)]
async fn a_save_begins_anew_if_only_time_ended_its_session_within_the_grace(store: StoreKind) {
    let settings = app::Settings { idle_timeout: HOUR, absolute_timeout: HOUR, ..app_settings() };
    let service = TestService::with_apps(store, [("default", settings)]).await;
    let browser = Browser::with(&service.stored(&[("a", "1")]).await);
    service.advance(HOUR - SECOND);
    service.rotate(browser.token().unwrap(), RotationCause::Renewal, "").await;
    service.advance(2 * SECOND);

    let saved = service.save(blind(&browser, SECOND)).await;

    assert_eq!((saved.outcome(), set_cookies(&saved.headers).len()), (Outcome::Created, 1));
}

#[apply(on_every_store)]
async fn what_a_request_saves_that_opens_after_a_logout_leaves_the_cookie_of_the_next_login(store: StoreKind) {
    let service = TestService::new(store).await;
    for is_superseded in [false, true] {
        let old = match is_superseded {
            false => logged_in(&service, "anna").await,
            true => Browser::with(&service.stored(&[("a", "1")]).await),
        };
        if is_superseded {
            service.log_in(old.token().unwrap(), "anna").await;
        } else {
            service.destroy(old.token().unwrap()).await;
        }
        service.advance(MINUTE);
        let open = |age| OpenSessionRequest { request_age: age, ..open_cookie(&header(&old)) };
        let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });

        let slow = service.open(open(seconds(61))).await.session.unwrap().token;
        let saved = service.save(save(&slow, Changes::default().set("b", "2"))).await;

        assert!(set_cookies(&saved.headers).is_empty(), "{is_superseded}");
        assert_eq!((saved.outcome(), saved.session.unwrap().token.as_str()), (Outcome::Created, ""));
        for age in [seconds(60), seconds(0), None] {
            let next = service.open(open(age)).await;
            let save = save(&next.session.unwrap().token, Changes::default().set("b", "2"));
            let saved = service.save(SaveSessionRequest { cookie_outdated: next.cookie_outdated, ..save }).await;
            assert_eq!(set_cookies(&saved.headers).len(), 1, "{is_superseded} {age:?}");
        }
        let login = service.save(save(&slow, Changes::default().subject("bert"))).await;
        assert_eq!((login.outcome(), set_cookies(&login.headers).len()), (Outcome::Updated, 1));
    }
}

#[apply(on_every_store)]
async fn a_slow_blind_write_is_gone_after_a_login_or_a_logout_in_its_recovery_session(store: StoreKind) {
    let service = TestService::new(store).await;
    for logs_out in [false, true] {
        let old = Browser::with(&service.stored(&[("a", "1")]).await);
        service.log_in(old.token().unwrap(), "anna").await;
        service.advance(MINUTE);
        let mut browser = old.clone();
        if logs_out {
            service.save(blind(&browser, Duration::ZERO)).await;
            service.destroy(&service.open(open_cookie(&header(&old))).await.session.unwrap().token).await;
        } else {
            log_in_again(&service, &mut browser, "anna").await;
        }

        service.advance(MINUTE);
        let slow = service.save(blind(&old, MINUTE + MILLI)).await;
        let next = service.save(blind(&old, MINUTE)).await;

        assert_eq!((gone(&slow), set_cookies(&slow.headers).len()), (EndReason::Superseded, 0), "{logs_out}");
        assert_eq!(next.outcome(), Outcome::Created, "{logs_out}");
    }
}

#[apply(on_every_store)]
async fn a_repeated_save_gets_its_answer_although_its_session_has_ended_since(store: StoreKind) {
    let service = TestService::new(store).await;
    let browser = logged_in(&service, "anna").await;
    let old = Browser::with(&service.stored(&[("a", "1")]).await);
    service.log_in(old.token().unwrap(), "bert").await;
    service.advance(MINUTE);
    let request = |browser: &Browser, age| blind(browser, age).request_id("one request id");
    let first = [&browser, &old].map(|browser| service.save(request(browser, Duration::ZERO)));
    let [saved, recovered] = first;
    let first = [saved.await.outcome(), recovered.await.outcome()];

    service.advance(SECOND);
    service.destroy(browser.token().unwrap()).await;
    service.destroy(&service.open(open_cookie(&header(&old))).await.session.unwrap().token).await;
    service.advance(SECOND);
    let [saved, recovered] = [&browser, &old].map(|browser| service.save(request(browser, 2 * SECOND)));

    assert_eq!(first, [saved.await.outcome(), recovered.await.outcome()]);
    assert_eq!(first, [Outcome::Updated, Outcome::Created]);
}

#[apply(on_every_store)]
async fn the_age_of_a_request_changes_nothing_for_a_token_or_without_a_session(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;

    let created = service.save(save(&ticket, Changes::default().set("a", "1")).request_age(HOUR)).await;
    let token = created.session.as_ref().unwrap().token.clone();
    let saves = [
        (save_unmodified(&token), Outcome::Unchanged),
        (save(&token, Changes::default().set("b", "2")), Outcome::Updated),
        (save_cookie(&format!("session={token}"), Changes::default().set("b", "2")), Outcome::Updated),
        (save_cookie("", Changes::default().set("b", "2")), Outcome::Created),
        (save_cookie("session=forged", Changes::default().set("b", "2")), Outcome::Created),
    ];

    assert_eq!(created.outcome(), Outcome::Created);
    for (request, outcome) in saves {
        assert_eq!(service.save(request.request_age(24 * HOUR)).await.outcome(), outcome);
    }
}

#[apply(on_every_store)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_blind_write_under_way_at_a_logout_begins_a_session(store: StoreKind) {
    race(store, app_settings(), |Round { service, left, right, .. }| async move {
        let token = service.stored(&[("a", "1")]).await;

        let slow = blind(&Browser::with(&token), MINUTE);
        let (saved, destroyed) = tokio::join!(left.save(slow), right.destroy(&token));

        let saved = saved.unwrap();
        assert_eq!(destroyed.outcome(), Outcome::Deleted);
        if saved.outcome() != Outcome::Updated {
            assert_eq!(gone(&saved), EndReason::Destroyed);
        }
        assert_eq!(set_cookies(&saved.headers), [""; 0]);
    })
    .await;
}
