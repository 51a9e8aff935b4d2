//! One connection, from its first byte to its last.

pub(crate) mod activity;
pub(crate) mod connection_metrics;
pub(crate) mod lifetime;
pub(crate) mod protocol;

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;

use self::activity::{Activity, ConnectionPhase};
use self::lifetime::Lifetime;
use crate::auth::{CertificateName, ConnectionInfo, PeerAddress};
use crate::grpc::Rejection;
use crate::server::Grpc;
use crate::server::accept::Socket;
use crate::server::call::{BudgetedBody, CallLimits, CallRecorder, RecordedBody, reject};
use crate::server::context::ServerContext;

/// What a connection is served with.
#[derive(Debug)]
pub(crate) struct Connection<S> {
    pub(crate) protocol: protocol::Builder,
    pub(crate) lifetime: Lifetime,
    pub(crate) calls: Arc<CallLimits>,
    pub(crate) context: Arc<ServerContext>,
    pub(crate) service: S,
    pub(crate) peer_address: PeerAddress,
    pub(crate) stop: CancellationToken,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionEnd {
    /// No call was running any more, or the peer went.
    Closed,
    /// Calls were running, and their time was over.
    Cut,
}

impl<S> Connection<S>
where
    S: Grpc,
    S::Future: Send,
{
    /// Serves the socket until the connection is over.
    pub(crate) async fn serve(self, socket: Socket) -> ConnectionEnd {
        let served = match socket {
            Socket::Tcp(socket) => match TcpStream::from_std(socket) {
                Ok(socket) => self.serve_tcp(socket).await,
                Err(error) => Err(error.into()),
            },
            Socket::Unix(socket) => match UnixStream::from_std(socket) {
                Ok(socket) => self.serve_io(socket, Vec::new()).await,
                Err(error) => Err(error.into()),
            },
        };
        served.unwrap_or_else(|error: BoxError| {
            tracing::debug!(error = &*error as &dyn Error, "a connection failed");
            ConnectionEnd::Closed
        })
    }

    async fn serve_tcp(self, socket: TcpStream) -> Result<ConnectionEnd, BoxError> {
        let Some(tls) = self.context.tls.clone() else { return self.serve_io(socket, Vec::new()).await };
        let stopped = async {
            self.stop.cancelled().await;
            time::sleep(self.lifetime.drain.min(FIRST_CALL)).await;
        };
        let accepted = tokio::select! {
            accepted = tls.accept(socket, self.lifetime.preface) => accepted,
            () = stopped => return Ok(ConnectionEnd::Closed),
        };
        let (stream, names) = accepted.inspect_err(|_| self.context.connection_metrics.fail_handshake())?;
        self.serve_io(stream, names).await
    }

    /// Serves bytes that are not encrypted any more, to the holder of a certificate with these names, if it has one.
    async fn serve_io<I>(self, io: I, names: Vec<CertificateName>) -> Result<ConnectionEnd, BoxError>
    where
        I: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let activity = Activity::default();
        let (calls, service, streams) = (self.calls, self.service, activity.clone());
        let context = self.context;
        let peer = Arc::new(context.authenticator.peer(self.peer_address, names));
        let goaway = CancellationToken::new();
        let connection_info = Arc::new(ConnectionInfo { goaway: goaway.clone(), peer: Arc::clone(&peer) });
        let answer = service_fn(move |request: Request<Incoming>| {
            let stream = streams.begin();
            // In a box, for every future on the way down holds it twice, and the whole of them is moved a few times.
            let mut request = Box::new(request.map(|body| Body::new(BudgetedBody::new(body, &context))));
            request.extensions_mut().insert(Arc::clone(&connection_info));
            let (calls, service, context) = (Arc::clone(&calls), service.clone(), Arc::clone(&context));
            let peer = Arc::clone(&peer);
            async move {
                if let Some(page) = context.page(&request, &peer) {
                    return Ok::<_, Infallible>(page.map(|body| RecordedBody::page(body, stream)));
                }
                let mut call = CallRecorder::begin(&context, &request);
                let admitted = call.step(|| peer.authenticate(call.rpc().number(), request.headers()));
                let admitted = admitted.map(|caller| _ = request.extensions_mut().insert(caller));
                let mut response = match admitted {
                    // In a box, so that what is spawned for the stream is small: it is moved four times on its way.
                    Ok(()) => Box::pin(call.run(calls.answer(service, request))).await,
                    Err(error) => reject(&request, Rejection::Unauthorized(error)),
                };
                call.answered(&mut response);
                Ok(response.map(|body| RecordedBody::to(call, body, stream)))
            }
        });
        let mut connection = pin!(self.protocol.serve_connection(TokioIo::new(io), answer));

        tokio::select! {
            ended = connection.as_mut() => return closed(ended),
            () = self.stop.cancelled() => {
                if let Some(ended) = first_call(connection.as_mut(), &activity, self.lifetime.drain).await {
                    return closed(ended);
                }
            }
            () = self.lifetime.over(&activity) => {}
        }
        connection.as_mut().graceful_shutdown();
        goaway.cancel();
        drain(connection, &activity, self.lifetime.drain).await
    }
}

/// Waits a moment for the first call of a connection that is only being made. Answers how it ended, if it did.
///
/// Its caller believes it open and may have sent that call. In the middle of its handshake it could not be told to go
/// away: it would break, and nobody could know whether the call was done.
async fn first_call<C>(
    mut connection: Pin<&mut C>,
    activity: &Activity,
    within: Duration,
) -> Option<Result<(), BoxError>>
where
    C: Future<Output = Result<(), BoxError>>,
{
    let seen = poll_fn(|context| match connection.as_mut().poll(context) {
        Poll::Ready(ended) => Poll::Ready(Some(ended)),
        Poll::Pending if activity.phase() != ConnectionPhase::Fresh => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    time::timeout(within.min(FIRST_CALL), seen).await.ok().flatten()
}

/// Lets running calls finish on a connection that is told to go away.
async fn drain<C>(mut connection: Pin<&mut C>, activity: &Activity, within: Duration) -> Result<ConnectionEnd, BoxError>
where
    C: Future<Output = Result<(), BoxError>>,
{
    // One look, which says farewell and finds the calls that are in the socket already.
    if let Ok(ended) = time::timeout(Duration::ZERO, connection.as_mut()).await {
        return closed(ended);
    }
    if activity.phase() == ConnectionPhase::Fresh {
        return Ok(ConnectionEnd::Closed);
    }
    match (time::timeout(within, connection).await, activity.phase()) {
        (Ok(ended), _) => closed(ended),
        (Err(_), ConnectionPhase::Busy(calls)) => {
            tracing::debug!(calls, "a connection was cut, its calls did not finish in time");
            Ok(ConnectionEnd::Cut)
        }
        // The peer did not say goodbye, and nobody misses it.
        (Err(_), ConnectionPhase::Fresh | ConnectionPhase::Idle(_)) => Ok(ConnectionEnd::Closed),
    }
}

fn closed(ended: Result<(), BoxError>) -> Result<ConnectionEnd, BoxError> {
    ended.map(|()| ConnectionEnd::Closed)
}

/// A caller's first bytes come so long after it was accepted, if they come at all.
const FIRST_CALL: Duration = Duration::from_millis(500);

type BoxError = Box<dyn Error + Send + Sync>;
