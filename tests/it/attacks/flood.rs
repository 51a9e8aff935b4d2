//! A flood: what attackers send, on how many connections, and what they do with the answers.

use std::io;
use std::net::SocketAddr;
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

/// What is attacked, and from where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attacked {
    pub(super) listener: SocketAddr,
    /// The address of the attackers. Its port is 0.
    pub(super) from: SocketAddr,
}

impl Attacked {
    async fn connect(self) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(self.from)?;
        socket.connect(self.listener).await
    }
}

/// A flood under way. It has one thread, so that it leaves processors to those that it attacks.
pub(super) struct RunningFlood {
    stop: CancellationToken,
    thread: JoinHandle<()>,
}

impl RunningFlood {
    pub(super) fn start(flood: Flood, attacked: Attacked, material: Material) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(stopped.run_until_cancelled(attack(flood, attacked, material)));
        });
        Self { stop, thread }
    }

    /// Closes all its connections.
    pub(super) fn stop(self) {
        self.stop.cancel();
        self.thread.join().unwrap();
    }
}

async fn attack(flood: Flood, attacked: Attacked, material: Material) {
    let mut attackers = JoinSet::new();
    for _ in 0..flood.connections {
        let material = material.clone();
        attackers.spawn(async move {
            loop {
                // An address may be out of ports, or the service may refuse the connection.
                let connected = timeout(Duration::from_secs(1), attacked.connect()).await;
                match connected {
                    Ok(Ok(socket)) => use_connection(&flood, &material, socket).await,
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
