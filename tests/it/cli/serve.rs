//! `cloakroom serve`: its start and its stop.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::program::Program;

/// Starts the program, and returns it with the lines of its start.
pub(super) fn start(program: &mut Program) -> (Child, String) {
    let mut child = spawn(program);
    let lines = lines_of_start(&mut child);
    (child, lines)
}

fn spawn(program: &mut Program) -> Child {
    let command = program.command().env("CLOAKROOM__SERVER__LISTEN", "127.0.0.1:0");
    command.env("CLOAKROOM__ADMIN__LISTEN", "127.0.0.1:0").spawn().unwrap()
}

/// Returns what the program prints until it serves, or ends.
fn lines_of_start(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut banner = String::new();
    for line in lines.by_ref() {
        banner = banner + &line + "\n";
        if line.contains("/OpenSession") {
            break;
        }
    }
    // Reads to the end, so that the program never writes to a closed pipe.
    thread::spawn(move || lines.for_each(drop));
    banner
}

pub(super) fn send(child: &Child, signal: &str) {
    let done = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status().unwrap();
    assert!(done.success());
}

#[test]
fn sigterm_and_sigint_stop_it_in_order() {
    for signal in ["TERM", "INT"] {
        let mut program = Program::new(&["serve"]).env("CLOAKROOM__STORE__KIND", "memory");
        let (mut child, _) = start(&mut program);

        send(&child, signal);

        assert_eq!(child.wait().unwrap().code(), Some(0), "after SIG{signal}");
    }
}

/// Starts the program, which waits for its configuration from a pipe.
fn start_that_waits(program: &mut Program) -> (Child, File) {
    let path = program.path("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let child = spawn(program);
    // This returns when the program has opened the pipe as well.
    (child, File::options().write(true).open(path).unwrap())
}

#[test]
fn a_start_is_ended_in_order_by_sigterm_and_not_by_sighup() {
    let mut program = Program::new(&["serve", "--config", "pipe"]);
    let (mut ended, _pipe) = start_that_waits(&mut program);
    send(&ended, "TERM");
    assert_eq!(ended.wait().unwrap().code(), Some(0));
    assert!(!program.path("data").exists());

    let mut program = Program::new(&["serve", "--config", "pipe"]);
    let (mut reloaded, mut pipe) = start_that_waits(&mut program);
    send(&reloaded, "HUP");
    pipe.write_all(b"[store]\nkind = \"memory\"\n").unwrap();
    drop(pipe);
    let lines = lines_of_start(&mut reloaded);
    send(&reloaded, "TERM");

    assert!(lines.contains("/OpenSession"), "{lines}");
    assert_eq!(reloaded.wait().unwrap().code(), Some(0));
}

#[test]
fn systemd_is_told_when_the_service_accepts_connections() {
    let mut program = Program::new(&["serve"]).env("CLOAKROOM__STORE__KIND", "memory");
    let manager = UnixDatagram::bind(program.path("notify")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let path = program.path("notify");
    program.command().env("NOTIFY_SOCKET", path);

    let (mut child, banner) = start(&mut program);
    let mut message = [0; 64];
    let length = manager.recv(&mut message).unwrap();

    assert_eq!(&message[..length], b"READY=1\n");
    let listens = banner.lines().find_map(|line| line.trim().strip_prefix("listens  ")).unwrap();
    TcpStream::connect(listens).unwrap();
    send(&child, "TERM");
    child.wait().unwrap();
}

#[test]
fn a_listener_that_is_open_to_the_network_is_told_of_at_the_start() {
    for (listen, is_open) in [("0.0.0.0:0", true), ("127.0.0.1:0", false)] {
        let mut program = Program::new(&["serve"])
            .env("CLOAKROOM__STORE__KIND", "memory")
            .env("CLOAKROOM__SERVER__INSECURE", "true")
            .env("CLOAKROOM__SERVER__LISTEN", listen)
            .env("CLOAKROOM__ADMIN__LISTEN", "127.0.0.1:0");
        let mut child = program.command().spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let output: Vec<String> = lines
            .inspect(|line| {
                if line.contains("/OpenSession") {
                    send(&child, "TERM")
                }
            })
            .collect();
        assert_eq!(child.wait().unwrap().code(), Some(0));

        let bound = output.iter().find_map(|line| line.trim().strip_prefix("listens  ")).unwrap();
        assert!(bound.starts_with(listen.trim_end_matches('0')) && !bound.ends_with(":0"), "{output:?}");
        let warns = output.iter().any(|line| line.contains("\"WARN\"") && line.contains("OPEN to every program"));
        assert_eq!(warns, is_open, "{output:?}");
    }
}

#[test]
fn the_limit_of_open_files_is_raised_and_one_that_is_too_low_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -Sn 300; ulimit -Hn 600; exec \"$0\" serve 2>&1", env!("CARGO_BIN_EXE_cloakroom")])
        .env_clear()
        .envs([("CLOAKROOM__SERVER__LISTEN", "127.0.0.1:0"), ("CLOAKROOM__ADMIN__LISTEN", "127.0.0.1:0")])
        .env("CLOAKROOM__STORE__KIND", "memory")
        .current_dir(folder.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let (sender, receiver) = mpsc::channel();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    thread::spawn(move || sender.send(lines.find(|line| line.contains("max_connections is above"))));
    let warning = receiver.recv_timeout(Duration::from_secs(60));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();

    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    assert_eq!(limit.split_whitespace().take(2).collect::<Vec<_>>(), ["600", "600"]);
    let warning = warning.unwrap().unwrap();
    assert!(warning.contains("344") && warning.contains("10256"), "{warning}");
}

