//! A child process `cloakroom serve`, with a folder, a configuration file and an address of its own.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use cloakroom::grpc::wire::admin_service_client::AdminServiceClient;
use cloakroom::grpc::wire::session_service_client::SessionServiceClient;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::{Channel, Endpoint};

use crate::cli::program::Program;

/// A running process and its output.
pub(crate) struct Process {
    program: Program,
    child: Child,
    listen: SocketAddr,
    admin: SocketAddr,
    /// The number of restarts; each start has an output file of its own.
    restarts: u32,
}

impl Process {
    /// Starts a process with this configuration, files beside it and environment, and waits until it serves.
    pub(crate) async fn start(config: &str, files: &[(&str, &str)], environment: &[(&str, &str)]) -> Self {
        let mut process = Self::spawn(config, files, environment);
        process.await_serving().await;
        process
    }

    /// Starts a process, and does not wait until it serves.
    pub(super) fn spawn(config: &str, files: &[(&str, &str)], environment: &[(&str, &str)]) -> Self {
        let mut program = Program::new(&["serve"]).file("cloakroom.toml", config);
        for (name, text) in files {
            program = program.file(name, text);
        }
        for (name, value) in environment {
            program = program.env(name, value);
        }
        let anywhere = SocketAddr::from((own_address(), 0));
        let child = spawn(&mut program, 0, (anywhere, anywhere));
        Self { program, child, listen: anywhere, admin: anywhere, restarts: 0 }
    }

    /// Starts it again on the same addresses, after it has ended.
    pub(crate) async fn start_again(&mut self) {
        self.start_again_unready().await;
        eventually("health", async || self.page("/readyz").await.starts_with("HTTP/1.1 200 ").then_some(())).await;
    }

    /// Starts it again, and waits until it answers calls: health may say that it does not serve.
    pub(super) async fn start_again_unready(&mut self) {
        self.restarts += 1;
        self.child = spawn(&mut self.program, self.restarts, (self.listen, self.admin));
        self.await_banner().await;
    }

    pub(super) async fn await_serving(&mut self) {
        self.await_banner().await;
        eventually("health", async || self.page("/readyz").await.starts_with("HTTP/1.1 200 ").then_some(())).await;
    }

    async fn await_banner(&mut self) {
        let banner = eventually("the banner", async || {
            let output = self.output();
            output.contains("/OpenSession").then_some(output)
        });
        let banner = banner.await;
        let row = |name: &str| banner.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap().trim();
        (self.listen, self.admin) = (row("listens").parse().unwrap(), row("admin").parse().unwrap());
    }

    /// Returns a client of SessionService, which connects when it is used, and again after a lost connection.
    pub(crate) fn client(&self) -> SessionServiceClient<Channel> {
        SessionServiceClient::new(self.endpoint().connect_lazy())
    }

    /// Returns a client of AdminService.
    pub(crate) fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.admin_endpoint().connect_lazy())
    }

    pub(crate) fn admin_endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://{}", self.admin)).unwrap()
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://{}", self.listen)).unwrap()
    }

    pub(crate) const fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    pub(crate) const fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Returns the path of a file in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.program.path(name)
    }

    /// Replaces a file atomically.
    pub(crate) fn replace(&self, name: &str, text: &str) {
        let new = self.path(&format!("{name}.new"));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.path(name)).unwrap();
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Waits for its exit.
    pub(crate) async fn await_exit(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the end of the process", async || child.try_wait().unwrap()).await
    }

    /// Returns all output since its last start.
    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(self.path(&format!("output.{}", self.restarts))).unwrap()
    }

    /// Waits until its output has this text so many times; returns all output.
    pub(crate) async fn await_output(&self, text: &str, times: usize) -> String {
        let enough = async || Some(self.output()).filter(|output| output.matches(text).count() >= times);
        eventually(text, enough).await
    }

    /// Waits for a log line with this message; returns the line.
    pub(crate) async fn await_log_line(&self, message: &str) -> Value {
        let line = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            line["message"].as_str()?.contains(message).then_some(line)
        };
        eventually(message, async || self.output().lines().find_map(line)).await
    }

    /// Gets a page of the admin listener; empty if it does not answer.
    pub(crate) async fn page(&self, path: &str) -> String {
        self.page_as(path, "*/*").await
    }

    /// Gets a page in a format; empty if it does not answer.
    pub(crate) async fn page_as(&self, path: &str, accept: &str) -> String {
        let mut text = String::new();
        if let Ok(mut socket) = TcpStream::connect(self.admin).await {
            let head =
                format!("GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\nconnection: close\r\n\r\n");
            let _ = socket.write_all(head.as_bytes()).await;
            let _ = socket.read_to_string(&mut text).await;
        }
        text
    }

    /// Gets the value of a metric with these labels.
    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        let page = self.page("/metrics").await;
        page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// Waits until a metric has a value.
    pub(crate) async fn await_metric(&self, name: &str, value: f64) {
        eventually(name, async || self.metric(name).await.filter(|is| (is - value).abs() < 0.1)).await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A failed test must leave no process behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(program: &mut Program, restarts: u32, (listen, admin): (SocketAddr, SocketAddr)) -> Child {
    let file = File::create(program.path(&format!("output.{restarts}"))).unwrap();
    let command = program.command().stdout(file.try_clone().unwrap()).stderr(file);
    command.env("CLOAKROOM__SERVER__LISTEN", listen.to_string());
    command.env("CLOAKROOM__ADMIN__LISTEN", admin.to_string());
    command.spawn().unwrap()
}

/// Returns a loopback address that no other process uses, so that the port is still free at a restart.
fn own_address() -> [u8; 4] {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    [127, 64 | (high & 63), low, NEXT.fetch_add(1, Ordering::Relaxed)]
}

/// Awaits a future for at most a minute, which is far longer than any of them needs.
pub(crate) async fn with_timeout<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(60), future).await.expect("it happens within a minute")
}

/// Repeats an attempt until it has a result.
pub(crate) async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(result) = attempt().await {
            return result;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "waited for a minute: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}
