//! `cloakroom sessions` against a real service: every command, as an operator types it.

use std::io::{BufRead as _, BufReader};

use cloakroom::app;
use cloakroom::grpc::wire::{Changes, RequestContext, RotationCause, SaveSessionRequest};
use cloakroom::store::{self, Handle, RedisSettings, Settings};
use cloakroom::types::{Time, timestamp};
use serde_json::Value;

use super::program::{Ended, Program};
use crate::support::calls::{ChangesExt as _, save};
use crate::support::sessions::{HOUR, LifetimeExt as _, MINUTE, SECOND};
use crate::support::{StoreKind, TestService, app_settings, redis};

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
async fn all_apps_that_the_service_has_are_revoked_at_once() {
    let service =
        TestService::with_apps(StoreKind::Memory, [("default", app_settings()), ("shop", app_settings())]).await;
    let ended_session = logged_in(&service, "ada").await;

    let apps = sessions(&service, &["apps"]).await;
    let apps_json = sessions(&service, &["apps", "--json"]).await;
    let ended = sessions(&service, &["revoke-app", "--all", "--yes"]).await;
    let ended_json = sessions(&service, &["revoke-app", "--all", "--yes", "--json"]).await;
    let shown = sessions(&service, &["list", "--json"]).await;

    assert_eq!((apps.code, apps.stdout.as_str()), (Some(0), "default\nshop\n"), "{apps:?}");
    assert_eq!(apps_json.stdout, "{\"app\":\"default\",\"kind\":\"STORED\"}\n{\"app\":\"shop\",\"kind\":\"STORED\"}\n");
    let lines = "all sessions of the app default ended\nall sessions of the app shop ended\n";
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), lines), "{ended:?}");
    assert_eq!(ended_json.stdout, "{\"app\":\"default\"}\n{\"app\":\"shop\"}\n");
    assert!(!shown.stdout.contains(&ended_session), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_cannot_be_revoked_does_not_keep_the_other_apps_from_it() {
    let cookie_kind = app::Settings { kind: app::KindSetting::Cookie, ..app_settings() };
    let apps = [("default", cookie_kind), ("shop", app_settings())];
    let service = TestService::with_apps(StoreKind::Memory, apps).await;

    let ended = sessions(&service, &["revoke-app", "--all", "--yes"]).await;

    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), "all sessions of the app shop ended\n"), "{ended:?}");
    let expected = "default  not ended: its sessions are in the cookies; replace all its keys by a new one\n\
                    cloakroom: the sessions of 1 of 2 apps not ended\n";
    assert_eq!(ended.stderr, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_cannot_be_ended_does_not_keep_the_others_alive() {
    let settings = redis::settings();
    let store =
        Handle::open(&Settings { kind: store::StoreKind::Redis, redis: settings.clone(), ..Default::default() });
    let service = TestService::with_store(store.unwrap(), &app_settings()).await;
    let ids = [logged_in(&service, "ada").await, logged_in(&service, "bob").await, logged_in(&service, "cy").await];
    damage(&settings, &ids[1]);

    let ended = sessions(&service, &["revoke", &ids[0], &ids[1], &ids[2]]).await;

    assert_eq!((ended.code, ended.stdout), (Some(1), format!("{}  ended\n{}  ended\n", ids[0], ids[2])));
    assert!(ended.stderr.starts_with(&format!("{}  not ended: {}: ", ids[1], address(&service))), "{}", ended.stderr);
    assert!(ended.stderr.ends_with("\ncloakroom: 1 of 3 sessions not ended\n"), "{}", ended.stderr);
}

/// Replaces the record of a session in Redis by other bytes.
fn damage(settings: &RedisSettings, id: &str) {
    let mut connection = ::redis::Client::open(settings.url.as_str()).unwrap().get_connection().unwrap();
    let pattern = format!("{}:*:{id}", settings.key_prefix);
    let scan = ::redis::cmd("SCAN").arg(0).arg("MATCH").arg(&pattern).arg("COUNT").arg(1_000_000).clone();
    let (_, keys): (u64, Vec<String>) = scan.query(&mut connection).unwrap();
    let [key] = &keys[..] else { panic!("{pattern} is one key: {keys:?}") };
    let _: i64 = ::redis::cmd("HSET").arg(key).arg("m").arg("no session").query(&mut connection).unwrap();
}

/// Returns the ids that `sessions list --json` prints with these arguments.
async fn listed(service: &TestService, arguments: &str) -> Vec<String> {
    let arguments: Vec<&str> = ["list", "--json"].into_iter().chain(arguments.split_whitespace()).collect();
    let ended = sessions(service, &arguments).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    let id = |line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
    ended.stdout.lines().map(id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_sorted_filtered_and_limited() {
    let service = TestService::with_lifetimes(StoreKind::Memory, HOUR, 9 * HOUR).await;
    let mut ids = Vec::new();
    let mut times = Vec::new();
    for subject in ["ada", "bob", "ada"] {
        service.advance(MINUTE);
        ids.push(logged_in(&service, subject).await);
        times.push(timestamp::text(Time::from_millis(service.millis())));
    }
    let [first, second, third] = [0, 1, 2].map(|n: usize| ids[n].clone());
    let sorted = |mut ids: Vec<String>| {
        ids.sort();
        ids
    };

    let newest = [third.clone(), second.clone(), first.clone()];
    assert_eq!(listed(&service, "--sort created").await, newest);
    assert_eq!(listed(&service, "--sort used --limit 2").await, newest[..2]);
    assert_eq!(listed(&service, "--sort created --reverse --limit 1").await, newest[2..]);
    assert_eq!(listed(&service, "--sort expires --subject ada").await, [first.clone(), third.clone()]);
    assert_eq!(listed(&service, "--sort subject").await[2], second);
    let since = format!("--created-since {} --sort created", times[1]);
    assert_eq!(listed(&service, &since).await, newest[..2]);
    assert_eq!(listed(&service, &format!("--created-before {}", times[1])).await, newest[2..]);
    assert_eq!(listed(&service, &format!("--used-since {}", times[2])).await, newest[..1]);
    assert_eq!(
        sorted(listed(&service, &format!("--used-before {}", times[2])).await),
        sorted(vec![first.clone(), second])
    );
    assert_eq!(listed(&service, "--expires-before 2026-01-01").await, [""; 0]);
    assert_eq!(listed(&service, "--anonymous").await, [""; 0]);
    let text = sessions(&service, &["list", "--sort", "created", "--limit", "1"]).await;
    assert!(text.stdout.lines().nth(1).unwrap().starts_with(&third), "{text:?}");
    assert_eq!(text.stderr, "1 session\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_and_orders_apply_to_all_pages() {
    let service = TestService::with_lifetimes(StoreKind::Memory, HOUR, 9 * HOUR).await;
    let mut ids = Vec::new();
    // With entries, a page has 50.
    for _ in 0..120 {
        service.advance(SECOND);
        ids.push(logged_in(&service, "ada").await);
    }
    let last = timestamp::text(Time::from_millis(service.millis()));

    let newest: Vec<_> = ids.iter().rev().take(3).cloned().collect();
    assert_eq!(listed(&service, "--entries --sort created --limit 3").await, newest);
    assert_eq!(listed(&service, &format!("--entries --created-since {last}")).await, newest[..1]);
    assert_eq!(listed(&service, "--entries --used-since 2020-01-01 --limit 60").await.len(), 60);
}

/// Runs a command of `sessions` on a terminal, and returns what it prints there.
async fn on_terminal(service: &TestService, columns: u16, arguments: &[&str]) -> String {
    let address = address(service);
    let program = Program::new(&[&["sessions", "--address", &address], arguments].concat());
    let (code, printed) = tokio::task::spawn_blocking(move || program.run_on_terminal(columns)).await.unwrap();
    assert_eq!(code, Some(0), "{printed}");
    printed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_a_table_if_it_fits_on_the_terminal_and_else_folded() {
    let service = TestService::new(StoreKind::Memory).await;
    let context =
        RequestContext { user_agent: "東京 Browser/1.0 ".repeat(10), remote_address: "192.0.2.1".to_owned() };
    let login = save(&service.open_new().await.token, Changes::default().set("a", "1").subject("ada"));
    let id = service.save(SaveSessionRequest { context: Some(context), ..login }).await.session.unwrap().id;

    for columns in [20, 40, 80, 120, 200] {
        let list = on_terminal(&service, columns, &["list"]).await;
        let show = on_terminal(&service, columns, &["show", "--entries", &id]).await;
        for printed in [list, show] {
            assert!(printed.contains(&id) && printed.contains("ada"), "{columns}: {printed}");
        }
    }
    let narrow = on_terminal(&service, 80, &["list"]).await;
    let wide = on_terminal(&service, 120, &["list"]).await;
    let piped = sessions(&service, &["list"]).await.stdout;

    assert!(narrow.starts_with(&format!("{id}\n  subject: ada   created: ")), "{narrow}");
    assert!(wide.starts_with("SESSION ") && wide.contains("東京 Browser/1.0 東京") && wide.contains('…'), "{wide}");
    assert!(piped.starts_with("SESSION ") && piped.matches("Browser").count() == 10, "{piped}");
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
