//! Sessions of the real Flask and the real Flask-Session have the values that these would have read.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use cloakroom::app::{FlaskCookieSettings, FlaskSessionSettings};
use cloakroom::flask::Digest;
use serde_json::{Value, json};

use super::*;
use crate::support::redis::RedisServer;

/// Runs the legacy application and returns its answer.
pub(super) fn run_legacy_app(request: &Value) -> Vec<String> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut python = Command::new(home.join(".tools/python/bin/python"));
    python.arg("-W").arg("ignore").arg(home.join("tests/it/migration/legacy_app.py"));
    let mut python = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("`make tools` installs Flask");
    python.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// An app that imports the sessions of Flask-Session from this Redis.
pub(super) fn records_settings(server: &RedisServer, signer_keys: &[&str]) -> app::Settings {
    let signer_keys = signer_keys.iter().map(|key| (*key).to_owned().into()).collect();
    let url = Some(server.url().into());
    let flask_session = FlaskSessionSettings { url, signer_keys, ..Default::default() };
    let until = Some(crate::support::now() + MIGRATION_PERIOD);
    let migrate = MigrationSettings { until, flask_session, ..Default::default() };
    app::Settings { subject_key: "_user_id".to_owned(), migrate, ..app_settings() }
}

/// Opens a session with every type of value in it, and has Python compare the entries.
async fn assert_same_values(service: &TestService, kind: &str, old: &str) {
    service.clock.set(crate::support::now());
    let (_, session) = service.open_value(old).await;
    assert_eq!((session.subject.as_str(), session.permanent), ("anna", Some(true)), "{kind}");
    let entries = json_entries(session);
    assert_eq!(run_legacy_app(&json!({"kind": kind, "check": entries})), [""; 0], "{kind}");
}

#[tokio::test]
async fn flask_cookies_are_imported_with_every_type() {
    let keys = vec!["new".to_owned().into(), KEY.to_owned().into()];
    let sha256 =
        FlaskCookieSettings { keys, salt: "another salt".to_owned(), digest: Digest::Sha256, ..Default::default() };

    let [old] = &run_legacy_app(&json!({"kind": "cookie", "objects": true, "permanent": true}))[..] else {
        panic!("one")
    };
    let service = service(StoreKind::Redis).await;
    assert_same_values(&service, "cookie", old).await;
    let request = json!({"kind": "cookie", "objects": true, "permanent": true, "sha256": true});
    let [old] = &run_legacy_app(&request)[..] else { panic!("one") };
    let careful = TestService::with_apps(StoreKind::Memory, [("default", settings_with(sha256))]).await;
    assert_same_values(&careful, "cookie", old).await;
}

#[tokio::test]
async fn flask_session_records_are_imported_with_every_type() {
    let server = RedisServer::start();
    for kind in ["msgpack", "json"] {
        for signer in [false, true] {
            let keys: &[&str] = if signer { &["of yesterday", KEY] } else { &[] };
            let request = json!({"kind": kind, "objects": true, "signer": signer, "socket": server.socket()});

            let [old] = &run_legacy_app(&request)[..] else { panic!("one") };

            let service =
                TestService::with_apps(StoreKind::Memory, [("default", records_settings(&server, keys))]).await;
            assert_same_values(&service, kind, old).await;
            assert_eq!(old.contains('.'), signer);
        }
    }
}
