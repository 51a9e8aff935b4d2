//! The audit log of a running process: its files at stops, restarts and full disks, and who made a call.

use std::fs;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use cloakroom::audit::{self, AuditLog, SessionEnd};
use cloakroom::auth::TokenHash;
use cloakroom::grpc::wire::{
    Changes, DestroySessionRequest, ListSessionEndsRequest, ListSessionEndsResponse, OpenSessionRequest,
    RevokeSubjectRequest, Session, destroy_session_request, list_session_ends_request,
};
use cloakroom::session::EndReason;
use cloakroom::token::Key;
use cloakroom::types::{AppName, ManualClock, Time};
use serde_json::Value;

use super::audit::of;
use super::child::{Process, eventually};
use crate::cli::program::Program;
use crate::support::calls::{ChangesExt as _, save};
use crate::support::redis::RedisServer;
use crate::support::tmpfs::Tmpfs;

const SUBJECT: &str = "ann@test.example";

/// Starts a process with this store and with an audit log, which has the callers `desk`, `eyes` and `shop`.
async fn process(store: &str) -> Process {
    let caller = |name: &str, role: &str| {
        let hash = TokenHash::of(name.as_bytes());
        format!("[callers.{name}]\nroles = ['{role}']\napps = ['*']\ntoken_hashes = ['{hash}']\n")
    };
    let callers = [caller("desk", "admin"), caller("eyes", "viewer"), caller("shop", "frontend")].concat();
    Process::start(&(config(store, "audit") + &callers), &[], &[]).await
}

fn config(store: &str, folder: &str) -> String {
    let log = "level = 'info,cloakroom::service=debug'\nformat = 'json'";
    format!("[audit]\nfolder = '{folder}'\n[log]\n{log}\n[store]\nkind = '{store}'\n")
}

async fn log_in(process: &Process, subject: &str) -> Session {
    let mut client = process.client();
    let opened = client.open_session(of("shop", "open", OpenSessionRequest::default())).await.unwrap();
    let ticket = opened.into_inner().session.unwrap().token;
    let changes = Changes::default().set("a", "1").subject(subject);
    client.save_session(of("shop", "save", save(&ticket, changes))).await.unwrap().into_inner().session.unwrap()
}

async fn log_out(process: &Process, session: &Session) {
    let credential = Some(destroy_session_request::Credential::Token(session.token.clone()));
    let request = DestroySessionRequest { credential, ..Default::default() };
    process.client().destroy_session(of("shop", "logout", request)).await.unwrap();
}

/// Lists the ends of a subject as a viewer.
async fn list(process: &Process, subject: &str) -> ListSessionEndsResponse {
    let wanted = Some(list_session_ends_request::Wanted::Subject(subject.to_owned()));
    let request = ListSessionEndsRequest { wanted, ..Default::default() };
    process.admin().list_session_ends(of("eyes", "list", request)).await.unwrap().into_inner()
}

async fn await_ends(process: &Process, subject: &str, count: usize) -> ListSessionEndsResponse {
    eventually("the ends", async || Some(list(process, subject).await).filter(|found| found.ends.len() >= count)).await
}

/// Returns the only file of a log.
fn file_in(folder: &Path) -> PathBuf {
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("one file was expected: {files:?}") };
    file.clone()
}

#[tokio::test]
async fn each_end_names_the_caller_and_the_call_and_so_does_each_line_of_the_log() {
    let process = process("memory").await;
    let (first, second) = (log_in(&process, SUBJECT).await, log_in(&process, SUBJECT).await);
    log_out(&process, &first).await;
    await_ends(&process, SUBJECT, 1).await;
    let request = RevokeSubjectRequest { subject: SUBJECT.to_owned(), ..Default::default() };
    process.admin().revoke_subject(of("desk", "ticket-7", request)).await.unwrap();

    let ends = await_ends(&process, SUBJECT, 2).await.ends;

    let calls: Vec<_> = ends.iter().map(|end| [&*end.id, &end.caller, &end.rpc, &end.call_id]).collect();
    assert_eq!(
        calls,
        [
            [&*second.id, "desk", "cloakroom.v1.AdminService/RevokeSubject", "ticket-7"],
            [&*first.id, "shop", "cloakroom.v1.SessionService/DestroySession", "logout"],
        ]
    );
    let ended = |line: &str| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["message"] == "a session ended" && line["session.id"] == *second.id).then_some(line)
    };
    let line = eventually("the line of the end", async || process.output().lines().find_map(ended)).await;
    assert_eq!(line["call.id"], "ticket-7", "{line}");
    assert!(!process.output().contains(SUBJECT), "the log has no subject");
}

