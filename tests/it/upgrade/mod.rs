//! Sessions that older versions have stored: each goes on and ends as if the version had not changed.
//!
//! README.md beside it says what the files are.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloakroom::app;
use cloakroom::grpc::wire::{
    Changes, EndReason, OpenSessionRequest, Outcome, Session, SessionEventKind, WatchEventsRequest,
    open_session_request, value,
};
use cloakroom::store::{Embedded, EmbeddedSettings, Handle, Redis, RedisSettings};
use cloakroom::types::Time;
use prost_types::Timestamp;
use serde::Deserialize;
use tempfile::TempDir;

use crate::support::calls::{ChangesExt as _, save};
use crate::support::redis::RedisServer;
use crate::support::sessions::{SaveExt as _, millis};
use crate::support::{TestService, long_timeouts};

/// The days on which the versions were built.
const VERSIONS: [&str; 2] = ["2026-11-26", "2026-11-27"];

/// A minute after an older version stored the sessions.
const NOW: Time = Time::from_seconds(4_102_444_860);

const EMBEDDED: &str = "embedded";
const REDIS: &str = "redis";

/// What an older version stored, as its make.mjs has written it down.
#[derive(Deserialize)]
struct Stored {
    key: String,
    /// Of events, before the first session.
    cursor: String,
    sessions: BTreeMap<String, Live>,
    /// Tokens of sessions that had ended, by how.
    ended: BTreeMap<String, String>,
    ticket: String,
    /// The token before the login of the session `logged_in`.
    superseded: String,
    /// The token before the renewal of the session `renewed`, in its grace.
    renewed: String,
    /// A token of the app `other`, all of whose sessions were revoked.
    revoked_with_its_app: String,
    repeated: Repeated,
}

/// A live session, as the older version opened it last.
#[derive(Deserialize)]
struct Live {
    token: String,
    session: OldSession,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OldSession {
    id: String,
    entries: BTreeMap<String, BTreeMap<String, String>>,
    permanent: Option<bool>,
    #[serde(default)]
    subject: String,
    create_time: String,
    access_time: String,
    authenticate_time: Option<String>,
    expire_time: String,
    idle_timeout: String,
}

/// A save that increments the entry `visits` and was done.
#[derive(Deserialize)]
struct Repeated {
    token: String,
    request_id: String,
}

/// The present service on the store of an older version.
struct Upgraded {
    /// Version and store.
    name: String,
    stored: Stored,
    service: TestService,
    _folder: TempDir,
    _redis: Option<RedisServer>,
}

impl Upgraded {
    async fn every() -> Vec<Self> {
        let mut every = Vec::new();
        for version in VERSIONS {
            for store in [EMBEDDED, REDIS] {
                every.push(Self::open(version, store).await);
            }
        }
        every
    }

    async fn open(version: &str, store: &str) -> Self {
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/upgrade").join(version);
        let stored = fs::read_to_string(files.join(format!("{store}.json"))).unwrap();
        let stored: Stored = serde_json::from_str(&stored).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let redis = (store == REDIS).then(|| restored(&files));
        let handle = match &redis {
            Some(redis) => Redis::new(&RedisSettings { url: redis.url(), ..Default::default() }).unwrap().into(),
            None => embedded(&files, &folder),
        };
        let rotation_grace = Duration::from_secs(60 * 60);
        let app = app::Settings { keys: vec![stored.key.clone().into()], rotation_grace, ..Default::default() };
        let service = TestService::on_store(handle, [("default", app.clone()), ("other", app)], long_timeouts()).await;
        service.clock.set(NOW);
        Self { name: format!("{version}, {store}"), stored, service, _folder: folder, _redis: redis }
    }

