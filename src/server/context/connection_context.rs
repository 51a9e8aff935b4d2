//! The state of the server and the costs of a connection, which all calls of the connection share.

use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Context;

use tokio::task;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::ServerContext;
use super::frame_credit::FrameCredit;
use super::new_calls::NewCall;
use super::unread_body::UnreadBody;
use crate::grpc::Rejection;
use crate::server::limits::{ConnectionPermit, PendingBytes};

/// The state of one connection. It derefs to the state of its server.
#[derive(Debug)]
pub(in crate::server) struct ConnectionContext {
    server: ServerContext,
    pub(in crate::server) permit: ConnectionPermit,
    pub(in crate::server) pending: PendingBytes,
    pub(in crate::server) credit: FrameCredit,
    pub(in crate::server) unread_body: UnreadBody,
    public_streams: AtomicUsize,
}

/// A stream that anybody may open, such as a watch of the health. It counts for its connection until this is dropped.
#[derive(Debug)]
pub(in crate::server) struct PublicStream {
    connection: Arc<ConnectionContext>,
    /// Ready when the connection gets a GOAWAY. `None`: it was.
    goaway: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl PublicStream {
    /// Whether the stream has to end now; true once. Wakes the task when it has to.
    pub(in crate::server) fn poll_goaway(&mut self, cx: &mut Context<'_>) -> bool {
        let is_over = self.goaway.as_mut().is_some_and(|goaway| goaway.as_mut().poll(cx).is_ready());
        if is_over {
            self.goaway = None;
        }
        is_over
    }
}

impl ConnectionContext {
    pub(in crate::server) fn new(server: ServerContext, permit: ConnectionPermit) -> Arc<Self> {
        let pending = PendingBytes::new(server.pending_budget.clone(), Arc::clone(&permit.control));
        let (credit, unread_body, public_streams) = Default::default();
        Arc::new(Self { server, permit, pending, credit, unread_body, public_streams })
    }

    /// Opens a stream that anybody may open. A peer without an answered call may have few, because each uses memory for as
    /// long as the peer likes.
    pub(in crate::server) fn open_public_stream(
        self: &Arc<Self>,
        goaway: &CancellationToken,
    ) -> Result<PublicStream, Rejection> {
        let open = self.public_streams.fetch_add(1, Ordering::Relaxed);
        let goaway = Some(Box::pin(goaway.clone().cancelled_owned()));
        let stream = PublicStream { connection: Arc::clone(self), goaway };
        if open < MAX_PUBLIC_STREAMS || self.permit.is_used() { Ok(stream) } else { Err(Rejection::ShareExhausted) }
    }

    /// Records the whole call of an authenticated caller.
    pub(in crate::server) fn record_call(&self) {
        self.permit.record_use();
        self.credit.add_for_call();
    }

    /// Whether other connections have to get their turn. A peer without an answered call has short turns.
    pub(in crate::server) fn is_turn_over(&self) -> bool {
        self.credit.is_turn_over(self.permit.is_used())
    }

    /// Returns how many bytes the next read may bring. `None`: none, for others have to get their turn.
    pub(in crate::server) fn readable_bytes(&self) -> Option<usize> {
        let are_many = NewCall::are_many() || self.pending.is_thread_full();
        if self.is_turn_over() || are_many && self.pending.has_unfinished() {
            return None;
        }
        // Never none beside many: the queue of tasks may be such that there are many at each turn of this connection.
        Some(match are_many {
            false => usize::MAX,
            // Its calls wait until the peer reads, and it says so in a frame.
            true if self.pending.has_waiting() => READ_BESIDE_WAITING,
            true => READ_BESIDE_MANY,
        })
    }

    /// Counts a request by HTTP/1.1, and lets other connections have their turn first if this one had enough of them.
    pub(in crate::server) async fn take_turn(&self) {
        if self.is_turn_over() {
            task::yield_now().await;
        }
        self.credit.count_in_turn(FRAMES_OF_A_REQUEST);
    }
}

impl Deref for ConnectionContext {
    type Target = ServerContext;

    fn deref(&self) -> &ServerContext {
        &self.server
    }
}

impl Drop for PublicStream {
    fn drop(&mut self) {
        self.connection.public_streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// On a connection without an answered call. A client watches the health once for each of its connections, and a proxy may
/// join those of several clients.
const MAX_PUBLIC_STREAMS: usize = 16;

/// A call or two, or 40 of the shortest that there are.
const READ_BESIDE_MANY: usize = 512;

/// A frame that opens a window or resets a stream. It has 13 bytes, and a call can hardly have fewer than twice as many.
const READ_BESIDE_WAITING: usize = 13;

/// So a turn has two requests that were sent together. The turns of HTTP/2 are counted in frames.
const FRAMES_OF_A_REQUEST: u32 = 32;
