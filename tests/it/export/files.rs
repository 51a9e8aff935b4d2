//! The file: who can read it, and what happens if it is cut, damaged or foreign.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cloakroom::store::{FileError, Reader};
use tokio::net::TcpListener;

use super::place::{Kind, OTHERS, Place, fill, with_other_app};
use crate::cli::program::Ended;
use crate::process::child::with_timeout;

/// A store with sessions.
fn filled() -> Place {
    let place = Place::new(Kind::Embedded);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { fill(&place.open()).await });
    with_other_app(&place);
    place
}

fn exported() -> (Place, PathBuf) {
    let place = filled();
    let file = place.folder.path().join("export");
    place.export(&file);
    (place, file)
}

#[test]
fn only_its_owner_may_read_it_and_no_file_is_replaced() {
    let (place, file) = exported();
    let before = fs::read(&file).unwrap();

    let again = place.run(&["export", file.to_str().unwrap()]);

    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(again.code == Some(1) && again.stderr.contains("it is there already; name another file"), "{again:?}");
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn it_goes_through_pipes_without_a_line_of_progress() {
    let (source, file) = exported();
    let target = Place::new(Kind::Embedded);

    let exported = source.command(&["export", "-"]).output().unwrap();
    let mut import = with_other_app(&target).command(&["import", "-"]);
    let imported = import.stdin(fs::File::open(&file).unwrap()).stdout(Stdio::piped()).output().unwrap();

    let said = String::from_utf8(exported.stderr).unwrap();
    let sessions = OTHERS.len() + 4;
    assert!(said.starts_with(&format!("{sessions} sessions exported")) && said.lines().count() == 1, "{said}");
    assert_eq!(Reader::new(exported.stdout.as_slice()).unwrap().check_all().unwrap()["other"], 250);
    assert!(String::from_utf8(imported.stdout).unwrap().starts_with(&format!("{sessions} sessions in the export")));
    assert_eq!(String::from_utf8(imported.stderr).unwrap(), "");
}

#[test]
fn a_named_pipe_is_imported_as_stdin_is() {
    let (_source, file) = exported();
    let target = Place::new(Kind::Embedded);
    let pipe = target.folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());

    let bytes = fs::read(&file).unwrap();
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::write(pipe, bytes)
    });
    let imported = with_other_app(&target).run(&["import", pipe.to_str().unwrap()]);

    writer.join().unwrap().unwrap();
    let sessions = OTHERS.len() + 4;
    assert!(imported.stdout.starts_with(&format!("{sessions} sessions in the export")), "{imported:?}");
    assert_eq!((imported.code, imported.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_dry_run_without_a_folder_for_temporary_files_says_what_to_do() {
    let (_source, file) = exported();
    let target = Place::new(Kind::Embedded);

    let mut import = with_other_app(&target).command(&["import", "--dry-run", file.to_str().unwrap()]);
    let ended = import.env("TMPDIR", "/nowhere").output().unwrap();

    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("/nowhere/") && said.contains("; set TMPDIR to a folder that can be written\n"), "{said}");
    assert_eq!(ended.status.code(), Some(1));
}

/// Imports a file with these bytes into an empty store, which must refuse it.
#[track_caller]
fn refuse(bytes: &[u8], why: &str) {
    let target = Place::new(Kind::Embedded);
    let file = target.folder.path().join("bad");
    fs::write(&file, bytes).unwrap();

    let Ended { code, stderr, stdout } = with_other_app(&target).run(&["import", file.to_str().unwrap()]);

    assert!(code == Some(1) && stderr.contains(why) && stderr.contains("bad: "), "{stdout}{stderr}");
    assert!(!target.folder.path().join("data").exists(), "the store was opened");
}

#[test]
fn a_file_that_is_cut_damaged_foreign_or_newer_is_refused_before_anything_is_written() {
    let (_place, file) = exported();
    let bytes = fs::read(file).unwrap();
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;

    refuse(&bytes[..bytes.len() - 1], "the copy is not complete; copy it again, or take another export");
    refuse(&damaged, "it is damaged");
    refuse(b"age-encryption.org/v1\n", "it is encrypted; name the file of an identity that opens it, by --identity");
    refuse(b"-----BEGIN PGP MESSAGE-----\n", "it is no export of cloakroom; if it is encrypted");
    refuse(b"", "it is no export of cloakroom");
    let newer = [b"cloakroom export, format 2\n", &bytes[27..]].concat();
    refuse(&newer, "it has format 2, and this program reads format 1; use a newer cloakroom");
}

#[test]
fn no_cut_and_no_changed_bit_is_taken_for_an_export() {
    let (_place, file) = exported();
    let bytes = fs::read(file).unwrap();
    let check = |bytes: &[u8]| Reader::new(bytes).and_then(Reader::check_all);
    assert!(check(&bytes).is_ok());
    assert!(matches!(check(&[&bytes[..], b"x"].concat()), Err(FileError::Damaged { .. })));

    for position in (0..bytes.len()).step_by(97).chain(bytes.len() - 60..bytes.len()) {
        assert!(check(&bytes[..position]).is_err(), "cut at {position}");
        let mut changed = bytes.clone();
        changed[position] ^= 1 << (position % 8);
        assert!(check(&changed).is_err(), "changed at {position}");
    }
}

#[test]
fn a_stream_that_ends_too_early_says_what_was_done_and_may_be_repeated() {
    let (_place, file) = exported();
    let bytes = fs::read(&file).unwrap();
    let target = Place::new(Kind::Embedded);
    let cut = target.folder.path().join("cut");
    fs::write(&cut, &bytes[..bytes.len() - 1]).unwrap();

    let mut import = with_other_app(&target).command(&["import", "-"]);
    let ended = import.stdin(fs::File::open(&cut).unwrap()).output().unwrap();

    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.code() == Some(1) && said.contains("it ends in the middle"), "{said}");
    assert!(said.contains("import it again"), "{said}");
    assert!(target.import(&file).starts_with(&format!("{} sessions in the export", OTHERS.len() + 4)));
}

