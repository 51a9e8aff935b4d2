//! How metrics reach the collector, and what happens if they do not.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use cloakroom::app::Apps;
use cloakroom::audit::AuditLog;
use cloakroom::auth::Callers;
use cloakroom::grpc::wire::OpenSessionRequest;
use cloakroom::otlp::MetricsSettings;
use cloakroom::server::{AdminSettings, Cloakroom, Dependencies, Settings, TlsSettings};
use cloakroom::store::{Handle, Memory};
use cloakroom::types::SystemClock;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::config;
use super::values::of_export;
use crate::process::child::{Process, eventually, with_timeout};
use crate::support::authority::CertificateAuthority;
use crate::support::collector::{Answer, Collector};

const OPENS: &str =
    "cloakroom_calls_total{rpc=\"cloakroom.v1.SessionService/OpenSession\",protocol=\"grpc\",code=\"OK\"}";
const FAILING: &str = "metrics cannot be exported";
const RECOVERED: &str = "the collector takes metrics again";

fn exports(outcome: &str) -> String {
    format!("cloakroom_metric_exports_total{{outcome=\"{outcome}\"}}")
}

async fn start(endpoint: &str, more: &str) -> Process {
    Process::start(&config(&format!("endpoint = {endpoint:?}\ninterval = \"1s\"\n{more}")), &[], &[]).await
}

/// Waits until at least so many exports have ended so.
async fn await_exports(process: &Process, outcome: &str, least: f64) {
    let name = exports(outcome);
    eventually(&name, async || process.metric(&name).await.filter(|count| *count >= least)).await;
}

async fn call(process: &Process) {
    process.client().open_session(OpenSessionRequest::default()).await.unwrap();
}

#[tokio::test]
async fn without_an_endpoint_no_metrics_are_exported() {
    let process = Process::start(&config("interval = \"1s\""), &[], &[]).await;

    for outcome in ["successful", "partial", "failed"] {
        assert_eq!(process.metric(&exports(outcome)).await, Some(0.0));
    }
    assert!(!process.output().contains("metrics are exported"));
}

#[tokio::test]
async fn a_collector_that_hangs_delays_no_call_and_no_stop() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut process = start(&format!("http://{address}"), "timeout = \"1m\"").await;

    let (_hanging, _) = with_timeout(listener.accept()).await.unwrap();
    for _ in 0..20 {
        call(&process).await;
    }
    assert_eq!(process.metric(&exports("failed")).await, Some(0.0), "the export still waits, and the calls did not");
    process.signal("-TERM");
    assert!(process.await_exit().await.success());

    let output = process.output();
    assert!(output.contains("the service stops before the collector of metrics has taken the last ones"), "{output}");
    assert!(output.contains("\"stopped\""), "{output}");
}

#[tokio::test]
async fn an_export_that_takes_longer_than_its_timeout_fails() {
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let process = start(&format!("http://{}", collector.local_addr().unwrap()), "timeout = \"50ms\"").await;

    await_exports(&process, "failed", 2.0).await;

    let line = process.await_log_line(FAILING).await;
    assert_eq!(line["error"], "the collector does not answer in time", "{line}");
    assert_eq!(process.output().matches(FAILING).count(), 1);
}

#[tokio::test]
async fn a_collector_that_comes_back_gets_the_values_of_the_time_without_it() {
    let address = TcpListener::bind(own_address()).unwrap().local_addr().unwrap();
    let process = start(&format!("http://{address}"), "").await;

    call(&process).await;
    await_exports(&process, "failed", 2.0).await;
    let collector = Collector::start_at(address, TlsSettings::default()).await;
    let export = collector.await_exports(1).await;
    process.await_log_line(RECOVERED).await;
    let failed = process.metric(&exports("failed")).await.unwrap();
    drop(collector);
    await_exports(&process, "failed", failed + 1.0).await;
    call(&process).await;
    let collector = eventually("the address", async || TcpListener::bind(address).ok()).await;
    drop(collector);
    let collector = Collector::start_at(address, TlsSettings::default()).await;
    // The first one may have been written before the call.
    let later = collector.await_exports(2).await;

    assert_eq!(of_export(&export).get(OPENS), Some(&1.0));
    assert_eq!(of_export(&later).get(OPENS), Some(&2.0));
    let output = process.await_output(RECOVERED, 2).await;
    assert_eq!(output.matches(FAILING).count(), 2, "{output}");
    let line = process.await_log_line(FAILING).await;
    assert_eq!(line["error"], "no connection to the collector", "{line}");
}

