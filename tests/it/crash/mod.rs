//! Crashes of the embedded store: acknowledged writes survive, and ended sessions stay ended.
//!
//! The tests run this binary again, at an ignored test that writes only when the environment names a folder.

#[cfg(target_os = "linux")]
mod power_loss;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use cloakroom::session::{EndReason, Entries, Record, Value, counter};
use cloakroom::store::{Applied, Created, Embedded, EmbeddedSettings, Error, Store as _, Write};
use cloakroom::types::random;
use tracing::Level;

use crate::conformance::fixtures::{START, by_token, increment, key_in, record, save, session_key};
use crate::support::environment::number;

#[test]
fn acknowledged_writes_survive_a_kill() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut report = Report::default();
    fill(folder.path(), number("CLOAKROOM_TEST_SESSIONS").unwrap_or(0));

    for round in 0..number("CLOAKROOM_TEST_KILLS").unwrap_or(ROUNDS) {
        let delay = Duration::from_millis(10 + u64::from(random::bytes::<1>()[0]));
        let mut child = spawn(Command::new(this_binary()), "crash::write_until_killed", folder.path(), round);
        let lines = lines(&mut child);
        // One in three may be killed while it opens the file, the others while they write.
        if round % 3 > 0 {
            let first = lines.iter().find(|line| line.contains(PREFIX));
            report.read(&first.expect("the writer reports something"));
        }
        let killed_at = Instant::now() + delay;
        loop {
            match lines.recv_timeout(killed_at.saturating_duration_since(Instant::now())) {
                Ok(line) => report.read(&line),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => panic!("the writer has ended by itself"),
            }
        }
        child.kill().expect("the writer can be killed");
        child.wait().expect("the writer has ended");
        lines.iter().for_each(|line| report.read(&line));

        report.check(folder.path());
    }

    assert!(report.saves() > 100 && report.ends() > 10, "{} saves, {} ends", report.saves(), report.ends());
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_an_error_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    // A limit of 2 or 4 MiB a file: a write beyond it fails, as on a full disk.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 4096; exec \"$0\" \"$@\""]).arg(this_binary());
    let mut report = Report::default();

    let mut child = spawn(limited, "crash::write_until_the_disk_is_full", folder.path(), 0);
    lines(&mut child).iter().for_each(|line| report.read(&line));

    assert!(child.wait().expect("the writer ends").success());
    assert!(report.sessions.len() > 20 && report.full.len() == FULL_ERRORS, "{report:?}");
    report.check(folder.path());
}

#[test]
#[ignore = "the crash test runs and kills it"]
fn write_until_killed() {
    let Some((folder, round)) = parameters() else { return };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let store = Arc::new(open(&folder));
        let writers = (0..WRITERS).map(|writer| tokio::spawn(write_on(Arc::clone(&store), round, writer)));
        for writer in writers.collect::<Vec<_>>() {
            writer.await.expect("the writer goes on until it is killed");
        }
    });
}

#[test]
#[ignore = "the disk test runs it"]
fn write_until_the_disk_is_full() {
    let Some((folder, _)) = parameters() else { return };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let store = open(&folder);
        let (mut full, mut n) = (0, 0);
        while full < FULL_ERRORS {
            n += 1;
            match store.create(&session_key(n), &record_of(16 * 1024)).await {
                Ok(Created::Stored) => report(&format!("created {n}")),
                Ok(Created::Occupied | Created::Revoked) => panic!("the session key was free"),
                Err(Error::Full(_)) => {
                    report(&format!("full {n}"));
                    full += 1;
                }
                // It is unknown whether it was written, so there is nothing to report.
                Err(Error::Unavailable(_) | Error::Refused(_)) => {}
                Err(error @ (Error::Corrupt | Error::RevokedInPart { .. } | Error::NotAcknowledged { .. })) => {
                    panic!("{error}")
                }
            }
            // Reads still work.
            assert!(store.load(&session_key(1)).await.expect("the store answers").is_some());
        }
    });
}

/// Creates, saves and ends one session after the other until the process is killed.
async fn write_on(store: Arc<Embedded>, round: u32, writer: u32) {
    for n in 0.. {
        let number = (round * WRITERS + writer) * 100_000 + n;
        let session_key = session_key(number);
        // Some are large, so that the log fills and checkpoints are killed too.
        let bytes = if n % 4 == 0 { 60_000 } else { 100 };
        assert_eq!(store.create(&session_key, &record_of(bytes)).await.expect("the store answers"), Created::Stored);
        report(&format!("created {number}"));
        for _ in 0..n % 7 {
            let done = store
                .apply(&session_key, &by_token(1, START), &save(increment("n", 1)))
                .await
                .expect("the store answers");
            let Applied::Done(done) = done else { panic!("not written: {done:?}") };
            report(&format!("saved {number} {}", done.counters["n"]));
        }
        if n % 2 == 0 {
            let ended = store.apply(&session_key, &by_token(1, START), &Write::End(EndReason::Destroyed)).await;
            assert!(matches!(ended.expect("the store answers"), Applied::Done(_)));
            report(&format!("ended {number}"));
        }
    }
}

/// Stores so many sessions of the usual size, which nobody uses.
fn fill(folder: &Path, count: u32) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let store = Arc::new(open(folder));
        for first in (0..count).step_by(1000) {
            let create = |n| {
                let store = Arc::clone(&store);
                tokio::spawn(async move { store.create(&key_in("stored", n), &record_of(1600)).await })
            };
            for created in (first..count.min(first + 1000)).map(create).collect::<Vec<_>>() {
                assert_eq!(created.await.expect("no task panics").expect("the store answers"), Created::Stored);
            }
        }
    });
}

