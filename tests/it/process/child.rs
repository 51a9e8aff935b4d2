//! A running `cloakroom serve`, with a folder, a configuration file and an address of its own.

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

/// A process, and what it has said.
pub(super) struct Process {
    program: Program,
    child: Child,
    listen: SocketAddr,
    admin: SocketAddr,
    /// How many processes ran here before this one.
    starts: u32,
}

impl Process {
    /// Starts one with this configuration, these files beside it and this environment, and waits until it serves.
    pub(super) async fn start(config: &str, files: &[(&str, &str)], environment: &[(&str, &str)]) -> Self {
        let mut program = Program::new(&["serve"]).file("cloakroom.toml", config);
        for (name, text) in files {
            program = program.file(name, text);
        }
        for (name, value) in environment {
            program = program.env(name, value);
        }
        let anywhere = SocketAddr::from((own_address(), 0));
        let child = spawn(&mut program, 0, (anywhere, anywhere));
        let mut process = Self { program, child, listen: anywhere, admin: anywhere, starts: 0 };
        process.await_serving().await;
        process
    }

    /// Starts it again where it was, after it has ended.
    pub(super) async fn start_again(&mut self) {
        self.starts += 1;
        self.child = spawn(&mut self.program, self.starts, (self.listen, self.admin));
        self.await_serving().await;
    }

    async fn await_serving(&mut self) {
        let banner = eventually("the banner", async || {
            let said = self.said();
            said.contains("grpcurl").then_some(said)
        });
        let banner = banner.await;
        let row = |name: &str| banner.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap().trim();
        (self.listen, self.admin) = (row("listens").parse().unwrap(), row("admin").parse().unwrap());
        eventually("health", async || self.page("/readyz").await.starts_with("HTTP/1.1 200 ").then_some(())).await;
    }

    /// A client on a connection of its own, which is made when it is first used, and again when it is lost.
    pub(super) fn client(&self) -> SessionServiceClient<Channel> {
        SessionServiceClient::new(self.endpoint().connect_lazy())
    }

    /// A client of its operators' listener.
    pub(super) fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.admin_endpoint().connect_lazy())
    }

    pub(super) fn admin_endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://{}", self.admin)).unwrap()
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://{}", self.listen)).unwrap()
    }

    pub(super) const fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Where a file of its folder is.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.program.path(name)
    }

    /// Puts a file in place of another, whole.
    pub(super) fn replace(&self, name: &str, text: &str) {
        let new = self.path(&format!("{name}.new"));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.path(name)).unwrap();
    }

    pub(super) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Waits until it has ended.
    pub(super) async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the end of the process", async || child.try_wait().unwrap()).await
    }

    /// All that it has said since its last start.
    pub(super) fn said(&self) -> String {
        std::fs::read_to_string(self.path(&format!("said.{}", self.starts))).unwrap()
    }

    /// Waits until it has said this so many times, for it writes beside its work; answers all that it has said.
    pub(super) async fn has_said(&self, text: &str, times: usize) -> String {
        let enough = async || Some(self.said()).filter(|said| said.matches(text).count() >= times);
        eventually(text, enough).await
    }

    /// Waits for a line of the log; answers it.
    pub(super) async fn logged(&self, message: &str) -> Value {
        let line = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            line["message"].as_str()?.contains(message).then_some(line)
        };
        eventually(message, async || self.said().lines().find_map(line)).await
    }

    /// A page of the admin listener, or nothing if that does not answer.
    pub(super) async fn page(&self, path: &str) -> String {
        let mut text = String::new();
        if let Ok(mut socket) = TcpStream::connect(self.admin).await {
            let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            let _ = socket.write_all(head.as_bytes()).await;
            let _ = socket.read_to_string(&mut text).await;
        }
        text
    }

    /// The value of a metric with these labels.
    pub(super) async fn metric(&self, name: &str) -> Option<f64> {
        let page = self.page("/metrics").await;
        page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// Waits until a metric has a value.
    pub(super) async fn until_metric(&self, name: &str, value: f64) {
        eventually(name, async || self.metric(name).await.filter(|is| (is - value).abs() < 0.1)).await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A test that has failed leaves no process behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(program: &mut Program, starts: u32, (listen, admin): (SocketAddr, SocketAddr)) -> Child {
    let file = File::create(program.path(&format!("said.{starts}"))).unwrap();
    let command = program.command().stdout(file.try_clone().unwrap()).stderr(file);
    command.env("CLOAKROOM__SERVER__LISTEN", listen.to_string());
    command.env("CLOAKROOM__ADMIN__LISTEN", admin.to_string());
    command.spawn().unwrap()
}

/// An address of this machine alone that no other process listens on, so that a restart finds its port free.
fn own_address() -> [u8; 4] {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    [127, 64 | (high & 63), low, NEXT.fetch_add(1, Ordering::Relaxed)]
}

/// What comes, unless it takes so long that it never will.
pub(super) async fn soon<F: Future>(what: F) -> F::Output {
    timeout(Duration::from_secs(60), what).await.expect("it takes far less than a minute, or never happens")
}

/// Tries until there is an answer.
pub(super) async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = attempt().await {
            return answer;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "waited for a minute: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}