#[tokio::test]
async fn a_signal_ends_an_export_from_a_store_or_a_service_and_leaves_no_file() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143), ("-HUP", 129), ("-QUIT", 131)] {
        for is_from_service in [false, true] {
            // One for each export, which may connect more than once.
            let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = silent.local_addr().unwrap().to_string();
            let all = ["export", "sessions-1", "--address", &address];
            let arguments = if is_from_service { &all[..] } else { &all[..2] };
            let place = Place::new(Kind::Embedded);
            let mut command = place.command(arguments);
            command.env("CLOAKROOM__STORE__KIND", "redis");
            command.env("CLOAKROOM__STORE__REDIS__URL", format!("redis://{address}"));
            let mut export = with_hangups(&command).stderr(Stdio::piped()).spawn().unwrap();
            let _connection = with_timeout(silent.accept()).await.unwrap();

            let during = names(place.folder.path());
            assert!(Command::new("kill").args([signal, &export.id().to_string()]).status().unwrap().success());
            let ended = tokio::task::spawn_blocking(move || export.wait().unwrap());
            let code_then = with_timeout(ended).await.unwrap().code();

            assert!(during.len() == 1 && during[0].starts_with("sessions-1.partial-"), "{during:?}");
            assert_eq!((code_then, names(place.folder.path())), (Some(code), vec![]), "{signal} {arguments:?}");
        }
    }
}

/// The same command with SIGHUP as it usually is: the tests themselves may run under `nohup`, and then it is ignored.
fn with_hangups(command: &Command) -> Command {
    let mut usual = Command::new("env");
    usual.args(["-i", "--default-signal=HUP"]);
    let variables = command.get_envs().filter_map(|(name, value)| Some((name.to_str()?, value?.to_str()?)));
    usual.args(variables.map(|(name, value)| format!("{name}={value}")));
    usual.arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        usual.current_dir(folder);
    }
    usual
}

/// The names of the files in a folder.
fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn the_name_of_a_folder_that_is_not_there_is_refused_before_anything_is_read() {
    let place = filled();

    let ended = place.run(&["export", "backup/"]);

    let expected = "cloakroom: backup/: this is the name of a folder, which is not there; name a file\n";
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), expected));
}

#[test]
fn an_import_forgets_the_key_of_an_interrupted_first_start() {
    let (_source, file) = exported();
    let target = Place::new(Kind::Embedded);
    let key = target.folder.path().join("data/default.key.new");
    fs::create_dir(key.parent().unwrap()).unwrap();
    fs::write(&key, "").unwrap();

    with_other_app(&target).import(&file);

    assert!(!key.exists(), "it would be taken for the key of the imported sessions");
}

#[test]
fn apps_are_chosen_by_name_and_those_of_the_file_have_to_be_known() {
    let (source, file) = exported();
    let file = file.to_str().unwrap();
    let target = Place::new(Kind::Embedded);

    let unknown = target.run(&["import", file]);
    let one = target.run(&["import", "--app", "default", file]);
    let none = target.run(&["import", "--app", "shop", file]);
    let only = source.folder.path().join("only");
    let exported = source.run(&["export", "--app", "other", only.to_str().unwrap()]);

    assert!(
        unknown.code == Some(1) && unknown.stderr.contains("sessions of the apps other are not imported"),
        "{unknown:?}"
    );
    assert!(one.code == Some(0) && one.stdout.contains("250  sessions left out: of other apps"), "{one:?}");
    assert!(none.code == Some(1) && none.stderr.contains("no app shop"), "{none:?}");
    assert!(exported.stderr.contains("250 sessions exported"), "{exported:?}");
}

#[test]
fn a_store_that_cannot_be_opened_is_an_error_that_says_why() {
    let place = filled();
    let store = place.open();

    let in_use = place.run(&["export", "export"]);
    drop(store);
    let memory = place.command(&["export", "export"]).env("CLOAKROOM__STORE__KIND", "memory").output().unwrap();

    assert!(in_use.code == Some(1) && in_use.stderr.contains("a service has it open"), "{in_use:?}");
    let memory = String::from_utf8(memory.stderr).unwrap();
    assert!(memory.contains("the memory store is a part of the service"), "{memory}");
    assert!(!Path::new(&place.folder.path().join("export")).exists());
}
