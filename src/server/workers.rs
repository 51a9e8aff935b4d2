//! The worker threads: one single-threaded runtime each.
//!
//! A connection never leaves its worker, so that a call crosses no core on its way.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::task;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::call::Calls;
use super::caps::Admission;
use super::connection::{Connection, End};
use super::lifetime::Lifetime;
use super::listeners::Socket;
use super::{Grpc, Peer, Settings, protocol};

/// The running workers.
#[derive(Debug)]
pub(super) struct Workers(Vec<Worker>);

#[derive(Debug)]
struct Worker {
    arrivals: mpsc::Sender<Seated>,
    // As many clones as this worker has connections.
    load: Arc<()>,
    thread: JoinHandle<usize>,
}

/// A connection that was let in.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) socket: Socket,
    pub(super) peer: Peer,
    pub(super) admission: Admission,
}

/// A connection that counts among a worker's.
#[derive(Debug)]
struct Seated {
    arrival: Arrival,
    _load: Arc<()>,
}

impl Workers {
    /// Starts the workers; each finishes its connections after `stop`, or when it can get no more.
    pub(super) async fn start<S, F>(floor: Arc<Floor<F>>, stop: &CancellationToken) -> io::Result<Self>
    where
        S: Grpc,
        S::Future: Send,
        F: Fn(usize) -> S + Send + Sync + 'static,
    {
        let mut workers = Vec::new();
        for number in 0..floor.workers {
            let (arrivals, queue) = mpsc::channel(QUEUE);
            let (started, start) = oneshot::channel();
            let (floor, stop) = (Arc::clone(&floor), stop.child_token());
            let thread = thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
                let (runtime, start) = split(Builder::new_current_thread().enable_all().build());
                // Nobody waits for the start any more: the server was dropped, and `stop` with it.
                let _ = started.send(start);
                runtime.map_or(0, |runtime| floor.work(number, runtime, queue, stop))
            })?;
            workers.push(Worker { arrivals, load: Arc::new(()), thread });
            start.await.unwrap_or_else(|_| Err(io::Error::other("a worker thread panicked at its start")))?;
        }
        Ok(Self(workers))
    }

    /// Gives a connection to the worker that has the fewest; waits while its queue is full.
    pub(super) async fn hand_over(&self, arrival: Arrival) {
        let worker = self.0.iter().min_by_key(|worker| Arc::strong_count(&worker.load));
        let Some(worker) = worker else { return };
        let seated = Seated { arrival, _load: Arc::clone(&worker.load) };
        if worker.arrivals.send(seated).await.is_err() {
            tracing::error!("a worker thread is gone, and a connection with it");
        }
    }

    /// Waits until every worker is done; answers how many connections were cut.
    pub(super) async fn join(self) -> usize {
        let mut cut = 0;
        let (queues, threads): (Vec<_>, Vec<_>) =
            self.0.into_iter().map(|worker| (worker.arrivals, worker.thread)).unzip();
        drop(queues);
        for thread in threads {
            match task::spawn_blocking(|| thread.join()).await {
                Ok(Ok(of_this_worker)) => cut += of_this_worker,
                Ok(Err(_)) | Err(_) => tracing::error!("a worker thread panicked"),
            }
        }
        cut
    }
}

/// What all workers share.
pub(super) struct Floor<F> {
    service: F,
    workers: usize,
    protocol: protocol::Builder,
    lifetime: Lifetime,
    calls: Arc<Calls>,
}

impl<F> Floor<F> {
    pub(super) fn new(settings: &Settings, service: F) -> Self {
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        Self {
            service,
            workers: if settings.workers == 0 { cores() } else { settings.workers },
            protocol: protocol::builder(settings),
            lifetime: Lifetime::new(settings),
            calls: Arc::new(Calls::new(settings)),
        }
    }

    fn work<S>(&self, number: usize, runtime: Runtime, queue: mpsc::Receiver<Seated>, stop: CancellationToken) -> usize
    where
        S: Grpc,
        S::Future: Send,
        F: Fn(usize) -> S,
    {
        let cut = runtime.block_on(self.serve(number, queue, stop));
        runtime.shutdown_timeout(BLOCKING_TIMEOUT);
        cut
    }

    async fn serve<S>(&self, number: usize, mut queue: mpsc::Receiver<Seated>, stop: CancellationToken) -> usize
    where
        S: Grpc,
        S::Future: Send,
        F: Fn(usize) -> S,
    {
        let service = (self.service)(number);
        let connections = TaskTracker::new();
        let cut = Arc::new(AtomicUsize::new(0));
        while let Some(Seated { arrival: Arrival { socket, peer, admission }, _load }) = queue.recv().await {
            let connection = Connection {
                protocol: self.protocol.clone(),
                lifetime: self.lifetime,
                calls: Arc::clone(&self.calls),
                service: service.clone(),
                peer,
                stop: stop.clone(),
            };
            let cut = Arc::clone(&cut);
            connections.spawn(async move {
                let _counted = (admission, _load);
                if connection.serve(socket).await == End::Cut {
                    cut.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        connections.close();
        connections.wait().await;
        cut.load(Ordering::Relaxed)
    }
}

impl<F> fmt::Debug for Floor<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Floor").field("workers", &self.workers).finish_non_exhaustive()
    }
}

fn split(runtime: io::Result<Runtime>) -> (Option<Runtime>, io::Result<()>) {
    match runtime {
        Ok(runtime) => (Some(runtime), Ok(())),
        Err(error) => (None, Err(error)),
    }
}

/// Connections that wait for a busy worker; above it they wait in the listener's backlog.
const QUEUE: usize = 128;

/// How long a stop waits for what a service does on threads of its own; such work has no connection left to answer.
const BLOCKING_TIMEOUT: Duration = Duration::from_secs(1);
