//! The embedded store on a disk that is full: sessions can be read and ended, health says so, and logs stay short.

use std::path::PathBuf;
use std::time::Duration;

use cloakroom::grpc::wire::{
    Changes, DestroySessionRequest, ListSessionsRequest, OpenSessionRequest, RevokeAppRequest, RevokeSessionRequest,
    RevokeSubjectRequest, SaveSessionResponse, Session, destroy_session_request,
};
use cloakroom::store::{Embedded, EmbeddedSettings};
use tonic::{Code, Status};

use super::child::Process;
use crate::support::calls::{ChangesExt as _, open_cookie, reason, save};
use crate::support::health_time::until_told;
use crate::support::tmpfs::Tmpfs;

/// How many sessions a data file has. It differs by that whether the next write makes the file longer.
const SESSIONS: [usize; 3] = [7, 25, 40];

struct FullDisk {
    process: Process,
    disk: Tmpfs,
}

impl FullDisk {
    /// Starts a process on a small disk. `None` where that is not possible.
    async fn start() -> Option<Self> {
        let disk = Tmpfs::mount("6m")?;
        let config = format!("[store.embedded]\npath = {:?}\n[log]\nformat = \"json\"\n", disk.path().join("data"));
        Some(Self { process: Process::start(&config, &[], &[]).await, disk })
    }

    async fn try_create(&self, changes: Changes) -> Result<SaveSessionResponse, Status> {
        let mut client = self.process.client();
        let ticket = client.open_session(OpenSessionRequest::default()).await?.into_inner().session.unwrap().token;
        Ok(client.save_session(save(&ticket, changes)).await?.into_inner())
    }

    /// Creates a session of a subject.
    async fn create(&self, subject: &str) -> Session {
        let changes = Changes::default().set("cart", "1").subject(subject);
        self.try_create(changes).await.unwrap().session.unwrap()
    }

    /// Creates sessions until there is room for no more; returns how many there are.
    async fn fill(&self) -> usize {
        let cart = format!("{:?}", "x".repeat(16_000));
        for created in 0.. {
            match self.try_create(Changes::default().set("cart", &cart)).await {
                Ok(_) => {}
                Err(status) if reason(&status) == (Code::ResourceExhausted, "STORE_FULL".to_owned()) => return created,
                Err(status) => panic!("another error: {status:?}"),
            }
        }
        unreachable!("a small disk is full at some time")
    }

    /// Creates so many sessions, stops the process, and then fills the disk with a file, whose path it returns.
    async fn stop_and_fill(&mut self, sessions: usize) -> PathBuf {
        let cart = format!("{:?}", "x".repeat(9_000));
        for _ in 0..sessions {
            self.try_create(Changes::default().set("cart", &cart)).await.unwrap();
        }
        self.process.signal("-TERM");
        assert!(self.process.await_exit().await.success());
        self.disk.fill()
    }

    async fn is_alive(&self, token: &str) -> bool {
        let opened = self.process.client().open_session(open_cookie(&format!("session={token}"))).await;
        !opened.unwrap().into_inner().session.unwrap().new
    }

    async fn await_ready(&self, status: &str) {
        until_told(status, async || self.process.page("/readyz").await.contains(status)).await;
    }
}

#[tokio::test]
async fn a_full_disk_ends_sessions_at_the_first_try_and_goes_on_when_it_has_room() {
    let Some(full) = FullDisk::start().await else { return };
    let [destroyed, revoked, of_subject, of_app] =
        [full.create("a").await, full.create("b").await, full.create("c").await, full.create("d").await];
    assert!(full.fill().await > 20);

    full.await_ready(" 503 ").await;
    full.process.await_metric("cloakroom_store_up", 0.0).await;
    for session in [&destroyed, &revoked, &of_subject, &of_app] {
        assert!(full.is_alive(&session.token).await, "reading goes on");
    }
    assert!(full.process.page("/readablez").await.contains(" 200 "), "and a probe says so");

    let credential = Some(destroy_session_request::Credential::Token(destroyed.token.clone()));
    let destroy = DestroySessionRequest { credential, ..Default::default() };
    full.process.client().destroy_session(destroy).await.unwrap();
    let mut admin = full.process.admin();
    admin.revoke_session(RevokeSessionRequest { id: revoked.id.clone(), ..Default::default() }).await.unwrap();
    let subject = RevokeSubjectRequest { subject: "c".to_owned(), ..Default::default() };
    assert_eq!(admin.revoke_subject(subject).await.unwrap().into_inner().revoked, 1);
    for session in [&destroyed, &revoked, &of_subject] {
        assert!(!full.is_alive(&session.token).await);
    }
    assert!(full.is_alive(&of_app.token).await);
    admin.revoke_app(RevokeAppRequest { app: "default".to_owned() }).await.unwrap();
    assert!(!full.is_alive(&of_app.token).await);
    let list = ListSessionsRequest { subject: "d".to_owned(), ..Default::default() };
    assert!(admin.list_sessions(list).await.unwrap().into_inner().sessions.is_empty());

    full.disk.resize("64m");
    full.await_ready(" 200 ").await;
    let after = full.create("e").await;
    assert!(full.is_alive(&after.token).await);
}

