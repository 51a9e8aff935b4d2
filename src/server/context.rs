//! The context of a server: the state that all its connections share.

use std::sync::Arc;

use super::admin_http::AdminHttp;
use super::call::{CallMetrics, RequestBudget};
use super::connection::ConnectionMetrics;
use super::connection::protocol::Protocols;
use super::tls::Tls;
use crate::auth::Authenticator;

/// The state that all connections of one server share.
#[derive(Clone, Debug, Default)]
pub(super) struct ServerContext {
    pub(super) call_metrics: Arc<CallMetrics>,
    pub(super) connection_metrics: Arc<ConnectionMetrics>,
    /// The pages of the admin listener. `None` for other servers.
    pub(super) admin_http: Option<Arc<AdminHttp>>,
    pub(super) authenticator: Authenticator,
    pub(super) request_budget: RequestBudget,
    /// `None`: TCP is not encrypted.
    pub(super) tls: Option<Arc<Tls>>,
}

impl ServerContext {
    /// Returns the HTTP versions of the server. Only pages need HTTP/1.1.
    pub(super) const fn protocols(&self) -> Protocols {
        if self.admin_http.is_some() { Protocols::Both } else { Protocols::Http2 }
    }
}