#[tokio::test]
async fn an_export_that_a_collector_rejects_or_refuses_is_counted_and_logged_once() {
    let collector = Collector::start().await;
    let process = start(&collector.url(), "").await;

    collector.set_answer(Answer::Rejects(3));
    await_exports(&process, "partial", 2.0).await;
    collector.set_answer(Answer::Refuses(Code::InvalidArgument));
    await_exports(&process, "failed", 2.0).await;
    collector.set_answer(Answer::Takes);
    process.await_log_line(RECOVERED).await;

    let rejecting = "the collector rejects a part of the metrics";
    assert_eq!(process.await_log_line(rejecting).await["points"], 3);
    assert_eq!(process.await_log_line(FAILING).await["error"], "the collector answers InvalidArgument");
    let output = process.output();
    assert_eq!((output.matches(rejecting).count(), output.matches(FAILING).count()), (1, 1), "{output}");
    assert!(!output.contains("a text of the collector"));
}

#[tokio::test]
async fn a_stop_exports_the_last_values() {
    let collector = Collector::start().await;
    let mut process =
        Process::start(&config(&format!("endpoint = {:?}\ninterval = \"1s\"", collector.url())), &[], &[]).await;

    collector.await_exports(1).await;
    for _ in 0..7 {
        call(&process).await;
    }
    process.signal("-TERM");
    assert!(process.await_exit().await.success());

    assert_eq!(of_export(collector.exports().last().unwrap()).get(OPENS), Some(&7.0));
}

#[tokio::test]
async fn metrics_are_exported_without_an_admin_listener() {
    let collector = Collector::start().await;
    let settings = Settings { listen: "127.0.0.1:0".parse().ok(), workers: 1, ..Settings::default() };
    let admin = AdminSettings { listen: None, ..AdminSettings::default() };
    let dependencies = Dependencies {
        apps: Apps::default(),
        store: Handle::from(Memory::new()),
        clock: Arc::new(SystemClock),
        callers: Callers::default(),
        traces: Default::default(),
        metrics: MetricsSettings {
            endpoint: collector.url(),
            interval: Duration::from_secs(3600),
            ..Default::default()
        },
        audit_log: AuditLog::default(),
    };
    let cloakroom = Cloakroom::bind(&settings, &admin, dependencies).await.unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(cloakroom.run(stop.clone()));

    stop.cancel();
    with_timeout(running).await.unwrap().unwrap();

    let exports = collector.exports();
    let listeners = |name: &str| format!("cloakroom_connections{{listener=\"{name}\"}}");
    assert_eq!(exports.len(), 1);
    assert_eq!(of_export(&exports[0]).get(&listeners("frontends")), Some(&0.0));
    assert_eq!(of_export(&exports[0]).get(&listeners("operators")), None);
}

#[tokio::test]
async fn a_collector_by_tls_is_checked_and_gets_the_headers_of_the_file() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), CertificateAuthority::new());
    let collector = Collector::start_by_tls(&authority, folder.path()).await;
    let metrics = format!(
        "endpoint = \"https://localhost:{}\"\ninterval = \"1s\"\nca_file = \"ca.crt\"\nheaders_file = \"headers\"",
        collector.address.port()
    );
    let other = CertificateAuthority::named("another authority").pem();
    let files = [("ca.crt", &*other), ("headers", "authorization: Bearer first\n")];
    let process = Process::start(&config(&metrics), &files, &[]).await;

    let line = process.await_log_line(FAILING).await;
    assert!(line["error.sources"].to_string().contains("UnknownIssuer"), "{line}");
    assert_eq!(collector.headers().len(), 0);
    process.replace("ca.crt", &authority.pem());
    collector.await_exports(1).await;
    process.replace("headers", "authorization: Bearer second\n");
    collector.set_answer(Answer::Refuses(Code::Unauthenticated));
    let bearer = |text: &str| collector.headers().iter().any(|headers| headers["authorization"] == text);
    eventually("the new header", async || bearer("Bearer second").then_some(())).await;

    assert!(bearer("Bearer first"));
    let output = process.output();
    assert!(!output.contains("Bearer first") && !output.contains("Bearer second"), "{output}");
}

/// Returns a loopback address of this test alone, whose port is still free when it is bound again.
fn own_address() -> SocketAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    SocketAddr::from(([127, 32 | (high & 31), low, 8], 0))
}
