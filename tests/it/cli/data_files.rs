//! The embedded store's files: what is wrong with them is told apart at the start, and nothing begins anew in silence.

use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use cloakroom::config::default_key;
use cloakroom::session::{Entries, Record, Value};
use cloakroom::store::{Embedded, EmbeddedSettings, Store as _};

use super::program::{Ended, Program};
use super::serve::start;
use crate::conformance::fixtures::{START, record, session_key};

/// A folder with a data file of many sessions, a log and a key, as a service that was stopped leaves it.
fn program_with_data(sessions: u32) -> (Program, PathBuf) {
    let program = Program::new(&["serve"]).env("CLOAKROOM__SERVER__LISTEN", "127.0.0.1:0");
    let folder = program.path("data");
    default_key::prepare(&folder, &data_file(&folder)).unwrap();
    let settings = EmbeddedSettings { path: folder.clone(), ..EmbeddedSettings::default() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Embedded::open(&settings).unwrap();
        let records = (0..sessions).map(|n| (session_key(n), record()));
        let records: Vec<(_, Record)> = records.collect();
        let creations = records.iter().map(|(session_key, record)| store.create(session_key, record));
        futures_util::future::join_all(creations).await.into_iter().for_each(|created| _ = created.unwrap());
        store.revoke_app(&session_key(1).app, START).await.unwrap();
    });
    default_key::open(&folder).unwrap();
    (program, folder)
}

/// The same, with so many frames in the log, each with a session of this size, as a kill leaves it.
fn program_that_was_killed(frames: u32, bytes: usize) -> (Program, PathBuf) {
    let (program, folder) = program_with_data(1);
    let running = folder.with_file_name("running");
    fs::create_dir(&running).unwrap();
    let settings = EmbeddedSettings { path: folder.clone(), ..EmbeddedSettings::default() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = Embedded::open(&settings).unwrap();
    let entries = Entries::pack([("data", Value::raw(&vec![7; bytes]).stored())]);
    let record = Record { entries, ..record() };
    for n in 0..frames {
        runtime.block_on(store.create(&session_key(10 + n), &record)).unwrap();
    }
    let names = ["sessions.redb", "sessions-0.log", "sessions-1.log"];
    for name in names {
        fs::copy(folder.join(name), running.join(name)).unwrap();
    }
    drop(store);
    for name in names {
        fs::rename(running.join(name), folder.join(name)).unwrap();
    }
    (program, folder)
}

/// Returns what the program logs at its start, and kills it.
fn logged_at_start(mut program: Program) -> Vec<serde_json::Value> {
    let (mut child, lines) = start(&mut program);
    child.kill().unwrap();
    child.wait().unwrap();
    lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Returns the lines with this message.
fn with_message<'l>(lines: &'l [serde_json::Value], message: &str) -> Vec<&'l serde_json::Value> {
    lines.iter().filter(|line| line["message"].as_str().is_some_and(|found| found.contains(message))).collect()
}

/// The program must end with an error that says this, and without a panic.
#[track_caller]
fn refuses(program: Program, words: &[&str]) {
    let Ended { code, stderr, .. } = program.run();

    assert_eq!(code, Some(1), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{word:?} is missing in: {stderr}");
    }
}

fn data_file(folder: &Path) -> PathBuf {
    folder.join("sessions.redb")
}

fn zero(path: &Path, offset: u64, bytes: usize) {
    fs::File::options().write(true).open(path).unwrap().write_all_at(&vec![0; bytes], offset).unwrap();
}

#[test]
fn a_data_file_with_zeros_in_its_middle_is_damaged() {
    let (program, folder) = program_with_data(4000);
    let path = data_file(&folder);
    zero(&path, 32 * 1024, 32 * 1024);

    refuses(program, &["sessions.redb", "it is damaged", "restore it from a backup"]);
}

#[test]
fn a_data_file_that_was_cut_is_damaged() {
    let (program, folder) = program_with_data(4000);
    let path = data_file(&folder);
    fs::File::options().write(true).open(&path).unwrap().set_len(100_000).unwrap();

    refuses(program, &["sessions.redb", "it is damaged", "restore it from a backup"]);
}

#[test]
fn an_empty_data_file_is_no_empty_store() {
    let (program, folder) = program_with_data(1);
    fs::write(data_file(&folder), "").unwrap();

    refuses(program, &["sessions.redb", "it is empty", "move all files of its folder away"]);
}

