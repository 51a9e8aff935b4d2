//! The context of a server: the state that all its connections share.

use std::sync::Arc;

use super::Settings;
use super::admin_http::AdminHttp;
use super::call::{CallMetrics, CallSlots, RequestBudget};
use super::connection::protocol::Protocols;
use super::connection::{ConnectionMetrics, PendingBudget};
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
    pub(super) call_slots: Arc<CallSlots>,
    pub(super) request_budget: RequestBudget,
    pub(super) pending_budget: PendingBudget,
    /// `None`: TCP is not encrypted.
    pub(super) tls: Option<Arc<Tls>>,
}

impl ServerContext {
    pub(super) fn new(settings: &Settings, tls: Option<Arc<Tls>>) -> Self {
        let connection_metrics = Arc::<ConnectionMetrics>::default();
        Self {
            pending_budget: PendingBudget::new(settings, Arc::clone(&connection_metrics)),
            connection_metrics,
            call_slots: Arc::new(CallSlots::new(settings)),
            request_budget: RequestBudget::new(settings),
            tls,
            ..Self::default()
        }
    }

    /// Returns the HTTP versions of the server. Only pages need HTTP/1.1.
    pub(super) const fn protocols(&self) -> Protocols {
        if self.admin_http.is_some() { Protocols::Both } else { Protocols::Http2 }
    }
}
