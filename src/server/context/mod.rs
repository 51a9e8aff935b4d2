//! The state that the calls of a server share: that of the server, and that of their connection.

mod activity;
mod connection_context;
mod frame_credit;
mod new_calls;
mod response_bytes;
mod unread_body;

use std::sync::Arc;

pub(super) use self::activity::{Activity, ConnectionPhase, StreamGuard};
pub(super) use self::connection_context::{ConnectionContext, PublicStream};
pub(super) use self::new_calls::NewCall;
pub(super) use self::response_bytes::{HeldBytes, ResponseBytes};
use super::admin_http::AdminHttp;
use super::call_metrics::CallMetrics;
use super::connection_metrics::ConnectionMetrics;
use super::http_versions::HttpVersions;
use super::limits::{CallSlots, PendingBudget, RequestBudget};
use super::settings::{Protocols, Settings, is_loopback};
use super::tls::Tls;
use crate::auth::Authenticator;
use crate::connect::Schema;
use crate::telemetry::spans::Tracer;

/// The state that all connections of one server share.
#[derive(Clone, Debug, Default)]
pub(super) struct ServerContext {
    pub(super) call_metrics: Arc<CallMetrics>,
    pub(super) connection_metrics: Arc<ConnectionMetrics>,
    /// The pages of the admin listener. `None` for other servers.
    pub(super) admin_http: Option<Arc<AdminHttp>>,
    /// Whether the pages include the console.
    pub(super) has_console: bool,
    pub(super) authenticator: Authenticator,
    pub(super) tracer: Tracer,
    /// Whether each call notes its caller, for the audit log.
    pub(super) notes_callers: bool,
    pub(super) protocols: Protocols,
    pub(super) versions: HttpVersions,
    /// The messages of the RPCs, for JSON.
    pub(super) schema: Arc<Schema>,
    /// Whether only programs on this machine reach the TCP address.
    pub(super) is_on_loopback: bool,
    pub(super) call_slots: Arc<CallSlots>,
    pub(super) request_budget: RequestBudget,
    pub(super) pending_budget: PendingBudget,
    /// `None`: TCP is not encrypted.
    pub(super) tls: Option<Arc<Tls>>,
}

impl ServerContext {
    pub(super) fn new(settings: &Settings, versions: HttpVersions, tls: Option<Arc<Tls>>) -> Self {
        let connection_metrics = Arc::<ConnectionMetrics>::default();
        Self {
            pending_budget: PendingBudget::new(settings, Arc::clone(&connection_metrics)),
            connection_metrics,
            call_slots: Arc::new(CallSlots::new(settings)),
            request_budget: RequestBudget::new(settings),
            protocols: settings.protocols,
            versions,
            is_on_loopback: settings.listen.is_some_and(is_loopback),
            tls,
            ..Self::default()
        }
    }
}
