//! What stands between a server's sockets and its service: TLS, the guard, what is counted, and pages that need no gRPC.

use std::sync::Arc;

use http::{Method, Request, Response, Version};
use tonic::body::Body;

use super::admin_http::AdminHttp;
use super::call::{Budget, CallMetrics};
use super::connection::connection_metrics::ConnectionMetrics;
use super::connection::protocol::Protocols;
use super::tls::Tls;
use crate::auth::{Authenticator, Peer};

/// The front of one server.
#[derive(Clone, Debug, Default)]
pub(super) struct ServerContext {
    pub(super) call_metrics: Arc<CallMetrics>,
    pub(super) connection_metrics: Arc<ConnectionMetrics>,
    /// A server without pages speaks HTTP/2 alone.
    pub(super) admin_http: Option<Arc<AdminHttp>>,
    pub(super) authenticator: Authenticator,
    pub(super) budget: Budget,
    /// A server without it does not encrypt.
    pub(super) tls: Option<Arc<Tls>>,
}

impl ServerContext {
    /// What its server has to speak.
    pub(super) const fn protocols(&self) -> Protocols {
        if self.admin_http.is_some() { Protocols::Both } else { Protocols::Http2 }
    }

    /// The page that a request asks for, if it is no call: calls are POST, by HTTP/2.
    pub(super) fn page<B>(&self, request: &Request<B>, peer: &Peer) -> Option<Response<Body>> {
        let admin_http = self.admin_http.as_ref()?;
        let is_call = request.version() == Version::HTTP_2 && request.method() == Method::POST;
        if is_call { None } else { Some(admin_http.answer(request, peer)) }
    }
}