#[tokio::test]
async fn a_stop_writes_what_is_queued_and_a_restart_goes_on_with_the_file() {
    for store in ["memory", "embedded"] {
        let mut process = process(store).await;
        for session in [log_in(&process, SUBJECT).await, log_in(&process, SUBJECT).await] {
            log_out(&process, &session).await;
        }
        process.signal("-TERM");
        assert!(process.await_exit().await.success());
        let file = file_in(&process.path("audit"));
        let before = fs::read_to_string(&file).unwrap();
        assert_eq!(before.lines().count(), 2, "{before}");
        File::options().append(true).open(&file).unwrap().write_all(b"{\"time\":\"2026-1").unwrap();

        process.start_again().await;
        let session = log_in(&process, SUBJECT).await;
        log_out(&process, &session).await;

        let ends = await_ends(&process, SUBJECT, 3).await.ends;
        assert_eq!((ends.len(), &ends[0].id), (3, &session.id), "{store}");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with(&before) && text.lines().count() == 4, "{text}");
        assert_eq!(text.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count(), 3, "{text}");
    }
}

#[tokio::test]
async fn a_full_disk_loses_ends_and_fails_no_call() {
    let Some(disk) = Tmpfs::mount("256k") else { return };
    let folder = disk.path().join("audit");
    let process = Process::start(&config("memory", folder.to_str().unwrap()), &[], &[]).await;
    log_out(&process, &log_in(&process, "ann").await).await;
    await_ends(&process, "ann", 1).await;
    fill(&disk.path().join("other"));

    for number in 0..40 {
        log_out(&process, &log_in(&process, &format!("{number}{}", "x".repeat(240))).await).await;
    }

    let lost = "cloakroom_audit_ends_total{outcome=\"lost\"}";
    eventually("lost ends", async || process.metric(lost).await.filter(|lost| *lost >= 1.0)).await;
    let line = process.await_log_line("the audit log cannot be written").await;
    assert_eq!(line["level"], "WARN", "{line}");
    assert!(line["error"].as_str().unwrap().contains("No space left"), "{line}");
    assert_eq!(await_ends(&process, "ann", 1).await.ends.len(), 1);
    disk.resize("4m");
    log_out(&process, &log_in(&process, "bob").await).await;
    let after = await_ends(&process, "bob", 1).await;
    assert!(after.lost > Some(0));
    assert_eq!(process.metric(lost).await, after.lost.map(|lost| lost as f64));
}

/// Writes until the disk is full.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    while file.write_all(&[0; 512]).is_ok() {}
}

#[test]
fn a_folder_that_cannot_be_written_refuses_the_start() {
    for (folder, text) in
        [("occupied", "occupied"), ("occupied/audit", "occupied/audit"), ("/proc/audit", "/proc/audit")]
    {
        let ended = Program::new(&["serve"])
            .file("occupied", "")
            .env("CLOAKROOM__AUDIT__FOLDER", folder)
            .env("CLOAKROOM__STORE__KIND", "memory")
            .env("CLOAKROOM__SERVER__LISTEN", "127.0.0.1:0")
            .env("CLOAKROOM__ADMIN__LISTEN", "127.0.0.1:0")
            .run();

        assert_eq!(ended.code, Some(1), "{ended:?}");
        let words = format!("cloakroom: audit.folder: {text} cannot be used");
        assert!(ended.stderr.contains(&words), "{ended:?}");
    }
}

