//! The budget of large requests: how many bytes of them may be received and handled at once.
//!
//! A message says how long it is before it comes, so one that does not fit is refused before any of it is kept. Small
//! ones are counted by nobody: the number of calls bounds them. What a request has taken is its call's until that is
//! answered, though whoever decodes the message drops its body long before.

use std::cell::Cell;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::frame_lengths::FrameLengths;
use crate::grpc::Rejection;
use crate::server::Settings;
use crate::server::context::ServerContext;

/// The bytes that the large requests of one server may take. Clones are the same budget.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    most: usize,
    left: Arc<Semaphore>,
}

impl Budget {
    pub(crate) fn new(settings: &Settings) -> Self {
        let most = settings.request_budget_bytes;
        Self { most, left: Arc::new(Semaphore::new(most)) }
    }

    /// How many bytes are taken.
    pub(crate) fn taken(&self) -> usize {
        self.most - self.left.available_permits()
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(&Settings::default())
    }
}

/// What a call has taken of the budget. It is given back when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct BudgetPermit(Option<OwnedSemaphorePermit>);

thread_local! {
    /// What the call that is polled on this thread has taken, while it is polled.
    static TAKEN: Cell<Option<BudgetPermit>> = const { Cell::new(None) };
}

impl BudgetPermit {
    /// Does a step of a call; what its request takes meanwhile is kept here.
    pub(crate) fn during<T>(&mut self, step: impl FnOnce() -> T) -> T {
        TAKEN.set(Some(mem::take(self)));
        let done = step();
        *self = TAKEN.take().unwrap_or_default();
        done
    }

    fn add(&mut self, permit: OwnedSemaphorePermit) {
        match &mut self.0 {
            Some(taken) => taken.merge(permit),
            None => self.0 = Some(permit),
        }
    }
}

/// The body of a request, which pays for its large messages.
#[derive(Debug)]
pub(crate) struct BudgetedBody {
    body: Incoming,
    frame_lengths: FrameLengths,
    // Of the connection's own, so that no call counts references where other threads do.
    context: Arc<ServerContext>,
    /// Of a body that is read where no call is polled.
    taken: BudgetPermit,
}

impl BudgetedBody {
    pub(crate) fn new(body: Incoming, context: &Arc<ServerContext>) -> Self {
        Self {
            body,
            frame_lengths: FrameLengths::default(),
            context: Arc::clone(context),
            taken: BudgetPermit::default(),
        }
    }

    fn acquire(&mut self, bytes: u32) -> Result<(), Rejection> {
        let left = Arc::clone(&self.context.budget.left);
        let permit = left.try_acquire_many_owned(bytes).map_err(|_| Rejection::BudgetSpent)?;
        match TAKEN.take() {
            Some(mut taken) => {
                taken.add(permit);
                TAKEN.set(Some(taken));
            }
            None => self.taken.add(permit),
        }
        Ok(())
    }
}

impl Body for BudgetedBody {
    type Data = Bytes;
    type Error = tonic::codegen::StdError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)?) else { return Poll::Ready(None) };
        let large = frame.data_ref().map_or(0, |data| self.frame_lengths.see(data));
        if large > 0
            && let Err(rejection) = self.acquire(large)
        {
            return Poll::Ready(Some(Err(rejection.into_status().into())));
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
