//! The first start, which makes the data file and the key beside it: it may be interrupted at any point.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use cloakroom::config::default_key;
use cloakroom::store::{Embedded, EmbeddedSettings};
use cloakroom::token::Key;

use super::program::Program;
use super::serve::{send, start};

/// Starts the program and stops it. Returns the lines of its start.
fn start_and_stop(program: &mut Program) -> String {
    let (mut child, lines) = start(program);
    send(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0), "{lines}");
    lines
}

/// The names of the files in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

const FILES: [&str; 4] = ["default.key", "sessions-0.log", "sessions-1.log", "sessions.redb"];

#[test]
fn one_that_was_killed_while_it_made_the_data_file_is_repeated() {
    let mut program = Program::new(&["serve"]);
    let folder = program.path("data");
    // The key is shorter than the longest file that it may write, and the data file is longer.
    let mut killed = Command::new("sh");
    killed.args(["-c", "ulimit -c 0; ulimit -f 8; exec \"$0\" serve", env!("CARGO_BIN_EXE_cloakroom")]);
    killed.env_clear().env("CLOAKROOM__SERVER__LISTEN", "127.0.0.1:0").env("CLOAKROOM__ADMIN__LISTEN", "");
    killed.current_dir(program.folder()).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(killed.status().unwrap().signal().is_some());
    let left = names(&folder);
    assert!(left.iter().any(|name| name.starts_with(".sessions.redb.")), "{left:?}");

    let lines = start_and_stop(&mut program);

    assert!(lines.contains("data/default.key (new"), "{lines}");
    assert_eq!(names(&folder), FILES, "nothing else is left");
}

#[test]
fn one_that_was_ended_before_the_key_had_its_name_is_finished_with_that_key() {
    let mut program = Program::new(&["serve"]);
    let folder = program.path("data");
    start_and_stop(&mut program);
    let key = fs::read(folder.join("default.key")).unwrap();
    fs::rename(folder.join("default.key"), folder.join("default.key.new")).unwrap();

    let lines = start_and_stop(&mut program);

    assert!(lines.contains("data/default.key (new"), "{lines}");
    assert_eq!(fs::read(folder.join("default.key")).unwrap(), key);
    assert_eq!(names(&folder), FILES);
}

#[test]
fn a_new_key_that_is_left_beside_the_key_is_removed_and_never_used() {
    let mut program = Program::new(&["serve"]);
    let folder = program.path("data");
    start_and_stop(&mut program);
    let key = fs::read(folder.join("default.key")).unwrap();
    fs::write(folder.join("default.key.new"), Key::generate().as_bytes()).unwrap();

    start_and_stop(&mut program);

    assert_eq!(fs::read(folder.join("default.key")).unwrap(), key);
    assert_eq!(names(&folder), FILES);
}

/// A configuration whose sessions move from or to the folder `data`, with a key there.
fn moving(arguments: &[&str], table: &str) -> Program {
    let program = Program::new(arguments);
    let data = program.path("data");
    default_key::prepare(&data, &data.join("sessions.redb")).unwrap();
    default_key::open(&data).unwrap();
    let config = format!("[store.embedded]\npath = \"new\"\n[store.{table}.embedded]\npath = \"data\"\n");
    program.file("cloakroom.toml", &config)
}

#[test]
fn one_that_would_leave_the_key_in_the_other_store_is_refused() {
    // A start that is not refused does not end, so it comes last.
    let commands: [&[&str]; 3] = [&["check"], &["doctor"], &["serve"]];
    for (arguments, table) in commands.into_iter().flat_map(|command| [(command, "previous"), (command, "next")]) {
        let program = moving(arguments, table).env("CLOAKROOM__SERVER__LISTEN", "127.0.0.1:0");
        let new = program.path("new");

        let ended = program.run();

        let said = (ended.stdout + &ended.stderr).replace('\n', "");
        assert!(ended.code == Some(1) && !new.exists(), "{arguments:?} {table}: {said}");
        assert!(said.contains("data/default.key: this key of the app `default` has signed"), "{arguments:?}: {said}");
        assert!(said.contains("cp data/default.key new/moved.key"), "{arguments:?}: {said}");
    }
}

#[test]
fn one_with_a_copy_of_the_key_of_the_other_store_begins_a_move() {
    let mut program = moving(&["serve"], "previous").env("CLOAKROOM__APPS__DEFAULT__KEYS_FILE", "new/moved.key");
    let copied = "umask 077; mkdir -p new; cp data/default.key new/moved.key";
    assert!(Command::new("sh").args(["-c", copied]).current_dir(program.folder()).status().unwrap().success());
    let data = EmbeddedSettings { path: program.path("data"), ..EmbeddedSettings::default() };
    drop(Embedded::open(&data).unwrap());

    start_and_stop(&mut program);

    assert_eq!(names(&program.path("new")), ["moved.key", "sessions-0.log", "sessions-1.log", "sessions.redb"]);
}

#[test]
fn a_check_finds_nothing_wrong_with_one_that_was_interrupted() {
    let program = Program::new(&["doctor", "--format", "json"]);
    fs::create_dir(program.path("data")).unwrap();
    let program = program.file("data/default.key.new", &Key::generate());

    let ended = program.run();

    assert!(!ended.stdout.contains("default.key"), "{}", ended.stdout);
}