#[test]
fn the_first_start_makes_a_key_that_the_next_start_uses() {
    let mut program = Program::new(&["serve"]);

    let (mut first, created) = start(&mut program);
    send(&first, "TERM");
    first.wait().unwrap();
    let key = std::fs::read(program.path("data/default.key")).unwrap();
    let (mut second, found) = start(&mut program);
    send(&second, "TERM");
    second.wait().unwrap();

    assert!(created.contains("data/default.key (new"), "{created}");
    assert!(found.contains("data/default.key\n"), "{found}");
    assert_eq!(std::fs::read(program.path("data/default.key")).unwrap(), key);
}

#[test]
fn a_key_that_others_can_read_is_refused_with_the_command_that_repairs_it() {
    let program = Program::new(&["serve"]);
    std::fs::create_dir(program.path("data")).unwrap();
    let program = program.file("data/default.key", &cloakroom::token::Key::generate());
    std::fs::set_permissions(program.path("data/default.key"), std::fs::Permissions::from_mode(0o640)).unwrap();

    let ended = program.run();

    assert_eq!(ended.code, Some(1));
    let expected = "cloakroom: data/default.key: others may read or change this key (mode 640); \
                    run: chmod 600 data/default.key\n";
    assert_eq!(ended.stderr, expected);
}

#[test]
fn an_address_that_is_taken_is_named_with_its_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();

    for (variable, setting) in
        [("CLOAKROOM__SERVER__LISTEN", "server.listen"), ("CLOAKROOM__ADMIN__LISTEN", "admin.listen")]
    {
        let program = Program::new(&["serve"]).env("CLOAKROOM__STORE__KIND", "memory");
        let program = program.env("CLOAKROOM__SERVER__LISTEN", "127.0.0.1:0").env("CLOAKROOM__ADMIN__LISTEN", "");
        let ended = program.env(variable, &address).run();

        let expected = format!("cloakroom: {setting}: {address} is taken: end the other process that listens there");
        assert!(ended.code == Some(1) && ended.stderr.contains(&expected), "{ended:?}");
    }
}

#[test]
fn a_missing_configuration_file_prevents_the_start() {
    let ended = Program::new(&["serve", "--config", "none.toml"]).run();

    let expected = "none.toml: the file cannot be read: No such file or directory (os error 2)\n";
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(78), expected));
}
