//! What stands between a server's sockets and its service: TLS, the guard, what is counted, and pages that need no gRPC.

use std::sync::Arc;

use http::{Method, Request, Response, Version};
use tonic::body::Body;

use super::budget::Budget;
use super::guard::{Guard, Visitor};
use super::http::Pages;
use super::meter::Meter;
use super::protocol::Protocols;
use super::tls::Tls;
use super::traffic::Traffic;

/// The front of one server.
#[derive(Clone, Debug, Default)]
pub(super) struct Front {
    pub(super) meter: Arc<Meter>,
    pub(super) traffic: Arc<Traffic>,
    /// A server without pages speaks HTTP/2 alone.
    pub(super) pages: Option<Arc<Pages>>,
    pub(super) guard: Guard,
    pub(super) budget: Budget,
    /// A server without it does not encrypt.
    pub(super) tls: Option<Arc<Tls>>,
}

impl Front {
    /// What its server has to speak.
    pub(super) const fn protocols(&self) -> Protocols {
        if self.pages.is_some() { Protocols::Both } else { Protocols::Http2 }
    }

    /// The page that a request asks for, if it is no call: calls are POST, by HTTP/2.
    pub(super) fn page<B>(&self, request: &Request<B>, visitor: &Visitor) -> Option<Response<Body>> {
        let pages = self.pages.as_ref()?;
        let is_call = request.version() == Version::HTTP_2 && request.method() == Method::POST;
        if is_call { None } else { Some(pages.answer(request, visitor)) }
    }
}