#[tokio::test]
async fn a_change_of_the_folder_needs_a_restart_and_says_so() {
    let process = Process::start(&config("memory", "one"), &[], &[]).await;

    process.replace("cloakroom.toml", &config("memory", "two"));
    process.signal("-HUP");

    let line = process.await_log_line("need a restart").await;
    assert_eq!(line["settings"], "audit.folder", "{line}");
    assert!(process.path("one").exists() && !process.path("two").exists());
}

#[tokio::test]
async fn why_reads_the_audit_log_while_the_store_does_not_answer() {
    let mut redis = RedisServer::start();
    let redis_table = format!("[store.redis]\nurl = '{}'\ntimeout = '1s'\n", redis.url());
    let app_table = format!("[apps.default]\nkeys = ['{}']\n", Key::generate());
    let config = config("redis", "audit") + &redis_table + &app_table;
    let process = Process::start(&config, &[], &[]).await;
    let session = log_in(&process, SUBJECT).await;
    log_out(&process, &session).await;
    await_ends(&process, SUBJECT, 1).await;
    redis.stop();

    for arguments in [vec![session.id.as_str()], vec!["--subject", SUBJECT]] {
        let address = process.admin_address().to_string();
        let mut program = Program::new(&[&["why", "--address", &address], &arguments[..]].concat());
        let output = program.command().output().unwrap();

        let words = String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(1), "{words}");
        for text in
            ["the store could not be asked", "DESTROYED 20", "by trusted", "call.id logout", "STORE_UNAVAILABLE"]
        {
            assert!(words.contains(text), "{text} is missing in: {words}");
        }
    }
}

fn an_end() -> SessionEnd {
    SessionEnd {
        time: Time::from_seconds(1_800_000_000),
        app: AppName::parse("default").unwrap(),
        id: None,
        subject: None,
        reason: EndReason::Revoked,
        create_time: None,
        access_time: None,
        caller: "desk".to_owned(),
        rpc: String::new(),
        call_id: String::new(),
    }
}

/// A pipe that nobody reads takes some bytes, then a write waits: as long as the test wants, unlike a disk.
///
/// The file has to stay open: the log closes the pipe whenever its queue is empty, and the lines in a pipe that nobody has
/// open are lost.
fn a_pipe_as_file_of_the_day(folder: &Path) -> (PathBuf, File) {
    let path = folder.join("session-ends-2027-01-15.jsonl");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let opened = File::options().read(true).write(true).open(&path).unwrap();
    (path, opened)
}

#[test]
fn a_disk_that_hangs_fills_the_queue_and_blocks_nobody() {
    const ENDS: u64 = 12_000;
    let home = tempfile::tempdir().unwrap();
    let (pipe, opened) = a_pipe_as_file_of_the_day(home.path());
    let settings = audit::Settings { folder: Some(home.path().to_owned()), ..Default::default() };
    let clock = Arc::new(ManualClock::new(an_end().time));
    let (log, guard) = AuditLog::open(&settings, clock).unwrap();

    for _ in 0..ENDS {
        log.add(an_end);
    }
    let counts = log.counts().unwrap();
    assert!(counts.lost > 0 && counts.lost < ENDS - 8192, "{counts:?}");

    let mut reader = File::open(pipe).unwrap();
    let lines = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text.lines().count()
    });
    let end = std::time::Instant::now() + Duration::from_secs(60);
    let all = loop {
        let counts = log.counts().unwrap();
        if counts.written + counts.lost == ENDS {
            break counts;
        }
        assert!(std::time::Instant::now() < end, "{counts:?}");
        std::thread::yield_now();
    };
    drop((guard, log, opened));
    assert_eq!((all.lost, lines.join().unwrap() as u64), (counts.lost, all.written));
}

#[test]
fn a_disk_that_hangs_does_not_keep_the_process_from_its_end() {
    let home = tempfile::tempdir().unwrap();
    let _pipe = a_pipe_as_file_of_the_day(home.path());
    let settings = audit::Settings { folder: Some(home.path().to_owned()), ..Default::default() };
    let (log, guard) = AuditLog::open(&settings, Arc::new(ManualClock::new(an_end().time))).unwrap();
    for _ in 0..1000 {
        log.add(an_end);
    }

    drop(guard);

    assert!(log.counts().unwrap().written < 1000);
}
