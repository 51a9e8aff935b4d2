//! What the real Flask and the real Flask-Session made comes in as they would have read it themselves.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use cloakroom::app::{FlaskCookieSettings, FlaskSessionSettings};
use cloakroom::flask::Digest;
use serde_json::{Value, json};

use super::*;
use crate::support::redis::RedisServer;

/// Asks the application that was there before.
pub(super) fn before(asked: &Value) -> Vec<String> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut python = Command::new(home.join(".tools/python/bin/python"));
    python.arg("-W").arg("ignore").arg(home.join("tests/it/moving/before.py"));
    let mut python = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("`make tools` installs Flask");
    python.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// An app with a door for the sessions that Flask-Session keeps there.
pub(super) fn records(server: &RedisServer, signer_keys: &[&str]) -> app::Settings {
    let signer_keys = signer_keys.iter().map(|key| (*key).to_owned().into()).collect();
    let url = Some(server.url().into());
    let flask_session = FlaskSessionSettings { url, signer_keys, ..Default::default() };
    let until = Some(crate::support::now() + OPEN);
    let migrate = MigrationSettings { until, flask_session, ..Default::default() };
    app::Settings { subject_key: "_user_id".to_owned(), migrate, ..app_settings() }
}

/// Opens the one session with every kind of object in it, and has Python compare.
async fn is_read_as_it_was(service: &TestService, kind: &str, old: &str) {
    service.clock.set(crate::support::now());
    let (_, session) = service.opens(old).await;
    assert_eq!((session.subject.as_str(), session.permanent), ("anna", Some(true)), "{kind}");
    let held = json_entries(session);
    assert_eq!(before(&json!({"kind": kind, "check": held})), [""; 0], "{kind}");
}

#[tokio::test]
async fn flask_s_cookies_come_in_with_every_type() {
    let keys = vec!["new".to_owned().into(), KEY.to_owned().into()];
    let sha256 =
        FlaskCookieSettings { keys, salt: "another salt".to_owned(), digest: Digest::Sha256, ..Default::default() };

    let [old] = &before(&json!({"kind": "cookie", "objects": true, "permanent": true}))[..] else { panic!("one") };
    let service = service(On::Redis).await;
    is_read_as_it_was(&service, "cookie", old).await;
    let asked = json!({"kind": "cookie", "objects": true, "permanent": true, "sha256": true});
    let [old] = &before(&asked)[..] else { panic!("one") };
    let careful = TestService::with_apps(On::Memory, [("default", accepting(sha256))]).await;
    is_read_as_it_was(&careful, "cookie", old).await;
}

#[tokio::test]
async fn flask_session_s_records_come_in_with_every_type() {
    let server = RedisServer::start();
    for kind in ["msgpack", "json"] {
        for signer in [false, true] {
            let keys: &[&str] = if signer { &["of yesterday", KEY] } else { &[] };
            let asked = json!({"kind": kind, "objects": true, "signer": signer, "socket": server.socket()});

            let [old] = &before(&asked)[..] else { panic!("one") };

            let service = TestService::with_apps(On::Memory, [("default", records(&server, keys))]).await;
            is_read_as_it_was(&service, kind, old).await;
            assert_eq!(old.contains('.'), signer);
        }
    }
}
