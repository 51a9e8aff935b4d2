//! `cloakroom cookie --address` against a real service, for each cause that a cookie opens nothing.

use cloakroom::app;
use cloakroom::grpc::wire::{Changes, OpenSessionRequest, RotationCause, SaveSessionRequest, save_session_request};

use super::program::{Ended, Program};
use crate::support::calls::{ChangesExt as _, save};
use crate::support::sessions::{HOUR, LifetimeExt as _, MINUTE};
use crate::support::{StoreKind, TestService, app_settings};

/// Runs the command with this text on its standard input.
async fn explain(service: &TestService, options: &[&str], text: &str) -> Ended {
    let address = service.admin_address.trim_start_matches("http://").to_owned();
    let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
    let text = text.to_owned();
    let run = move || {
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let ended = Program::new(&[&["cookie", "--address", &address], &options[..]].concat()).stdin(&text).run();
        for part in text.split(['=', ';', ' ', '.']).filter(|part| part.len() > 12) {
            assert!(!ended.stdout.contains(part), "{part} is in:\n{}", ended.stdout);
        }
        ended
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// Checks the exit code, and that the output has these texts.
async fn expect(service: &TestService, text: &str, code: i32, texts: &[&str]) {
    let ended = explain(service, &[], text).await;
    for text in texts {
        assert!(ended.stdout.contains(text), "{text:?} is missing in:\n{}{}", ended.stdout, ended.stderr);
    }
    assert_eq!(ended.code, Some(code), "{}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_service_says_why_a_cookie_opens_nothing() {
    let settings = app::Settings { idle_timeout: HOUR, absolute_timeout: HOUR, ..app_settings() };
    let apps = [("default", settings), ("other", app_settings())];
    let service = TestService::with_apps(StoreKind::Memory, apps).await;
    let stored = async || service.stored(&[("a", "1")]).await;
    let (live, superseded, destroyed, idle) = (stored().await, stored().await, stored().await, stored().await);
    let revoked = service.logged_in("ann").await;
    let ticket = service.open_new().await.token;
    let of_other = OpenSessionRequest { app: "other".to_owned(), ..Default::default() };
    let of_other = service.open(of_other).await.session.unwrap().token;
    service.rotate(&superseded, RotationCause::Privilege, "").await;
    service.destroy(&destroyed).await;
    service.revoke(&revoked.id).await;
    let cookie = |token: &str| format!("Cookie: x=y; session={token}");
    let id = service.session(&live).await.id;

    expect(&service, &cookie(&live), 0, &["1: LIVE: it opens", &format!("session   {id}"), "ends      20"]).await;
    expect(&service, &live, 0, &["1: LIVE"]).await;
    expect(&service, &cookie(&superseded), 1, &["1: SUPERSEDED: its session lives", "replaced  20", "key "]).await;
    expect(&service, &cookie(&destroyed), 1, &["1: ENDED DESTROYED: the frontend", "ended     20", "created   20"])
        .await;
    expect(&service, &cookie(&revoked.token), 1, &["1: ENDED REVOKED: an operator"]).await;
    expect(&service, &cookie("v1.x"), 1, &["1: REJECTED MALFORMED"]).await;
    expect(&service, &of_other, 1, &["1: REJECTED UNKNOWN_KEY", "it verifies for the app other"]).await;
    expect(&service, &ticket, 0, &["1: UNUSED: it is a ticket"]).await;
    expect(&service, &cookie(&ticket), 1, &["1: REJECTED MALFORMED", "a ticket in a cookie"]).await;
    expect(&service, "Cookie: x=y", 1, &["the header has no cookie of the app"]).await;
    let two = format!("{}; session={idle}", cookie(&live));
    expect(&service, &two, 1, &["1: LIVE", "2: LIVE", "two sessions live"]).await;

    service.save(save(&idle, Changes::default().idle_timeout(MINUTE))).await;
    service.advance(20 * MINUTE);
    expect(&service, &ticket, 1, &["1: REJECTED TOO_OLD"]).await;
    service.advance(MINUTE);
    expect(&service, &cookie(&idle), 1, &["1: UNKNOWN: it is genuine"]).await;
    service.advance(39 * MINUTE);
    expect(&service, &cookie(&live), 1, &["1: ENDED ABSOLUTE"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_of_another_name_or_app_is_explained_too() {
    let service = TestService::with_apps(StoreKind::Memory, [("default", app_settings()), ("b", app_settings())]).await;
    let token = service.stored(&[("a", "1")]).await;
    let header = format!("own={token}");

    let named = explain(&service, &["--cookie-name", "own"], &header).await;
    let other = explain(&service, &["--app", "b"], &token).await;
    let unknown = explain(&service, &["--app", "c"], &token).await;

    assert!(named.code == Some(0) && named.stdout.contains("LIVE"), "{named:?}");
    assert!(other.code == Some(1) && other.stdout.contains("it verifies for the app default"), "{other:?}");
    assert!(unknown.code == Some(1) && unknown.stderr.contains("APP_UNKNOWN"), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_service_says_what_the_key_of_a_framework_leads_to() {
    let external = app::Settings { kind: app::KindSetting::External, ..Default::default() };
    let service = TestService::with_apps(StoreKind::Memory, [("default", external)]).await;
    let key = "Cookie:kR3mO2vXqY8Zt1a7=uP5wL9";
    let credential = Some(save_session_request::Credential::Key(key.into()));
    let changes = Some(Changes::default().set("a", "1"));

    let unknown = explain(&service, &["--session-key"], key).await;
    service.save(SaveSessionRequest { credential, changes, ..Default::default() }).await;
    let live = explain(&service, &["--session-key"], key).await;
    let as_header = explain(&service, &[], key).await;

    assert!(unknown.stdout.starts_with("1: UNKNOWN"), "{}", unknown.stdout);
    assert!(live.stdout.starts_with("1: LIVE: it opens its session"), "{}", live.stdout);
    assert_eq!((unknown.code, live.code), (Some(1), Some(0)));
    assert!(as_header.stderr.contains("set key instead"), "{}", as_header.stderr);
}