    fn token(&self, name: &str) -> &str {
        &self.stored.sessions[name].token
    }
}

/// Starts a Redis with the keys of an older version.
fn restored(files: &Path) -> RedisServer {
    let redis = RedisServer::start();
    redis.run_all(&fs::read_to_string(files.join("redis.txt")).unwrap());
    redis
}

/// Opens a copy of the data file of an older version.
fn embedded(files: &Path, folder: &TempDir) -> Handle {
    let path = folder.path().join("data");
    fs::create_dir(&path).unwrap();
    let data_file = path.join("sessions.redb");
    fs::copy(files.join("embedded.redb"), &data_file).unwrap();
    fs::set_permissions(&data_file, Permissions::from_mode(0o600)).unwrap();
    Embedded::open(&EmbeddedSettings { path, ..Default::default() }).unwrap().into()
}

#[tokio::test]
async fn a_session_of_an_older_version_opens_as_it_was() {
    for upgraded in Upgraded::every().await {
        for (name, Live { token, session: old }) in &upgraded.stored.sessions {
            let session = upgraded.service.session(token).await;

            let name = format!("{}, {name}", upgraded.name);
            assert_eq!((&session.id, session.new), (&old.id, false), "{name}");
            assert_eq!(session.subject, old.subject, "{name}");
            assert_eq!(session.permanent, old.permanent, "{name}");
            assert_eq!(entries(&session), old.entries, "{name}");
            assert_eq!(session.create_time, Some(time(&old.create_time)), "{name}");
            assert_eq!(session.authenticate_time, old.authenticate_time.as_deref().map(time), "{name}");
            assert_eq!(format!("{}s", session.idle_timeout.unwrap().seconds), old.idle_timeout, "{name}");
            assert_eq!(millis(&session.expire_time), expected_expiry(old, &session), "{name}");
        }
    }
}

/// Returns the entries as JSON has them.
fn entries(session: &Session) -> BTreeMap<String, BTreeMap<String, String>> {
    let entry = |(name, value): (&String, &cloakroom::grpc::wire::Value)| {
        let (kind, text) = match value.kind.as_ref().unwrap() {
            value::Kind::Json(text) => ("json", text.clone()),
            value::Kind::Raw(bytes) => ("raw", STANDARD.encode(bytes)),
        };
        (name.clone(), BTreeMap::from([(kind.to_owned(), text)]))
    };
    session.entries.iter().map(entry).collect()
}

/// Returns when a session expires: its deadline, or later than before by the time that has passed since its last use.
fn expected_expiry(old: &OldSession, session: &Session) -> u64 {
    let [access, expiry] = [&old.access_time, &old.expire_time].map(|text| millis(&Some(time(text))));
    let idle_timeout: u64 = old.idle_timeout.trim_end_matches('s').parse().unwrap();
    if expiry == access + idle_timeout * 1000 { millis(&session.access_time) + idle_timeout * 1000 } else { expiry }
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_session_of_an_older_version_goes_on() {
    for Upgraded { name, stored, service, .. } in &Upgraded::every().await {
        // A save that was done, and whose answer was lost by the upgrade.
        let repeated = save(&stored.repeated.token, Changes::default().increment("visits", 1));
        let repeated = service.save(repeated.request_id(&stored.repeated.request_id)).await;
        assert_eq!((repeated.outcome(), repeated.counters["visits"]), (Outcome::Updated, 1), "{name}");

        for (session_name, Live { token, session }) in &stored.sessions {
            let saved = service.save(save(token, Changes::default().increment("visits", 1))).await;

            let visits = session.entries.get("visits").map_or(0, |visits| visits["json"].parse().unwrap());
            assert_eq!(saved.outcome(), Outcome::Updated, "{name}, {session_name}");
            assert_eq!(saved.counters["visits"], visits + 1, "{name}, {session_name}");
        }
        let created = service.save(save(&stored.ticket, Changes::default().set("a", "1"))).await;
        assert_eq!(created.outcome(), Outcome::Created, "{name}");

        let by_renewed = service.session(&stored.renewed).await;
        assert_eq!(by_renewed.id, stored.sessions["renewed"].session.id, "{name}: the grace has not passed");
    }
}

#[tokio::test]
async fn what_had_ended_before_an_upgrade_stays_ended() {
    for Upgraded { name, stored, service, .. } in &Upgraded::every().await {
        for (how, token) in &stored.ended {
            let saved = service.save(save(token, Changes::default().set("a", "1"))).await;

            let reason = if how == "DESTROYED" { EndReason::Destroyed } else { EndReason::Revoked };
            assert_eq!((saved.outcome(), saved.end_reason()), (Outcome::Gone, reason), "{name}, {how}");
            assert!(!service.is_live(token).await, "{name}, {how}");
        }
        let credential = Some(open_session_request::Credential::Token(stored.revoked_with_its_app.clone()));
        let request = OpenSessionRequest { app: "other".into(), credential, ..Default::default() };
        assert!(service.open(request).await.session.unwrap().new, "{name}");

        let superseded = service.session(&stored.superseded).await;
        assert!(superseded.new && superseded.entries.is_empty() && superseded.subject.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn lists_and_revocations_find_sessions_of_an_older_version() {
    for upgraded in &Upgraded::every().await {
        let Upgraded { name, stored, service, .. } = upgraded;
        let ids_of = |subject: Option<&str>| {
            let sessions = stored.sessions.values().map(|live| &live.session);
            let of_subject = sessions.filter(|session| subject.is_none_or(|subject| session.subject == subject));
            sorted(of_subject.map(|session| session.id.clone()).collect())
        };
        for subject in ["ann", "bob", "cid", "eve"] {
            assert_eq!(sorted(service.ids_of(subject).await), ids_of(Some(subject)), "{name}, {subject}");
        }
        let all = service.pages("default", 3).await.into_iter().flatten().map(|session| session.id);
        assert_eq!(sorted(all.collect()), ids_of(None), "{name}");

        assert_eq!(service.revoke(&stored.sessions["renewed"].session.id).await.outcome(), Outcome::Deleted, "{name}");
        assert!(!service.is_live(upgraded.token("renewed")).await, "{name}");
        assert_eq!(service.revoke_subject("ann", "").await, 3, "{name}");
        assert!(!service.is_live(upgraded.token("logged_in")).await, "{name}");
        assert!(service.is_live(upgraded.token("own_deadline")).await, "{name}");
        service.revoke_app("default").await;
        assert!(!service.is_live(upgraded.token("own_deadline")).await, "{name}");
    }
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

#[tokio::test]
async fn events_follow_the_cursor_of_an_older_version() {
    for Upgraded { name, stored, service, .. } in &Upgraded::every().await {
        let request = WatchEventsRequest { cursor: stored.cursor.clone(), ..Default::default() };
        let mut answers = service.admin.clone().watch_events(request).await.unwrap().into_inner();

        let mut missing: Vec<_> = stored.sessions.values().map(|live| &live.session.id).collect();
        while !missing.is_empty() {
            let next = tokio::time::timeout(Duration::from_secs(60), answers.message()).await;
            let events = next.unwrap_or_else(|_| panic!("{name}: no event of {missing:?}")).unwrap().unwrap().events;
            let created = |id: &String| {
                let mut of_session = events.iter().filter(|event| event.id == *id);
                of_session.any(|event| event.kind() == SessionEventKind::Created)
            };
            missing.retain(|id| !created(id));
        }
    }
}
