//! One connection to Redis: opens it, and tells whether it lives and what went over it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::socket2::{SockRef, TcpKeepalive};
use redis::{AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, Pipeline, RedisConnectionInfo, RedisError, Value};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::failure::{Cause, Failure};
use super::target::{self, Target};

/// An open connection, which many calls share. Dropping it closes it.
#[derive(Debug)]
pub(super) struct Connection {
    commands: MultiplexedConnection,
    progress: Arc<Progress>,
    _driver: DriverGuard,
    pub(super) opened: Instant,
    /// See [`super::rounds::Rounds`].
    pub(super) round: u64,
    pub(super) address: Arc<str>,
    pub(super) database: i64,
}

/// What was on a connection when an operation began. See [`Connection::has_sent_since()`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    sent: u64,
    received: u64,
}

impl Connection {
    /// Opens a connection, logs in, and waits until Redis has answered.
    pub(super) async fn open(target: &Target, round: u64) -> Result<Self, Failure> {
        let info = target.info().await?;
        let address = target::address(&info);
        let opening = timeout(target.timeout, Self::open_to(&info, Arc::clone(&address), round, target.timeout));
        let result = opening.await.unwrap_or(Err(Cause::NotConnected(target.timeout)));
        result.map_err(|cause| Failure { address, cause })
    }

    async fn open_to(info: &ConnectionInfo, address: Arc<str>, round: u64, patience: Duration) -> Result<Self, Cause> {
        let (progress, database) = (Arc::new(Progress::default()), info.redis_settings().db());
        let (commands, driver) = match info.addr() {
            ConnectionAddr::Tcp(host, port) => {
                drive(connect_tcp(host, *port, patience).await?, Arc::clone(&progress)).await?
            }
            ConnectionAddr::Unix(path) => drive(UnixStream::connect(path).await?, Arc::clone(&progress)).await?,
            _ => return Err(Cause::Unsuitable("the url has to be redis:// or redis+unix://".into())),
        };
        let connection =
            Self { commands, progress, _driver: DriverGuard(driver), opened: Instant::now(), round, address, database };
        connection.log_in(info.redis_settings()).await?;
        Ok(connection)
    }

    /// Logs in and selects the database. Redis has to answer, for the kernel of one that hangs accepts connections too.
    async fn log_in(&self, settings: &RedisConnectionInfo) -> Result<(), Cause> {
        let mut pipe = Pipeline::new();
        if let Some(password) = settings.password() {
            pipe.cmd("AUTH").arg(settings.username()).arg(password);
        }
        if settings.db() != 0 {
            pipe.cmd("SELECT").arg(settings.db());
        }
        let setup = pipe.len();
        pipe.cmd("PING");
        let answers = self.commands().send_packed_commands(&pipe, 0, pipe.len()).await?;
        for (number, answer) in answers.into_iter().enumerate() {
            match answer {
                // A user need not have the right to ping: this is an answer, too.
                Value::ServerError(error) if number == setup && error.code() == "NOPERM" => {}
                Value::ServerError(error) => return Err(RedisError::from(error).into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns a handle to send commands with.
    pub(super) fn commands(&self) -> MultiplexedConnection {
        self.commands.clone()
    }

    pub(super) fn mark(&self) -> Mark {
        let Progress { sent, received, .. } = &*self.progress;
        Mark { sent: sent.load(Ordering::Relaxed), received: received.load(Ordering::Relaxed) }
    }

    /// Whether bytes of any command were sent since then. If not, no command that began since then was sent.
    pub(super) fn has_sent_since(&self, mark: Mark) -> bool {
        self.mark().sent != mark.sent
    }

    /// Whether Redis has sent anything since then.
    pub(super) fn has_received_since(&self, mark: Mark) -> bool {
        self.mark().received != mark.received
    }

    /// Whether calls may use it: it is not closed, and nobody has left it.
    pub(super) fn is_usable(&self) -> bool {
        !self.progress.is_over.load(Ordering::Relaxed)
    }

    /// Lets no call begin on it any more. Calls that wait for their answer still get it.
    pub(super) fn leave(&self) {
        self.progress.is_over.store(true, Ordering::Relaxed);
    }

    /// Waits until it is closed. Only one task may do this.
    pub(super) async fn closed(&self) {
        self.progress.closed.notified().await;
    }
}

/// Ends the task that reads and writes, and so closes the connection.
#[derive(Debug)]
struct DriverGuard(JoinHandle<()>);

impl Drop for DriverGuard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts the task that reads and writes.
async fn drive<S>(stream: S, progress: Arc<Progress>) -> Result<(MultiplexedConnection, JoinHandle<()>), Cause>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // Operations have a deadline of their own.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_pipeline_buffer_size(QUEUED_COMMANDS);
    let no_setup = RedisConnectionInfo::default().set_skip_set_lib_name();
    let stream = CountingStream { stream, progress: Arc::clone(&progress) };
    let (commands, driver) = MultiplexedConnection::new_with_config(&no_setup, stream, config).await?;
    let driver = tokio::spawn(async move {
        driver.await;
        progress.is_over.store(true, Ordering::Relaxed);
        progress.closed.notify_one();
    });
    Ok((commands, driver))
}

/// Resolves the name anew and tries each address, with an equal share of the time.
async fn connect_tcp(host: &str, port: u16, patience: Duration) -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    let share = patience / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return configure(stream, patience),
            Ok(Err(error)) => last_error = error,
            Err(elapsed) => last_error = elapsed.into(),
        }
    }
    Err(last_error)
}

/// Lets the kernel give up, too, a peer that acknowledges nothing.
fn configure(stream: TcpStream, patience: Duration) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    let interval = patience.max(Duration::from_secs(1));
    let keepalive = TcpKeepalive::new().with_time(interval).with_interval(interval).with_retries(3);
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(3 * interval))?;
    Ok(stream)
}

/// What is known of a connection.
#[derive(Debug, Default)]
struct Progress {
    /// How often bytes were sent and received.
    sent: AtomicU64,
    received: AtomicU64,
    /// It is closed, or somebody has left it.
    is_over: AtomicBool,
    closed: Notify,
}

/// Counts what goes over a stream.
struct CountingStream<S> {
    stream: S,
    progress: Arc<Progress>,
}

impl<S: AsyncRead + Unpin> AsyncRead for CountingStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.progress.received.fetch_add(1, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CountingStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.progress.sent.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// How many commands may wait to be written. More wait for room, within their deadlines.
const QUEUED_COMMANDS: usize = 1024;
