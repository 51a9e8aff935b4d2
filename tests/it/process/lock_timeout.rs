//! A start while another process has the files of the embedded store open.

use tempfile::TempDir;

use super::child::{Process, eventually};
use crate::support::calls::{ChangesExt as _, open_cookie, save};
use cloakroom::grpc::wire::{Changes, OpenSessionRequest};

const WAITS: &str = "another process has the data file open";

/// A configuration whose files are in a folder.
fn config(folder: &TempDir, lock_timeout: &str) -> String {
    format!("[store.embedded]\npath = {:?}\nlock_timeout = \"{lock_timeout}\"\n", folder.path().join("data"))
}

#[tokio::test]
async fn a_start_waits_until_the_other_process_has_stopped_and_has_its_sessions() {
    let folder = TempDir::new().unwrap();
    let mut first = Process::start(&config(&folder, "0s"), &[], &[]).await;
    let mut client = first.client();
    let ticket = client.open_session(OpenSessionRequest::default()).await.unwrap().into_inner().session.unwrap().token;
    let saved = client.save_session(save(&ticket, Changes::default().set("a", "1"))).await.unwrap().into_inner();
    let cookie = format!("session={}", saved.session.unwrap().token);

    let mut second = Process::spawn(&config(&folder, "1h"), &[], &[]);
    second.await_log_line(WAITS).await;
    assert!(!second.output().contains("/OpenSession"), "it serves beside the first one");
    first.signal("-TERM");
    assert!(first.await_exit().await.success());

    second.await_serving().await;
    let opened = second.client().open_session(open_cookie(&cookie)).await.unwrap().into_inner();
    assert!(!opened.session.unwrap().new);
    assert_eq!(second.output().matches(WAITS).count(), 1);
}

#[tokio::test]
async fn of_two_first_starts_at_once_one_serves_and_the_other_waits() {
    for _ in 0..5 {
        let folder = TempDir::new().unwrap();
        let config = config(&folder, "1h");
        let mut starts = [Process::spawn(&config, &[], &[]), Process::spawn(&config, &[], &[])];

        let serves = |start: &Process| start.output().contains("/OpenSession");
        let settled = eventually("one to serve and one to wait", async || {
            let waits = starts.iter().position(|start| start.output().contains(WAITS) && !serves(start))?;
            serves(&starts[1 - waits]).then_some(waits)
        });
        let waits = settled.await;
        starts[1 - waits].signal("-TERM");
        assert!(starts[1 - waits].await_exit().await.success());

        starts[waits].await_serving().await;
        assert!(starts[waits].output().contains("default.key\n"), "{}", starts[waits].output());
    }
}

#[tokio::test]
async fn a_start_that_waits_ends_when_it_is_told_to_stop() {
    let folder = TempDir::new().unwrap();
    let _first = Process::start(&config(&folder, "0s"), &[], &[]).await;

    let mut second = Process::spawn(&config(&folder, "1h"), &[], &[]);
    second.await_log_line(WAITS).await;
    second.signal("-TERM");

    assert!(second.await_exit().await.success());
}

#[tokio::test]
async fn a_start_fails_when_it_has_waited_long_enough() {
    let folder = TempDir::new().unwrap();
    let _first = Process::start(&config(&folder, "0s"), &[], &[]).await;

    for lock_timeout in ["0s", "150ms"] {
        let mut second = Process::spawn(&config(&folder, lock_timeout), &[], &[]);

        assert_eq!(second.await_exit().await.code(), Some(1), "{lock_timeout}");
        let output = second.output();
        assert!(output.contains("another process has it open; give each service a folder of its own"), "{output}");
        assert_eq!(output.contains(WAITS), lock_timeout != "0s", "{output}");
    }
}
