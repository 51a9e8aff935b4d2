//! The loop of a worker: it serves the connections that the acceptor assigns to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::PeerAddress;
use crate::server::call::CallLimits;
use crate::server::connection::{ConnectionEnd, ConnectionTimeouts, HttpConnection, Socket, protocol};
use crate::server::context::{ConnectionContext, ServerContext};
use crate::server::limits::ConnectionPermit;
use crate::server::{GrpcService, Settings};

/// The state that all connections of a worker share. The loops of all workers share one count of running calls.
#[derive(Clone, Debug)]
pub(super) struct WorkerLoop {
    protocol: protocol::Builder,
    timeouts: ConnectionTimeouts,
    call_limits: Arc<CallLimits>,
    context: ServerContext,
    stop: CancellationToken,
}

/// A connection within the limits.
#[derive(Debug)]
pub(super) struct AcceptedConnection {
    pub(super) socket: Socket,
    pub(super) peer_address: PeerAddress,
    pub(super) permit: ConnectionPermit,
    /// It counts as one of its worker until this is dropped.
    pub(super) load: Arc<()>,
}

impl WorkerLoop {
    pub(super) fn new(settings: &Settings, context: ServerContext, stop: &CancellationToken) -> Self {
        Self {
            protocol: protocol::builder(settings, context.versions),
            timeouts: ConnectionTimeouts::new(settings),
            call_limits: Arc::new(CallLimits::new(settings)),
            context,
            stop: stop.clone(),
        }
    }

    /// Serves until the queue is closed and all connections have ended; returns how many connections were cut.
    pub(super) async fn serve<S>(self, service: S, mut queue: mpsc::Receiver<AcceptedConnection>) -> usize
    where
        S: GrpcService,
        S::Future: Send,
    {
        // A token per worker: each connection locks it whenever it wakes, and workers should not wait for each other.
        let stop = self.stop.child_token();
        let connections = TaskTracker::new();
        let cut_connections = Arc::new(AtomicUsize::new(0));
        while let Some(AcceptedConnection { socket, peer_address, permit, load }) = queue.recv().await {
            let connection = HttpConnection {
                protocol: self.protocol.clone(),
                timeouts: self.timeouts,
                call_limits: Arc::clone(&self.call_limits),
                context: ConnectionContext::new(self.context.clone(), permit),
                service: service.clone(),
                peer_address,
                stop: stop.clone(),
            };
            let cut_connections = Arc::clone(&cut_connections);
            connections.spawn(async move {
                let _load = load;
                if connection.serve(socket).await == ConnectionEnd::Cut {
                    cut_connections.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        connections.close();
        connections.wait().await;
        cut_connections.load(Ordering::Relaxed)
    }
}
