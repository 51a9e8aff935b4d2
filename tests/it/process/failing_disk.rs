//! The embedded store on a disk with errors: nothing is lost, what can go on does, and health and the log say the rest.

use cloakroom::grpc::wire::{Changes, OpenSessionRequest};
use tempfile::TempDir;
use tonic::{Code, Status};

use super::child::{Process, eventually};
use crate::support::calls::{ChangesExt as _, open_cookie, reason, save};
use crate::support::disk::Disk;
use crate::support::health_time::until_told;

struct FailingDisk {
    process: Process,
    disk: Disk,
    _folder: TempDir,
}

impl FailingDisk {
    /// Starts a process whose data file is hardly cached.
    async fn start() -> Self {
        let (disk, folder) = (Disk::new(), tempfile::tempdir().unwrap());
        let config = format!("[store.embedded]\npath = {:?}\ncache_bytes = 100_000\n", folder.path());
        let environment = disk.environment(folder.path());
        let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
        Self { process: Process::start(&config, &[], &environment).await, disk, _folder: folder }
    }

    /// Creates a large session, and returns its token.
    async fn create(&self) -> Result<String, Status> {
        let mut client = self.process.client();
        let ticket = client.open_session(OpenSessionRequest::default()).await?.into_inner().session.unwrap().token;
        let cart = format!("{:?}", "x".repeat(60_000));
        let saved = client.save_session(save(&ticket, Changes::default().set("cart", &cart))).await?;
        Ok(saved.into_inner().session.unwrap().token)
    }

    async fn create_many(&self, count: usize) -> Vec<String> {
        let mut tokens = Vec::new();
        for _ in 0..count {
            tokens.push(until_available("a session", async || self.create().await).await);
        }
        tokens
    }

    async fn is_alive(&self, token: &str) -> Result<bool, Status> {
        let opened = self.process.client().open_session(open_cookie(&format!("session={token}"))).await?;
        Ok(!opened.into_inner().session.unwrap().new)
    }

    async fn assert_alive(&self, tokens: &[String]) {
        for token in tokens {
            assert!(until_available("an open", async || self.is_alive(token).await).await);
        }
    }

    async fn await_ready(&self, status: &str) {
        until_told(status, async || self.process.page("/readyz").await.contains(status)).await;
    }

    /// Stops the process, which writes everything into its data file, and starts it again.
    async fn restart(&mut self) {
        self.process.signal("-TERM");
        assert!(self.process.await_exit().await.success());
        self.process.start_again().await;
    }

    async fn kill_and_start(&mut self) {
        self.process.signal("-KILL");
        self.process.await_exit().await;
        self.process.start_again().await;
    }

    fn assert_no_panic(&self) {
        let output = self.process.output();
        assert!(!output.contains("panicked"), "{output}");
    }
}

/// Repeats a call as clients do. On a slow machine a data file that failed may take longer to be opened again than the
/// store lets calls wait for it.
async fn until_available<T>(what: &str, mut call: impl AsyncFnMut() -> Result<T, Status>) -> T {
    let attempt = async || match call().await {
        Ok(result) => Some(result),
        Err(status) => {
            assert_eq!(status.code(), Code::Unavailable, "{status}");
            None
        }
    };
    eventually(what, attempt).await
}

#[tokio::test]
async fn a_log_that_cannot_be_written_refuses_writes_and_health_and_the_log_say_so() {
    for call in ["fdatasync", "pwrite"] {
        let mut failing = FailingDisk::start().await;
        let mut tokens = failing.create_many(2).await;

        failing.disk.set_faults(&[&format!("{call} .log")]);
        let refused = failing.create().await.unwrap_err();

        assert_eq!(reason(&refused), (Code::Unavailable, "STORE_UNAVAILABLE".to_owned()));
        failing.await_ready(" 503 ").await;
        failing.assert_alive(&tokens).await;
        failing.process.await_output("Input/output error", 1).await;
        failing.disk.set_faults(&[]);
        failing.await_ready(" 200 ").await;
        tokens.push(failing.create().await.unwrap());
        failing.assert_no_panic();
        failing.kill_and_start().await;
        failing.assert_alive(&tokens).await;
    }
}

#[tokio::test]
async fn a_read_that_failed_stops_no_later_read_and_no_write() {
    let mut failing = FailingDisk::start().await;
    let tokens = failing.create_many(20).await;
    failing.restart().await;

    failing.disk.set_faults(&["pread .redb"]);
    let mut refused = 0;
    for token in &tokens {
        refused += usize::from(failing.is_alive(token).await.is_err());
    }
    failing.disk.set_faults(&[]);

    assert!(refused > 0);
    failing.process.await_output("could not read its data file", 1).await;
    eventually("reads", async || failing.is_alive(&tokens[0]).await.ok()).await;
    failing.assert_alive(&tokens).await;
    failing.create().await.unwrap();
    failing.await_ready(" 200 ").await;
    failing.assert_no_panic();
}

#[tokio::test]
async fn a_data_file_that_cannot_be_written_is_read_while_the_log_takes_writes() {
    for call in ["fdatasync", "pwrite"] {
        let mut failing = FailingDisk::start().await;
        let mut tokens = failing.create_many(20).await;
        failing.restart().await;

        failing.disk.set_faults(&[&format!("{call} .redb")]);
        // More than one file of the log.
        tokens.extend(failing.create_many(150).await);
        failing.process.await_output("could not write its log into the data file", 1).await;
        tokens.extend(failing.create_many(5).await);

        failing.assert_alive(&tokens).await;
        failing.await_ready(" 200 ").await;
        failing.disk.set_faults(&[]);
        failing.process.await_output("has written its log into the data file", 1).await;
        tokens.extend(failing.create_many(5).await);
        failing.assert_alive(&tokens).await;
        failing.assert_no_panic();
        failing.kill_and_start().await;
        failing.assert_alive(&tokens).await;
    }
}
