//! `cloakroom sessions watch`: it goes on when its connection ends.

use std::fs::{self, File};
use std::process::Child;

use cloakroom::grpc::wire::{Changes, OpenSessionRequest, RevokeSessionRequest};
use serde_json::Value;

use super::child::{Process, eventually};
use crate::cli::program::Program;
use crate::support::calls::{ChangesExt as _, save};

/// A running `cloakroom sessions watch --json`. It is ended when this is dropped.
struct Watch {
    child: Child,
    program: Program,
    /// How many lines of its output were returned.
    read: usize,
}

impl Watch {
    /// Starts it, and waits until no later event is missed.
    async fn start(process: &Process, arguments: &[&str]) -> Self {
        let address = process.admin_address().to_string();
        let mut program = Program::new(&[&["sessions", "--address", &address, "watch", "--json"], arguments].concat());
        let [stdout, stderr] = ["stdout", "stderr"].map(|name| File::create(program.path(name)).unwrap());
        let child = program.command().stdout(stdout).stderr(stderr).spawn().unwrap();
        let mut watch = Self { child, program, read: 0 };
        assert_eq!(watch.batch().await, Vec::<Value>::new());
        watch
    }

    /// Returns the events of the next line.
    async fn batch(&mut self) -> Vec<Value> {
        let line = eventually("a line", async || {
            assert!(self.child.try_wait().unwrap().is_none_or(|status| status.success()), "{}", self.stderr());
            let text = fs::read_to_string(self.program.path("stdout")).unwrap();
            text.split_inclusive('\n').nth(self.read).filter(|line| line.ends_with('\n')).map(str::to_owned)
        });
        let line = line.await;
        self.read += 1;
        serde_json::from_str::<Value>(&line).unwrap()["events"].as_array().unwrap().clone()
    }

    /// Returns the next event.
    async fn event(&mut self) -> Value {
        loop {
            if let [event, others @ ..] = &self.batch().await[..] {
                assert_eq!(others, [Value::Null; 0]);
                return event.clone();
            }
        }
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.program.path("stderr")).unwrap()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Creates a session, and returns its id.
async fn create(process: &Process) -> String {
    let mut client = process.client();
    let new = client.open_session(OpenSessionRequest::default()).await.unwrap().into_inner().session.unwrap();
    client
        .save_session(save(&new.token, Changes::default().set("a", "1")))
        .await
        .unwrap()
        .into_inner()
        .session
        .unwrap()
        .id
}

async fn revoke(process: &Process, id: &str) {
    process.admin().revoke_session(RevokeSessionRequest { id: id.to_owned(), ..Default::default() }).await.unwrap();
}

fn is_event(event: &Value, kind: &str, id: &str) -> bool {
    event["kind"] == kind && event["id"] == id
}

#[tokio::test]
async fn it_goes_on_when_its_connection_is_too_old() {
    let config = "[store]\nkind = \"memory\"\n[server]\nmax_connection_age = \"300ms\"\n";
    let process = Process::start(config, &[], &[]).await;
    let mut watch = Watch::start(&process, &[]).await;

    // Each connection begins with a batch.
    for _ in 0..2 {
        assert_eq!(watch.batch().await, Vec::<Value>::new());
    }
    let id = create(&process).await;

    assert!(is_event(&watch.event().await, "CREATED", &id));
}

#[tokio::test]
async fn it_loses_no_event_at_a_restart_and_says_once_that_nobody_answers() {
    let mut process = Process::start("[store]\nkind = \"embedded\"\n", &[], &[]).await;
    let mut watch = Watch::start(&process, &[]).await;

    let before = create(&process).await;
    let created = watch.event().await;
    process.signal("-TERM");
    process.await_exit().await;
    eventually("a note", async || watch.stderr().ends_with('\n').then_some(())).await;
    process.start_again().await;
    let after = create(&process).await;

    assert!(is_event(&created, "CREATED", &before), "{created}");
    assert!(is_event(&watch.event().await, "CREATED", &after));
    let said = watch.stderr();
    assert!(said.ends_with("; trying again until somebody answers\n") && said.lines().count() == 1, "{said}");
}

#[tokio::test]
async fn that_of_one_session_goes_on_until_the_session_ends() {
    let mut process = Process::start("[store]\nkind = \"embedded\"\n", &[], &[]).await;
    let id = create(&process).await;
    let mut watch = Watch::start(&process, &[&id]).await;

    process.signal("-KILL");
    process.await_exit().await;
    process.start_again().await;
    create(&process).await;
    revoke(&process, &id).await;

    let ended = watch.event().await;
    assert!(is_event(&ended, "ENDED", &id), "{ended}");
    let status = eventually("the end of the watch", async || watch.child.try_wait().unwrap()).await;
    assert_eq!(status.code(), Some(0));
}
