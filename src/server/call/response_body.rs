//! The body of a response: records the end of its call, and turns a panic into an error.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use super::call_recorder::CallRecorder;
use crate::connect::{self, Protocol};
use crate::grpc::Rejection;
use crate::server::context::{ConnectionContext, PublicStream, ResponseBytes, StreamGuard};

/// The body of a response. Its stream counts as open until the body is dropped.
#[derive(Debug)]
pub(in crate::server) struct ResponseBody {
    body: Body,
    /// `None` for a page.
    call: Option<CallRecorder>,
    connection: Arc<ConnectionContext>,
    _stream: StreamGuard,
    public_stream: Option<PublicStream>,
    has_begun: bool,
}

impl ResponseBody {
    pub(super) fn of_call(
        call: CallRecorder,
        body: Body,
        stream: StreamGuard,
        public_stream: Option<PublicStream>,
    ) -> Self {
        let connection = Arc::clone(&call.connection);
        Self { body, connection, call: Some(call), _stream: stream, public_stream, has_begun: false }
    }

    pub(super) fn of_page(body: Body, stream: StreamGuard, connection: Arc<ConnectionContext>) -> Self {
        Self { body, connection, call: None, _stream: stream, public_stream: None, has_begun: false }
    }
}

impl http_body::Body for ResponseBody {
    type Data = ResponseBytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<ResponseBytes>, Status>>> {
        let Self { body, call, connection, public_stream, has_begun, .. } = &mut *self;
        let mut polled = match call {
            Some(call) => call.context.sync_scope(|| poll_body(body, call.protocol, cx)),
            None => poll_body(body, Protocol::Grpc, cx),
        };
        // Others have a permit that ends them. Without this, one watch of the health would hold up each stop.
        if let (Poll::Pending, Some(call), Some(stream)) = (&polled, &call, public_stream)
            && stream.poll_goaway(cx)
        {
            *body = connect::failed_stream(call.protocol, Rejection::GoingAway.into_trailers());
            polled = poll_body(body, call.protocol, cx);
        }
        if let (Poll::Ready(Some(Ok(frame))), Some(call)) = (&polled, call)
            && let Some(trailers) = frame.trailers_ref()
        {
            call.record_trailers(trailers);
            if !matches!(call.protocol, Protocol::Grpc | Protocol::ExtAuthz) {
                // Its last envelope has said the same.
                return Poll::Ready(None);
            }
        }
        polled.map_ok(|frame| {
            frame.map_data(|bytes| ResponseBytes::new(bytes, connection, !mem::replace(has_begun, true)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn poll_body(body: &mut Body, protocol: Protocol, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
    let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut *body).poll_frame(cx)));
    polled.unwrap_or_else(|_| {
        tracing::error!("a stream panicked");
        // Replaced, because a body that panicked must not be polled again.
        *body = connect::failed_stream(protocol, Rejection::Panicked.into_trailers());
        Pin::new(body).poll_frame(cx)
    })
}
