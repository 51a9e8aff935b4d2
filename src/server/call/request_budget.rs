//! The budget for large requests: how many bytes of them may be received and handled at once.
//!
//! A gRPC message begins with its length, so a message that does not fit is rejected before its bytes are buffered.
//! Small messages are not counted, because the number of calls limits them. A permit is held until the response is
//! sent, not only until the message is decoded and its body dropped.

use std::cell::Cell;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use super::frame_lengths::FrameLengths;
use crate::grpc::Rejection;
use crate::server::Settings;
use crate::server::context::ServerContext;

/// The bytes that the large requests of one server may use. Clones are the same budget.
#[derive(Clone, Debug)]
pub(in crate::server) struct RequestBudget {
    max_bytes: usize,
    free_bytes: Arc<Semaphore>,
}

impl RequestBudget {
    pub(in crate::server) fn new(settings: &Settings) -> Self {
        let max_bytes = settings.request_budget_bytes;
        Self { max_bytes, free_bytes: Arc::new(Semaphore::new(max_bytes)) }
    }

    /// Returns how many bytes are in use.
    pub(in crate::server) fn used_bytes(&self) -> usize {
        self.max_bytes - self.free_bytes.available_permits()
    }
}

impl Default for RequestBudget {
    fn default() -> Self {
        Self::new(&Settings::default())
    }
}

/// The part of the budget that one call holds until this is dropped.
#[derive(Debug, Default)]
pub(super) struct BudgetPermit(Option<OwnedSemaphorePermit>);

thread_local! {
    /// The permit of the call that this thread is polling now.
    static CURRENT: Cell<Option<BudgetPermit>> = const { Cell::new(None) };
}

impl BudgetPermit {
    /// Polls a call, and collects in this permit what its request acquires meanwhile.
    pub(super) fn collect_during<T>(&mut self, poll: impl FnOnce() -> T) -> T {
        CURRENT.set(Some(mem::take(self)));
        let polled = poll();
        *self = CURRENT.take().unwrap_or_default();
        polled
    }

    fn add(&mut self, permit: OwnedSemaphorePermit) {
        match &mut self.0 {
            Some(own) => own.merge(permit),
            None => self.0 = Some(permit),
        }
    }
}

/// The body of a request. It acquires a part of the budget for each large message.
#[derive(Debug)]
pub(super) struct BudgetedBody {
    body: Incoming,
    frame_lengths: FrameLengths,
    // The context of the connection, so that the reference count is not in a cache line that other threads write to.
    context: Arc<ServerContext>,
    /// For messages that are read outside of a poll of the call.
    permit: BudgetPermit,
}

impl BudgetedBody {
    pub(super) fn new(body: Incoming, context: &Arc<ServerContext>) -> Self {
        Self {
            body,
            frame_lengths: FrameLengths::default(),
            context: Arc::clone(context),
            permit: BudgetPermit::default(),
        }
    }

    fn acquire(&mut self, bytes: u32) -> Result<(), Rejection> {
        let free_bytes = Arc::clone(&self.context.request_budget.free_bytes);
        let permit = free_bytes.try_acquire_many_owned(bytes).map_err(|_| Rejection::BudgetExhausted)?;
        match CURRENT.take() {
            Some(mut current) => {
                current.add(permit);
                CURRENT.set(Some(current));
            }
            None => self.permit.add(permit),
        }
        Ok(())
    }
}

impl Body for BudgetedBody {
    type Data = Bytes;
    type Error = tonic::codegen::StdError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)?) else { return Poll::Ready(None) };
        let large = frame.data_ref().map_or(0, |data| self.frame_lengths.read(data));
        if large > 0
            && let Err(rejection) = self.acquire(large)
        {
            return Poll::Ready(Some(Err(Status::from(rejection).into())));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
