//! What operators' machines read by plain HTTP: metrics, and whether the process lives and serves.
//!
//! Nothing here waits, and nothing asks the store: a page is as quick in an outage as on a quiet night.

mod metrics;

use std::fmt;
use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use tonic::body::Body;

pub(super) use metrics::MetricsSources;

use crate::auth::Peer;
use crate::server::health::HealthState;
use crate::telemetry::metrics::MetricsText;

/// The pages, told apart by their paths.
pub(crate) struct AdminHttp {
    metrics: Box<dyn Fn() -> String + Send + Sync>,
    health: Arc<HealthState>,
}

impl AdminHttp {
    /// Pages on what `vitals` says, and with the metrics that `metrics` writes.
    pub(crate) fn new(health: Arc<HealthState>, metrics: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self { metrics: Box::new(metrics), health }
    }

    /// The page that is asked for, or why there is none.
    pub(crate) fn answer<B>(&self, request: &Request<B>, peer: &Peer) -> Response<Body> {
        if request.method() != Method::GET {
            let mut rejection = page(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "calls need gRPC, pages GET\n");
            rejection.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
            return rejection;
        }
        match request.uri().path() {
            "/metrics" => match peer.authenticate_for_metrics(request.headers()) {
                Ok(()) => page(StatusCode::OK, MetricsText::CONTENT_TYPE, (self.metrics)()),
                Err(status) => stranger(status),
            },
            "/healthz" => page(StatusCode::OK, PLAIN, "alive\n"),
            "/readyz" if self.health.is_serving() => page(StatusCode::OK, PLAIN, "serving\n"),
            "/readyz" => page(StatusCode::SERVICE_UNAVAILABLE, PLAIN, "not serving\n"),
            _ => page(StatusCode::NOT_FOUND, PLAIN, "there are /metrics, /healthz and /readyz\n"),
        }
    }
}

impl fmt::Debug for AdminHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}

fn page(status: StatusCode, kind: &'static str, text: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(text.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn stranger(status: StatusCode) -> Response<Body> {
    let mut rejection = page(status, PLAIN, "metrics are for callers with the role monitor or admin\n");
    rejection.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    rejection
}

const PLAIN: &str = "text/plain; charset=utf-8";
