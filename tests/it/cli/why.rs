//! `cloakroom why` against real services, for each cause that a user is logged out.

use cloakroom::app;
use cloakroom::grpc::wire::{Changes, OpenSessionRequest, RotationCause, SaveSessionRequest, save_session_request};
use serde_json::Value;

use super::program::{Ended, Program};
use crate::support::calls::{ChangesExt as _, save};
use crate::support::sessions::{HOUR, LifetimeExt as _, MINUTE};
use crate::support::{StoreKind, TestService, app_settings};

fn address(service: &TestService) -> &str {
    service.admin_address.trim_start_matches("http://")
}

/// Runs the command with these arguments, and with this text on its standard input.
async fn run(arguments: &[&str], text: &str) -> Ended {
    let arguments: Vec<String> = ["why"].iter().chain(arguments).map(|argument| (*argument).to_owned()).collect();
    let text = text.to_owned();
    let run = move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ended = Program::new(&arguments).stdin(&text).run();
        for part in text.split(['=', ';', ' ', '.']).filter(|part| part.len() > 12 && part.trim().len() != 32) {
            assert!(!ended.stdout.contains(part), "{part} is in:\n{}", ended.stdout);
        }
        for line in ended.stdout.lines().filter(|line| !line.starts_with('{')) {
            assert!(line.chars().count() <= 80, "{line}");
        }
        ended
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// Asks one service.
async fn explain(service: &TestService, options: &[&str], text: &str) -> Ended {
    run(&[&["--address", address(service)], options].concat(), text).await
}

/// Returns the words of a text, as if it had no line breaks and no columns.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Checks the exit code, and that the output has these texts.
#[track_caller]
fn check(ended: &Ended, code: i32, texts: &[&str]) {
    for text in texts {
        assert!(words(&ended.stdout).contains(text), "{text:?} is missing in:\n{}{}", ended.stdout, ended.stderr);
    }
    assert_eq!(ended.code, Some(code), "{}", ended.stdout);
}

async fn expect(service: &TestService, text: &str, code: i32, texts: &[&str]) {
    check(&explain(service, &[], text).await, code, texts);
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

    expect(
        &service,
        &cookie(&live),
        0,
        &["1: LIVE: the session lives", &format!("session {id}"), "ends 20", "do nothing"],
    )
    .await;
    expect(&service, &live, 0, &["1: LIVE"]).await;
    expect(
        &service,
        &cookie(&superseded),
        1,
        &["1: SUPERSEDED: its session lives", "replaced 20", "key ", "do let the user log in again"],
    )
    .await;
    expect(
        &service,
        &cookie(&destroyed),
        1,
        &["1: ENDED DESTROYED: the frontend", "ended 20", "created 20", "do if the user did not log out"],
    )
    .await;
    expect(&service, &cookie(&revoked.token), 1, &["1: ENDED REVOKED: an operator"]).await;
    expect(&service, &cookie("v1.x"), 1, &["1: REJECTED MALFORMED"]).await;
    expect(
        &service,
        &of_other,
        1,
        &["1: REJECTED UNKNOWN_KEY", "it verifies for the app other", "do ask about the app other"],
    )
    .await;
    expect(&service, &ticket, 0, &["1: UNUSED: it is a ticket"]).await;
    expect(&service, &cookie(&ticket), 1, &["1: REJECTED MALFORMED", "a ticket in a cookie"]).await;
    expect(&service, "Cookie: x=y", 1, &["the header has no cookie of the app", "do look at the cookie's name"]).await;
    let two = format!("{}; session={idle}", cookie(&live));
    expect(&service, &two, 1, &["1: LIVE", "2: LIVE", "two sessions live"]).await;

    service.save(save(&idle, Changes::default().idle_timeout(MINUTE))).await;
    service.advance(20 * MINUTE);
    expect(&service, &ticket, 1, &["1: REJECTED TOO_OLD"]).await;
    service.advance(MINUTE);
    expect(&service, &cookie(&idle), 1, &["1: UNKNOWN: the store does not know"]).await;
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
    assert!(live.stdout.starts_with("1: LIVE: the session lives"), "{}", live.stdout);
    assert_eq!((unknown.code, live.code), (Some(1), Some(0)));
    assert!(as_header.stderr.contains("set key instead"), "{}", as_header.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_logs_of_all_replicas_say_what_ended_a_session_and_which_of_them_cannot_tell() {
    let first = TestService::with_audit_log(StoreKind::Memory, [("default", app_settings())]).await;
    let second = first.another_process_with_audit_log().await;
    let without_log = first.another_process().await;
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let cart = first.stored(&[("cart", "1")]).await;
    let id = first.session(&cart).await.id;
    let token = first.log_in(&cart, "ann").await;
    first.advance(MINUTE);
    second.revoke(&id).await;
    first.ends_of(&id, 1).await;
    second.ends_of(&id, 1).await;
    let addresses = ["--address", &gone, "--address", address(&first), "--address", address(&second)];
    let all = [&addresses[..], &["--address", address(&without_log)]].concat();

    let of_cookie = run(&all, &format!("Cookie: session={token}")).await;
    first.advance(HOUR);
    let of_id = run(&[&all[..], &[&id]].concat(), "").await;
    let of_subject = run(&[&all[..], &["--subject", "ann"]].concat(), "").await;
    let stdin_id = run(&all, &format!("{id}\n")).await;
    let one = explain(&first, &[], &id).await;

    let revoked = "by trusted AdminService/RevokeSession, call.id ";
    let superseded = "by trusted: its token was replaced, the session went on SessionService/SaveSession, call.id ";
    let (in_first, in_second) =
        (format!("in the log of {}", address(&first)), format!("in the log of {}", address(&second)));
    let (no_log, unreachable) = (
        format!("log: {}: this replica has no audit log; set folder in [audit]", address(&without_log)),
        format!("log: {gone}: no connection"),
    );
    let both = [revoked, superseded, &in_first, &in_second, &no_log, &unreachable];
    check(
        &of_cookie,
        1,
        &[&["1: ENDED REVOKED: an operator", "do ask who uses the caller trusted"], &both[..]].concat(),
    );
    check(&of_id, 1, &[&["1: UNKNOWN, and it ended long ago: an operator", "do ask who uses"], &both[..]].concat());
    check(&stdin_id, 1, &both);
    let at_subject = format!("by trusted: session {id}");
    check(&of_subject, 1, &["ann: 0 sessions live", &at_subject, &in_first, &in_second, &no_log, &unreachable]);
    check(&one, 1, &["1: UNKNOWN: the store does not know the session", &in_first]);
    assert!(!one.stdout.contains("REVOKED"), "{}", one.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_audit_log_that_cannot_be_read_is_named_and_no_empty_one() {
    let service = TestService::with_audit_log(StoreKind::Memory, [("default", app_settings())]).await;
    let session = service.logged_in("ann").await;
    service.destroy(&session.token).await;
    service.ends_of(&session.id, 1).await;
    std::fs::create_dir(service.audit_folder().join("session-ends-2020-01-01.jsonl")).unwrap();

    let of_id = explain(&service, &[], &session.id).await;

    let named = format!("log: {}: the audit log of this replica cannot be read", address(&service));
    check(&of_id, 1, &["1: ENDED DESTROYED", &named, "let the user of the service read", "AUDIT_LOG_UNREADABLE"]);
    assert!(!words(&of_id.stdout).contains("no audit log has"), "{}", of_id.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sessions_of_a_subject_are_shown_with_the_ends_of_the_whole_app() {
    let service = TestService::with_audit_log(StoreKind::Memory, [("default", app_settings())]).await;
    let before = service.logged_in("ann").await;
    service.advance(MINUTE);
    service.revoke_app("").await;
    service.ends_of(&before.id, 1).await;
    service.advance(HOUR);
    let after = service.logged_in("ann").await;

    let of_subject = explain(&service, &["--subject", "ann"], "").await;
    let of_before = explain(&service, &[&before.id], "").await;
    let of_after = explain(&service, &[&after.id], "").await;
    let of_unknown = explain(&service, &[&"0".repeat(32)], "").await;

    check(
        &of_subject,
        0,
        &["ann: 1 session lives", &format!("session {}", after.id), "trusted: all sessions of the app"],
    );
    check(&of_before, 1, &["1: ENDED REVOKED", "trusted: all sessions of the app", "AdminService/RevokeApp, call.id"]);
    let may_be = "1: UNKNOWN: the store does not know the session; all sessions of the app were ended, and it may";
    check(&of_unknown, 1, &[may_be, "AdminService/RevokeApp, call.id"]);
    check(&of_after, 0, &["1: LIVE: the session lives", "subject ann", "no audit log has an end of it", "do nothing"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_get_one_document_with_the_names_of_the_proto() {
    let service = TestService::with_audit_log(StoreKind::Memory, [("default", app_settings())]).await;
    let session = service.logged_in("ann").await;
    service.destroy(&session.token).await;
    service.ends_of(&session.id, 1).await;
    let document = async |arguments: &[&str]| -> Value {
        let ended = explain(&service, &[&["--json"], arguments].concat(), "").await;
        assert_eq!((ended.code, ended.stdout.lines().count()), (Some(1), 1), "{ended:?}");
        serde_json::from_str(&ended.stdout).unwrap()
    };

    let of_id = document(&[&session.id]).await;
    let of_subject = document(&["--subject", "ann"]).await;

    let explanation = &of_id["explanations"][0];
    assert_eq!((&explanation["state"], &explanation["end_reason"]), (&"ENDED".into(), &"DESTROYED".into()), "{of_id}");
    let end = &explanation["ends"][0];
    let expected = [session.id.as_str(), "ann", "DESTROYED", "trusted", "cloakroom.v1.SessionService/DestroySession"];
    assert_eq!(["id", "subject", "reason", "caller", "rpc"].map(|name| end[name].as_str().unwrap()), expected);
    assert_eq!(end["replica"], address(&service));
    let log = &of_id["logs"][0];
    assert_eq!((&log["state"], &log["lost"], &log["begin_time"]), (&"READ".into(), &0.into(), &end["time"]), "{of_id}");
    assert_eq!((&of_subject["sessions"], &of_subject["ends"]), (&Value::Array(vec![]), &explanation["ends"]));
}

#[test]
fn cookie_with_an_address_names_the_command_that_took_its_place() {
    let ended = Program::new(&["cookie", "--app", "shop", "--address", "127.0.0.1:50052", "--session-key", "x"]).run();

    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("use `cloakroom why`"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = listener.local_addr().unwrap().to_string();
    drop(listener);

    for arguments in [vec!["--subject", "ann"], vec![], vec!["0123456789abcdef0123456789abcdef"]] {
        let ended = run(&[&["--address", &gone], &arguments[..]].concat(), "Cookie: session=x").await;

        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
        assert!(ended.stderr.contains(&format!("cloakroom: {gone}: no connection")), "{ended:?}");
    }
}
