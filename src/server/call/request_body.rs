//! The body of a request: takes what its call needs, and may not stay unfinished for long.
//!
//! It takes a part of the budget for each large message, and the slot of the call when the request is whole. While it
//! waits for its peer, its bytes count as pending, and its time runs.
//!
//! A request that is not large is received whole before its service sees it: services make room for what a request
//! announces, and a peer could announce much and send nothing.

use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Version;
use http::request::Parts;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::futures::OwnedNotified;
use tokio::task::yield_now;
use tokio::time::{Instant, Sleep, sleep};
use tonic::Status;
use tonic::codegen::StdError;

use super::call_permit::CallPermit;
use super::frame_lengths::{LARGE, PREFIX};
use super::request_size::RequestSize;
use super::unread_rest::UnreadRest;
use crate::connect::Protocol;
use crate::grpc::{self, Rejection};
use crate::server::context::ConnectionContext;
use crate::server::limits::OVERHEAD;

/// The body of a request.
#[derive(Debug)]
pub(super) struct RequestBody {
    /// `None` when it is dropped.
    body: Option<Incoming>,
    version: Version,
    // The context of the connection, so that the reference count is not in a cache line that other threads write to.
    connection: Arc<ConnectionContext>,
    timeout: Duration,
    size: RequestSize,
    received: usize,
    /// The bytes that the headers of the request take. 0 until they are counted.
    head: usize,
    start: Start,
    /// The largest start. A longer message takes a part of the budget for large requests, or is refused by its length.
    max_start: usize,
    /// The bytes that it costs the service to read the request in parts. They count as pending until it has ended.
    service_bytes: usize,
    phase: Phase,
    /// For what is read outside of a poll of the call.
    permit: CallPermit,
}

#[derive(Debug)]
enum Phase {
    /// All that was asked for had arrived.
    Arriving,
    /// The peer was waited for. The bytes that count as pending, and the end of its time.
    Unfinished {
        pending: usize,
        timeout: Pin<Box<Sleep>>,
    },
    /// The request is whole, and the peer has to read responses before its call begins. The bytes that count as pending.
    Received {
        pending: usize,
        sent: Pin<Box<OwnedNotified>>,
    },
    Whole,
}

/// The bytes that were received before the service reads.
#[derive(Debug, Default)]
enum Start {
    #[default]
    Empty,
    /// All of the request.
    Whole(Bytes),
    /// Copied, because each piece may be a small part of a large buffer.
    Part(BytesMut),
    Failed(StdError),
}

impl RequestBody {
    /// Wraps the body of a request of this connection, which has to be whole within the timeout.
    pub(super) fn new(
        body: Incoming,
        connection: &Arc<ConnectionContext>,
        timeout: Duration,
        protocol: Option<Protocol>,
        head: &Parts,
    ) -> Self {
        let size = RequestSize::new(protocol, head.uri.path(), body.size_hint().exact());
        Self {
            body: Some(body),
            version: head.version,
            connection: Arc::clone(connection),
            timeout,
            size,
            received: 0,
            head: 0,
            start: Start::Empty,
            max_start: grpc::max_request_bytes(head.uri.path()).min(LARGE.start() - 1) + PREFIX,
            service_bytes: 0,
            phase: Phase::Arriving,
            permit: CallPermit::default(),
        }
    }