#[tokio::test]
async fn what_ended_on_a_full_disk_stays_ended_after_a_kill() {
    let Some(mut full) = FullDisk::start().await else { return };
    let session = full.create("a").await;
    let other = full.create("b").await;
    full.fill().await;
    let credential = Some(destroy_session_request::Credential::Token(session.token.clone()));
    let destroy = DestroySessionRequest { credential, ..Default::default() };
    full.process.client().destroy_session(destroy).await.unwrap();

    full.process.signal("-KILL");
    full.process.await_exit().await;
    full.process.start_again_unready().await;

    assert!(!full.is_alive(&session.token).await);
    assert!(full.is_alive(&other.token).await);
}

#[tokio::test]
async fn a_start_on_a_full_disk_after_an_orderly_stop_reads_and_ends_sessions() {
    for sessions in SESSIONS {
        let Some(mut full) = FullDisk::start().await else { return };
        let [ended, other] = [full.create("a").await, full.create("b").await];
        let foreign = full.stop_and_fill(sessions).await;

        full.process.start_again_unready().await;

        assert!(full.is_alive(&ended.token).await && full.is_alive(&other.token).await, "{sessions}");
        let credential = Some(destroy_session_request::Credential::Token(ended.token.clone()));
        let destroy = DestroySessionRequest { credential, ..Default::default() };
        full.process.client().destroy_session(destroy).await.unwrap();
        assert!(!full.is_alive(&ended.token).await && full.is_alive(&other.token).await, "{sessions}");
        std::fs::remove_file(foreign).unwrap();
        full.await_ready(" 200 ").await;
        full.create("c").await;
        assert!(!full.process.output().contains("damaged"), "{}", full.process.output());
    }
}

#[tokio::test]
async fn a_compaction_on_a_full_disk_does_not_say_that_the_data_file_is_damaged() {
    for sessions in SESSIONS {
        let Some(mut full) = FullDisk::start().await else { return };
        full.stop_and_fill(sessions).await;
        let settings = EmbeddedSettings { path: full.disk.path().join("data"), ..EmbeddedSettings::default() };

        let compacted = Embedded::compact(&settings);

        assert!(!compacted.as_ref().is_err_and(|error| error.to_string().contains("damaged")), "{compacted:?}");
    }
}

#[tokio::test]
async fn a_full_disk_writes_few_lines_to_the_log() {
    let Some(full) = FullDisk::start().await else { return };
    full.fill().await;

    let begin = std::time::Instant::now();
    let mut refused = 0;
    while begin.elapsed() < Duration::from_secs(2) || refused < 50 {
        let status = full.try_create(Changes::default().set("a", "1")).await.map(drop);
        refused += usize::from(status.is_err());
    }

    let seconds = begin.elapsed().as_secs() as usize;
    let lines = full.process.output().lines().filter(|line| line.starts_with('{')).count();
    assert!(lines < 20 + 4 * seconds, "{lines} lines, {refused} refused:\n{}", full.process.output());
}

#[tokio::test]
async fn a_data_file_that_is_moved_away_takes_no_writes_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let config = format!("[store.embedded]\npath = {data:?}\n[log]\nformat = \"json\"\n");
    let process = Process::start(&config, &[], &[]).await;
    let try_create = async || {
        let mut client = process.client();
        let ticket = client.open_session(OpenSessionRequest::default()).await?.into_inner().session.unwrap().token;
        client.save_session(save(&ticket, Changes::default().set("a", "1"))).await.map(tonic::Response::into_inner)
    };
    try_create().await.unwrap();
    let (file, away) = (data.join("sessions.redb"), folder.path().join("away"));

    std::fs::rename(&file, &away).unwrap();

    assert_eq!(reason(&try_create().await.map(drop).unwrap_err()), (Code::Unavailable, "STORE_UNAVAILABLE".to_owned()));
    until_told("a file that is away", async || process.page("/readyz").await.contains(" 503 ")).await;
    assert!(process.output().contains("it was moved, deleted or replaced"), "{}", process.output());
    std::fs::rename(&away, &file).unwrap();
    until_told("a file that is back", async || process.page("/readyz").await.contains(" 200 ")).await;
    try_create().await.unwrap();
}
