//! The worker threads: one single-threaded runtime each.
//!
//! A connection stays on its worker, so that a call never moves to another core.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::task;
use tokio_util::sync::CancellationToken;

use super::worker_loop::{AcceptedConnection, WorkerLoop};
use crate::auth::PeerAddress;
use crate::server::connection::Socket;
use crate::server::context::ServerContext;
use crate::server::limits::ConnectionPermit;
use crate::server::{GrpcService, Settings};

/// The running workers.
#[derive(Debug)]
pub(in crate::server) struct Workers(Vec<Worker>);

#[derive(Debug)]
struct Worker {
    queue: mpsc::Sender<AcceptedConnection>,
    /// Each connection of this worker holds a clone, so the strong count is the load.
    load: Arc<()>,
    thread: JoinHandle<usize>,
}

impl Workers {
    /// Starts the workers. Each ends its connections after `stop`, or when its queue is closed.
    pub(in crate::server) async fn start<S, F>(
        settings: &Settings,
        context: ServerContext,
        service: F,
        stop: &CancellationToken,
    ) -> io::Result<Self>
    where
        S: GrpcService,
        S::Future: Send,
        F: Fn(usize) -> S + Send + Sync + 'static,
    {
        let (worker_loop, service) = (WorkerLoop::new(settings, context, stop), Arc::new(service));
        let mut workers = Vec::new();
        for number in 0..settings.worker_count() {
            let service = Arc::clone(&service);
            workers.push(Worker::start(number, worker_loop.clone(), move || service(number)).await?);
        }
        Ok(Self(workers))
    }

    /// Gives a connection to the worker with the fewest connections; waits while its queue is full.
    pub(super) async fn assign(&self, socket: Socket, peer_address: PeerAddress, permit: ConnectionPermit) {
        let Some(worker) = self.0.iter().min_by_key(|worker| Arc::strong_count(&worker.load)) else { return };
        let load = Arc::clone(&worker.load);
        if worker.queue.send(AcceptedConnection { socket, peer_address, permit, load }).await.is_err() {
            tracing::error!("a worker thread is gone, and a connection with it");
        }
    }

    /// Waits until all workers have ended; returns how many connections were cut.
    pub(in crate::server) async fn join(self) -> usize {
        let (queues, threads): (Vec<_>, Vec<_>) =
            self.0.into_iter().map(|worker| (worker.queue, worker.thread)).unzip();
        // All queues are closed before the first wait, because a worker ends only when its queue is closed.
        drop(queues);
        let mut cut_connections = 0;
        for thread in threads {
            match task::spawn_blocking(|| thread.join()).await {
                Ok(Ok(cut_by_worker)) => cut_connections += cut_by_worker,
                Ok(Err(_)) | Err(_) => tracing::error!("a worker thread panicked"),
            }
        }
        cut_connections
    }
}

impl Worker {
    /// Starts the thread and waits until it is ready to serve.
    async fn start<S>(
        number: usize,
        worker_loop: WorkerLoop,
        service: impl FnOnce() -> S + Send + 'static,
    ) -> io::Result<Self>
    where
        S: GrpcService,
        S::Future: Send,
    {
        let (queue, connections) = mpsc::channel(QUEUE_LENGTH);
        let (ready, is_ready) = oneshot::channel();
        let thread = thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            let (runtime, service) = match prepare(service) {
                Ok(prepared) => prepared,
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return 0;
                }
            };
            // An error means that the server was dropped. Then the queue is closed too, and the loop ends at once.
            let _ = ready.send(Ok(()));
            let cut_connections = runtime.block_on(worker_loop.serve(service, connections));
            runtime.shutdown_timeout(BLOCKING_TIMEOUT);
            cut_connections
        })?;
        is_ready.await.unwrap_or_else(|_| Err(io::Error::other("a worker thread panicked at its start")))?;
        Ok(Self { queue, load: Arc::new(()), thread })
    }
}

/// Builds the runtime, and the service inside it, because a service may start tasks when it is built.
fn prepare<S>(service: impl FnOnce() -> S) -> io::Result<(Runtime, S)> {
    let runtime = Builder::new_current_thread().enable_all().event_interval(TASKS_BETWEEN_EVENTS).build()?;
    let service = runtime.block_on(async { service() });
    Ok((runtime, service))
}

/// How many tasks run before sockets are looked at again. A quarter of tokio's default: while the tasks of busy
/// connections never end, others should not have to wait for so many of them.
const TASKS_BETWEEN_EVENTS: u32 = 16;

/// The most connections that wait for one worker. Further ones wait in the listener's backlog.
const QUEUE_LENGTH: usize = 128;

/// How long a worker waits at its end for blocking tasks of the service. No connection is left that needs their result.
const BLOCKING_TIMEOUT: Duration = Duration::from_secs(1);
