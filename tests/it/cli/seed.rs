//! `cloakroom seed`: what it puts into a store, and the requests that it writes.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cloakroom::app::{self, App, Apps};
use cloakroom::cli::seed::{FillError, Plan, Sampling, fill, write};
use cloakroom::grpc::wire::{Changes, Outcome, SaveSessionRequest};
use cloakroom::store::{AnyStore, Embedded, EmbeddedSettings, Memory};
use cloakroom::types::{Clock as _, SystemClock};
use serde_json::Value;

use super::program::Program;
use crate::support::calls::{ChangesExt as _, open_cookie, save};
use crate::support::redis::RedisServer;
use crate::support::sessions::millis;
use crate::support::{StoreKind, TestService, app_settings, redis};

#[apply(on_every_store)]
async fn every_written_request_works_on_the_filled_store(kind: StoreKind) {
    let folder = tempfile::tempdir().unwrap();
    let (store, settings) = (Arc::new(store(kind, folder.path())), app_settings());
    let (apps, app) = apps(&settings);

    let seeded = fill(&store, &apps, &plan(), SystemClock.now(), |_| ()).await.unwrap();
    write(folder.path(), &app, &seeded, SAMPLING).unwrap();

    let service = TestService::with_store(Arc::into_inner(store).unwrap(), &settings).await;
    for request in array(&folder.path().join("open.json")) {
        let session = service.open(open_cookie(text(&request, "cookie_header"))).await.session.unwrap();
        assert!(!session.new && session.entries.len() == 6);
    }
    for request in array(&folder.path().join("save.json")) {
        let saved = service.save(save_of(&request)).await;
        assert_eq!(saved.outcome(), Outcome::Updated);
    }
}

#[tokio::test]
async fn sessions_have_sizes_subjects_and_ages_as_in_life() {
    let (store, settings) = (Arc::new(AnyStore::Memory(Memory::new())), app_settings());
    let now = SystemClock.now();

    let seeded = fill(&store, &apps(&settings).0, &plan(), now, |_| ()).await.unwrap();

    let service = TestService::with_store(Arc::into_inner(store).unwrap(), &settings).await;
    let (mut sizes, mut ages, mut subjects) = (Vec::new(), Vec::new(), BTreeMap::<String, u32>::new());
    for session in &seeded {
        let session = service.session(&session.token).await;
        *subjects.entry(session.subject.clone()).or_default() += 1;
        assert!(session.create_time.unwrap().seconds <= session.access_time.unwrap().seconds);
        ages.push(now.millis() - millis(&session.create_time));
        sizes.push(bytes(session));
    }
    sizes.sort_unstable();
    ages.sort_unstable();
    assert!((1300..1900).contains(&sizes[100]) && sizes[190] > 2000 && sizes[10] < 1200, "{sizes:?}");
    assert!((30..80).contains(&subjects[""]) && subjects.len() > 30, "{subjects:?}");
    assert!(ages[20] < 5 * DAY && ages[180] > 20 * DAY && ages[199] < 28 * DAY, "{ages:?}");
}

#[tokio::test]
async fn a_tenth_of_the_sessions_gets_most_requests() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(AnyStore::Memory(Memory::new()));
    let (apps, app) = apps(&app_settings());

    let seeded = fill(&store, &apps, &plan(), SystemClock.now(), |_| ()).await.unwrap();
    write(folder.path(), &app, &seeded, Sampling { requests: 2000, ..SAMPLING }).unwrap();

    let mut uses = BTreeMap::<String, u32>::new();
    for request in array(&folder.path().join("open.json")) {
        *uses.entry(text(&request, "cookie_header").to_owned()).or_default() += 1;
    }
    let mut uses = uses.into_values().collect::<Vec<_>>();
    uses.sort_unstable_by(|a, b| b.cmp(a));
    let most = uses.iter().take(20).sum::<u32>();
    assert!((1000..1500).contains(&most), "{most} of 2000: {uses:?}");
}

#[tokio::test]
async fn the_same_number_draws_the_same_sessions_with_other_tokens() {
    let (apps, _) = apps(&app_settings());
    let fill = async |seed| {
        let store = Arc::new(AnyStore::Memory(Memory::new()));
        fill(&store, &apps, &Plan { seed, ..plan() }, SystemClock.now(), |_| ()).await.unwrap()
    };

    let (one, again, other) = (fill(1).await, fill(1).await, fill(2).await);

    let sizes = |seeded: &[cloakroom::cli::seed::Seeded]| seeded.iter().map(|s| s.cart_bytes).collect::<Vec<_>>();
    assert_eq!(sizes(&one), sizes(&again));
    assert_ne!(sizes(&one), sizes(&other));
    assert!(one.iter().zip(&again).all(|(one, again)| one.token != again.token));
}

#[tokio::test]
async fn sessions_that_would_be_over_already_are_refused() {
    let settings = app::Settings { idle_timeout: Duration::from_secs(3600), ..app_settings() };
    let store = Arc::new(AnyStore::Memory(Memory::new()));
    let plan = Plan { age: Some(Duration::from_secs(3600)), ..plan() };

    let refused = fill(&store, &apps(&settings).0, &plan, SystemClock.now(), |_| ()).await.unwrap_err();

    assert!(matches!(refused, FillError::Age { most } if most == Duration::from_secs(54 * 60)), "{refused}");
}

