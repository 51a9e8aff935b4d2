//! `cloakroom healthcheck`.

use std::path::Path;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Runtime;
use tonic_health::ServingStatus;
use tower::ServiceExt as _;

use super::program::{Ended, Program};

const SESSION_SERVICE: &str = "cloakroom.v1.SessionService";
const READABLE: &str = "cloakroom.v1.SessionService.readable";

/// A service that reports a given health to its first connection.
struct Service(Runtime);

impl Service {
    fn new() -> Self {
        Self(Runtime::new().unwrap())
    }

    fn on_tcp(&self, status: ServingStatus) -> String {
        let listener = self.0.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        self.0.spawn(async move { serve(listener.accept().await.unwrap().0, status).await });
        address
    }

    /// Serves on TCP as a service whose store takes no writes, with this answer to whether it reads.
    fn that_does_not_write(&self, readable: ServingStatus) -> String {
        let listener = self.0.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let health = [(SESSION_SERVICE, ServingStatus::NotServing), (READABLE, readable)];
        self.0.spawn(async move { serve_health(listener.accept().await.unwrap().0, &health).await });
        address
    }

    fn on_unix(&self, path: &Path, status: ServingStatus) -> String {
        let _context = self.0.enter();
        let listener = UnixListener::bind(path).unwrap();
        self.0.spawn(async move { serve(listener.accept().await.unwrap().0, status).await });
        format!("unix:{}", path.display())
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, status: ServingStatus) {
    serve_health(stream, &[(SESSION_SERVICE, status)]).await;
}

async fn serve_health(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    services: &[(&str, ServingStatus)],
) {
    let (reporter, health) = tonic_health::server::health_reporter();
    for (service, status) in services {
        reporter.set_service_status(*service, *status).await;
    }
    let health =
        health.map_request(|request: http::Request<hyper::body::Incoming>| request.map(tonic::body::Body::new));
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(health));
    let _: hyper::Result<()> = connection.await;
}

fn healthcheck(address: &str) -> Ended {
    Program::new(&["healthcheck", "--address", address]).run()
}

#[test]
fn a_service_that_serves_is_healthy() {
    let service = Service::new();
    let address = service.on_tcp(ServingStatus::Serving);

    let ended = healthcheck(&address);

    assert_eq!((ended.code, ended.stdout), (Some(0), format!("{address}: SERVING\n")), "{}", ended.stderr);
}

#[test]
fn a_service_on_a_unix_socket_is_checked_too() {
    let (service, folder) = (Service::new(), tempfile::tempdir().unwrap());
    let address = service.on_unix(&folder.path().join("socket"), ServingStatus::Serving);

    let ended = healthcheck(&address);

    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn a_service_that_does_not_serve_is_not_healthy() {
    let service = Service::new();
    let address = service.on_tcp(ServingStatus::NotServing);

    let ended = healthcheck(&address);

    assert_eq!((ended.code, ended.stderr), (Some(1), format!("{address}: NOT_SERVING\n")));
}

#[test]
fn an_address_without_a_listener_is_not_healthy() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("unix:{}", folder.path().join("socket").display());

    let ended = healthcheck(&address);

    let expected = format!("{address}: no connection: No such file or directory (os error 2)\n");
    assert_eq!((ended.code, ended.stderr), (Some(1), expected));
}

#[test]
fn a_service_that_never_answers_times_out() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();

    let ended = Program::new(&["healthcheck", "--address", &address, "--timeout", "50ms"]).run();

    assert_eq!((ended.code, ended.stderr), (Some(1), format!("{address}: no answer within 50ms\n")));
}

#[test]
fn the_listener_for_operators_is_asked_if_the_configuration_has_one() {
    let service = Service::new();
    let address = service.on_tcp(ServingStatus::Serving);

    let ended = Program::new(&["healthcheck"]).env("CLOAKROOM__ADMIN__LISTEN", &address).run();

    assert_eq!((ended.code, ended.stdout), (Some(0), format!("{address}: SERVING\n")), "{}", ended.stderr);
}

#[test]
fn without_a_listener_for_operators_that_for_frontends_is_asked() {
    let service = Service::new();
    let address = service.on_tcp(ServingStatus::Serving);

    let program = Program::new(&["healthcheck"]).env("CLOAKROOM__SERVER__LISTEN", &address);
    let ended = program.file("cloakroom.toml", "[admin]\nlisten = \"\"\n").run();

    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn what_is_wrong_outside_the_listeners_says_nothing_about_a_service_that_runs() {
    let service = Service::new();
    let address = service.on_tcp(ServingStatus::Serving);
    let settings =
        format!("[admin]\nlisten = \"{address}\"\n[store]\nkind = \"tape\"\n[apps.shop]\nkeys_file = \"gone\"\n");

    let program = Program::new(&["healthcheck"]).env("CLOAKROOM__LOG__FORMAT", "loud");
    let ended = program.file("cloakroom.toml", &settings).run();

    assert_eq!((ended.code, ended.stdout), (Some(0), format!("{address}: SERVING\n")), "{}", ended.stderr);
}

#[test]
fn a_wrong_listener_is_told() {
    let ended = Program::new(&["healthcheck"]).file("cloakroom.toml", "[admin]\nlisten = \"nowhere\"\n").run();

    assert_eq!(ended.code, Some(78));
    assert!(ended.stderr.contains("admin.listen"), "{}", ended.stderr);
}

#[test]
fn an_empty_unix_socket_is_ignored() {
    let service = Service::new();
    let address = service.on_tcp(ServingStatus::Serving);
    let settings = format!("[server]\nlisten = \"{address}\"\nunix_socket = \"\"\n[admin]\nlisten = \"\"\n");

    let ended = Program::new(&["healthcheck"]).file("cloakroom.toml", &settings).run();

    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn a_process_lives_even_if_it_does_not_serve() {
    let service = Service::new();
    let address = service.on_tcp(ServingStatus::NotServing);

    let ended = Program::new(&["healthcheck", "--live", "--address", &address]).run();

    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn a_service_whose_store_takes_no_writes_is_asked_whether_it_reads() {
    let service = Service::new();
    let (reading, cut_off) =
        (service.that_does_not_write(ServingStatus::Serving), service.that_does_not_write(ServingStatus::NotServing));
    let ask = |address: &str| Program::new(&["healthcheck", "--readable", "--address", address]).run();

    let (yes, no) = (ask(&reading), ask(&cut_off));

    assert_eq!((yes.code, yes.stdout), (Some(0), format!("{reading}: SERVING\n")), "{}", yes.stderr);
    assert_eq!((no.code, no.stderr), (Some(1), format!("{cut_off}: NOT_SERVING\n")));
}

#[test]
fn life_and_reads_are_not_asked_for_at_once() {
    let ended = Program::new(&["healthcheck", "--readable", "--live"]).run();

    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
}

#[test]
fn a_malformed_address_is_a_usage_error() {
    let ended = healthcheck("localhost");

    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("write HOST:PORT"), "{}", ended.stderr);
}
