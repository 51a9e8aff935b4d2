//! What a worker does: it serves connections as they arrive.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection_limits::ConnectionPermit;
use super::listeners::Socket;
use crate::auth::PeerAddress;
use crate::server::call::CallLimits;
use crate::server::connection::lifetime::Lifetime;
use crate::server::connection::protocol;
use crate::server::connection::{Connection, ConnectionEnd};
use crate::server::context::ServerContext;
use crate::server::{Grpc, Settings};

/// What every connection is served with. Clones share one count of running calls.
#[derive(Clone, Debug)]
pub(crate) struct WorkerLoop {
    protocol: protocol::Builder,
    lifetime: Lifetime,
    calls: Arc<CallLimits>,
    context: ServerContext,
    stop: CancellationToken,
}

/// A connection that was let in.
#[derive(Debug)]
pub(crate) struct AcceptedConnection {
    pub(crate) socket: Socket,
    pub(crate) peer_address: PeerAddress,
    /// It counts as open, in all and with its worker, until these are dropped.
    pub(crate) counted: (ConnectionPermit, Arc<()>),
}

impl WorkerLoop {
    pub(crate) fn new(settings: &Settings, context: ServerContext, stop: &CancellationToken) -> Self {
        Self {
            protocol: protocol::builder(settings, context.protocols()),
            lifetime: Lifetime::new(settings),
            calls: Arc::new(CallLimits::new(settings)),
            context,
            stop: stop.clone(),
        }
    }

    /// Serves until nothing more can arrive and all is closed; answers how many connections were cut.
    pub(crate) async fn serve<S>(self, service: S, mut arrivals: mpsc::Receiver<AcceptedConnection>) -> usize
    where
        S: Grpc,
        S::Future: Send,
    {
        // A token of its own, because every connection looks at it each time that it wakes, under a lock.
        let stop = self.stop.child_token();
        let connections = TaskTracker::new();
        let cut = Arc::new(AtomicUsize::new(0));
        while let Some(AcceptedConnection { socket, peer_address, counted }) = arrivals.recv().await {
            let connection = Connection {
                protocol: self.protocol.clone(),
                lifetime: self.lifetime,
                calls: Arc::clone(&self.calls),
                context: Arc::new(self.context.clone()),
                service: service.clone(),
                peer_address,
                stop: stop.clone(),
            };
            let cut = Arc::clone(&cut);
            connections.spawn(async move {
                let _counted = counted;
                if connection.serve(socket).await == ConnectionEnd::Cut {
                    cut.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        connections.close();
        connections.wait().await;
        cut.load(Ordering::Relaxed)
    }
}
