//! One connection to Redis: opens it, and tells whether it lives and what went over it.

pub(super) mod connections;
pub(super) mod endpoint;
pub(super) mod files;
pub(super) mod process_id;
mod reconnecting;
mod rounds;
pub(super) mod sentinels;
pub(super) mod target;
pub(super) mod term;
pub(super) mod tls;
mod wait_commands;
pub(super) mod waiter;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::socket2::{SockRef, TcpKeepalive};
use redis::{AsyncConnectionConfig, Cmd, ConnectionAddr, ErrorKind, RedisConnectionInfo, RedisError, Value};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use self::endpoint::Endpoint;
use self::term::PrimaryTerm;
use super::answer::field;
use super::failure::{Cause, Failure};
use super::node_ids::{KnownNodes, NodeIds};
use super::sequence::pipeline;
use super::tls_problem::TlsProblem;

/// An open connection, which many calls share. Dropping it closes it.
#[derive(Debug)]
pub(in crate::store::redis) struct Connection {
    commands: MultiplexedConnection,
    progress: Arc<ConnectionProgress>,
    _driver: DriverGuard,
    pub(in crate::store::redis) opened: Instant,
    /// See [`self::rounds::Rounds`].
    pub(in crate::store::redis) round: u64,
    pub(in crate::store::redis) address: Arc<str>,
    pub(in crate::store::redis) database: i64,
    /// `None`: nobody needs it. See [`Self::read_term()`].
    pub(in crate::store::redis) term: Option<Arc<PrimaryTerm>>,
}

/// The counts of a connection when an operation began. See [`Connection::has_sent_since()`].
#[derive(Clone, Copy, Debug)]
pub(in crate::store::redis) struct ConnectionCounts {
    sent: u64,
    received: u64,
    answered: u64,
}

impl Connection {
    /// Opens a connection, logs in, and waits until Redis has answered.
    pub(in crate::store::redis) async fn open(
        endpoint: &Endpoint,
        round: u64,
        max_wait: Duration,
    ) -> Result<Self, Failure> {
        let deadline = Instant::now() + max_wait;
        let opening = timeout_at(deadline, Self::open_within(endpoint, round, max_wait, deadline));
        let result = opening.await.unwrap_or(Err(Cause::NotConnected(max_wait)));
        result.map_err(|cause| Failure { address: Arc::clone(&endpoint.address), cause })
    }

    async fn open_within(
        endpoint: &Endpoint,
        round: u64,
        max_wait: Duration,
        deadline: Instant,
    ) -> Result<Self, Cause> {
        let (progress, settings) = (Arc::new(ConnectionProgress::default()), endpoint.info.redis_settings());
        let count = |stream| CountingStream { stream, progress: Arc::clone(&progress) };
        let mut handshake = None;
        let (commands, driver) = match (endpoint.info.addr(), &endpoint.tls) {
            (ConnectionAddr::Tcp(host, port), None) => {
                drive(count(connect_tcp(host, *port, max_wait).await?), &progress).await?
            }
            (ConnectionAddr::Tcp(host, port), Some(tls)) => {
                // Below TLS, which may write a part of the bytes that it then fails to write.
                let stream = count(connect_tcp(host, *port, max_wait).await?);
                let connecting = handshake.insert(tls.handshake()).connect(host, stream);
                let no_answer = |_| Err(Cause::Tls(TlsProblem::NoAnswer));
                // Earlier than the calls that wait for the connection, so that they can say why there is none.
                let stream = timeout_at(deadline - max_wait / 4, connecting).await.unwrap_or_else(no_answer)?;
                drive(stream, &progress).await?
            }
            (ConnectionAddr::Unix(path), None) => {
                let stream = UnixStream::connect(path).await?;
                drive(CountingStream { stream, progress: Arc::clone(&progress) }, &progress).await?
            }
            _ => return Err(Cause::Unsuitable("the url leads to nothing that the service can connect to".into())),
        };
        let (_driver, address, database) = (DriverGuard(driver), Arc::clone(&endpoint.address), settings.db());
        let opened = Instant::now();
        let connection = Self { commands, progress, _driver, opened, round, address, database, term: None };
        match (connection.log_in(settings).await, handshake) {
            (Err(Cause::Connection(error)), Some(handshake)) => {
                Err(handshake.explain(&error).map_or(Cause::Connection(error), Cause::Tls))
            }
            (Err(Cause::Connection(error)), None) if matches!(endpoint.info.addr(), ConnectionAddr::Tcp(..)) => {
                Err(Cause::ClosedAtLogin(error))
            }
            (logged_in, _) => logged_in.map(|()| connection),
        }
    }

