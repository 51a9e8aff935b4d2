//! The sessions that are put into a store, and the requests that are written for them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cloakroom::app::{self, App, Apps};
use cloakroom::service::{Credential, OpenRequest, Opened, Outcome, SaveRequest, Service};
use cloakroom::session::{Changes, Value};
use cloakroom::store::{Embedded, EmbeddedSettings, Handle, Memory, StoreKind};
use cloakroom::token::Key;
use cloakroom::types::{Clock as _, SystemClock};
use cloakroom_load_data::{FillError, Plan, Sampling, StoredSession, fill, write};
use serde_json::Value as Json;

use super::redis;

#[tokio::test]
async fn every_written_request_works_on_the_filled_store_in_memory() {
    assert_written_requests_work(StoreKind::Memory).await;
}

#[tokio::test]
async fn every_written_request_works_on_the_filled_embedded_store() {
    assert_written_requests_work(StoreKind::Embedded).await;
}

#[tokio::test]
async fn every_written_request_works_on_the_filled_redis() {
    assert_written_requests_work(StoreKind::Redis).await;
}

async fn assert_written_requests_work(kind: StoreKind) {
    let folder = tempfile::tempdir().unwrap();
    let (store, app) = (store(kind, folder.path()), default_app(&settings()));

    let sessions = filled(&store, &app, &plan()).await;
    write(folder.path(), &app, &sessions, SAMPLING).unwrap();

    assert_requests_find_sessions(store, app, folder.path()).await;
}

#[tokio::test]
async fn sessions_have_realistic_sizes_subjects_and_ages() {
    let (store, app, now) = (memory(), default_app(&settings()), SystemClock.now());

    let sessions = fill(&store, &apps(&app), &plan(), now, |_| ()).await.unwrap();

    let service = Service::new(apps(&app), store, Arc::new(SystemClock));
    let (mut sizes, mut ages, mut subjects) = (Vec::new(), Vec::new(), BTreeMap::<String, u32>::new());
    for session in &sessions {
        let Opened { session, entries, .. } = open(&service, Credential::Token(&session.token)).await;
        let subject = session.subject.map(|subject| subject.as_str().to_owned());
        *subjects.entry(subject.unwrap_or_default()).or_default() += 1;
        let times = session.times.unwrap();
        assert!(times.create_time.unwrap() <= times.access_time);
        ages.push(now.since(times.create_time.unwrap()));
        sizes.push(entries.bytes());
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
    let app = default_app(&settings());

    let sessions = filled(&memory(), &app, &plan()).await;
    write(folder.path(), &app, &sessions, Sampling { requests: 2000, ..SAMPLING }).unwrap();

    let mut uses = BTreeMap::<String, u32>::new();
    for request in requests(&folder.path().join("open.json")) {
        *uses.entry(text(&request["cookie_header"]).to_owned()).or_default() += 1;
    }
    let mut uses = uses.into_values().collect::<Vec<_>>();
    uses.sort_unstable_by(|a, b| b.cmp(a));
    let most = uses.iter().take(20).sum::<u32>();
    assert!((1000..1500).contains(&most), "{most} of 2000: {uses:?}");
}

#[tokio::test]
async fn the_same_seed_draws_the_same_sessions_with_other_tokens() {
    let app = default_app(&settings());
    let fill = async |seed| filled(&memory(), &app, &Plan { seed, ..plan() }).await;

    let (first, second, other) = (fill(1).await, fill(1).await, fill(2).await);

    let sizes = |sessions: &[StoredSession]| sessions.iter().map(|session| session.cart_bytes).collect::<Vec<_>>();
    assert_eq!(sizes(&first), sizes(&second));
    assert_ne!(sizes(&first), sizes(&other));
    assert!(first.iter().zip(&second).all(|(first, second)| first.token != second.token));
}

#[tokio::test]
async fn sessions_that_would_have_ended_already_are_refused() {
    let app = default_app(&app::Settings { idle_timeout: Duration::from_secs(3600), ..settings() });
    let plan = Plan { age: Some(Duration::from_secs(3600)), ..plan() };

    let refused = fill(&memory(), &apps(&app), &plan, SystemClock.now(), |_| ()).await.unwrap_err();

    assert!(matches!(refused, FillError::Age { most } if most == Duration::from_secs(54 * 60)), "{refused}");
}

/// Checks each request in a folder on a filled store. Returns the number of requests to open a session.
pub(super) async fn assert_requests_find_sessions(store: Handle, app: App, folder: &Path) -> usize {
    let service = Service::new(apps(&app), store, Arc::new(SystemClock));
    let opens = requests(&folder.join("open.json"));
    for request in &opens {
        let Opened { session, entries, .. } =
            open(&service, Credential::CookieHeader(text(&request["cookie_header"]))).await;
        // A new session is in no store, so it has no time of creation.
        assert!(session.times.unwrap().create_time.is_some() && entries.count() == 6);
    }
    for request in requests(&folder.join("save.json")) {
        assert_eq!((&request["app"], &request["accessed"]), (&Json::from("default"), &Json::from(true)));
        let set = request["changes"]["set"].as_object().unwrap().iter();
        let set = set.map(|(name, value)| (name.clone(), Value::json(text(&value["json"]).to_owned()).unwrap()));
        let save = SaveRequest {
            credential: Credential::Token(text(&request["token"])),
            changes: Some(Changes { set: set.collect(), ..Changes::default() }),
            accessed: true,
            ..SaveRequest::default()
        };
        assert_eq!(service.save(&service.app("").unwrap(), save).await.unwrap().outcome, Outcome::Updated);
    }
    opens.len()
}

pub(super) fn default_app(settings: &app::Settings) -> App {
    settings.build("default").unwrap()
}

fn settings() -> app::Settings {
    app::Settings { keys: vec![Key::generate().into()], ..Default::default() }
}

fn apps(app: &App) -> Apps {
    [app.clone()].into_iter().collect()
}

fn memory() -> Handle {
    Handle::from(Memory::new())
}

fn store(kind: StoreKind, folder: &Path) -> Handle {
    match kind {
        StoreKind::Memory => memory(),
        StoreKind::Embedded => {
            let settings = EmbeddedSettings { path: folder.join("data"), ..Default::default() };
            Handle::from(Embedded::open(&settings).unwrap())
        }
        StoreKind::Redis => Handle::from(redis::fresh()),
    }
}

async fn filled(store: &Handle, app: &App, plan: &Plan) -> Vec<StoredSession> {
    fill(store, &apps(app), plan, SystemClock.now(), |_| ()).await.unwrap()
}

async fn open(service: &Service, credential: Credential<'_>) -> Opened {
    service.open(OpenRequest { credential, ..OpenRequest::default() }).await.unwrap()
}

fn plan() -> Plan {
    Plan { count: 200, subjects: 60, ..Plan::default() }
}

/// Reads the requests in a file.
fn requests(file: &Path) -> Vec<Json> {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn text(value: &Json) -> &str {
    value.as_str().unwrap()
}

const SAMPLING: Sampling = Sampling { requests: 100, exponent: 1.0, seed: 1 };

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
