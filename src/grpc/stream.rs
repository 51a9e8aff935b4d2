//! Streams made of steps: each a future that answers an item, and the state that the next one begins with.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tonic::codegen::tokio_stream::Stream;
use tonic::{Code, Status};

use super::status::explain;
use crate::auth::StreamPermit;

/// A stream of answers. After an error, or a step without a next state, it ends.
pub(super) struct Steps<T, S> {
    step: fn(S) -> Step<T, S>,
    running: Option<Step<T, S>>,
}

/// One step: an item, if there is one, and the state for the next one, if there is one.
pub(super) type Step<T, S> = Pin<Box<dyn Future<Output = Result<(T, Option<S>), Status>> + Send>>;

impl<T, S> Steps<T, S> {
    pub(super) fn new(state: S, step: fn(S) -> Step<T, S>) -> Self {
        Self { step, running: Some(step(state)) }
    }
}

impl<T, S> Stream for Steps<T, S> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(running) = &mut self.running else { return Poll::Ready(None) };
        let done = ready!(running.as_mut().poll(cx));
        Poll::Ready(Some(match done {
            Ok((item, next)) => {
                self.running = next.map(self.step);
                Ok(item)
            }
            Err(status) => {
                self.running = None;
                Err(status)
            }
        }))
    }
}

/// Waits for the next answer of a stream, or for the end of its permit.
pub(super) async fn permitted<T>(
    permit: &mut StreamPermit,
    next: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    let goaway = permit.goaway();
    tokio::select! {
        biased;
        error = permit.revoked() => Err(error.into()),
        answer = next => answer,
        () = goaway.cancelled() => Err(going_away()),
    }
}

fn going_away() -> Status {
    let message = "this connection ends, because it is old or the service stops; go on on another one";
    explain(Code::Unavailable, "GOING_AWAY", message.to_owned())
}

impl<T, S> fmt::Debug for Steps<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steps").finish_non_exhaustive()
    }
}