/// Acknowledged writes, as the writers reported them.
#[derive(Debug, Default)]
struct Report {
    /// By number of the session.
    sessions: BTreeMap<u32, Acknowledged>,
    /// Numbers of the sessions that did not fit.
    full: Vec<u32>,
}

#[derive(Debug, Default)]
struct Acknowledged {
    count: i64,
    is_ended: bool,
}

impl Report {
    fn read(&mut self, line: &str) {
        // The test harness prints on the same output, and may have begun the line.
        let Some((_, line)) = line.split_once(PREFIX) else { return };
        let words: Vec<&str> = line.split(' ').collect();
        let number = words[1].parse().expect("the line has a number");
        match words[0] {
            "full" => self.full.push(number),
            "created" => drop(self.sessions.insert(number, Acknowledged::default())),
            "ended" => self.session(number).is_ended = true,
            "saved" => self.session(number).count = words[2].parse().expect("the line has a number"),
            word => panic!("unknown report: {word}"),
        }
    }

    fn session(&mut self, number: u32) -> &mut Acknowledged {
        self.sessions.get_mut(&number).expect("its creation was reported before")
    }

    /// Opens the store and checks that every acknowledged write is there.
    fn check(&self, folder: &Path) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
        let begin = Instant::now();
        let logged = Arc::new(tempfile::tempfile().expect("a file can be made"));
        let subscriber =
            tracing_subscriber::fmt().with_max_level(Level::WARN).with_writer(Arc::clone(&logged)).finish();
        let store = tracing::subscriber::with_default(subscriber, || open(folder));
        let took = begin.elapsed();
        assert!(took < max_open_time(), "the store opens after {took:?}");
        let mut warnings = vec![0; 4096];
        let bytes = logged.read_at(&mut warnings, 0).expect("the file can be read");
        assert_eq!(String::from_utf8_lossy(&warnings[..bytes]), "", "nobody has cut the log");
        for (number, acknowledged) in &self.sessions {
            let snapshot = runtime.block_on(store.load(&session_key(*number))).expect("the store answers");
            let Record { head, entries } = snapshot.expect("an acknowledged session is there").record;
            if acknowledged.is_ended {
                assert!(head.end.is_some(), "session {number} is alive again");
            }
            let count = entries.to_map().get("n").map_or(0, |value| counter(value).expect("it is a counter"));
            // The version has the number of saves also after an end removed the entries.
            let saves = i64::try_from(head.version.0).expect("it is small") - 1;
            assert!(saves >= acknowledged.count, "session {number}: {saves} saves of {}", acknowledged.count);
            assert!(head.end.is_some() || saves == count, "session {number}: {saves} saves counted {count}");
        }
        for number in &self.full {
            let snapshot = runtime.block_on(store.load(&session_key(*number))).expect("the store answers");
            assert_eq!(snapshot, None, "session {number} was written although it did not fit");
        }
    }

    fn saves(&self) -> i64 {
        self.sessions.values().map(|acknowledged| acknowledged.count).sum()
    }

    fn ends(&self) -> usize {
        self.sessions.values().filter(|acknowledged| acknowledged.is_ended).count()
    }
}

fn this_binary() -> PathBuf {
    std::env::current_exe().expect("this binary has a path")
}

/// Runs one ignored test of this binary.
fn spawn(mut command: Command, test: &str, folder: &Path, round: u32) -> Child {
    command.args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env(FOLDER, folder).env(ROUND, round.to_string());
    command.stdout(Stdio::piped()).spawn().expect("this binary runs")
}

#[expect(clippy::disallowed_methods, reason = "the environment is how the test that is killed gets its parameters")]
fn parameters() -> Option<(PathBuf, u32)> {
    let folder = std::env::var(FOLDER).ok()?;
    let round = std::env::var(ROUND).ok()?.parse().ok()?;
    Some((folder.into(), round))
}

fn lines(child: &mut Child) -> Receiver<String> {
    let output = child.stdout.take().expect("its output is piped");
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        BufReader::new(output).lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
    });
    receiver
}

/// Prints a line in one write, so that a kill cannot cut it.
fn report(line: &str) {
    let line = format!("{PREFIX}{line}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).expect("the parent process reads");
}

fn open(folder: &Path) -> Embedded {
    let settings = EmbeddedSettings { path: folder.to_owned(), ..EmbeddedSettings::default() };
    Embedded::open(&settings).expect("the store opens")
}

/// A session with one entry of this size.
fn record_of(bytes: usize) -> Record {
    let mut record = record();
    record.entries = Entries::pack([("data", Value::raw(&vec![7; bytes]).stored())]);
    (record.head.entry_count, record.head.entry_bytes) = (record.entries.count(), record.entries.bytes());
    record
}

/// How often the process is killed; `CLOAKROOM_TEST_KILLS` sets it, and `CLOAKROOM_TEST_SESSIONS` how full the store is.
const ROUNDS: u32 = 30;

/// How long a store that was killed may take to open. Two seconds are promised on a machine that does nothing else, as that
/// of `make soak`; a busy one gets a minute.
fn max_open_time() -> Duration {
    let is_soak = number::<u32>("CLOAKROOM_TEST_SESSIONS").is_some();
    Duration::from_secs(if is_soak { 2 } else { 60 })
}

const WRITERS: u32 = 8;

/// Writes that must fail because the disk is full.
const FULL_ERRORS: usize = 3;

const PREFIX: &str = "report: ";
const FOLDER: &str = "CRASH_TEST_FOLDER";
const ROUND: &str = "CRASH_TEST_ROUND";
