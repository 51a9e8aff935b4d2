//! `cloakroom sessions` against a real service: every command, as an operator types it.

use std::io::{BufRead as _, BufReader};

use cloakroom::grpc::wire::{Changes, RotationCause};
use serde_json::Value;

use super::program::{Ended, Program};
use crate::support::calls::{ChangesExt as _, save};
use crate::support::sessions::{LifetimeExt as _, SECOND};
use crate::support::{StoreKind, TestService};

fn address(service: &TestService) -> String {
    service.admin_address.trim_start_matches("http://").to_owned()
}

async fn sessions(service: &TestService, arguments: &[&str]) -> Ended {
    let address = address(service);
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let run = move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Program::new(&[&["sessions", "--address", &address], &arguments[..]].concat()).run()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

async fn logged_in(service: &TestService, subject: &str) -> String {
    let ticket = service.open_new().await.token;
    let changes = Changes::default().set("a", "1").subject(subject);
    service.save(save(&ticket, changes)).await.session.unwrap().id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_lists_shows_ends_and_counts_sessions() {
    let service = TestService::new(StoreKind::Memory).await;
    let (ada, second, grace) =
        (logged_in(&service, "ada").await, logged_in(&service, "ada").await, logged_in(&service, "grace").await);

    let listed = sessions(&service, &["list", "--subject", "ada"]).await;
    let limited = sessions(&service, &["list", "--limit", "2", "--json"]).await;
    let shown = sessions(&service, &["show", &ada, "--entries"]).await;
    let revoked = sessions(&service, &["revoke", &ada]).await;
    let again = sessions(&service, &["revoke", &ada]).await;
    let unknown = sessions(&service, &["show", &"0".repeat(32)]).await;
    let others = sessions(&service, &["revoke-subject", "ada", "--json"]).await;
    let stats = sessions(&service, &["stats", "--json"]).await;
    let left = sessions(&service, &["list", "--json"]).await;

    assert!(listed.stdout.contains(&ada) && listed.stdout.contains(&second) && !listed.stdout.contains(&grace));
    assert_eq!(limited.stdout.lines().count(), 2, "{limited:?}");
    assert!(shown.stdout.contains("ada") && shown.code == Some(0), "{shown:?}");
    assert_eq!([revoked.code, again.code, unknown.code], [Some(0), Some(0), Some(1)]);
    assert!(others.stdout.contains('1'), "{others:?}");
    assert!(stats.stdout.contains("REVOKED"), "{stats:?}");
    assert!(left.stdout.contains(&grace) && left.stdout.lines().count() == 1, "{left:?}");
    let all = sessions(&service, &["revoke-app", "--yes"]).await;
    let none = sessions(&service, &["list"]).await;
    assert_eq!((all.code, none.stdout.contains(&grace)), (Some(0), false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_watches_what_happens() {
    let service = TestService::new(StoreKind::Memory).await;
    let mut program = Program::new(&["sessions", "--address", &address(&service), "watch", "--json"]);
    let mut child = program.command().spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The first line is the start of the stream: no later event is missed.
    assert!(lines.next().unwrap().unwrap().contains("cursor"));

    let id = logged_in(&service, "ada").await;

    let event = lines.map(Result::unwrap).find(|line| line.contains(&id)).unwrap();
    assert!(event.contains("CREATED"), "{event}");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Watches a session, ends it by `end`, and returns the printed events.
async fn watched(service: &TestService, id: &str, end: impl AsyncFnOnce(&TestService)) -> Vec<Value> {
    let mut program = Program::new(&["sessions", "--address", &address(service), "watch", id, "--json"]);
    let mut child = program.command().spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first = lines.next().unwrap();
    assert!(first.contains(r#""events":[]"#), "{first}");

    end(service).await;

    let code = tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap().code();
    assert_eq!(code, Some(0));
    let batches = lines.map(|line| serde_json::from_str::<Value>(&line).unwrap());
    let events: Vec<Value> = batches.flat_map(|batch| batch["events"].as_array().unwrap().clone()).collect();
    assert!(events.iter().all(|event| event["id"] == id), "{events:?}");
    events
}

fn kinds(events: &[Value]) -> Vec<(&str, Option<&str>)> {
    events.iter().map(|event| (event["kind"].as_str().unwrap(), event["end_reason"].as_str())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_watches_one_session_until_a_call_ends_it() {
    let service = TestService::new(StoreKind::Memory).await;
    let session = service.logged_in("ada").await;

    let events = watched(&service, &session.id, async |service| {
        service.logged_in("grace").await;
        let next = service.rotate(&session.token, RotationCause::Privilege, "").await.session.unwrap().token;
        service.destroy(&next).await;
    })
    .await;
    let again = watched(&service, &session.id, async |_| ()).await;

    assert_eq!(kinds(&events), [("ROTATED", None), ("ENDED", Some("DESTROYED"))]);
    assert_eq!(kinds(&again), [("ENDED", Some("DESTROYED"))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_the_end_of_a_session_that_no_event_names() {
    let service = TestService::new(StoreKind::Memory).await;
    let revoked = service.logged_in("ada").await.id;
    let events = watched(&service, &revoked, async |service| service.revoke_app("").await).await;
    assert_eq!(kinds(&events), [("ENDED", Some("REVOKED"))]);

    let session = service.logged_in("ada").await;
    service.update(&session.token, Changes::default().deadline(service.millis() + 500)).await;
    let events = watched(&service, &session.id, async |service| service.advance(SECOND)).await;
    assert_eq!(kinds(&events), [("ENDED", Some("ABSOLUTE"))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_session_is_not_watched() {
    let service = TestService::new(StoreKind::Memory).await;

    let ended = sessions(&service, &["watch", &"0".repeat(32)]).await;

    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert!(ended.stderr.contains("SESSION_UNKNOWN"), "{ended:?}");
}
