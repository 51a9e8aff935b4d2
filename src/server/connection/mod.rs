//! One connection: its TLS handshake, its protocol, how long it may live, and its end.

mod frame_reader;
mod http1_io;
mod joined_writes;
mod metered_io;
pub(super) mod protocol;
mod timeouts;
mod turns;

use std::error::Error;
use std::future::poll_fn;
use std::net;
use std::os::unix;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;
use tokio::task;
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;

pub(super) use self::timeouts::ConnectionTimeouts;

use self::http1_io::Http1Io;
use self::joined_writes::JoinedWrites;
use self::metered_io::MeteredIo;
use self::turns::Turns;
use super::GrpcService;
use super::call::{CallHandler, CallLimits};
use super::context::{Activity, ConnectionContext, ConnectionPhase};
use crate::auth::{CertificateName, ConnectionInfo, PeerAddress};

/// A new connection that is not registered with a runtime yet.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(net::TcpStream),
    Unix(unix::net::UnixStream),
}

/// A connection that is to be served.
#[derive(Debug)]
pub(super) struct HttpConnection<S> {
    pub(super) protocol: protocol::Builder,
    pub(super) timeouts: ConnectionTimeouts,
    pub(super) call_limits: Arc<CallLimits>,
    pub(super) context: Arc<ConnectionContext>,
    pub(super) service: S,
    pub(super) peer_address: PeerAddress,
    pub(super) stop: CancellationToken,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionEnd {
    /// No call was running, or the peer disconnected.
    Closed,
    /// Calls were still running when the drain timeout was over.
    Cut,
}

impl<S> HttpConnection<S>
where
    S: GrpcService,
    S::Future: Send,
{
    /// Serves the socket until the connection ends or is cut.
    pub(super) async fn serve(self, socket: Socket) -> ConnectionEnd {
        let context = Arc::clone(&self.context);
        tokio::select! {
            end = self.serve_socket(socket) => end,
            () = context.permit.control.wait_until_cut() => ConnectionEnd::Closed,
        }
    }

    async fn serve_socket(self, socket: Socket) -> ConnectionEnd {
        if !self.context.permit.delay.is_zero() {
            tokio::select! {
                () = time::sleep(self.context.permit.delay) => {}
                () = self.stop.cancelled() => {}
            }
        }
        let result = match socket {
            Socket::Tcp(socket) => match TcpStream::from_std(socket) {
                Ok(socket) if !self.context.permit.delay.is_zero() && has_left(&socket).await => {
                    Ok(ConnectionEnd::Closed)
                }
                Ok(socket) => self.serve_tcp(socket).await,
                Err(error) => Err(error.into()),
            },
            Socket::Unix(socket) => match UnixStream::from_std(socket) {
                Ok(socket) => self.serve_http(socket, Vec::new()).await,
                Err(error) => Err(error.into()),
            },
        };
        result.unwrap_or_else(|error: BoxError| {
            tracing::debug!(error = &*error as &dyn Error, "a connection failed");
            ConnectionEnd::Closed
        })
    }

    async fn serve_tcp(self, socket: TcpStream) -> Result<ConnectionEnd, BoxError> {
        let Some(tls) = self.context.tls.clone() else { return self.serve_http(socket, Vec::new()).await };
        let stopped = async {
            self.stop.cancelled().await;
            time::sleep(self.timeouts.drain.min(FIRST_CALL_TIMEOUT)).await;
        };
        let accepted = tokio::select! {
            accepted = tls.accept(socket, self.timeouts.first_request) => accepted,
            () = stopped => return Ok(ConnectionEnd::Closed),
        };
        let (stream, names) = accepted.inspect_err(|_| self.context.connection_metrics.fail_handshake())?;
        self.serve_http(stream, names).await
    }

    /// Serves decrypted bytes, to a peer with these names in its certificate.
    async fn serve_http<I>(self, io: I, names: Vec<CertificateName>) -> Result<ConnectionEnd, BoxError>
    where
        I: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let (activity, context) = (Activity::default(), Arc::clone(&self.context));
        let goaway = CancellationToken::new();
        let peer = self.context.authenticator.peer(self.peer_address, names);
        let handler = CallHandler {
            activity: activity.clone(),
            connection: Arc::new(ConnectionInfo { goaway: goaway.clone(), peer }),
            limits: self.call_limits,
            context: self.context,
            service: self.service,
        };
        let service = service_fn(move |request| handler.handle(request));
        let writes = JoinedWrites::new(io);
        let io = MeteredIo::new(writes.clone(), Arc::clone(&context));
        let io = TokioIo::new(Http1Io::new(io, activity.clone(), self.timeouts.head));
        let connection = pin!(self.protocol.serve_connection(io, service));
        let stalled = Notify::new();
        let mut connection = Turns::new(connection, writes, &context, self.timeouts.send, &stalled);

        let expired = async {
            self.timeouts.wait_until_expired(&activity).await;
            if activity.speaks_http1() {
                activity.end_with_next_response();
                goaway.cancel();
                self.timeouts.wait_until_idle(&activity).await;
            }
        };
        let mut drain_timeout = self.timeouts.drain;

        tokio::select! {
            result = &mut connection => return result.map(|()| ConnectionEnd::Closed),
            () = self.stop.cancelled() => {
                let stopped = Instant::now();
                activity.end_with_next_response();
                let last_call = wait_for_last_call(Pin::new(&mut connection), &activity, &goaway, drain_timeout);
                if let Some(result) = last_call.await {
                    return result.map(|()| ConnectionEnd::Closed);
                }
                drain_timeout = drain_timeout.saturating_sub(stopped.elapsed());
            }
            () = expired => {}
            () = stalled.notified() => {}
        }
        if activity.speaks_http1()
            && let Some(result) = begin_last_call(Pin::new(&mut connection)).await
        {
            return result.map(|()| ConnectionEnd::Closed);
        }
        connection.connection.as_mut().graceful_shutdown();
        // An idle peer by HTTP/1.1 has no response to lose.
        if !activity.speaks_http1() || matches!(activity.phase(), ConnectionPhase::Active(_)) {
            activity.announce_end();
        }
        goaway.cancel();
        drain(Pin::new(&mut connection), &activity, drain_timeout).await
    }
}

