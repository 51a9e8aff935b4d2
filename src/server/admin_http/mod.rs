//! The HTTP pages of the admin listener: metrics, liveness and readiness, for all calls or for those that read.
//!
//! A page neither waits nor reads the store, so it also responds during an outage of the store.

pub(super) mod console;

use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use tonic::body::Body;

use super::metrics::MetricsSources;
use crate::auth::Peer;
use crate::telemetry::metrics::TextFormat;

/// The pages of the admin listener.
#[derive(Debug)]
pub(super) struct AdminHttp {
    pub(super) metrics: Arc<MetricsSources>,
    pub(super) has_console: bool,
}

impl AdminHttp {
    /// Returns the page for a request, or an error page. `None`: the request is a call, a POST.
    pub(super) fn page<B>(&self, request: &Request<B>, peer: &Peer) -> Option<Response<Body>> {
        if request.method() == Method::POST { None } else { Some(self.respond(request, peer)) }
    }

    fn respond<B>(&self, request: &Request<B>, peer: &Peer) -> Response<Body> {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let mut rejection = page(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "pages need GET, calls POST\n");
            rejection.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
            return rejection;
        }
        let path = request.uri().path();
        if self.has_console
            && let Some(response) = console::respond(path)
        {
            return response;
        }
        match path {
            "/metrics" => match peer.authenticate_for_metrics(request.headers()) {
                Ok(()) => {
                    let format = TextFormat::of_request(request.headers());
                    page(StatusCode::OK, format.content_type(), self.metrics.page(format))
                }
                Err(status) => unauthorized(status),
            },
            "/healthz" => page(StatusCode::OK, PLAIN, "alive\n"),
            "/readyz" if self.metrics.health.is_serving() => page(StatusCode::OK, PLAIN, "serving\n"),
            "/readyz" => page(StatusCode::SERVICE_UNAVAILABLE, PLAIN, "not serving\n"),
            "/readablez" if self.metrics.health.is_readable() => page(StatusCode::OK, PLAIN, "readable\n"),
            "/readablez" => page(StatusCode::SERVICE_UNAVAILABLE, PLAIN, "not readable\n"),
            _ => page(StatusCode::NOT_FOUND, PLAIN, "there are /console, /metrics, /healthz, /readyz and /readablez\n"),
        }
    }
}

fn page(status: StatusCode, content_type: &'static str, text: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(text.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn unauthorized(status: StatusCode) -> Response<Body> {
    let mut rejection = page(status, PLAIN, "metrics are for callers with the role monitor, viewer or admin\n");
    rejection.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    rejection
}

const PLAIN: &str = "text/plain; charset=utf-8";
