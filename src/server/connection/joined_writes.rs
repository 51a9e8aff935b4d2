//! The socket of a connection, with a buffer that joins what one poll of the connection writes into one system call.
//!
//! h2 writes and flushes each longer DATA frame by itself, so that even a short answer costs a system call for its
//! message and another for its trailers. Here a flush only notes that one is due, and the end of the poll sends all
//! ([`JoinedWrites::poll_send`]). While bytes wait for the peer to read, nothing more is accepted. So the buffer has a
//! bound, and those who write have to wait for a slow peer as before.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A socket whose writes are joined. Clones share it: one belongs to the connection, one sends after each poll.
#[derive(Debug)]
pub(super) struct JoinedWrites<I>(Arc<Mutex<Joined<I>>>);

#[derive(Debug)]
struct Joined<I> {
    io: I,
    buffer: Vec<u8>,
    /// How many bytes of the buffer are written.
    written: usize,
    /// Whether something was written that is not flushed.
    is_flush_due: bool,
    /// Whether the socket accepts nothing for now, so that the buffer has to be sent before more is accepted.
    is_blocked: bool,
}

impl<I> JoinedWrites<I> {
    pub(super) fn new(io: I) -> Self {
        let joined = Joined { io, buffer: Vec::new(), written: 0, is_flush_due: false, is_blocked: false };
        Self(Arc::new(Mutex::new(joined)))
    }

    /// Returns how many bytes are in the buffer.
    pub(super) fn buffered(&self) -> usize {
        let joined = self.0.lock();
        joined.buffer.len() - joined.written
    }
}

impl<I: AsyncWrite + Unpin> JoinedWrites<I> {
    /// Sends what was written since the last time. It has to be called after each poll of the connection, and before a
    /// poll if the last time was `Pending`: only this wakes the task when the socket accepts bytes again.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().poll_send(cx)
    }
}