    /// Logs in and selects the database. Redis has to answer, for the kernel of one that hangs accepts connections too.
    async fn log_in(&self, settings: &RedisConnectionInfo) -> Result<(), Cause> {
        if let Some(password) = settings.password() {
            let logged_in = self.set_up(redis::cmd("AUTH").arg(settings.username()).arg(password)).await;
            logged_in.map_err(|cause| cause.without(password))?;
        }
        if settings.db() != 0 {
            self.set_up(redis::cmd("SELECT").arg(settings.db())).await?;
        }
        answered(self.set_up(&redis::cmd("PING")).await)
    }

    /// Sends one command, for of a pipeline the library does not tell why it failed.
    async fn set_up(&self, command: &Cmd) -> Result<(), Cause> {
        match self.commands().send_packed_command(command).await {
            Ok(Value::ServerError(error)) => Err(RedisError::from(error).into()),
            // OK, or PONG.
            Ok(Value::Okay | Value::SimpleString(_)) => Ok(()),
            Ok(_) => Err(Cause::NotRedis),
            Err(error) if error.kind() == ErrorKind::Parse => Err(Cause::NotRedis),
            Err(error) => Err(error.into()),
        }
    }

    /// Checks that the server is a node of the cluster that has these nodes; of any cluster, if none is known.
    ///
    /// One that was started without its cluster redirects nothing, and one of another cluster may have got the address of
    /// a node: all sessions would seem to be missing.
    pub(in crate::store::redis) async fn check_cluster(
        &self,
        known: &KnownNodes,
        max_wait: Duration,
    ) -> Result<(), Failure> {
        let asking = async {
            let asked = self.set_up(&redis::cmd("ASKING")).await;
            // ASKING counts for the next command. A read of a slot that the node is getting would find nothing.
            let pinged = self.set_up(&redis::cmd("PING")).await;
            answered(asked.and(pinged))?;
            answered(self.check_ids(known).await)
        };
        let checked = timeout(max_wait, asking).await.unwrap_or(Err(Cause::NoAnswer(max_wait)));
        checked.map_err(|cause| Failure { address: Arc::clone(&self.address), cause })
    }

    /// Checks that the server knows one of these nodes, if there are any.
    async fn check_ids(&self, known: &KnownNodes) -> Result<(), Cause> {
        if known.is_empty() {
            return Ok(());
        }
        match self.commands().send_packed_command(redis::cmd("CLUSTER").arg("SLOTS")).await? {
            Value::ServerError(error) => Err(RedisError::from(error).into()),
            slots if known.include_any_of(&NodeIds::read(&slots)) => Ok(()),
            _ => Err(Cause::OtherCluster),
        }
    }

    /// Checks that the server says that it is a primary.
    pub(in crate::store::redis) async fn check_role(&self, max_wait: Duration) -> Result<(), Failure> {
        let asked = timeout(max_wait, self.commands().send_packed_command(&redis::cmd("ROLE"))).await;
        let cause = match asked {
            Ok(Ok(Value::ServerError(error))) => RedisError::from(error).into(),
            Ok(Ok(Value::Array(role))) if role.first() == Some(&Value::BulkString(b"master".to_vec())) => return Ok(()),
            Ok(Ok(_)) => Cause::NotPrimary,
            Ok(Err(error)) => error.into(),
            Err(_) => Cause::NoAnswer(max_wait),
        };
        Err(Failure { address: Arc::clone(&self.address), cause })
    }

    /// Checks that the server is no replica without the layout marker.
    ///
    /// Redis answers reads from an empty data set until a new replica has got the data of its primary, so all sessions
    /// would seem to be missing. A replica that has the data is read: opens go on while nobody takes writes.
    pub(in crate::store::redis) async fn check_data(
        &self,
        marker_key: &str,
        max_wait: Duration,
    ) -> Result<(), Failure> {
        let (mut info, mut get) = (redis::cmd("INFO"), redis::cmd("GET"));
        info.arg("replication");
        get.arg(marker_key);
        let (commands, mut connection) = (pipeline([info, get]), self.commands());
        let cause = match timeout(max_wait, connection.send_packed_commands(&commands, 0, commands.len())).await {
            Ok(Ok(answers)) => match answers.as_slice() {
                [Value::BulkString(info), Value::Nil] if is_replica(info) => Cause::EmptyReplica,
                // A user need not have the right to ask, and a primary may be empty.
                _ => return Ok(()),
            },
            Ok(Err(error)) => error.into(),
            Err(_) => Cause::NoAnswer(max_wait),
        };
        Err(Failure { address: Arc::clone(&self.address), cause })
    }

