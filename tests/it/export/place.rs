//! A store that the program exports from and imports into, and what a test puts there.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use cloakroom::session::{EndReason, ImportedFrom, Record, Subject};
use cloakroom::store::{
    Applied, Created, Cursor, EmbeddedSettings, Handle, IndexEntry, RedisMode, RedisSettings, Revocation, SessionKey,
    Settings, Snapshot, StoreKind, SubjectRef, Write,
};
use cloakroom::token::SessionId;
use cloakroom::types::Time;
use tempfile::TempDir;

use crate::cli::program::Ended;
use crate::conformance::fixtures::{
    HOUR, MINUTE, START, app, by_admin, full_record, key_in, record, session_key, subject,
};
use crate::support::{cluster, redis};

/// Where the store of a test is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Embedded,
    Redis,
    RedisCluster,
}

/// A store of a kind, with a folder that the program runs in.
pub(super) struct Place {
    pub(super) folder: TempDir,
    settings: Settings,
}

impl Place {
    pub(super) fn new(kind: Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let embedded = EmbeddedSettings { path: folder.path().join("data"), ..EmbeddedSettings::default() };
        let (kind, redis) = match kind {
            Kind::Embedded => (StoreKind::Embedded, RedisSettings::default()),
            Kind::Redis => (StoreKind::Redis, redis::settings()),
            Kind::RedisCluster => (StoreKind::Redis, cluster::settings()),
        };
        Self { folder, settings: Settings { kind, embedded, redis, ..Settings::default() } }
    }

    /// Opens the store. No other process can open the embedded one until the handle is dropped.
    pub(super) fn open(&self) -> Handle {
        Handle::open(&self.settings).unwrap()
    }

    /// Runs the program with the configuration of this store.
    pub(super) fn run(&self, arguments: &[&str]) -> Ended {
        ended(self.command(arguments).stdin(Stdio::null()).output().unwrap())
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloakroom"));
        command.args(arguments).env_clear().current_dir(self.folder.path());
        command.env("CLOAKROOM__STORE__KIND", self.settings.kind.as_str());
        if self.settings.kind == StoreKind::Redis {
            command.env("CLOAKROOM__STORE__REDIS__MODE", mode(self.settings.redis.mode));
            command.env("CLOAKROOM__STORE__REDIS__URL", &self.settings.redis.url);
            command.env("CLOAKROOM__STORE__REDIS__KEY_PREFIX", &self.settings.redis.key_prefix);
            command.env("CLOAKROOM__STORE__REDIS__TIMEOUT", "60s");
        }
        command
    }

    /// Runs the program on another thread, while this one may have a service to run.
    pub(super) async fn run_beside(&self, arguments: &[&str]) -> Ended {
        let mut command = self.command(arguments);
        let output = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output().unwrap()).await.unwrap();
        ended(output)
    }

    /// The settings of the store, for a test that writes there by itself.
    pub(super) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Exports into a file in a folder that both stores can reach.
    pub(super) fn export(&self, file: &Path) {
        let ended = self.run(&["export", file.to_str().unwrap()]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }

    /// Imports, and returns what the program says.
    pub(super) fn import(&self, file: &Path) -> String {
        let ended = self.run(&["import", file.to_str().unwrap()]);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
        ended.stdout
    }
}

fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

const fn mode(mode: RedisMode) -> &'static str {
    match mode {
        RedisMode::Standalone => "standalone",
        RedisMode::Sentinel => "sentinel",
        RedisMode::Cluster => "cluster",
    }
}

pub(super) const LIVE: u32 = 1;
pub(super) const LEGACY: u32 = 2;
pub(super) const DESTROYED: u32 = 3;
pub(super) const REVOKED_WITH_ITS_APP: u32 = 4;
/// Sessions of the app `other`, which was not revoked: more than two pages.
pub(super) const OTHERS: std::ops::Range<u32> = 100..350;

/// When the app `default` was revoked.
pub(super) const REVOKED: Time = START;

/// Fills a store with sessions of each kind, and with revocations.
pub(super) async fn fill(store: &Handle) {
    create(store, &session_key(REVOKED_WITH_ITS_APP), &record()).await;
    store.revoke_app(&app("default"), REVOKED).await.unwrap();
    create(store, &session_key(LIVE), &full_record()).await;
    create(store, &session_key(LEGACY), &legacy(Some(START + MINUTE))).await;
    create(store, &session_key(DESTROYED), &record()).await;
    end(store, &session_key(DESTROYED)).await;
    store.record_revocation(&anna(), &revocation()).await.unwrap();
    for number in OTHERS {
        create(store, &key_in("other", number), &full_record()).await;
    }
}

/// A session that was imported with a legacy credential.
pub(super) fn legacy(issued: Option<Time>) -> Record {
    let mut record = record();
    record.head.imported_from = Some(ImportedFrom { issued, until: START + 99 * HOUR });
    record
}

pub(super) fn revocation() -> Revocation {
    Revocation { time: START + MINUTE, until: START + 100 * HOUR, except: Some(session_key(LIVE).id) }
}

pub(super) fn anna() -> SubjectRef {
    SubjectRef { app: app("default"), subject: subject("anna") }
}

/// Creates a session as the service does: after its entry in the index.
pub(super) async fn create(store: &Handle, session_key: &SessionKey, record: &Record) {
    if let Some(subject) = record.head.subject.clone() {
        let entry = IndexEntry { id: session_key.id, add_time: START, until: START + 24 * HOUR };
        store.add_to_index(&subject_ref(session_key, subject), &entry).await.unwrap();
    }
    let created = store.create(session_key, record).await.unwrap();
    assert_eq!(created, Created::Stored);
}

pub(super) async fn end(store: &Handle, session_key: &SessionKey) {
    let write = Write::End(EndReason::Destroyed);
    let applied = store.apply(session_key, &by_admin(START + MINUTE), &write).await.unwrap();
    assert!(matches!(applied, Applied::Done(_)), "{applied:?}");
}

pub(super) async fn load(store: &Handle, session_key: &SessionKey) -> Option<Snapshot> {
    store.load(session_key).await.unwrap()
}

/// Why a session has ended; `None` if it lives.
pub(super) async fn end_reason(store: &Handle, session_key: &SessionKey) -> Option<EndReason> {
    load(store, session_key).await.unwrap().record.head.end.map(|end| end.reason)
}

/// The ids in the index of a subject.
pub(super) async fn index(store: &Handle, subject_ref: &SubjectRef) -> Vec<SessionId> {
    let page = store.list_index(subject_ref, &Cursor::default()).await.unwrap();
    let mut ids: Vec<SessionId> = page.entries.iter().map(|entry| entry.id).collect();
    ids.sort_unstable();
    ids
}

pub(super) fn subject_ref(session_key: &SessionKey, subject: Subject) -> SubjectRef {
    SubjectRef { app: session_key.app.clone(), subject }
}

/// A configuration with the app `other`, beside `default`.
pub(super) fn with_other_app(place: &Place) -> &Place {
    std::fs::write(place.folder.path().join("cloakroom.toml"), "[apps.other]\nkind = \"external\"\n").unwrap();
    place
}
