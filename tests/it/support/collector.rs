//! A collector: the TraceService and the MetricsService of OpenTelemetry's own messages, on a real server.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use cloakroom::server::{Server, Settings, TlsSettings};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use parking_lot::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::body::Body;
use tonic::{Code, Response, Status};
use tower::ServiceExt as _;

use crate::process::child::eventually;
use crate::support::authority::CertificateAuthority;

/// A running collector.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Received>>,
    _stop: DropGuard,
}

/// What a collector has received, and what it answers.
#[derive(Default)]
struct Received {
    bytes: Vec<u8>,
    headers: Vec<HeaderMap>,
    resource_spans: Vec<ResourceSpans>,
    exports: Vec<ResourceMetrics>,
    answer: Answer,
}

/// What a collector answers.
#[derive(Clone, Copy, Default)]
pub(crate) enum Answer {
    #[default]
    Takes,
    /// It takes the request, but not so many of its spans or data points.
    Rejects(i64),
    Refuses(Code),
}

impl Collector {
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), TlsSettings::default()).await
    }

    pub(crate) async fn start_at(address: SocketAddr, tls: TlsSettings) -> Self {
        let settings = Settings { listen: Some(address), workers: 1, tls, ..Settings::default() };
        let server = Server::bind(&settings).await.unwrap();
        let address = server.tcp_addr().unwrap();
        let (received, stop) = (Arc::<Mutex<Received>>::default(), CancellationToken::new());
        let shared = Arc::clone(&received);
        let service = tower::service_fn(move |request: Request<Body>| receive(Arc::clone(&shared), request));
        tokio::spawn(server.run(move |_| service.clone(), stop.clone()));
        Self { address, received, _stop: stop.drop_guard() }
    }

    /// Starts one with a certificate of this authority for `localhost`, whose files are in this folder.
    pub(crate) async fn start_by_tls(authority: &CertificateAuthority, folder: &Path) -> Self {
        let (certificate, key) = (folder.join("crt"), folder.join("key"));
        authority.sign("localhost").write(&certificate, &key);
        let tls = TlsSettings { certificate_file: Some(certificate), key_file: Some(key), client_ca_file: None };
        Self::start_at("127.0.0.1:0".parse().unwrap(), tls).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes what it answers.
    pub(crate) fn set_answer(&self, answer: Answer) {
        self.received.lock().answer = answer;
    }

    /// Returns all spans that it has taken, in the order of their ends.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let received = self.received.lock();
        let scopes = received.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    pub(crate) fn resource_spans(&self) -> Vec<ResourceSpans> {
        self.received.lock().resource_spans.clone()
    }

    /// Returns the metrics of each request that it has taken.
    pub(crate) fn exports(&self) -> Vec<ResourceMetrics> {
        self.received.lock().exports.clone()
    }

    /// Waits for so many more exports of metrics, and returns the last of them.
    pub(crate) async fn await_exports(&self, more: usize) -> ResourceMetrics {
        let number = self.received.lock().exports.len() + more;
        eventually("exports of metrics", async || self.received.lock().exports.get(number - 1).cloned()).await
    }

    /// Returns the bodies of all requests, one after another.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.received.lock().bytes.clone()
    }

    /// Returns the headers of each request.
    pub(crate) fn headers(&self) -> Vec<HeaderMap> {
        self.received.lock().headers.clone()
    }

    /// Waits for a span that is like this.
    pub(crate) async fn await_span(&self, what: &str, is_it: impl Fn(&Span) -> bool) -> Span {
        eventually(what, async || self.spans().into_iter().find(&is_it)).await
    }
}

/// Receives one request. Its bytes are kept as they came, for a message would drop what it does not know.
async fn receive(
    received: Arc<Mutex<Received>>,
    request: Request<Body>,
) -> Result<http::Response<Body>, std::convert::Infallible> {
    let (parts, body) = request.into_parts();
    let bytes: Bytes = body.collect().await.unwrap().to_bytes();
    {
        let mut received = received.lock();
        received.bytes.extend_from_slice(&bytes);
        received.headers.push(parts.headers.clone());
    }
    let is_of_metrics = parts.uri.path() == "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
    let request = Request::from_parts(parts, Body::new(Full::new(bytes)));
    if is_of_metrics {
        return MetricsServiceServer::new(Taking(received)).oneshot(request).await;
    }
    TraceServiceServer::new(Taking(received)).oneshot(request).await
}

struct Taking(Arc<Mutex<Received>>);

impl Answer {
    /// Returns how many items it does not take.
    fn rejected(self) -> Result<i64, Status> {
        match self {
            Self::Takes => Ok(0),
            Self::Rejects(items) => Ok(items),
            Self::Refuses(code) => Err(Status::new(code, "a text of the collector")),
        }
    }
}

#[tonic::async_trait]
impl TraceService for Taking {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut received = self.0.lock();
        let rejected_spans = received.answer.rejected()?;
        received.resource_spans.extend(request.into_inner().resource_spans);
        let partial = ExportTracePartialSuccess { rejected_spans, error_message: String::new() };
        Ok(Response::new(ExportTraceServiceResponse { partial_success: (rejected_spans > 0).then_some(partial) }))
    }
}

#[tonic::async_trait]
impl MetricsService for Taking {
    async fn export(
        &self,
        request: tonic::Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let mut received = self.0.lock();
        let rejected_data_points = received.answer.rejected()?;
        received.exports.extend(request.into_inner().resource_metrics);
        let error_message = "a text of the collector".to_owned();
        let partial = ExportMetricsPartialSuccess { rejected_data_points, error_message };
        let partial_success = (rejected_data_points > 0).then_some(partial);
        Ok(Response::new(ExportMetricsServiceResponse { partial_success }))
    }
}