#[test]
fn a_data_file_that_is_missing_beside_a_key_is_no_empty_store() {
    let (program, folder) = program_with_data(1);
    for name in ["sessions.redb", "sessions-0.log", "sessions-1.log"] {
        fs::remove_file(folder.join(name)).unwrap();
    }

    let exported = Command::new(env!("CARGO_BIN_EXE_cloakroom"))
        .args(["export", "export.age"])
        .env_clear()
        .current_dir(folder.parent().unwrap())
        .output()
        .unwrap();
    let stderr = String::from_utf8(exported.stderr).unwrap();
    assert!(exported.status.code() == Some(1) && stderr.contains("sessions.redb: it is not there"), "{stderr}");

    refuses(program, &["sessions.redb", "it is not there", "default.key", "move all files of the folder away"]);
}

#[test]
fn a_key_that_is_missing_beside_a_data_file_is_not_made_anew() {
    let (program, folder) = program_with_data(1);
    let key = folder.join("default.key");
    fs::remove_file(&key).unwrap();

    refuses(program, &["default.key", "it is not there", "sessions.redb", "cloakroom keygen >"]);
    assert!(!key.exists());
}

#[test]
fn a_data_file_that_is_missing_beside_a_log_is_no_empty_store() {
    let (program, folder) = program_with_data(1);
    fs::remove_file(data_file(&folder)).unwrap();
    fs::remove_file(folder.join("default.key")).unwrap();

    refuses(program, &["sessions.redb", "it is not there", "sessions-0.log", "move all files of its folder away"]);
}

#[test]
fn a_file_of_another_program_and_a_folder_in_its_place_are_foreign() {
    let (program, folder) = program_with_data(1);
    fs::write(data_file(&folder), "somebody's diary\n".repeat(1000)).unwrap();
    refuses(program, &["sessions.redb", "it is not a data file of this service", "store.embedded.path"]);

    let (program, folder) = program_with_data(1);
    fs::remove_file(data_file(&folder)).unwrap();
    fs::create_dir(data_file(&folder)).unwrap();
    refuses(program, &["sessions.redb", "it is not a data file of this service", "store.embedded.path"]);
}

#[test]
fn a_data_file_that_everybody_may_read_or_change_is_refused() {
    for mode in [0o666, 0o604] {
        let (program, folder) = program_with_data(1);
        fs::set_permissions(data_file(&folder), fs::Permissions::from_mode(mode)).unwrap();

        refuses(program, &["sessions.redb", &format!("mode {mode:o}"), "chmod 600"]);
    }
}

#[test]
fn a_log_that_was_lost_or_damaged_after_a_kill_is_told() {
    let (program, folder) = program_that_was_killed(3, 10);
    fs::remove_file(folder.join("sessions-0.log")).unwrap();
    refuses(program, &["sessions-0.log", "it is not there", "has writes that the data file does not have"]);

    let (program, folder) = program_that_was_killed(3, 10);
    zero(&folder.join("sessions-0.log"), 40, 8);
    refuses(program, &["sessions-0.log", "it is damaged", "empty the two logs"]);
}

#[test]
fn a_start_after_a_kill_logs_which_frames_it_replays_and_one_after_an_orderly_stop_none() {
    let (program, _) = program_that_was_killed(3, 10);
    let lines = logged_at_start(program);
    let (replays, cuts) = (with_message(&lines, REPLAYED), with_message(&lines, CUT));
    let [replay] = replays[..] else { panic!("{lines:?}") };
    let [first, last] = ["first", "last"].map(|name| replay[name].as_u64().unwrap());
    assert_eq!((&replay["level"], &replay["frames"], last - first), (&"INFO".into(), &3.into(), 2), "{replay}");
    assert_eq!(cuts.len(), 0, "{lines:?}");

    let (program, _) = program_with_data(3);
    let lines = logged_at_start(program);
    assert_eq!(with_message(&lines, REPLAYED).len() + with_message(&lines, CUT).len(), 0, "{lines:?}");
}

