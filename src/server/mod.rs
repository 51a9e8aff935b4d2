//! The server: from listening to the last answered call.
//!
//! It knows sockets, connections and calls, and nothing of what is called. One task accepts; each worker is a thread
//! with a runtime of its own, and a connection stays on the worker that it was given to.

mod accept;
mod admin;
mod admin_http;
mod call;
mod connection;
mod context;
mod health;
mod reloader;
mod run;
mod settings;
mod tls;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use ::http::{Request, Response};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::Service;

pub use accept::BindError;
pub use admin::AdminSettings;
pub use call::{Answer, Services};
pub use reloader::{Reloadable, Reloader};
pub use run::{Cloakroom, Dependencies};
pub use settings::Settings;
pub use tls::{TlsError, TlsFault, TlsSettings};
pub(crate) use tls::{certificates, private_key, roots};

use accept::{Acceptor, Listeners, Workers};
use call::Budget;
use connection::protocol::Protocols;
use context::ServerContext;
use tls::Tls;

use crate::auth::Callers;

/// A server that listens and does not answer yet.
#[derive(Debug)]
pub struct Server {
    settings: Settings,
    listeners: Listeners,
    context: ServerContext,
}

impl Server {
    /// Listens where the settings say, if they are right.
    ///
    /// Needs a tokio runtime around it. Callers that connect before [`Self::run`] wait.
    pub async fn bind(settings: &Settings) -> Result<Self, BindError> {
        settings.check(&Callers::default())?;
        Self::listen(settings, Protocols::Http2).await
    }

    /// Listens where the settings say; they have been checked.
    async fn listen(settings: &Settings, protocols: Protocols) -> Result<Self, BindError> {
        let tls = Tls::open(&settings.tls, protocols)?;
        let listeners = Listeners::bind(settings).await?;
        let context = ServerContext { tls, budget: Budget::new(settings), ..ServerContext::default() };
        Ok(Self { settings: settings.clone(), listeners, context })
    }

    /// The server, with its callers guarded and its calls counted there, and those pages beside its service.
    fn behind(self, context: ServerContext) -> Self {
        let ServerContext { tls, budget, .. } = self.context;
        Self { context: ServerContext { tls, budget, ..context }, ..self }
    }

    /// The TCP address it listens on, with the port that the machine chose.
    pub fn tcp_addr(&self) -> Option<SocketAddr> {
        self.listeners.tcp_addr()
    }

    /// Serves until `shutdown`, then drains: answers when every connection is closed.
    ///
    /// `service` is asked once a worker, with the worker's number and inside its runtime; what it answers is cloned
    /// for every connection. At `shutdown` nothing listens any more, every connection is told to go away, and
    /// running calls have `drain_timeout` to finish. Telling health checks before, and waiting for them, is up to
    /// the caller. Dropping the future is a `shutdown` that nobody waits for.
    pub async fn run<S>(
        self,
        service: impl Fn(usize) -> S + Send + Sync + 'static,
        shutdown: CancellationToken,
    ) -> io::Result<ShutdownReport>
    where
        S: Grpc,
        S::Future: Send,
    {
        let stop = shutdown.child_token();
        let _stop_when_dropped = stop.clone().drop_guard();
        let workers = Workers::start(&self.settings, self.context.clone(), service, &stop).await?;
        let arrivals = Acceptor::new(&self.settings, self.listeners, self.context.connection_metrics, workers);
        let workers = arrivals.receive_until(&stop).await;
        Ok(ShutdownReport { cut: workers.join().await })
    }
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Connections that still had running calls when the drain's time was over.
    pub cut: usize,
}

/// What the server serves: a gRPC service, or [`Services`].
pub trait Grpc: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static {}

impl<S> Grpc for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static
{
}