#[tokio::test]
async fn the_command_fills_the_store_that_a_service_then_opens() {
    let program = Program::new(&["seed", "--count", "30", "--requests", "50", "--out", "load"]);
    let (data, load) = (program.path("data"), program.path("load"));
    let folder = program.folder().to_owned();
    let (ended, _kept) = program.run_and_keep();

    assert_eq!(ended.code, Some(0), "{ended:?} in {}", folder.display());
    let told = "30 sessions in the store, 50 requests each in load/open.json and load/save.json\n";
    assert_eq!(ended.stdout, told);
    assert!(ended.stderr.contains("15 of 30 sessions\n") && ended.stderr.ends_with("30 of 30 sessions\n"), "{ended:?}");
    let keys = std::fs::read_to_string(data.join("default.key")).unwrap();
    let key = keys.lines().rfind(|line| !line.starts_with('#')).unwrap().to_owned();
    let store = Embedded::open(&EmbeddedSettings { path: data, ..Default::default() }).unwrap();
    let settings = app::Settings { keys: vec![key.into()], ..Default::default() };
    let service = TestService::with_store(AnyStore::Embedded(store), &settings).await;
    let requests = array(&load.join("open.json"));
    assert_eq!(requests.len(), 50);
    for request in requests {
        assert!(!service.open(open_cookie(text(&request, "cookie_header"))).await.session.unwrap().new);
    }
}

#[test]
fn files_with_tokens_are_closed_to_others_and_hold_no_template() {
    let program = Program::new(&["seed", "--count", "5", "--requests", "5"]);
    let files = ["open.json", "save.json"].map(|name| program.path(name));
    let (ended, _kept) = program.run_and_keep();

    assert_eq!(ended.code, Some(0), "{ended:?}");
    for file in files {
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        // A load generator would read {{ as the beginning of a template.
        assert!(!std::fs::read_to_string(file).unwrap().contains("{{"));
    }
}

#[test]
fn the_command_fills_redis() {
    let redis = RedisServer::start();
    let keys = ["CLOAKROOM__STORE__KIND", "CLOAKROOM__STORE__REDIS__URL", "CLOAKROOM__APPS__DEFAULT__KEYS"];
    let values = ["redis", &redis.url(), &"k".repeat(43)];
    let program = Program::new(&["seed", "--count", "30", "--requests", "5"]);

    let ended = keys.iter().zip(values).fold(program, |program, (key, value)| program.env(key, value)).run();

    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(redis.cli(&["dbsize"]).trim().parse::<u32>().unwrap() >= 30);
}

#[test]
fn a_store_that_a_running_service_holds_is_not_filled() {
    let program = Program::new(&["seed", "--count", "5"]);
    let _held = Embedded::open(&EmbeddedSettings { path: program.path("data"), ..Default::default() }).unwrap();

    let ended = program.run();

    let expected = "cloakroom: store.embedded: data/sessions.redb: another process has it open; \
                    give each service a folder of its own\n";
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), expected));
}

#[test]
fn a_store_in_memory_is_not_filled() {
    let ended = Program::new(&["seed", "--count", "5"]).env("CLOAKROOM__STORE__KIND", "memory").run();

    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("store.kind is memory, which ends with this command"), "{ended:?}");
}

#[test]
fn an_app_without_a_key_is_refused_with_what_to_do() {
    let program = Program::new(&["seed", "--count", "5", "--app", "shop"]);

    let ended = program.file("cloakroom.toml", "[apps.shop]\n").run();

    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("key"), "{ended:?}");
}

#[test]
fn numbers_that_make_no_sense_are_mistakes_of_usage() {
    for arguments in [["--count", "0"], ["--entries", "0"], ["--exponent", "-1"], ["--age", "1y"], ["--size", "x"]] {
        let ended = Program::new(&[&["seed"][..], &arguments].concat()).run();

        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
    }
}

pub(super) fn store(kind: StoreKind, folder: &Path) -> AnyStore {
    match kind {
        StoreKind::Memory => AnyStore::Memory(Memory::new()),
        StoreKind::Embedded => {
            let settings = EmbeddedSettings { path: folder.join("data"), ..Default::default() };
            AnyStore::Embedded(Embedded::open(&settings).unwrap())
        }
        StoreKind::Redis => AnyStore::from(redis::fresh()),
    }
}

pub(super) fn apps(settings: &app::Settings) -> (Apps, App) {
    let app = settings.build("default").unwrap();
    ([app.clone()].into_iter().collect(), app)
}

fn plan() -> Plan {
    Plan { count: 200, subjects: 60, ..Plan::default() }
}

/// The requests of a file.
fn array(file: &Path) -> Vec<Value> {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap()
}

fn save_of(request: &Value) -> SaveSessionRequest {
    assert_eq!((&request["app"], &request["accessed"]), (&Value::from("default"), &Value::from(true)));
    let set = request["changes"]["set"].as_object().unwrap();
    let changes = set.iter().fold(Changes::default(), |changes, (name, value)| changes.set(name, text(value, "json")));
    save(text(request, "token"), changes)
}

fn bytes(session: cloakroom::grpc::wire::Session) -> usize {
    let entries = crate::support::calls::json_entries(session);
    entries.iter().map(|(name, json)| name.len() + json.len()).sum()
}

const SAMPLING: Sampling = Sampling { requests: 100, exponent: 1.0, seed: 1 };

const DAY: u64 = 24 * 60 * 60 * 1000;