    /// Reads the term of the server, which has to be a primary.
    pub(in crate::store::redis) async fn read_term(&mut self, max_wait: Duration) -> Result<(), Failure> {
        let mut info = redis::cmd("INFO");
        info.arg("server").arg("replication");
        let mut commands = self.commands();
        let cause = match timeout(max_wait, info.query_async::<String>(&mut commands)).await {
            Ok(Ok(info)) => match PrimaryTerm::read(&info) {
                Some(term) => {
                    self.term = Some(Arc::new(term));
                    return Ok(());
                }
                None if is_replica(info.as_bytes()) => Cause::NotPrimary,
                None => Cause::Unsuitable("acknowledge needs the run_id and the master_replid of its INFO".into()),
            },
            Ok(Err(error)) => error.into(),
            Err(_) => Cause::NoAnswer(max_wait),
        };
        Err(Failure { address: Arc::clone(&self.address), cause })
    }

    /// Returns a handle to send commands with.
    pub(in crate::store::redis) fn commands(&self) -> MultiplexedConnection {
        self.commands.clone()
    }

    pub(in crate::store::redis) fn counts(&self) -> ConnectionCounts {
        let ConnectionProgress { sent, received, answered, .. } = &*self.progress;
        let [sent, received, answered] = [sent, received, answered].map(|count| count.load(Ordering::Relaxed));
        ConnectionCounts { sent, received, answered }
    }

    /// Whether bytes of any command were sent since then. If not, no command that began since then was sent.
    pub(in crate::store::redis) fn has_sent_since(&self, before: ConnectionCounts) -> bool {
        self.counts().sent != before.sent
    }

    /// Whether Redis has sent anything since then.
    pub(in crate::store::redis) fn has_received_since(&self, before: ConnectionCounts) -> bool {
        self.counts().received != before.received
    }

    /// Records that commands were answered whole.
    pub(in crate::store::redis) fn record_answer(&self) {
        self.progress.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether any commands were answered whole since then. A server that hangs in the middle of an answer, or sends it
    /// byte by byte, answers none.
    pub(in crate::store::redis) fn has_answered_since(&self, before: ConnectionCounts) -> bool {
        self.counts().answered != before.answered
    }

    /// Whether calls may use it: it is not closed, and nobody has left it.
    pub(in crate::store::redis) fn is_usable(&self) -> bool {
        !self.progress.is_over.load(Ordering::Relaxed)
    }

    /// Lets no call begin on it any more. Calls that wait for their answer still get it.
    pub(in crate::store::redis) fn leave(&self) {
        self.progress.is_over.store(true, Ordering::Relaxed);
    }

    /// Waits until it is closed. Only one task may do this.
    pub(in crate::store::redis) async fn closed(&self) {
        self.progress.closed.notified().await;
    }
}

fn is_replica(info: &[u8]) -> bool {
    field(&String::from_utf8_lossy(info), "role") == Some("slave")
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
async fn drive<S>(
    stream: S,
    progress: &Arc<ConnectionProgress>,
) -> Result<(MultiplexedConnection, JoinHandle<()>), Cause>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // Operations have a deadline of their own.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_pipeline_buffer_size(QUEUED_COMMANDS);
    let no_setup = RedisConnectionInfo::default().set_skip_set_lib_name();
    let (commands, driver) = MultiplexedConnection::new_with_config(&no_setup, stream, config).await?;
    let progress = Arc::clone(progress);
    let driver = tokio::spawn(async move {
        driver.await;
        progress.is_over.store(true, Ordering::Relaxed);
        progress.closed.notify_one();
    });
    Ok((commands, driver))
}

/// Resolves the name anew and tries each address, with an equal share of the time.
async fn connect_tcp(host: &str, port: u16, max_wait: Duration) -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    let share = max_wait / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return configure(stream, max_wait),
            Ok(Err(error)) => last_error = error,
            Err(elapsed) => last_error = elapsed.into(),
        }
    }
    Err(last_error)
}

/// Lets the kernel close the connection to a peer that acknowledges nothing.
fn configure(stream: TcpStream, max_wait: Duration) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    let interval = max_wait.max(Duration::from_secs(1));
    let keepalive = TcpKeepalive::new().with_time(interval).with_interval(interval).with_retries(3);
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(3 * interval))?;
    Ok(stream)
}

/// The known facts about a connection.
#[derive(Debug, Default)]
struct ConnectionProgress {
    /// How often bytes were sent and received.
    sent: AtomicU64,
    received: AtomicU64,
    /// How often commands were answered.
    answered: AtomicU64,
    /// It is closed, or somebody has left it.
    is_over: AtomicBool,
    closed: Notify,
}

/// Whether a command was answered. A user need not have the right to it, and a Redis that cannot write its disk refuses
/// even a PING, while it still answers reads.
fn answered(result: Result<(), Cause>) -> Result<(), Cause> {
    match result {
        Err(Cause::Answered { code, .. }) if matches!(&*code, "NOPERM" | "MISCONF") => Ok(()),
        result => result,
    }
}

/// Counts what goes over a stream.
struct CountingStream<S> {
    stream: S,
    progress: Arc<ConnectionProgress>,
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