#[test]
fn a_log_that_was_cut_after_a_kill_is_warned_of_and_the_service_starts() {
    // The file is longer than its reserve from a megabyte on.
    for (bytes, length) in [(100, 0), (100, 3000), (60_000, 400_000), (60_000, 1_000_000)] {
        let (program, folder) = program_that_was_killed(24, bytes);
        let path = folder.join("sessions-0.log");
        fs::File::options().write(true).open(&path).unwrap().set_len(length).unwrap();

        let lines = logged_at_start(program);

        let cuts = with_message(&lines, CUT);
        let [cut] = cuts[..] else { panic!("{length}: {lines:?}") };
        assert_eq!((&cut["level"], &cut["offset"]), (&"WARN".into(), &length.into()), "{cut}");
        assert!(cut["path"].as_str().unwrap().ends_with("sessions-0.log"), "{cut}");
        let replays = with_message(&lines, REPLAYED);
        let frames = replays.iter().map(|line| line["frames"].as_u64().unwrap()).sum::<u64>();
        assert!(frames < 24 && (frames > 0) == (length > 0), "{length}: {replays:?}");
    }
}

#[test]
fn a_folder_that_everybody_may_write_to_is_warned_of_at_the_start() {
    for (mode, is_open) in [(0o777, true), (0o1777, false), (0o770, false)] {
        let (program, folder) = program_with_data(1);
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();

        let lines = logged_at_start(program);

        let warnings = with_message(&lines, "everybody on this machine may replace the store's files");
        assert_eq!(warnings.len(), usize::from(is_open), "mode {mode:o}: {lines:?}");
        for line in warnings {
            let logged = [&line["level"], &line["mode"], &line["path"]];
            assert_eq!(logged, [&"WARN".into(), &"777".into(), &serde_json::Value::from("data")], "{line}");
        }
    }
}

#[test]
fn what_ended_sessions_leave_in_the_data_file_is_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let settings = EmbeddedSettings { path: folder.path().to_owned(), ..EmbeddedSettings::default() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut lengths = Vec::new();
    for round in 0..5 {
        let store = Embedded::open(&settings).unwrap();
        runtime.block_on(async {
            let creations = (0..5000).map(|n| (session_key(round * 5000 + n), record())).collect::<Vec<(_, Record)>>();
            let creations = creations.iter().map(|(session_key, record)| store.create(session_key, record));
            futures_util::future::join_all(creations).await.into_iter().for_each(|created| _ = created.unwrap());
        });
        // Everything is in the data file then.
        drop(store);
        let store = Embedded::open(&settings).unwrap();
        while runtime.block_on(store.sweep(cloakroom::types::Time::MAX)).unwrap() > 0 {}
        drop(store);
        lengths.push(fs::metadata(data_file(folder.path())).unwrap().len());
    }

    // The events of the sessions are kept for a while.
    assert!(lengths[4] <= 2 * lengths[1], "{lengths:?}");
}

#[test]
fn compacting_gives_the_room_of_ended_sessions_back() {
    let (program, folder) = program_with_data(20_000);
    let settings = EmbeddedSettings { path: folder.clone(), ..EmbeddedSettings::default() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = Embedded::open(&settings).unwrap();
    while runtime.block_on(store.sweep(cloakroom::types::Time::MAX)).unwrap() > 0 {}
    drop(store);
    let before = fs::metadata(data_file(&folder)).unwrap().len();

    let mut compact = Command::new(env!("CARGO_BIN_EXE_cloakroom"));
    let ended = compact.args(["store", "compact"]).env_clear().current_dir(program.folder()).output().unwrap();

    let after = fs::metadata(data_file(&folder)).unwrap().len();
    let text = format!("data/sessions.redb: {before} bytes before, {after} bytes now\n");
    assert_eq!((ended.status.code(), String::from_utf8(ended.stdout).unwrap()), (Some(0), text));
    assert!(after * 4 < before, "{before} bytes before, {after} bytes after");
}

#[test]
fn compacting_is_refused_while_a_process_has_the_file_open_and_for_other_stores() {
    let (program, folder) = program_with_data(1);
    let settings = EmbeddedSettings { path: folder, ..EmbeddedSettings::default() };
    let _store = Embedded::open(&settings).unwrap();
    let compact = |kind: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloakroom"));
        let command = command.args(["store", "compact"]).env_clear().env("CLOAKROOM__STORE__KIND", kind);
        let ended = command.current_dir(program.folder()).output().unwrap();
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    };

    let (in_use, memory) = (compact("embedded"), compact("memory"));

    assert!(in_use.0 == Some(1) && in_use.1.contains("another process has it open"), "{in_use:?}");
    assert!(memory.0 == Some(1) && memory.1.contains("only the embedded store has a file"), "{memory:?}");
}

const REPLAYED: &str = "the store has read writes from its log";
const CUT: &str = "the log is cut off";
