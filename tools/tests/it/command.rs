//! `cloakroom-load-data`, run as a person runs it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use cloakroom::store::{Embedded, EmbeddedSettings, Handle};
use cloakroom::token::Key;
use cloakroom::{app, store};
use tempfile::TempDir;

use super::fill::{assert_requests_find_sessions, default_app};
use super::redis::RedisServer;

/// Runs the program in a folder, with an empty environment apart from `variables`.
fn run(folder: &TempDir, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloakroom-load-data"));
    command.args(arguments).env_clear().envs(variables.iter().copied()).current_dir(folder.path()).output().unwrap()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

fn open_data(folder: &Path) -> Result<Embedded, store::FileOpenError> {
    Embedded::open(&EmbeddedSettings { path: folder.join("data"), ..Default::default() })
}

#[tokio::test]
async fn the_command_fills_the_store_that_a_service_then_opens() {
    let folder = folder();

    let output = run(&folder, &["--count", "30", "--requests", "50", "--out", "load"], &[]);

    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report = "30 sessions in the store, 50 requests each in load/open.json and load/save.json\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), report);
    let progress = stderr(&output);
    assert!(progress.contains("15 of 30 sessions\n") && progress.ends_with("30 of 30 sessions\n"), "{progress}");
    let keys = std::fs::read_to_string(folder.path().join("data/default.key")).unwrap();
    let key = keys.lines().rfind(|line| !line.starts_with('#')).unwrap().to_owned();
    let settings = app::Settings { keys: vec![key.into()], ..Default::default() };
    let store = Handle::from(open_data(folder.path()).unwrap());
    let requests = assert_requests_find_sessions(store, default_app(&settings), &folder.path().join("load")).await;
    assert_eq!(requests, 50);
}

#[test]
fn files_with_tokens_are_closed_to_others_and_hold_no_template() {
    let folder = folder();

    let output = run(&folder, &["--count", "5", "--requests", "5"], &[]);

    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for file in ["open.json", "save.json"].map(|name| folder.path().join(name)) {
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        // A load generator would read {{ as the beginning of a template.
        assert!(!std::fs::read_to_string(file).unwrap().contains("{{"));
    }
}

#[test]
fn the_command_fills_redis() {
    let redis = RedisServer::start();
    let (url, key) = (redis.url(), "k".repeat(43));
    let variables = [
        ("CLOAKROOM__STORE__KIND", "redis"),
        ("CLOAKROOM__STORE__REDIS__URL", &url),
        ("CLOAKROOM__APPS__DEFAULT__KEYS", &key),
    ];

    let output = run(&folder(), &["--count", "30", "--requests", "5"], &variables);

    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(redis.cli(&["dbsize"]).trim().parse::<u32>().unwrap() >= 30);
}

#[test]
fn a_store_that_a_running_service_has_open_is_not_filled() {
    let folder = folder();
    let _open = open_data(folder.path()).unwrap();
    let data = folder.path().join("data");
    std::fs::write(data.join("default.key"), Key::generate().as_bytes()).unwrap();
    std::fs::set_permissions(data.join("default.key"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();

    let output = run(&folder, &["--count", "5"], &[]);

    let expected = "cloakroom-load-data: store.embedded: data/sessions-0.log: another process has it open; \
                    give each service a folder of its own\n";
    assert_eq!((output.status.code(), stderr(&output)), (Some(1), expected));
}

#[test]
fn a_store_in_memory_is_not_filled() {
    let output = run(&folder(), &["--count", "5"], &[("CLOAKROOM__STORE__KIND", "memory")]);

    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("store.kind is memory, which ends with this command"), "{output:?}");
}

#[test]
fn an_app_without_a_key_is_refused_with_what_to_do() {
    let folder = folder();
    std::fs::write(folder.path().join("cloakroom.toml"), "[apps.shop]\n").unwrap();

    let output = run(&folder, &["--count", "5", "--app", "shop"], &[]);

    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("key"), "{output:?}");
}

#[test]
fn numbers_that_make_no_sense_are_usage_errors() {
    for arguments in [["--count", "0"], ["--entries", "0"], ["--exponent", "-1"], ["--age", "1y"], ["--size", "x"]] {
        let output = run(&folder(), &arguments, &[]);

        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
    }
}
