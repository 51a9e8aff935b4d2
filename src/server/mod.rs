//! The server: from listening to the last answered call.
//!
//! It knows sockets, connections and calls, and nothing of what is called. One task accepts; each worker is a thread
//! with a runtime of its own, and a connection stays on the worker that it was given to.

mod activity;
mod address;
mod admin;
mod arrivals;
mod assembly;
mod backoff;
mod body;
mod budget;
mod call;
mod caps;
mod connection;
mod entrance;
mod front;
mod guard;
mod http;
mod lengths;
mod lifetime;
mod listeners;
mod meter;
mod ongoing;
mod peer;
mod protocol;
mod refusal;
mod register;
mod reloader;
mod services;
mod settings;
mod socket_file;
mod timeout;
mod tls;
mod traffic;
mod vitals;
mod work;
mod workers;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use ::http::{Request, Response};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::Service;

pub use admin::AdminSettings;
pub use assembly::{Cloakroom, Parts};
pub use listeners::BindError;
use peer::Peer;
pub use reloader::{Reloadable, Reloader};
pub use services::{Answer, Services};
pub use settings::{Settings, SettingsError};
pub use tls::{Fault, TlsError, TlsSettings};
pub(crate) use tls::{certificates, private_key, roots};

use arrivals::Arrivals;
use budget::Budget;
use front::Front;
use listeners::Listeners;
use protocol::Protocols;
use tls::Tls;
use workers::Workers;

use crate::grpc::Callers;

/// A server that listens and does not answer yet.
#[derive(Debug)]
pub struct Server {
    settings: Settings,
    listeners: Listeners,
    front: Front,
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
        let front = Front { tls, budget: Budget::new(settings), ..Front::default() };
        Ok(Self { settings: settings.clone(), listeners, front })
    }

    /// The server, with its callers guarded and its calls counted there, and those pages beside its service.
    fn behind(self, front: Front) -> Self {
        let Front { tls, budget, .. } = self.front;
        Self { front: Front { tls, budget, ..front }, ..self }
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
    ) -> io::Result<Report>
    where
        S: Grpc,
        S::Future: Send,
    {
        let stop = shutdown.child_token();
        let _stop_when_dropped = stop.clone().drop_guard();
        let workers = Workers::start(&self.settings, self.front.clone(), service, &stop).await?;
        let arrivals = Arrivals::new(&self.settings, self.listeners, self.front.traffic, workers);
        let workers = arrivals.receive_until(&stop).await;
        Ok(Report { cut: workers.join().await })
    }
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Connections that still had running calls when the drain's time was over.
    pub cut: usize,
}

/// What the server serves: a gRPC service, or [`Services`].
pub trait Grpc: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static {}

impl<S> Grpc for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static
{
}
