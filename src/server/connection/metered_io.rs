//! The socket of a connection, with a count of the HTTP/2 frames that are read from it.
//!
//! h2 reads as long as there is something to read, so a peer that always has something to say would keep others from
//! their turn: reading pauses after some frames. A peer that sends too many frames that no call explains gets a GOAWAY
//! with ENHANCE_YOUR_CALM, and its connection ends.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frame_reader::FrameReader;
use crate::server::connection_metrics::Cut;
use crate::server::context::ConnectionContext;

/// A socket whose frames are counted.
#[derive(Debug)]
pub(super) struct MeteredIo<I> {
    io: I,
    context: Arc<ConnectionContext>,
    frames: FrameReader,
    /// How many bytes of the GOAWAY are written. `None`: the peer may go on.
    goaway: Option<usize>,
}

impl<I> MeteredIo<I> {
    pub(super) fn new(io: I, context: Arc<ConnectionContext>) -> Self {
        Self { io, context, frames: FrameReader::default(), goaway: None }
    }

    fn count(&mut self, data: &[u8]) {
        let counted = self.frames.read(data);
        self.context.credit.count_in_turn(counted.all);
        if !self.context.credit.take(counted.without_data) && self.goaway.is_none() {
            tracing::debug!("a connection sent too many frames without calls");
            self.context.connection_metrics.cut(Cut::Frames);
            self.context.permit.control.record_violation();
            self.goaway = Some(0);
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for MeteredIo<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let me = &mut *self;
        if me.goaway.is_some() {
            // The next flush ends the connection.
            return Poll::Pending;
        }
        let Some(readable) = me.context.readable_bytes() else {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        };
        let before = buf.filled().len();
        if readable < buf.remaining() {
            let mut part = ReadBuf::new(buf.initialize_unfilled_to(readable));
            ready!(Pin::new(&mut me.io).poll_read(cx, &mut part))?;
            let read = part.filled().len();
            buf.advance(read);
        } else {
            ready!(Pin::new(&mut me.io).poll_read(cx, buf))?;
        }
        me.count(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for MeteredIo<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// Flushes. h2 calls it only when all of its frames are written, so a GOAWAY can follow.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let me = &mut *self;
        let Some(written) = &mut me.goaway else { return Pin::new(&mut me.io).poll_flush(cx) };
        while *written < GOAWAY.len() {
            *written += ready!(Pin::new(&mut me.io).poll_write(cx, &GOAWAY[*written..]))?;
        }
        ready!(Pin::new(&mut me.io).poll_flush(cx))?;
        Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "too many frames without calls")))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// A GOAWAY frame: 8 bytes long, of type 7, for stream 0. Any stream may have been handled; ENHANCE_YOUR_CALM.
const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 11];
