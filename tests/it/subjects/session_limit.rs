//! The limit of sessions per subject: which session is evicted, or which login is refused.

use std::sync::Arc;

use cloakroom::app::{self, OnSessionLimit};
use cloakroom::grpc::wire::{Changes, EndReason, Outcome, SaveSessionRequest};
use cloakroom::store::INDEX_PAGE_ENTRIES;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::support::calls::{ChangesExt as _, reason, refused, save, save_cookie};
use crate::support::sessions::{MINUTE, SaveExt as _, gone};
use crate::support::{StoreKind, TestService, app_settings};

/// Starts a service where a subject can have three sessions.
async fn service(store: StoreKind, on_session_limit: OnSessionLimit) -> TestService {
    let settings = app::Settings { max_sessions_per_subject: 3, on_session_limit, ..app_settings() };
    TestService::with_apps(store, [("default", settings)]).await
}

fn login(token: &str) -> SaveSessionRequest {
    save(token, Changes::default().set("a", "1").subject("alice"))
}

#[apply(on_every_store)]
async fn the_session_with_the_oldest_authentication_is_evicted(store: StoreKind) {
    let service = service(store, OnSessionLimit::Evict).await;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        tokens.push(service.logged_in("alice").await.token);
        service.advance(MINUTE);
    }
    // The first one logs in once more.
    let again = service.save(login(&tokens[0]).rotate()).await.session.unwrap().token;
    service.advance(MINUTE);

    let fourth = service.logged_in("alice").await;

    let lives = [service.is_live(&again).await, service.is_live(&tokens[1]).await, service.is_live(&tokens[2]).await];
    assert_eq!(lives, [true, false, true]);
    assert!(service.is_live(&fourth.token).await);
    assert_eq!(gone(&service.save(save(&tokens[1], Changes::default())).await), EndReason::Evicted);
    assert_eq!(service.ids_of("alice").await.len(), 3);
    assert_eq!(service.stats("").await.ended["EVICTED"], 1);
}

#[apply(on_every_store)]
async fn ended_sessions_and_other_subjects_do_not_count(store: StoreKind) {
    for on_session_limit in [OnSessionLimit::Evict, OnSessionLimit::Refuse] {
        let service = service(store, on_session_limit).await;
        let [ended, left, stays] =
            [service.logged_in("alice").await, service.logged_in("alice").await, service.logged_in("alice").await];
        service.destroy(&ended.token).await;
        service.update(&left.token, Changes::default().subject("")).await;
        for _ in 0..3 {
            service.logged_in("bob").await;
        }

        for _ in 0..2 {
            service.logged_in("alice").await;
        }

        assert!(service.is_live(&stays.token).await);
        assert_eq!([service.ids_of("alice").await.len(), service.ids_of("bob").await.len()], [3, 3]);
    }
}

#[apply(on_every_store)]
async fn a_hundred_concurrent_logins_leave_exactly_the_limit(store: StoreKind) {
    for on_session_limit in [OnSessionLimit::Evict, OnSessionLimit::Refuse] {
        let service = Arc::new(service(store, on_session_limit).await);
        let answers = hundred_logins(&service).await;

        let full = (Code::FailedPrecondition, "TOO_MANY_SESSIONS".to_owned());
        let refused = answers.iter().filter(|answer| answer.is_err()).count();
        assert!(answers.iter().flat_map(|answer| answer.as_ref().err()).all(|status| reason(status) == full));
        assert_eq!(refused, if on_session_limit == OnSessionLimit::Refuse { 97 } else { 0 });
        assert_eq!(service.ids_of("alice").await.len(), 3);
        assert_eq!(service.pages("", 1000).await.concat().len(), 3);
    }
}

#[tokio::test]
async fn a_subject_with_far_too_many_sessions_is_brought_to_the_limit_by_its_next_logins() {
    let limited_to = |max_sessions_per_subject| app::Settings { max_sessions_per_subject, ..app_settings() };
    let unlimited = TestService::with_apps(StoreKind::Redis, [("default", limited_to(0))]).await;
    for _ in 0..INDEX_PAGE_ENTRIES + 100 {
        unlimited.logged_in("alice").await;
    }
    let limited = unlimited.with_settings(&limited_to(3)).await;
    unlimited.advance(MINUTE);

    let mut newest = String::new();
    for _ in 0..3 {
        newest = limited.logged_in("alice").await.token;
    }

    assert!(limited.is_live(&newest).await);
    assert_eq!(limited.ids_of("alice").await.len(), 3);
}