/// Whether the peer of a connection that had to wait has closed it. What it sent before is not worth any work.
async fn has_left(socket: &TcpStream) -> bool {
    // The runtime looks at its sockets before it goes on.
    task::yield_now().await;
    let ready = time::timeout(Duration::ZERO, socket.ready(Interest::READABLE)).await;
    matches!(ready, Ok(Ok(ready)) if ready.is_read_closed())
}

/// Waits a short time for a call that the peer of a stopping server may be sending. Returns how the connection ended.
///
/// By HTTP/2 that is the first call of a new connection; later a GOAWAY says which calls were not begun. By HTTP/1.1 it
/// is the next call, whose response tells the peer to connect anew.
async fn wait_for_last_call<C>(
    mut connection: Pin<&mut C>,
    activity: &Activity,
    goaway: &CancellationToken,
    timeout: Duration,
) -> Option<Result<(), BoxError>>
where
    C: Future<Output = Result<(), BoxError>>,
{
    let begin = Instant::now();
    if let Some(result) = wait_for_first_call(connection.as_mut(), activity, timeout).await {
        return Some(result);
    }
    if !activity.speaks_http1() {
        return None;
    }
    goaway.cancel();
    let timeout = timeout.min(FIRST_CALL_TIMEOUT).saturating_sub(begin.elapsed());
    time::timeout(timeout, connection).await.ok()
}

/// Begins the call that has arrived on a connection by HTTP/1.1 while its end was decided. Returns how it ended, if so.
async fn begin_last_call<C>(connection: Pin<&mut C>) -> Option<Result<(), BoxError>>
where
    C: Future<Output = Result<(), BoxError>>,
{
    // The runtime looks at its sockets before it goes on.
    task::yield_now().await;
    time::timeout(Duration::ZERO, connection).await.ok()
}

/// Waits a short time for the first call of a new connection. Returns how the connection ended, if it did.
///
/// The peer may have sent its first call already. During the HTTP/2 handshake no GOAWAY can be sent: the connection
/// would break, and the peer could not know whether the call was executed.
async fn wait_for_first_call<C>(
    mut connection: Pin<&mut C>,
    activity: &Activity,
    timeout: Duration,
) -> Option<Result<(), BoxError>>
where
    C: Future<Output = Result<(), BoxError>>,
{
    let first_call = poll_fn(|context| match connection.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending if activity.phase() != ConnectionPhase::New => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    time::timeout(timeout.min(FIRST_CALL_TIMEOUT), first_call).await.ok().flatten()
}

/// Lets running calls finish on a connection that is shutting down.
async fn drain<C>(
    mut connection: Pin<&mut C>,
    activity: &Activity,
    timeout: Duration,
) -> Result<ConnectionEnd, BoxError>
where
    C: Future<Output = Result<(), BoxError>>,
{
    // Polled once, which sends the GOAWAY and starts the calls that have arrived in the socket.
    if let Ok(result) = time::timeout(Duration::ZERO, connection.as_mut()).await {
        return result.map(|()| ConnectionEnd::Closed);
    }
    if activity.phase() == ConnectionPhase::New {
        return Ok(ConnectionEnd::Closed);
    }
    match (time::timeout(timeout, connection).await, activity.phase()) {
        (Ok(result), _) => result.map(|()| ConnectionEnd::Closed),
        (Err(_), ConnectionPhase::Active(calls)) => {
            tracing::debug!(calls, "a connection was cut, its calls did not finish in time");
            Ok(ConnectionEnd::Cut)
        }
        // The peer did not close the connection, but no call is lost.
        (Err(_), ConnectionPhase::New | ConnectionPhase::Idle(_)) => Ok(ConnectionEnd::Closed),
    }
}

/// The first bytes of a peer arrive within this time after the connection was accepted, if at all.
const FIRST_CALL_TIMEOUT: Duration = Duration::from_millis(500);

type BoxError = Box<dyn Error + Send + Sync>;
