//! The body of a request: takes what its call needs, and may not stay unfinished for long.
//!
//! It takes a part of the budget for each large message, and the slot of the call when the request is whole. While it
//! waits for its peer, its bytes count as pending, and its time runs.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Version;
use http::request::Parts;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};
use tonic::Status;

use super::call_permit::CallPermit;
use super::request_size::RequestSize;
use super::unread_rest::UnreadRest;
use crate::connect::Protocol;
use crate::grpc::Rejection;
use crate::server::connection::{ConnectionContext, OVERHEAD};

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
    Whole,
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
            phase: Phase::Arriving,
            permit: CallPermit::default(),
        }
    }

    /// Records that the peer has to be waited for. Fails when its time is over.
    fn wait(&mut self, cx: &mut Context<'_>) -> Result<(), Rejection> {
        let bytes = self.received + OVERHEAD;
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

    /// Records the end of the request.
    fn finish(&mut self) -> Result<(), Rejection> {
        if let Phase::Whole = self.phase {
            return Ok(());
        }
        self.stop_waiting();
        self.phase = Phase::Whole;
        CallPermit::with_current(|current| current.map_or(Ok(()), |call| call.take_slot(&self.connection)))
    }

    fn stop_waiting(&mut self) {
        if let Phase::Unfinished { pending, .. } = self.phase {
            self.connection.pending.set_request(pending, 0);
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.received == 0 {
            self.size.check()?;
        }
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        match Pin::new(&mut *body).poll_frame(cx)? {
            Poll::Pending => {
                self.wait(cx)?;
                Poll::Pending
            }
            Poll::Ready(None) => {
                self.finish()?;
                Poll::Ready(None)
            }
            Poll::Ready(Some(frame)) => {
                let is_last = frame.is_trailers() || body.is_end_stream();
                if let Some(data) = frame.data_ref() {
                    self.receive(data)?;
                }
                if is_last {
                    self.finish()?;
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = tonic::codegen::StdError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.poll_body(cx).map_err(|error| match error {
            BodyError::Rejected(rejection) => Status::from(rejection).into(),
            BodyError::Http(error) => {
                self.connection.unread_body.break_off();
                error.into()
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Incoming::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.stop_waiting();
        if let Some(body) = self.body.take()
            && !matches!(self.phase, Phase::Whole)
            && !body.is_end_stream()
        {
            let deadline = match &self.phase {
                Phase::Unfinished { timeout, .. } => timeout.deadline(),
                Phase::Arriving | Phase::Whole => Instant::now() + self.timeout,
            };
            if self.version < Version::HTTP_2 {
                self.connection.unread_body.leave(body, deadline);
                return;
            }
            CallPermit::with_current(|current| {
                if let Some(call) = current {
                    let bytes = (self.received, self.size.announced());
                    call.leave(UnreadRest::new(body, &self.connection, bytes, deadline));
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
