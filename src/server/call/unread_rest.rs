//! The rest of a request's body that a call by HTTP/2 left unread.
//!
//! With a rest the server has to reset the stream after its response, and some clients, curl among them, throw the
//! response away then. So a short rest is read and dropped first. With a longer one, or a slow one, the stream is reset.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::{self, Instant};

use crate::server::context::ConnectionContext;
use crate::server::limits::OVERHEAD;

/// The rest of a body. While the peer is waited for, it counts as pending.
#[derive(Debug)]
pub(super) struct UnreadRest {
    body: Incoming,
    connection: Arc<ConnectionContext>,
    read: usize,
    pending: usize,
    deadline: Instant,
}

impl UnreadRest {
    /// Keeps the rest of a body of which `read` bytes were read, and `announced` bytes are known to follow. `None`: these are
    /// more than `MAX_REQUEST`. `deadline`: when the request has to be whole.
    pub(super) fn new(
        body: Incoming,
        connection: &Arc<ConnectionContext>,
        read: usize,
        announced: usize,
        deadline: Instant,
    ) -> Option<Box<Self>> {
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX).max(announced);
        let is_short = read.saturating_add(announced) <= MAX_REQUEST;
        is_short.then(|| Box::new(Self { body, connection: Arc::clone(connection), read, pending: 0, deadline }))
    }

    /// Reads and drops the rest, as far as it is short and comes soon.
    pub(super) async fn discard(mut self: Box<Self>) {
        let deadline = self.deadline.min(Instant::now() + MAX_WAIT);
        let _late = time::timeout_at(deadline, poll_fn(|cx| self.poll_discard(cx))).await;
    }

    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.read <= MAX_REQUEST {
            let polled = Pin::new(&mut self.body).poll_frame(cx);
            if polled.is_pending() && self.pending == 0 {
                self.pending = OVERHEAD;
                self.connection.pending.set_request(0, OVERHEAD);
            }
            match ready!(polled) {
                Some(Ok(frame)) => self.read += frame.data_ref().map_or(0, bytes::Bytes::len),
                Some(Err(_)) | None => break,
            }
        }
        Poll::Ready(())
    }
}

impl Drop for UnreadRest {
    fn drop(&mut self) {
        if self.pending > 0 {
            self.connection.pending.set_request(self.pending, 0);
        }
    }
}

/// The longest request, with what the call has read, whose rest is read. A longer one takes a part of the budget for large
/// requests.
const MAX_REQUEST: usize = 64 * 1024;

/// How long the rest may take. The response waits meanwhile, and the stream stays open.
const MAX_WAIT: Duration = Duration::from_millis(100);
