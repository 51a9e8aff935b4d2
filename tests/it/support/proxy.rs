//! A TCP proxy in front of a Redis, which a test can let forget its connections or lead elsewhere.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional, sink};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A proxy on a port of its own. It ends when it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    _stop: DropGuard,
}

struct State {
    /// The Unix socket that new connections lead to.
    target: Mutex<PathBuf>,
    accepted: AtomicUsize,
    /// Cancelled when the connections that exist have to forget or to close.
    forget: Mutex<CancellationToken>,
    close: Mutex<CancellationToken>,
}

impl Proxy {
    pub(crate) async fn start(target: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            target: Mutex::new(target),
            accepted: AtomicUsize::new(0),
            forget: Mutex::default(),
            close: Mutex::default(),
        });
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept(listener, Arc::clone(&state))));
        Self { address, state, _stop: stop.drop_guard() }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Leads new connections elsewhere. Those that exist stay as they are.
    pub(crate) fn lead_to(&self, target: PathBuf) {
        *self.state.target.lock() = target;
    }

    /// From now on the connections that exist acknowledge what they get, and forward nothing.
    pub(crate) fn forget(&self) {
        std::mem::take(&mut *self.state.forget.lock()).cancel();
    }

    /// Closes the connections that exist.
    pub(crate) fn close(&self) {
        std::mem::take(&mut *self.state.close.lock()).cancel();
    }

    /// How many connections it has accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        state.accepted.fetch_add(1, Ordering::Relaxed);
        let (target, forget) = (state.target.lock().clone(), state.forget.lock().clone());
        let close = state.close.lock().clone();
        tokio::spawn(close.run_until_cancelled_owned(forward(client, target, forget)));
    }
}

async fn forward(mut client: TcpStream, target: PathBuf, forget: CancellationToken) {
    let Ok(mut server) = UnixStream::connect(target).await else { return };
    if forget.run_until_cancelled(copy_bidirectional(&mut client, &mut server)).await.is_some() {
        return;
    }
    // Neither side learns anything: the server's side stays open as well.
    let _ = tokio::io::copy(&mut client, &mut sink()).await;
    let _ = server.shutdown().await;
    let _ = server.read(&mut [0]).await;
}
