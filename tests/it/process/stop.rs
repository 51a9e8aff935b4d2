//! SIGTERM: what load balancers and callers see of a process that stops.

use std::time::{Duration, Instant};

use cloakroom::grpc::wire::{OpenSessionRequest, OpenSessionResponse};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::child::{Process, eventually};
use crate::support::calls::{ChangesExt as _, open_cookie, save};
use crate::support::redis::RedisServer;

const SERVICE: &str = "cloakroom.v1.SessionService";
const READABLE: &str = "cloakroom.v1.SessionService.readable";
const STREAMS: &str = r#"cloakroom_streams{listener="frontends"}"#;

/// Starts a process on a frozen Redis, and a call that waits for it.
async fn with_running_call(server: &str) -> (RedisServer, Process, JoinHandle<Result<OpenSessionResponse, Status>>) {
    let redis = RedisServer::start();
    let config = format!(
        "[store]\nkind = \"redis\"\n[store.redis]\nurl = {:?}\ntimeout = \"60s\"\n[apps.default]\nkeys = [{:?}]\n\
         [server]\ncall_timeout = \"60s\"\nstore_unhealthy_after = \"60s\"\n{server}",
        redis.url(),
        cloakroom::token::Key::generate(),
    );
    let process = Process::start(&config, &[], &[]).await;
    let mut client = process.client();
    let ticket = client.open_session(OpenSessionRequest::default()).await.unwrap().into_inner().session.unwrap().token;
    let changes = cloakroom::grpc::wire::Changes::default().set("a", "1");
    let token = client.save_session(save(&ticket, changes)).await.unwrap().into_inner().session.unwrap().token;
    redis.signal("-STOP");
    let call =
        tokio::spawn(
            async move { Ok(client.open_session(open_cookie(&format!("session={token}"))).await?.into_inner()) },
        );
    process.await_metric(STREAMS, 1.0).await;
    (redis, process, call)
}

async fn health(process: &Process) -> ServingStatus {
    health_of(process, SERVICE).await
}

async fn health_of(process: &Process, service: &str) -> ServingStatus {
    let mut client = HealthClient::new(process.endpoint().connect_lazy());
    client.check(HealthCheckRequest { service: service.to_owned() }).await.unwrap().into_inner().status()
}

#[tokio::test]
async fn a_stopping_process_reports_not_serving_and_still_serves() {
    let config = "[store]\nkind = \"memory\"\n[server]\nshutdown_delay = \"1h\"\n";
    let mut process = Process::start(config, &[], &[]).await;
    assert_eq!(health(&process).await, ServingStatus::Serving);
    assert_eq!(health_of(&process, READABLE).await, ServingStatus::Serving);

    process.signal("-TERM");

    eventually("503", async || process.page("/readyz").await.starts_with("HTTP/1.1 503 ").then_some(())).await;
    assert_eq!(health(&process).await, ServingStatus::NotServing);
    // No new call is to come, whether it reads or writes.
    assert!(process.page("/readablez").await.starts_with("HTTP/1.1 503 "));
    assert_eq!(health_of(&process, READABLE).await, ServingStatus::NotServing);
    // Load balancers take a while to notice, and calls that they send until then are served.
    assert!(process.client().open_session(OpenSessionRequest::default()).await.is_ok());
    assert!(process.page("/healthz").await.starts_with("HTTP/1.1 200 "), "it is alive");
    process.signal("-TERM");
    assert_eq!(process.await_exit().await.code(), Some(143), "a second signal ends it at once");
}

#[tokio::test]
async fn a_stop_refuses_new_connections_and_finishes_running_calls() {
    let (redis, mut process, call) = with_running_call("drain_timeout = \"1h\"\n").await;

    process.signal("-TERM");
    eventually("a refused connection", async || TcpStream::connect(process.listen()).await.err()).await;
    redis.signal("-CONT");

    assert!(!call.await.unwrap().unwrap().session.unwrap().new);
    assert!(process.await_exit().await.success());
    assert_eq!(process.await_log_line("stopped").await["connections.cut"], 0);
}

#[tokio::test]
async fn a_stop_takes_no_longer_than_the_drain_timeout() {
    let (_redis, mut process, call) = with_running_call("drain_timeout = \"200ms\"\n").await;
    let begin = Instant::now();

    process.signal("-TERM");

    assert!(process.await_exit().await.success());
    // The delay, the drain and some time of the machine, but far less than the call's timeout.
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    assert!(call.await.unwrap().is_err());
    assert_eq!(process.await_log_line("stopped").await["connections.cut"], 1);
}
