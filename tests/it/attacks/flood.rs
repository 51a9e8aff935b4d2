//! A flood: what attackers send, on how many connections, and what they do with the answers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, copy, sink};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// What attackers do.
#[derive(Clone, Copy)]
pub(super) struct Flood {
    pub(super) name: &'static str,
    pub(super) connections: usize,
    /// Builds the first bytes on a connection.
    pub(super) begin: fn() -> Vec<u8>,
    /// Builds what follows, by the number of the piece. Without bytes the connection stays silent from then on.
    pub(super) piece: fn(&Material, u32) -> Vec<u8>,
    /// The time between two pieces.
    pub(super) pause: Duration,
    pub(super) reading: Reading,
}

/// What attackers do with what the server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    All,
    Nothing,
    /// They disconnect at once after the first piece.
    Disconnect,
}

/// What the pieces of a flood need to know.
#[derive(Clone, Debug)]
pub(super) struct Material {
    /// A message that opens a session of 60 KB, with its prefix.
    pub(super) large_open: Vec<u8>,
}

/// Where a flood goes to, and where it comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    pub(super) to: SocketAddr,
    /// With port 0. `None`: the address that the system chooses, as for the honest caller.
    pub(super) from: Option<SocketAddr>,
}

impl Route {
    async fn connect(self) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if let Some(from) = self.from {
            // A port of a closed connection is in use for a minute otherwise.
            socket.set_reuseaddr(true)?;
            socket.bind(from)?;
        }
        socket.connect(self.to).await
    }
}

/// A flood under way. It has one thread, so that it leaves processors to those that it attacks.
pub(super) struct RunningFlood {
    stop: CancellationToken,
    thread: JoinHandle<()>,
    /// How many connections it has made.
    connections: Arc<AtomicUsize>,
}

impl RunningFlood {
    pub(super) fn start(flood: Flood, route: Route, material: Material) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let connections = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&connections);
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(stopped.run_until_cancelled(attack(flood, route, material, &counted)));
        });
        Self { stop, thread, connections }
    }

    /// Waits for its first connection, for some seconds at most: on a busy machine the thread may begin late.
    pub(super) async fn has_begun(&self) {
        let first = async {
            while self.connections.load(Ordering::Relaxed) == 0 {
                sleep(Duration::from_millis(1)).await;
            }
        };
        _ = timeout(Duration::from_secs(10), first).await;
    }

    /// Closes all its connections. Returns how many there were.
    pub(super) fn stop(self) -> usize {
        self.stop.cancel();
        self.thread.join().unwrap();
        self.connections.load(Ordering::Relaxed)
    }
}

async fn attack(flood: Flood, route: Route, material: Material, connections: &Arc<AtomicUsize>) {
    let mut attackers = JoinSet::new();
    for _ in 0..flood.connections {
        let (material, connections) = (material.clone(), Arc::clone(connections));
        attackers.spawn(async move {
            loop {
                // An address may be out of ports, or the service may refuse the connection.
                let connected = timeout(Duration::from_secs(1), route.connect()).await;
                match connected {
                    Ok(Ok(socket)) => {
                        connections.fetch_add(1, Ordering::Relaxed);
                        use_connection(&flood, &material, socket).await;
                    }
                    _ => sleep(Duration::from_millis(1)).await,
                }
            }
        });
    }
    attackers.join_all().await;
}

/// Sends until the server closes the connection.
async fn use_connection(flood: &Flood, material: &Material, socket: TcpStream) {
    let (mut read, mut write) = socket.into_split();
    let reading = async {
        match flood.reading {
            Reading::All => _ = copy(&mut read, &mut sink()).await,
            Reading::Nothing | Reading::Disconnect => std::future::pending().await,
        }
    };
    let writing = async {
        if write.write_all(&(flood.begin)()).await.is_err() {
            return;
        }
        for number in 0.. {
            let piece = (flood.piece)(material, number);
            if flood.reading == Reading::Disconnect {
                let _ = write.write_all(&piece).await;
                return;
            }
            if piece.is_empty() {
                // Ends by the reading, or with the flood. The write notices a close where nothing is read.
                sleep(Duration::from_millis(200)).await;
            } else if write.write_all(&piece).await.is_err() {
                return;
            }
            if !flood.pause.is_zero() {
                sleep(flood.pause).await;
            }
            if flood.reading == Reading::Nothing && write.as_ref().take_error().ok().flatten().is_some() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
}