#[tokio::test]
async fn a_subject_has_at_most_a_thousand_sessions_if_no_setting_says_otherwise() {
    let service = TestService::new(StoreKind::Memory).await;
    let first = service.logged_in("alice").await.token;
    service.advance(MINUTE);
    for _ in 1..1000 {
        service.logged_in("alice").await;
    }
    assert!(service.is_live(&first).await);

    service.logged_in("alice").await;

    assert!(!service.is_live(&first).await);
    assert_eq!(service.ids_of("alice").await.len(), 1000);
}

/// With several replicas only eviction is exact, not refusal.
#[apply(on_every_store)]
async fn eviction_is_exact_with_two_processes_on_one_store(store: StoreKind) {
    let one = Arc::new(service(store, OnSessionLimit::Evict).await);
    let other = Arc::new(one.another_process().await);

    let (answers, others) = tokio::join!(hundred_logins(&one), hundred_logins(&other));

    assert!(answers.iter().chain(&others).all(Result::is_ok));
    assert_eq!([one.ids_of("alice").await.len(), other.ids_of("alice").await.len()], [3, 3]);
}

async fn hundred_logins(service: &Arc<TestService>) -> Vec<Result<Outcome, Status>> {
    let mut logins = JoinSet::new();
    for n in 0..100 {
        let service = Arc::clone(service);
        logins.spawn(async move {
            // Half of the logins create their session, half log in to a stored one.
            let ticket = service.open_new().await.token;
            let token = match n % 2 {
                0 => ticket,
                _ => service.save(save(&ticket, Changes::default().set("b", "1"))).await.session.unwrap().token,
            };
            let answer = service.try_save(login(&token)).await.map(|saved| saved.outcome());
            if answer.is_err() {
                service.destroy(&token).await;
            }
            answer
        });
    }
    logins.join_all().await
}

#[apply(on_every_store)]
async fn a_login_over_the_limit_is_refused_and_changes_nothing(store: StoreKind) {
    let service = service(store, OnSessionLimit::Refuse).await;
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(service.logged_in("alice").await);
    }
    let token = service.stored(&[("b", "1")]).await;
    let ticket = service.open_new().await.token;

    for request in [login(&token), login(&ticket), save_cookie("", Changes::default().set("a", "1").subject("alice"))] {
        let status = refused(service.try_save(request).await);
        assert_eq!(reason(&status), (Code::FailedPrecondition, "TOO_MANY_SESSIONS".to_owned()));
        assert!(status.message().contains("3 sessions"), "{}", status.message());
    }
    let untouched = service.session(&token).await;
    assert_eq!((untouched.subject.as_str(), untouched.entries.len(), untouched.etag.as_str()), ("", 1, "1"));

    service.destroy(&sessions[0].token).await;
    assert_eq!(service.save(login(&token)).await.outcome(), Outcome::Updated);
    assert_eq!(service.ids_of("alice").await.len(), 3);
}

#[apply(on_every_store)]
async fn a_subject_at_the_limit_can_save_and_log_in_again(store: StoreKind) {
    let service = service(store, OnSessionLimit::Refuse).await;
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(service.logged_in("alice").await.token);
    }

    let saved = service.save(save(&sessions[0], Changes::default().set("b", "1"))).await;
    let again = service.save(login(&sessions[1]).rotate()).await;

    assert_eq!([saved.outcome(), again.outcome()], [Outcome::Updated; 2]);
}

#[apply(on_every_store)]
async fn repeated_gone_and_stale_requests_are_answered_before_the_limit_is_checked(store: StoreKind) {
    let service = service(store, OnSessionLimit::Refuse).await;
    let ticket = service.open_new().await.token;
    let first = service.save(login(&ticket).request_id("0123456789abcdef")).await;
    let token = first.session.unwrap().token;
    let other = service.stored(&[("b", "1")]).await;
    let ended = service.stored(&[("b", "1")]).await;
    service.destroy(&ended).await;
    service.destroy(&token).await;
    for _ in 0..3 {
        service.logged_in("alice").await;
    }

    let repeated = service.save(login(&ticket).request_id("0123456789abcdef")).await;
    let late = service.save(login(&ended)).await;
    let stale = refused(service.try_save(login(&other).etag("7")).await);

    assert_eq!(repeated.outcome(), Outcome::Created);
    assert_eq!(gone(&late), EndReason::Destroyed);
    assert_eq!(reason(&stale), (Code::Aborted, "ETAG_MISMATCH".to_owned()));
}
