//! The worker threads: one single-threaded runtime each.
//!
//! A connection never leaves its worker, so that a call crosses no core on its way.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::task;
use tokio_util::sync::CancellationToken;

use super::connection_limits::ConnectionPermit;
use super::listeners::Socket;
use super::worker_loop::{AcceptedConnection, WorkerLoop};
use crate::auth::PeerAddress;
use crate::server::context::ServerContext;
use crate::server::{Grpc, Settings};

/// The running workers.
#[derive(Debug)]
pub(crate) struct Workers(Vec<Worker>);

#[derive(Debug)]
struct Worker {
    queue: mpsc::Sender<AcceptedConnection>,
    // As many clones as this worker has connections, and this one.
    load: Arc<()>,
    thread: JoinHandle<usize>,
}

impl Workers {
    /// Starts the workers; each finishes its connections after `stop`, or when it can get no more.
    pub(crate) async fn start<S, F>(
        settings: &Settings,
        context: ServerContext,
        service: F,
        stop: &CancellationToken,
    ) -> io::Result<Self>
    where
        S: Grpc,
        S::Future: Send,
        F: Fn(usize) -> S + Send + Sync + 'static,
    {
        let (work, service) = (WorkerLoop::new(settings, context, stop), Arc::new(service));
        let mut workers = Vec::new();
        for number in 0..count(settings) {
            let service = Arc::clone(&service);
            workers.push(Worker::start(number, work.clone(), move || service(number)).await?);
        }
        Ok(Self(workers))
    }

    /// Gives a connection to the worker that has the fewest; waits while its queue is full.
    pub(crate) async fn hand_over(&self, socket: Socket, peer_address: PeerAddress, admission: ConnectionPermit) {
        let Some(worker) = self.0.iter().min_by_key(|worker| Arc::strong_count(&worker.load)) else { return };
        let arrival = AcceptedConnection { socket, peer_address, counted: (admission, Arc::clone(&worker.load)) };
        if worker.queue.send(arrival).await.is_err() {
            tracing::error!("a worker thread is gone, and a connection with it");
        }
    }

    /// Waits until every worker is done; answers how many connections were cut.
    pub(crate) async fn join(self) -> usize {
        let (queues, threads): (Vec<_>, Vec<_>) =
            self.0.into_iter().map(|worker| (worker.queue, worker.thread)).unzip();
        // All of them before the first wait: a worker ends when nothing more can come.
        drop(queues);
        let mut cut = 0;
        for thread in threads {
            match task::spawn_blocking(|| thread.join()).await {
                Ok(Ok(of_this_worker)) => cut += of_this_worker,
                Ok(Err(_)) | Err(_) => tracing::error!("a worker thread panicked"),
            }
        }
        cut
    }
}

impl Worker {
    /// Answers when the thread is ready to serve, or why it is not.
    async fn start<S>(number: usize, work: WorkerLoop, service: impl FnOnce() -> S + Send + 'static) -> io::Result<Self>
    where
        S: Grpc,
        S::Future: Send,
    {
        let (queue, arrivals) = mpsc::channel(QUEUE);
        let (started, start) = oneshot::channel();
        let thread = thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            let ready = prepare(service);
            let (ready, outcome) = ready.map_or_else(|error| (None, Err(error)), |ready| (Some(ready), Ok(())));
            // If nobody waits for it any more, the server was dropped, and nothing will arrive.
            let _ = started.send(outcome);
            let Some((runtime, service)) = ready else { return 0 };
            let cut = runtime.block_on(work.serve(service, arrivals));
            runtime.shutdown_timeout(BLOCKING_TIMEOUT);
            cut
        })?;
        start.await.unwrap_or_else(|_| Err(io::Error::other("a worker thread panicked at its start")))?;
        Ok(Self { queue, load: Arc::new(()), thread })
    }
}

/// The service is made inside its runtime, because what it holds may start tasks there.
fn prepare<S>(service: impl FnOnce() -> S) -> io::Result<(Runtime, S)> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let service = runtime.block_on(async { service() });
    Ok((runtime, service))
}

fn count(settings: &Settings) -> usize {
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    if settings.workers == 0 { cores() } else { settings.workers }
}

/// Connections that wait for a busy worker; above it they wait in the listener's backlog.
const QUEUE: usize = 128;

/// How long a stop waits for what a service does on threads of its own; such work has no connection left to answer.
const BLOCKING_TIMEOUT: Duration = Duration::from_secs(1);
