//! Crashes of the embedded store: what was acknowledged is there, and what was ended stays ended.
//!
//! The process that is killed is this very binary, at a test that only runs when its folder is named.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use cloakroom::session::{EndReason, Entries, Record, Value, counter};
use cloakroom::store::{Applied, Created, Embedded, EmbeddedSettings, Error, Store as _, Write};
use cloakroom::types::random;

use crate::conformance::given::{START, authority, increment, record, save, session_key};

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut told = Told::default();

    for round in 0..ROUNDS {
        let delay = Duration::from_millis(10 + u64::from(random::bytes::<1>()[0]) * 90 / 255);
        let mut child = spawn(Command::new(this_binary()), "crash::a_writer_until_it_is_killed", folder.path(), round);
        let lines = lines(&mut child);
        // One in three may be killed while it opens the file, the others are at work.
        if round % 3 > 0 {
            let first = lines.iter().find(|line| line.contains(TOLD));
            told.hear(&first.expect("the writer tells something"));
        }
        let killed_at = Instant::now() + delay;
        loop {
            match lines.recv_timeout(killed_at.saturating_duration_since(Instant::now())) {
                Ok(line) => told.hear(&line),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => panic!("the writer has ended by itself"),
            }
        }
        child.kill().expect("the writer can be killed");
        child.wait().expect("the writer is gone");
        lines.iter().for_each(|line| told.hear(&line));

        told.check(folder.path());
    }

    assert!(told.saves() > 100 && told.ends() > 10, "{} saves, {} ends", told.saves(), told.ends());
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_told_and_takes_nothing_away() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    // A disk of 2 or 4 MiB: what goes beyond fails, as it does on a disk that is full.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 4096; exec \"$0\" \"$@\""]).arg(this_binary());
    let mut told = Told::default();

    let mut child = spawn(limited, "crash::a_writer_until_the_disk_is_full", folder.path(), 0);
    lines(&mut child).iter().for_each(|line| told.hear(&line));

    assert!(child.wait().expect("the writer ends").success());
    assert!(told.sessions.len() > 20 && told.full.len() == FULL, "{told:?}");
    told.check(folder.path());
}

#[test]
#[ignore = "what the crash test kills"]
fn a_writer_until_it_is_killed() {
    let Some((folder, round)) = asked() else { return };
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
#[ignore = "what the disk test runs"]
fn a_writer_until_the_disk_is_full() {
    let Some((folder, _)) = asked() else { return };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let store = open(&folder);
        let (mut full, mut n) = (0, 0);
        while full < FULL {
            n += 1;
            match store.create(&session_key(n), &record_of(16 * 1024)).await {
                Ok(Created::Stored) => tell(&format!("created {n}")),
                Ok(Created::Occupied | Created::Revoked) => panic!("the session_key was free"),
                Err(Error::Full(_)) => {
                    tell(&format!("full {n}"));
                    full += 1;
                }
                // Whether it was written is unknown: there is nothing to tell.
                Err(Error::Unavailable(_)) => {}
                Err(Error::Corrupt) => panic!("nothing is corrupt"),
            }
            // Reads go on.
            assert!(store.load(&session_key(1)).await.expect("the store answers").is_some());
        }
    });
}

/// Creates, saves and ends sessions, one after the other, without end.
async fn write_on(store: Arc<Embedded>, round: u32, writer: u32) {
    for n in 0.. {
        let number = (round * WRITERS + writer) * 100_000 + n;
        let session_key = session_key(number);
        assert_eq!(store.create(&session_key, &record_of(100)).await.expect("the store answers"), Created::Stored);
        tell(&format!("created {number}"));
        for _ in 0..n % 7 {
            let done = store
                .apply(&session_key, &authority(1, START), &save(increment("n", 1)))
                .await
                .expect("the store answers");
            let Applied::Done(done) = done else { panic!("not written: {done:?}") };
            tell(&format!("saved {number} {}", done.counters["n"]));
        }
        if n % 2 == 0 {
            let ended = store.apply(&session_key, &authority(1, START), &Write::End(EndReason::Destroyed)).await;
            assert!(matches!(ended.expect("the store answers"), Applied::Done(_)));
            tell(&format!("ended {number}"));
        }
    }
}

