//! The body of an answer, and what lasts as long as it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use super::call_recorder::CallRecorder;
use crate::grpc::Rejection;
use crate::server::connection::activity::OpenStream;

/// An answer's body; its stream counts as open until it is dropped.
#[derive(Debug)]
pub(crate) struct RecordedBody {
    body: Body,
    /// None, if it is a page.
    call: Option<CallRecorder>,
    _stream: OpenStream,
}

impl RecordedBody {
    /// The answer to a call.
    pub(crate) fn to(call: CallRecorder, body: Body, stream: OpenStream) -> Self {
        Self { body, call: Some(call), _stream: stream }
    }

    /// A page.
    pub(crate) fn page(body: Body, stream: OpenStream) -> Self {
        Self { body, call: None, _stream: stream }
    }
}

impl http_body::Body for RecordedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Self { body, call, .. } = &mut *self;
        let Some(call) = call else { return poll_body(body, cx) };
        let polled = call.step(|| poll_body(body, cx));
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(trailers) = frame.trailers_ref()
        {
            call.finished(trailers);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn poll_body(body: &mut Body, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
    let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut *body).poll_frame(cx)));
    polled.unwrap_or_else(|_| {
        tracing::error!("a stream panicked");
        // Dropped, because a body that panicked must not be polled again.
        *body = Body::empty();
        Poll::Ready(Some(Ok(Frame::trailers(Rejection::Panicked.into_trailers()))))
    })
}