    /// Receives the request until it is whole, or large, or has failed, and keeps what it received for the service.
    pub(super) fn poll_start(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match ready!(self.poll_body(cx)) {
                None => return Poll::Ready(()),
                Some(Err(error)) => {
                    self.start = Start::Failed(error);
                    return Poll::Ready(());
                }
                // Trailers of a request mean nothing here.
                Some(Ok(frame)) => self.keep(frame.into_data().unwrap_or_default()),
            }
            if matches!(self.phase, Phase::Whole) || self.received + self.size.announced() > self.max_start {
                return Poll::Ready(());
            }
        }
    }

    fn keep(&mut self, data: Bytes) {
        match &mut self.start {
            _ if data.is_empty() => {}
            Start::Part(part) => part.extend_from_slice(&data),
            start if matches!(self.phase, Phase::Whole) => *start = Start::Whole(data),
            start => *start = Start::Part(BytesMut::from(&*data)),
        }
    }

    /// Records that the peer has to be waited for. Fails when its time is over.
    fn wait(&mut self, cx: &mut Context<'_>) -> Result<(), Rejection> {
        let bytes = self.pending_bytes();
        if let Phase::Arriving = self.phase {
            self.phase = Phase::Unfinished { pending: 0, timeout: Box::pin(sleep(self.timeout)) };
        }
        let Phase::Unfinished { pending, timeout } = &mut self.phase else { return Ok(()) };
        if *pending != bytes {
            self.connection.pending.set_request(*pending, bytes);
            *pending = bytes;
        }
        match timeout.as_mut().poll(cx) {
            Poll::Ready(()) => Err(Rejection::RequestUnfinished(self.timeout)),
            Poll::Pending => Ok(()),
        }
    }

    /// Returns how much memory the request takes before its call begins.
    fn pending_bytes(&self) -> usize {
        let spare = if let Start::Part(part) = &self.start { part.capacity() - part.len() } else { 0 };
        self.head + self.received + spare + OVERHEAD
    }

    /// Waits until the peer has read the responses that keep this call from its begin.
    fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.connection.pending.may_begin() {
            if let Phase::Received { sent, .. } = &mut self.phase {
                ready!(sent.as_mut().poll(cx));
                sent.set(self.connection.pending.sent());
            } else {
                self.record_received();
            }
        }
        Poll::Ready(())
    }

    /// Lets another call look first whether it may begin, until the service asks for the rest of the request.
    pub(super) fn leave_queue(&mut self) {
        if let Phase::Received { sent, .. } = &mut self.phase {
            sent.set(self.connection.pending.sent());
        }
    }

    /// Records that the request is whole and its call waits.
    fn record_received(&mut self) {
        self.stop_waiting();
        let pending = self.pending_bytes();
        self.connection.pending.add_waiting(pending);
        self.phase = Phase::Received { pending, sent: Box::pin(self.connection.pending.sent()) };
    }

    /// Whether the headers of the request are counted.
    pub(super) const fn counts_head(&self) -> bool {
        self.head > 0
    }

    /// Counts what the headers take as well while the request is unfinished.
    pub(super) fn count_head(&mut self, bytes: usize) {
        self.head = bytes;
        let counted = match &mut self.phase {
            Phase::Unfinished { pending, .. } => {
                self.connection.pending.set_request(0, bytes);
                pending
            }
            Phase::Received { pending, .. } => {
                self.connection.pending.add_waiting(bytes);
                pending
            }
            Phase::Arriving | Phase::Whole => return,
        };
        *counted += bytes;
    }

    /// Counts what the service uses when it reads the request in parts, until it has ended. A peer that leaves the answers
    /// to the first parts unread keeps the service waiting, so this is not only while it waits for the peer.
    pub(super) fn count_service(&mut self) {
        if self.service_bytes == 0 {
            self.service_bytes = SERVICE_OVERHEAD;
            self.connection.pending.set_request(0, SERVICE_OVERHEAD);
        }
    }

    /// Waits until connections that were cut have freed their memory. One read brings many calls, and a service that reads
    /// its request in parts uses memory as soon as it begins. Fails if the connection of this call was cut.
    pub(super) async fn wait_for_memory(&mut self) -> Result<(), Rejection> {
        while self.connection.pending.is_thread_full() {
            if self.connection.permit.control.is_cut() {
                return Err(Rejection::Overloaded);
            }
            yield_now().await;
        }
        Ok(())
    }

    fn receive(&mut self, data: &Bytes) -> Result<(), Rejection> {
        self.received += data.len();
        let large = self.size.read(data, self.received)?;
        if large == 0 {
            return Ok(());
        }
        let permit = self.connection.request_budget.take(large)?;
        CallPermit::with_current(|current| current.unwrap_or(&mut self.permit).add_large_bytes(permit));
        Ok(())
    }

    /// Records the end of the request, when its call may begin.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Rejection>> {
        if let Phase::Whole = self.phase {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_begin(cx));
        self.stop_waiting();
        self.connection.pending.wake_next();
        self.phase = Phase::Whole;
        Poll::Ready(CallPermit::with_current(|current| current.map_or(Ok(()), |call| call.take_slot(&self.connection))))
    }

    fn stop_waiting(&self) {
        match self.phase {
            Phase::Unfinished { pending, .. } => self.connection.pending.set_request(pending, 0),
            Phase::Received { pending, .. } => self.connection.pending.remove_waiting(pending),
            Phase::Arriving | Phase::Whole => {}
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        self.poll_incoming(cx).map_err(|error| match error {
            BodyError::Rejected(rejection) => Status::from(rejection).into(),
            BodyError::Http(error) => {
                self.connection.unread_body.break_off();
                error.into()
            }
        })
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.received == 0 {
            self.size.check()?;
        }
        if let Phase::Received { .. } = self.phase {
            ready!(self.poll_finish(cx))?;
            return Poll::Ready(None);
        }
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        match Pin::new(&mut *body).poll_frame(cx)? {
            Poll::Pending => {
                self.wait(cx)?;
                Poll::Pending
            }
            Poll::Ready(None) => {
                ready!(self.poll_finish(cx))?;
                Poll::Ready(None)
            }
            Poll::Ready(Some(frame)) => {
                let is_last = frame.is_trailers() || body.is_end_stream();
                if let Some(data) = frame.data_ref() {
                    self.receive(data)?;
                }
                if is_last && !self.connection.pending.may_begin() {
                    // Not in the queue yet: the service may ask for the end of the body much later.
                    self.record_received();
                } else if is_last && let Poll::Ready(finished) = self.poll_finish(cx) {
                    finished?;
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        match mem::take(&mut self.start) {
            Start::Whole(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Start::Part(data) => Poll::Ready(Some(Ok(Frame::data(data.freeze())))),
            Start::Failed(error) => Poll::Ready(Some(Err(error))),
            Start::Empty => {
                if !matches!(self.phase, Phase::Whole) {
                    self.count_service();
                }
                self.poll_body(cx)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.start, Start::Empty)
            && !matches!(self.phase, Phase::Received { .. })
            && self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.as_ref().map_or_else(SizeHint::default, Incoming::size_hint);
        let start = match &self.start {
            Start::Whole(data) => data.len(),
            Start::Part(data) => data.len(),
            Start::Empty | Start::Failed(_) => 0,
        } as u64;
        // The upper bound first, for the lower one may not be above it.
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + start);
        }
        hint.set_lower(hint.lower() + start);
        hint
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.stop_waiting();
        if self.service_bytes > 0 {
            self.connection.pending.set_request(self.service_bytes, 0);
        }
        if let Some(body) = self.body.take()
            && !matches!(self.phase, Phase::Whole)
            && !body.is_end_stream()
        {
            let deadline = match &self.phase {
                Phase::Unfinished { timeout, .. } => timeout.deadline(),
                Phase::Arriving | Phase::Received { .. } | Phase::Whole => Instant::now() + self.timeout,
            };
            if self.version < Version::HTTP_2 {
                self.connection.unread_body.leave(body, deadline);
                return;
            }
            CallPermit::with_current(|current| {
                if let Some(call) = current {
                    let (read, announced) = (self.received, self.size.announced());
                    call.leave(UnreadRest::new(body, &self.connection, read, announced, deadline));
                }
            });
        }
    }
}

enum BodyError {
    Rejected(Rejection),
    Http(hyper::Error),
}

impl From<Rejection> for BodyError {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<hyper::Error> for BodyError {
    fn from(error: hyper::Error) -> Self {
        Self::Http(error)
    }
}

/// The additional bytes of a call whose service reads the request in parts: the buffers of tonic, for both directions,
/// and the tasks of the service. Measured: 36 KiB for a call of reflection.
const SERVICE_OVERHEAD: usize = 36 * 1024;