/// What writers have told.
#[derive(Debug, Default)]
struct Told {
    /// By number: what was acknowledged of a session.
    sessions: BTreeMap<u32, Acknowledged>,
    /// What the store had no room for.
    full: Vec<u32>,
}

#[derive(Debug, Default)]
struct Acknowledged {
    count: i64,
    is_ended: bool,
}

impl Told {
    fn hear(&mut self, line: &str) {
        // The harness says things of its own, and may have begun the line.
        let Some((_, line)) = line.split_once(TOLD) else { return };
        let words: Vec<&str> = line.split(' ').collect();
        let number = words[1].parse().expect("a number was told");
        match words[0] {
            "full" => self.full.push(number),
            "created" => drop(self.sessions.insert(number, Acknowledged::default())),
            "ended" => self.session(number).is_ended = true,
            "saved" => self.session(number).count = words[2].parse().expect("a number was told"),
            word => panic!("a writer told of {word}"),
        }
    }

    fn session(&mut self, number: u32) -> &mut Acknowledged {
        self.sessions.get_mut(&number).expect("its creation was told before")
    }

    /// Opens the store and finds all that was acknowledged.
    fn check(&self, folder: &Path) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
        let store = open(folder);
        for (number, acknowledged) in &self.sessions {
            let kept = runtime.block_on(store.load(&session_key(*number))).expect("the store answers");
            let Record { head, entries } = kept.expect("what was acknowledged is there").record;
            if acknowledged.is_ended {
                assert!(head.end.is_some(), "session {number} lives again");
            }
            let count = entries.to_map().get("n").map_or(0, |value| counter(value).expect("it is a counter"));
            // The version tells the count of what an end has emptied.
            let saves = i64::try_from(head.version.0).expect("it is small") - 1;
            assert!(saves >= acknowledged.count, "session {number}: {saves} saves of {}", acknowledged.count);
            assert!(head.end.is_some() || saves == count, "session {number}: {saves} saves counted {count}");
        }
        for number in &self.full {
            let kept = runtime.block_on(store.load(&session_key(*number))).expect("the store answers");
            assert_eq!(kept, None, "session {number} was written though there was no room");
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

/// Runs one test of this binary, and lets it know what for.
fn spawn(mut command: Command, test: &str, folder: &Path, round: u32) -> Child {
    command.args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env(FOLDER, folder).env(ROUND, round.to_string());
    command.stdout(Stdio::piped()).spawn().expect("this binary runs")
}

#[expect(clippy::disallowed_methods, reason = "a test that is killed is told by its environment alone")]
fn asked() -> Option<(PathBuf, u32)> {
    let folder = std::env::var(FOLDER).ok()?;
    let round = std::env::var(ROUND).ok()?.parse().ok()?;
    Some((folder.into(), round))
}

fn lines(child: &mut Child) -> Receiver<String> {
    let output = child.stdout.take().expect("its output is piped");
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        BufReader::new(output).lines().map_while(Result::ok).for_each(|line| drop(tell.send(line)));
    });
    told
}

/// One line in one write, so that a kill can't cut it.
fn tell(line: &str) {
    let line = format!("{TOLD}{line}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).expect("somebody listens");
}

fn open(folder: &Path) -> Embedded {
    let settings = EmbeddedSettings { path: folder.to_owned(), ..EmbeddedSettings::default() };
    Embedded::open(&settings).expect("the store opens")
}

/// A session with this much in it.
fn record_of(bytes: usize) -> Record {
    let mut record = record();
    record.entries = Entries::pack([("data", Value::raw(&vec![7; bytes]).stored())]);
    (record.head.entry_count, record.head.entry_bytes) = (record.entries.count(), record.entries.bytes());
    record
}

const ROUNDS: u32 = 30;
const WRITERS: u32 = 8;

/// How often the disk has to be full.
const FULL: usize = 3;

const TOLD: &str = "told: ";
const FOLDER: &str = "CRASH_TEST_FOLDER";
const ROUND: &str = "CRASH_TEST_ROUND";
