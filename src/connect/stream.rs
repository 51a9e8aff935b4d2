//! The streams of Connect calls: envelopes in JSON become gRPC frames and back, and the trailers the last envelope.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame};
use prost_reflect::MessageDescriptor;
use tonic::Status;
use tonic::body::Body;

use super::envelope;
use super::protocol::Protocol;
use super::schema::{encode_json, json};
use crate::grpc::Rejection;

/// The request of a stream in JSON, as gRPC frames.
pub(super) struct JsonRequest {
    body: Body,
    message: MessageDescriptor,
    max_bytes: usize,
    buffer: BytesMut,
}

/// The response of a stream, as envelopes. The trailers follow the last one, for the record of the call.
pub(super) struct StreamResponse {
    body: Body,
    /// `None`: the messages stay as they are.
    message: Option<MessageDescriptor>,
    buffer: BytesMut,
    /// The trailers, once the last envelope was sent.
    trailers: Option<HeaderMap>,
}

impl JsonRequest {
    /// `max_bytes`: the limit of each message.
    pub(super) fn new(body: Body, message: MessageDescriptor, max_bytes: usize) -> Self {
        Self { body, message, max_bytes, buffer: BytesMut::new() }
    }

    /// Converts the envelopes that are whole.
    fn convert(&mut self) -> Result<Option<Bytes>, Status> {
        let mut frames = BytesMut::new();
        while let Some((flag, text)) = envelope::take(&mut self.buffer) {
            match flag {
                0 => {}
                1 => return Err(Rejection::CompressionUnsupported.into()),
                _ => return Err(Rejection::RequestMalformed(format!("an envelope has the flag {flag}; send 0")).into()),
            }
            let mut frame = envelope::buffer(text.len());
            encode_json(&self.message, &text, &mut frame).map_err(Rejection::RequestMalformed)?;
            frames.extend_from_slice(&envelope::finish(frame));
        }
        // Nobody else refuses a message before it is whole.
        if let Some(bytes) = envelope::declared_length(&self.buffer).filter(|bytes| *bytes > self.max_bytes) {
            let words = format!("the request has {bytes} bytes; the limit is {}", self.max_bytes);
            return Err(Rejection::RequestTooLarge(words).into());
        }
        Ok(Some(frames.freeze()).filter(|frames| !frames.is_empty()))
    }
}

impl HttpBody for JsonRequest {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)?) {
                Some(frame) => {
                    let Ok(data) = frame.into_data() else { continue };
                    self.buffer.extend_from_slice(&data);
                    if let Some(frames) = self.convert()? {
                        return Poll::Ready(Some(Ok(Frame::data(frames))));
                    }
                }
                None if self.buffer.is_empty() => return Poll::Ready(None),
                None => {
                    self.buffer.clear();
                    return Poll::Ready(Some(Err(Rejection::RequestMalformed(INCOMPLETE.to_owned()).into())));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.buffer.is_empty() && self.body.is_end_stream()
    }
}

impl StreamResponse {
    pub(super) fn new(body: Body, message: Option<MessageDescriptor>) -> Self {
        Self { body, message, buffer: BytesMut::new(), trailers: None }
    }

    fn convert(&mut self, data: Bytes) -> Result<Bytes, String> {
        let Some(message) = &self.message else { return Ok(data) };
        self.buffer.extend_from_slice(&data);
        let mut envelopes = BytesMut::new();
        while let Some((_, encoded)) = envelope::take(&mut self.buffer) {
            let text = json(message, encoded)?;
            let mut envelope = envelope::buffer(text.len());
            envelope.put_slice(&text);
            envelopes.extend_from_slice(&envelope::finish(envelope));
        }
        Ok(envelopes.freeze())
    }
}

impl HttpBody for StreamResponse {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(trailers) = self.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)?) else { return Poll::Ready(None) };
        let frame = match frame.into_data() {
            Ok(data) => Frame::data(self.convert(data).map_err(Status::internal)?),
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                let error = Status::from_header_map(&trailers).filter(|status| status.code() != tonic::Code::Ok);
                let end = envelope::end(error.as_ref(), &trailers);
                self.trailers = Some(trailers);
                Frame::data(end)
            }
        };
        Poll::Ready(Some(Ok(frame)))
    }
}

/// Returns the rest of a stream that failed inside the server, with these trailers.
pub fn failed_stream(protocol: Protocol, trailers: HeaderMap) -> Body {
    let end = match protocol {
        Protocol::Grpc | Protocol::ExtAuthz => None,
        Protocol::ConnectUnary(_) | Protocol::ConnectStream(_) | Protocol::ForwardAuth => {
            Some(Frame::data(envelope::end(Status::from_header_map(&trailers).as_ref(), &trailers)))
        }
    };
    frames(end.into_iter().chain([Frame::trailers(trailers)]))
}

/// Returns a body of frames that are known.
pub(super) fn frames(frames: impl IntoIterator<Item = Frame<Bytes>>) -> Body {
    Body::new(Frames(frames.into_iter().collect()))
}

/// A body of frames that are known.
struct Frames(VecDeque<Frame<Bytes>>);

impl HttpBody for Frames {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }
}

const INCOMPLETE: &str = "the request ends within an envelope";
