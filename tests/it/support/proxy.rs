//! A TCP proxy in front of a Redis, which a test can let forget its connections, hold up their answers or lead elsewhere.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional, sink};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::time::sleep;
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
    /// Cancelled when the connections that exist have to forget, to hold up answers, or to close.
    forget: Mutex<CancellationToken>,
    trickle: Mutex<CancellationToken>,
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
            trickle: Mutex::default(),
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

    /// From now on the connections that exist forward answers byte by byte, with pauses.
    pub(crate) fn trickle(&self) {
        std::mem::take(&mut *self.state.trickle.lock()).cancel();
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
        let (trickle, close) = (state.trickle.lock().clone(), state.close.lock().clone());
        tokio::spawn(close.run_until_cancelled_owned(forward(client, target, forget, trickle)));
    }
}

async fn forward(mut client: TcpStream, target: PathBuf, forget: CancellationToken, trickle: CancellationToken) {
    let Ok(mut server) = UnixStream::connect(target).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => return,
        () = forget.cancelled() => {}
        () = trickle.cancelled() => return forward_byte_by_byte(client, server).await,
    }
    // Neither side learns anything: the server's side stays open as well.
    let _ = tokio::io::copy(&mut client, &mut sink()).await;
    let _ = server.shutdown().await;
    let _ = server.read(&mut [0]).await;
}

/// Forwards commands as they come, and ten bytes of answers in a second.
async fn forward_byte_by_byte(client: TcpStream, server: UnixStream) {
    let ((mut commands, mut to_client), (mut answers, mut to_server)) = (client.into_split(), server.into_split());
    let answering = async {
        while let Ok(byte) = answers.read_u8().await {
            if to_client.write_u8(byte).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = answering => {}
        _ = tokio::io::copy(&mut commands, &mut to_server) => {}
    }
}
