//! The socket of a connection: with a time for heads of HTTP/1.1, and an end that loses no response.
//!
//! The first request of a connection has a time of its own. Later a connection may be idle for long, but a head that has
//! begun to arrive has to be whole soon. Calls whose head is read in one piece cost no timer.
//!
//! A kernel that gets bytes for a closed socket resets the connection, and the peer may lose a response that it has not
//! read yet. So after the last response the rest of what the peer sends is read and dropped, for a while. By HTTP/2 that
//! is what a reader of a stream sends to get more of it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::frame_reader::PREFACE;
use crate::server::context::{Activity, ConnectionPhase};

/// A socket that may speak HTTP/1.1.
#[derive(Debug)]
pub(super) struct Http1Io<I> {
    io: I,
    activity: Activity,
    /// For a head to be whole.
    head_timeout: Duration,
    /// `None` while none has begun to arrive.
    head: Option<UnfinishedHead>,
    opening: Opening,
    /// `None` until the writing side is closed.
    lingering: Option<Lingering>,
}

/// The meaning of the first bytes of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    /// They are so many bytes of the preface of HTTP/2.
    Preface(usize),
    Http1,
    Http2,
}

/// A head of which some bytes were read.
#[derive(Debug)]
struct UnfinishedHead {
    /// How many requests had begun before. More: the head is whole.
    requests_before: u64,
    /// `None` while the peer was not waited for.
    timeout: Option<Pin<Box<Sleep>>>,
}

/// Reads and drops what the peer still sends.
#[derive(Debug)]
struct Lingering {
    end: Pin<Box<Sleep>>,
    bytes_left: usize,
}

impl<I> Http1Io<I> {
    pub(super) fn new(io: I, activity: Activity, head_timeout: Duration) -> Self {
        Self { io, activity, head_timeout, head: None, opening: Opening::Preface(0), lingering: None }
    }

    /// Records bytes that were read.
    fn receive(&mut self, data: &[u8]) {
        if let Opening::Preface(read) = self.opening {
            let length = (PREFACE.len() - read).min(data.len());
            self.opening = match (data[..length] == PREFACE[read..read + length], read + length) {
                (false, _) => Opening::Http1,
                (true, PREFACE_LENGTH) => Opening::Http2,
                (true, read) => Opening::Preface(read),
            };
        }
        if self.opening == Opening::Http1 && !data.is_empty() {
            // `None`: bytes that arrive before the response belong to the body, or to a request behind it.
            let requests = self.activity.requests_before_idle();
            if requests != self.head.as_ref().map(|head| head.requests_before) {
                self.head = requests.map(|requests_before| UnfinishedHead { requests_before, timeout: None });
            }
        }
    }

    /// Fails when the peer was waited for too long, with a head that is not whole.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let Some(head) = &mut self.head else { return Poll::Pending };
        if self.activity.requests_before_idle() != Some(head.requests_before) {
            self.head = None;
            return Poll::Pending;
        }
        let timeout = head.timeout.get_or_insert_with(|| Box::pin(sleep(self.head_timeout)));
        timeout.as_mut().poll(cx).map(|()| io::Error::new(io::ErrorKind::TimedOut, "a head was not whole in time"))
    }

    /// Whether the peer may be sending although it has got its last response: to a request, or to a head that hyper
    /// refused.
    fn may_be_sending(&self) -> bool {
        let is_in_head = self.head.is_some() || self.activity.phase() == ConnectionPhase::New;
        let is_refused = is_in_head && self.opening == Opening::Http1 && !self.activity.is_end_due();
        is_refused || self.activity.has_announced_end()
    }
}

impl<I: AsyncRead + Unpin> Http1Io<I> {
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self { io, lingering: Some(Lingering { end, bytes_left }), .. } = self else { return Poll::Ready(()) };
        let mut space = [0; LINGERING_READ];
        for _ in 0..LINGERING_READS {
            let mut buffer = ReadBuf::new(&mut space);
            match Pin::new(&mut *io).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() && *bytes_left > 0 => {
                    *bytes_left = bytes_left.saturating_sub(buffer.filled().len());
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return end.as_mut().poll(cx),
            }
        }
        // Others get their turn.
        cx.waker().wake_by_ref();
        end.as_mut().poll(cx)
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Http1Io<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let me = &mut *self;
        let before = buf.filled().len();
        match Pin::new(&mut me.io).poll_read(cx, buf)? {
            Poll::Ready(()) => {
                me.receive(&buf.filled()[before..]);
                Poll::Ready(Ok(()))
            }
            Poll::Pending => me.poll_head(cx).map(Err),
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Http1Io<I> {
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

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// Closes the writing side. After a last response it then waits for the peer to close.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let me = &mut *self;
        if me.lingering.is_none() {
            ready!(Pin::new(&mut me.io).poll_shutdown(cx))?;
            if !me.may_be_sending() {
                return Poll::Ready(Ok(()));
            }
            me.lingering = Some(Lingering { end: Box::pin(sleep(LINGERING_TIME)), bytes_left: LINGERING_BYTES });
        }
        me.poll_linger(cx).map(Ok)
    }
}

const PREFACE_LENGTH: usize = PREFACE.len();

/// A peer that reads its last response closes at once.
const LINGERING_TIME: Duration = Duration::from_secs(1);

/// Four times the largest request.
const LINGERING_BYTES: usize = 16 * 1024 * 1024;

const LINGERING_READ: usize = 16 * 1024;

/// How many reads one turn has.
const LINGERING_READS: usize = 16;