impl<I> Clone for JoinedWrites<I> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<I: AsyncWrite + Unpin> Joined<I> {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = match self.poll_write_through(cx, &[]) {
            Poll::Ready(Ok(_)) if self.is_flush_due => Pin::new(&mut self.io).poll_flush(cx),
            Poll::Ready(written) => Poll::Ready(written.map(drop)),
            Poll::Pending => Poll::Pending,
        };
        if self.is_blocked && sent.is_ready() {
            // The connection was told to wait, perhaps in this very poll.
            cx.waker().wake_by_ref();
        }
        self.is_blocked = sent.is_pending();
        self.is_flush_due &= sent.is_pending();
        sent
    }

    /// Joins these bytes with the others, or writes all of them if they are too many.
    fn poll_join(&mut self, cx: &mut Context<'_>, data: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.is_blocked {
            return Poll::Pending;
        }
        self.is_flush_due = true;
        let length = data.iter().map(|slice| slice.len()).sum();
        if self.buffer.len() + length > CAPACITY {
            let written = self.poll_write_through(cx, data);
            self.is_blocked = written.is_pending();
            return written;
        }
        for slice in data {
            self.buffer.extend_from_slice(slice);
        }
        Poll::Ready(Ok(length))
    }

    /// Writes the buffer and as much of the data as the socket accepts. Returns how many bytes of the data that is.
    fn poll_write_through(&mut self, cx: &mut Context<'_>, data: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        while self.written < self.buffer.len() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            slices[0] = IoSlice::new(&self.buffer[self.written..]);
            for (slice, data) in slices[1..].iter_mut().zip(data) {
                *slice = *data;
            }
            let used = (1 + data.len()).min(MAX_SLICES);
            match ready!(Pin::new(&mut self.io).poll_write_vectored(cx, &slices[..used]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        let of_data = self.written - self.buffer.len();
        self.written = 0;
        self.buffer.clear();
        self.buffer.shrink_to(RETAINED);
        match of_data {
            // None of the data is written, or there is none.
            0 if !data.is_empty() => Pin::new(&mut self.io).poll_write_vectored(cx, data),
            of_data => Poll::Ready(Ok(of_data)),
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for JoinedWrites<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().io).poll_read(cx, buf)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for JoinedWrites<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().poll_join(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().poll_join(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Flushes what was too much for the buffer. The buffer is left to the end of the poll.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut joined = self.0.lock();
        match (joined.is_blocked, joined.buffer.is_empty()) {
            (true, _) => Poll::Pending,
            (false, true) => joined.poll_send(cx),
            (false, false) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut joined = self.0.lock();
        ready!(joined.poll_send(cx))?;
        Pin::new(&mut joined.io).poll_shutdown(cx)
    }
}

/// The most that is joined: about a dozen answers, a frame of HTTP/2, a record of TLS.
const CAPACITY: usize = 16 * 1024;

/// The bytes that the buffer of a connection without calls may occupy.
const RETAINED: usize = 4 * 1024;

/// The buffer, and what a write of h2 or hyper consists of: rarely more than a head and its payload.
const MAX_SLICES: usize = 8;

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::LazyLock;
    use std::task::Waker;

    use proptest::prelude::*;
    use proptest::test_runner::Config;

    use super::*;

    /// A socket that does what a script says, and then accepts everything.
    #[derive(Debug, Default)]
    struct Script {
        steps: VecDeque<Step>,
        received: Vec<u8>,
        /// The length of each write.
        writes: Vec<usize>,
        /// How many received bytes are flushed.
        flushed: usize,
        is_shut_down: bool,
    }

    /// The result of the next write or flush.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Accept(usize),
        Block,
        Fail,
    }

    impl Script {
        fn next(&mut self) -> Poll<io::Result<usize>> {
            match self.steps.pop_front() {
                None => Poll::Ready(Ok(usize::MAX)),
                Some(Step::Accept(bytes)) => Poll::Ready(Ok(bytes)),
                Some(Step::Block) => Poll::Pending,
                Some(Step::Fail) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
    }

    impl AsyncWrite for Script {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(data)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            data: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            assert!(!self.is_shut_down);
            let bytes = ready!(self.next())?;
            let before = self.received.len();
            for slice in data {
                let room = bytes - (self.received.len() - before);
                self.received.extend_from_slice(&slice[..room.min(slice.len())]);
            }
            let written = self.received.len() - before;
            self.writes.push(written);
            Poll::Ready(Ok(written))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            ready!(self.next())?;
            self.flushed = self.received.len();
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.is_shut_down = true;
            Poll::Ready(Ok(()))
        }
    }

    /// The calls of a connection and of its turns.
    #[derive(Debug)]
    struct Caller(JoinedWrites<Script>);

    impl Caller {
        fn new(steps: impl IntoIterator<Item = Step>) -> Self {
            Self(JoinedWrites::new(Script { steps: steps.into_iter().collect(), ..Script::default() }))
        }

        fn write(&mut self, data: &[&[u8]]) -> Poll<io::Result<usize>> {
            let slices: Vec<_> = data.iter().map(|data| IoSlice::new(data)).collect();
            Pin::new(&mut self.0).poll_write_vectored(&mut Context::from_waker(Waker::noop()), &slices)
        }

        fn flush(&mut self) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(&mut Context::from_waker(Waker::noop()))
        }

        fn send(&mut self) -> Poll<io::Result<()>> {
            self.0.poll_send(&mut Context::from_waker(Waker::noop()))
        }

        fn shutdown(&mut self) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(&mut Context::from_waker(Waker::noop()))
        }

        fn writes(&self) -> Vec<usize> {
            self.0.0.lock().io.writes.clone()
        }

        fn received(&self) -> Vec<u8> {
            self.0.0.lock().io.received.clone()
        }
    }

    fn is_done<T>(polled: &Poll<io::Result<T>>) -> bool {
        matches!(polled, Poll::Ready(Ok(_)))
    }

    #[test]
    fn the_writes_of_a_poll_are_one_write() {
        let mut caller = Caller::new([]);

        for _ in 0..10 {
            assert!(matches!(caller.write(&[b"head", &[7; 1300]]), Poll::Ready(Ok(1304))));
            assert!(is_done(&caller.flush()));
        }
        assert!(caller.writes().is_empty());
        assert!(is_done(&caller.send()));

        assert_eq!(caller.writes(), [13_040]);
        assert_eq!(caller.0.0.lock().io.flushed, 13_040);
    }

    #[test]
    fn a_large_write_is_not_copied_and_takes_the_buffer_along() {
        let mut caller = Caller::new([]);
        let large = [7; CAPACITY];

        assert!(is_done(&caller.write(&[b"small"])));
        assert!(matches!(caller.write(&[b"head", &large]), Poll::Ready(Ok(written)) if written == 4 + CAPACITY));

        assert_eq!(caller.writes(), [5 + 4 + CAPACITY]);
        assert_eq!(caller.0.buffered(), 0);
    }

    #[test]
    fn a_large_write_is_flushed_at_once() {
        let mut caller = Caller::new([]);

        assert!(is_done(&caller.write(&[&[7; CAPACITY + 1]])));
        assert!(is_done(&caller.flush()));

        assert_eq!(caller.0.0.lock().io.flushed, CAPACITY + 1);
    }

    #[test]
    fn nothing_is_accepted_while_bytes_wait() {
        let mut caller = Caller::new([Step::Accept(3), Step::Block, Step::Block]);

        assert!(is_done(&caller.write(&[b"0123456789"])));
        assert!(caller.send().is_pending());
        assert_eq!(caller.0.buffered(), 7);
        assert!(caller.write(&[b"more"]).is_pending() && caller.flush().is_pending());
        assert!(caller.send().is_pending());
        assert!(is_done(&caller.send()));

        assert!(is_done(&caller.write(&[b"more"])) && is_done(&caller.send()));
        assert_eq!(caller.received(), b"0123456789more");
    }

    #[test]
    fn a_flush_that_waits_blocks_as_a_write_does() {
        let mut caller = Caller::new([Step::Accept(100), Step::Block]);

        assert!(is_done(&caller.write(&[b"small"])));
        assert!(caller.send().is_pending());
        assert!(caller.write(&[b"more"]).is_pending());

        assert!(is_done(&caller.send()));
        assert_eq!(caller.0.0.lock().io.flushed, 5);
        assert!(is_done(&caller.write(&[b"more"])));
    }

    #[test]
    fn a_failed_write_is_an_error_each_time() {
        let mut caller = Caller::new([Step::Fail, Step::Fail, Step::Accept(0)]);

        assert!(is_done(&caller.write(&[b"small"])) && is_done(&caller.flush()));
        assert!(matches!(caller.send(), Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe));
        assert!(matches!(caller.write(&[&[7; CAPACITY]]), Poll::Ready(Err(_))));

        assert!(matches!(caller.shutdown(), Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::WriteZero));
    }

    #[test]
    fn a_shutdown_sends_the_buffer_first() {
        let mut caller = Caller::new([Step::Accept(2), Step::Block]);

        assert!(is_done(&caller.write(&[b"last"])));
        assert!(caller.shutdown().is_pending());
        assert!(is_done(&caller.shutdown()));

        assert_eq!(caller.received(), b"last");
        assert!(caller.0.0.lock().io.is_shut_down);
    }

    #[test]
    fn an_idle_connection_keeps_a_small_buffer() {
        let mut caller = Caller::new([]);

        assert!(is_done(&caller.write(&[&[7; CAPACITY]])));
        assert!(is_done(&caller.send()));

        assert!(caller.0.0.lock().buffer.capacity() <= RETAINED);
    }

    /// More than all that a case writes.
    static DATA: LazyLock<Vec<u8>> = LazyLock::new(|| (0..=250).cycle().take(12 * 6 * 3 * CAPACITY).collect());

    proptest! {
        #![proptest_config(Config { cases: 500, failure_persistence: None, ..Config::default() })]

        #[test]
        fn all_bytes_arrive_in_order_whatever_the_socket_accepts(
            polls in prop::collection::vec(prop::collection::vec((length(), 1..10_usize), 0..6), 1..12),
            steps in prop::collection::vec(step(), 0..60),
        ) {
            let (data, mut caller, mut accepted) = (&*DATA, Caller::new(steps), 0);
            for writes in polls {
                let _before = caller.send();
                for (length, slices) in writes {
                    let end = accepted + length;
                    // A connection repeats a write that was accepted in part, and stops at one that was not accepted.
                    while accepted < end {
                        let slices: Vec<_> = data[accepted..end].chunks(length.div_ceil(slices)).collect();
                        let Poll::Ready(written) = caller.write(&slices) else { break };
                        accepted += written.unwrap();
                    }
                    prop_assert!(caller.0.buffered() <= CAPACITY);
                    if caller.flush().is_pending() {
                        prop_assert!(caller.write(&[b"more"]).is_pending());
                        break;
                    }
                }
                let after = caller.send();
                prop_assert!(caller.received() == data[..accepted - caller.0.buffered()]);
                prop_assert!(caller.0.0.lock().io.flushed == accepted || !is_done(&after));
            }
            while !is_done(&caller.shutdown()) {}
            prop_assert!(caller.received() == data[..accepted]);
        }
    }

    fn length() -> impl Strategy<Value = usize> {
        prop_oneof![0..40_usize, 200..3000_usize, CAPACITY - 20..CAPACITY + 20, 0..3 * CAPACITY]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            2 => (1..40_usize).prop_map(Step::Accept),
            2 => (1..2 * CAPACITY).prop_map(Step::Accept),
            1 => Just(Step::Block),
        ]
    }
}
