//! How spans reach the collector, and what happens if they do not.

use std::net::{SocketAddr, TcpListener};

use cloakroom::grpc::wire::OpenSessionRequest;
use cloakroom::server::TlsSettings;
use tokio::task::JoinSet;
use tonic::Code;

use super::{TRACE, config, sampled};
use crate::process::child::{Process, eventually};
use crate::support::authority::CertificateAuthority;
use crate::support::collector::{Answer, Collector};

const EXPORTED: &str = "cloakroom_spans_exported_total";
const FAILING: &str = "spans cannot be exported";

fn lost(reason: &str) -> String {
    format!("cloakroom_spans_lost_total{{reason=\"{reason}\"}}")
}

/// Makes one call that is sampled.
async fn call(process: &Process) {
    process.client().open_session(sampled(TRACE, OpenSessionRequest::default())).await.unwrap();
}

#[tokio::test]
async fn without_an_endpoint_there_are_no_spans() {
    let process = Process::start(&config("sample_ratio = 1"), &[], &[]).await;

    call(&process).await;

    let page = process.page("/metrics").await;
    let counts = page.lines().filter(|line| line.starts_with("cloakroom_spans_")).collect::<Vec<_>>();
    assert!(counts.len() == 5 && counts.iter().all(|line| line.ends_with(" 0")), "{counts:?}");
}

#[tokio::test]
async fn a_collector_that_hangs_delays_no_call_and_no_stop() {
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = collector.local_addr().unwrap();
    // With this timeout, the nine requests that are due would take nine minutes.
    let traces = format!("endpoint = \"http://{address}\"\nsample_ratio = 1\ntimeout = \"1m\"");
    let mut process = Process::start(&config(&traces), &[], &[]).await;
    let mut calls = JoinSet::new();

    for _ in 0..20 {
        let mut client = process.client();
        calls.spawn(async move {
            for _ in 0..260 {
                client.open_session(OpenSessionRequest::default()).await.unwrap();
            }
        });
    }
    while let Some(ended) = calls.join_next().await {
        ended.unwrap();
    }

    let full =
        eventually("a full queue", async || process.metric(&lost("QUEUE_FULL")).await.filter(|lost| *lost > 0.0));
    assert!(full.await <= 5200.0);
    assert!(process.metric(EXPORTED).await == Some(0.0));
    process.signal("-TERM");
    assert!(process.await_exit().await.success());
    let output = process.output();
    assert!(output.contains("the service stops before the collector of traces has taken all spans"), "{output}");
    assert!(output.contains("\"stopped\""), "{output}");
}

#[tokio::test]
async fn spans_wait_for_a_collector_that_is_down() {
    let address = TcpListener::bind(own_address()).unwrap().local_addr().unwrap();
    let process = Process::start(&config(&format!("endpoint = \"http://{address}\"")), &[], &[]).await;
    call(&process).await;
    let line = process.await_log_line(FAILING).await;

    let collector = Collector::start_at(address, TlsSettings::default()).await;
    collector.await_span("the call", |_| true).await;

    assert_eq!(line["error"], "no connection to the collector", "{line}");
    process.await_log_line("the collector takes spans again").await;
    process.await_metric(EXPORTED, 1.0).await;
    process.await_metric(&lost("EXPORT_FAILED"), 0.0).await;
}

#[tokio::test]
async fn what_a_collector_rejects_or_refuses_is_counted() {
    let collector = Collector::start().await;
    let process = Process::start(&config(&format!("endpoint = {:?}", collector.url())), &[], &[]).await;

    collector.set_answer(Answer::Rejects(1));
    call(&process).await;
    process.await_metric(&lost("REJECTED"), 1.0).await;
    collector.set_answer(Answer::Refuses(Code::InvalidArgument));
    call(&process).await;
    process.await_metric(&lost("EXPORT_FAILED"), 1.0).await;
    let line = process.await_log_line(FAILING).await;
    process.await_log_line("spans were lost").await;

    assert_eq!(line["error"], "the collector answers InvalidArgument");
    assert_eq!(process.metric(EXPORTED).await, Some(0.0));
    assert!(!process.output().contains("a text of the collector"));
}

#[tokio::test]
async fn a_request_that_may_pass_later_is_repeated() {
    let collector = Collector::start().await;
    let process = Process::start(&config(&format!("endpoint = {:?}", collector.url())), &[], &[]).await;

    collector.set_answer(Answer::Refuses(Code::Unavailable));
    call(&process).await;
    process.await_log_line(FAILING).await;
    collector.set_answer(Answer::Takes);
    process.await_metric(EXPORTED, 1.0).await;

    assert_eq!(collector.spans().len(), 1);
}

#[tokio::test]
async fn a_stop_exports_what_is_queued() {
    let collector = Collector::start().await;
    let traces = format!("endpoint = {:?}\nsample_ratio = 1", collector.url());
    let mut process = Process::start(&config(&traces), &[], &[]).await;

    for _ in 0..600 {
        call(&process).await;
    }
    process.signal("-TERM");
    assert!(process.await_exit().await.success());

    assert_eq!(collector.spans().len(), 600);
}

#[tokio::test]
async fn a_collector_by_tls_is_checked_and_gets_the_headers_of_the_file() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), CertificateAuthority::new());
    let collector = Collector::start_by_tls(&authority, folder.path()).await;
    let traces = format!(
        "endpoint = \"https://localhost:{}\"\nca_file = \"ca.crt\"\nheaders_file = \"headers\"",
        collector.address.port()
    );
    let other = CertificateAuthority::named("another authority").pem();
    let files = [("ca.crt", &*other), ("headers", "# of the vendor\nauthorization: Bearer first\nx-scope: team\n")];
    let process = Process::start(&config(&traces), &files, &[]).await;

    call(&process).await;
    let line = process.await_log_line(FAILING).await;
    assert!(line["error.sources"].to_string().contains("UnknownIssuer"), "{line}");
    assert_eq!(collector.headers().len(), 0);
    process.replace("ca.crt", &authority.pem());
    collector.await_span("the call", |_| true).await;
    // A collector that refuses the header is asked again with what the file has by then.
    process.replace("headers", "authorization: Bearer second\n");
    collector.set_answer(Answer::Refuses(Code::Unauthenticated));
    call(&process).await;
    process.await_metric(&lost("EXPORT_FAILED"), 1.0).await;
    collector.set_answer(Answer::Takes);
    call(&process).await;
    process.await_metric(EXPORTED, 2.0).await;

    let headers = collector.headers();
    let (first, last) = (&headers[0], headers.last().unwrap());
    assert_eq!(
        (&first["authorization"], &first["x-scope"]),
        (&"Bearer first".parse().unwrap(), &"team".parse().unwrap())
    );
    assert_eq!(last["authorization"], "Bearer second");
    let output = process.output();
    assert!(!output.contains("Bearer first") && !output.contains("Bearer second"), "{output}");
}

/// Returns a loopback address of this test alone, whose port is still free when it is bound again.
fn own_address() -> SocketAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    SocketAddr::from(([127, 32 | (high & 31), low, 7], 0))
}
