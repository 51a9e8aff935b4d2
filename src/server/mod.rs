//! The server: sockets, connections and calls, and the whole service that is built and run on them.
//!
//! A [`Server`] serves any gRPC service. One task accepts connections; each worker is a thread with a runtime of its
//! own, and a connection stays on its worker. The folders, in the order of a call: `accept`, `tls`, `connection`,
//! `call`. They share the state in `context`, and the `limits`. [`Cloakroom`] builds the session service with its two
//! servers, one for frontends and one for operators. Nothing here reads a configuration file.

mod accept;
mod admin_http;
mod admin_settings;
mod background;
mod bind_error;
mod call;
mod call_metrics;
mod cloakroom;
mod connection;
mod connection_metrics;
mod context;
mod file_limit;
mod health;
mod http_versions;
mod limits;
mod metrics;
mod reloader;
mod settings;
mod tls;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use ::http::{Request, Response};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::Service;

pub use admin_settings::AdminSettings;
pub use background::clock_skew;
pub use bind_error::BindError;
pub use call::{ResponseFuture, Services};
pub use cloakroom::{Cloakroom, Dependencies};
pub use file_limit::{FileLimit, raise_file_limit};
pub use reloader::{Reloadable, Reloader};
pub use settings::{Protocols, Settings};
pub use tls::TlsSettings;

use accept::{Acceptor, Listeners, Workers};
use context::ServerContext;
use http_versions::HttpVersions;
use tls::Tls;

use crate::auth::Callers;
use crate::connect::Schema;

/// A server that listens but does not serve yet.
#[derive(Debug)]
pub struct Server {
    settings: Settings,
    listeners: Listeners,
    context: ServerContext,
}

impl Server {
    /// Checks the settings and listens on their addresses. Has to run inside a tokio runtime.
    ///
    /// Peers that connect before [`Self::run`] wait.
    pub async fn bind(settings: &Settings) -> Result<Self, BindError> {
        settings.check(&Callers::default())?;
        Self::listen(settings, false).await
    }

    /// Serves JSON as well, for the messages of these services.
    #[must_use]
    pub fn with_schema(mut self, schema: Schema) -> Self {
        self.context.schema = Arc::new(schema);
        self
    }

    /// Listens on the addresses of settings that have been checked.
    async fn listen(settings: &Settings, has_pages: bool) -> Result<Self, BindError> {
        let versions = if has_pages || settings.protocols.connect { HttpVersions::Both } else { HttpVersions::Http2 };
        let tls = Tls::open(&settings.tls, versions)?;
        let listeners = Listeners::bind(settings).await?;
        let context = ServerContext::new(settings, versions, tls);
        Ok(Self { settings: settings.clone(), listeners, context })
    }

    /// Returns the TCP address, with the actual port if the settings have port 0.
    pub fn tcp_addr(&self) -> Option<SocketAddr> {
        self.listeners.tcp_addr()
    }

    /// Serves until `shutdown`, then drains, and returns when all connections are closed.
    ///
    /// `service` is called once for each worker, with the worker's number and inside its runtime. Its result is cloned
    /// for each connection. At `shutdown` the listeners are closed, each connection gets a GOAWAY, and running calls
    /// have `drain_timeout` to finish. The caller has to publish NOT_SERVING to health checks before. Dropping the
    /// future shuts down too, without waiting for the end.
    pub async fn run<S>(
        self,
        service: impl Fn(usize) -> S + Send + Sync + 'static,
        shutdown: CancellationToken,
    ) -> io::Result<ShutdownReport>
    where
        S: GrpcService,
        S::Future: Send,
    {
        let stop = shutdown.child_token();
        let _stop_when_dropped = stop.clone().drop_guard();
        let workers = Workers::start(&self.settings, self.context.clone(), service, &stop).await?;
        let acceptor = Acceptor::new(&self.settings, &self.context, workers);
        let workers = acceptor.accept_until(&stop, self.listeners).await;
        Ok(ShutdownReport { cut_connections: workers.join().await })
    }
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownReport {
    /// The connections that still had running calls when the drain timeout was over.
    pub cut_connections: usize,
}

/// The services of a server: one generated gRPC service, or several as [`Services`].
pub trait GrpcService:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static
{
}

impl<S> GrpcService for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static
{
}
