//! The turns of a connection: each poll of it is one. After each, what it wrote is sent, and its costs are judged.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep};

use super::BoxError;
use super::joined_writes::JoinedWrites;
use crate::server::connection_metrics::Cut;
use crate::server::context::{ConnectionContext, HeldBytes};

/// A connection, and what is done after each of its turns.
pub(super) struct Turns<'c, C, I> {
    pub(super) connection: Pin<&'c mut C>,
    /// How the connection ended, while its last bytes are not sent.
    end: Option<Result<(), BoxError>>,
    writes: JoinedWrites<I>,
    /// Set while bytes wait for the peer to read.
    unsent: Option<HeldBytes>,
    context: &'c Arc<ConnectionContext>,
    /// Notified once, when a response has been unread for too long. `None`: it was.
    stalled: Option<&'c Notify>,
    /// Half of the time within which a response has to be read.
    period: Duration,
    /// Set while a response is not sent yet.
    next_period: Option<Pin<Box<Sleep>>>,
}

impl<'c, C, I> Turns<'c, C, I> {
    pub(super) fn new(
        connection: Pin<&'c mut C>,
        writes: JoinedWrites<I>,
        context: &'c Arc<ConnectionContext>,
        send_timeout: Duration,
        stalled: &'c Notify,
    ) -> Self {
        let (stalled, period) = (Some(stalled), send_timeout / 2);
        Self { connection, end: None, writes, unsent: None, context, stalled, period, next_period: None }
    }

    /// Returns whether a response has been waiting for too long.
    fn is_stalled(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.context.pending.has_responses() {
            self.next_period = None;
            return false;
        }
        let timer = self.next_period.get_or_insert_with(|| Box::pin(sleep(self.period)));
        while timer.as_mut().poll(cx).is_ready() {
            if self.context.pending.next_period() {
                return true;
            }
            timer.set(sleep(self.period));
        }
        false
    }
}

impl<C, I> Turns<'_, C, I>
where
    C: Future<Output = Result<(), BoxError>>,
    I: AsyncWrite + Unpin,
{
    /// Polls the connection, and then sends what it wrote.
    fn poll_connection(&mut self, cx: &mut Context<'_>) -> Poll<C::Output> {
        if self.unsent.is_some() && self.writes.poll_send(cx).is_ready() {
            self.unsent = None;
        }
        if self.end.is_none() {
            self.context.credit.begin_turn();
            if let Poll::Ready(end) = self.connection.as_mut().poll(cx) {
                self.record_violation(&end);
                self.end = Some(end);
            }
        }
        match self.writes.poll_send(cx) {
            Poll::Pending => {
                let held = || HeldBytes::new(self.writes.buffered(), self.context);
                self.unsent.get_or_insert_with(held);
                Poll::Pending
            }
            Poll::Ready(sent) => {
                self.unsent = None;
                match (self.end.take(), sent) {
                    (Some(end), _) => Poll::Ready(end),
                    (None, Err(error)) => Poll::Ready(Err(error.into())),
                    (None, Ok(())) => Poll::Pending,
                }
            }
        }
    }

    fn record_violation(&self, end: &C::Output) {
        if let Err(error) = end
            && is_violation(&**error)
        {
            self.context.connection_metrics.cut(Cut::Protocol);
            self.context.permit.control.record_violation();
        }
    }
}

impl<C, I> Future for Turns<'_, C, I>
where
    C: Future<Output = Result<(), BoxError>>,
    I: AsyncWrite + Unpin,
{
    type Output = C::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = &mut *self;
        if let Poll::Ready(end) = me.poll_connection(cx) {
            return Poll::Ready(end);
        }
        me.context.pending.report();
        if me.stalled.is_some()
            && me.is_stalled(cx)
            && let Some(stalled) = me.stalled.take()
        {
            me.context.connection_metrics.cut(Cut::SendTimeout);
            stalled.notify_one();
        }
        Poll::Pending
    }
}

/// Whether h2 ended the connection because of what the peer sent.
fn is_violation(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return error.is_go_away() && error.is_library();
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;

    use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};
    use tokio::time::timeout;

    use super::*;
    use crate::auth::PeerAddress;
    use crate::server::Settings;
    use crate::server::context::ServerContext;
    use crate::server::limits::ConnectionLimits;

    fn context() -> Arc<ConnectionContext> {
        let server = ServerContext::default();
        let limits = ConnectionLimits::new(&Settings::default(), Arc::clone(&server.connection_metrics));
        let permit = Arc::new(limits).admit(PeerAddress::Unix).expect("it is the first connection");
        ConnectionContext::new(server, permit)
    }

    /// A connection that writes these bytes and ends, or goes on.
    fn connection(
        writes: &JoinedWrites<DuplexStream>,
        data: &'static [u8],
        end: Poll<Result<(), &'static str>>,
    ) -> impl Future<Output = Result<(), BoxError>> + use<> {
        let (mut writes, mut data) = (writes.clone(), data);
        poll_fn(move |cx| {
            while !data.is_empty() {
                match Pin::new(&mut writes).poll_write(cx, data) {
                    Poll::Ready(written) => data = &data[written?..],
                    Poll::Pending => return Poll::Pending,
                }
            }
            end.map_err(BoxError::from)
        })
    }

    #[tokio::test]
    async fn what_waits_for_the_peer_at_the_end_of_a_poll_stalls_the_connection() {
        let (server, mut peer) = duplex(4);
        let (context, stalled, writes) = (context(), Notify::new(), JoinedWrites::new(server));
        let connection = pin!(connection(&writes, b"0123456789", Poll::Pending));
        let mut turns = Turns::new(connection, writes, &context, Duration::from_millis(20), &stalled);

        tokio::select! {
            end = &mut turns => panic!("{end:?}"),
            () = stalled.notified() => {}
        }
        assert!(context.pending.has_responses());

        let (mut received, read) = ([0; 10], Duration::from_secs(60));
        tokio::select! {
            end = &mut turns => panic!("{end:?}"),
            read = timeout(read, peer.read_exact(&mut received)) => assert_eq!(read.unwrap().unwrap(), 10),
        }
        assert!(timeout(Duration::ZERO, &mut turns).await.is_err());
        assert_eq!(&received, b"0123456789");
        assert!(!context.pending.has_responses());
    }

    #[tokio::test]
    async fn a_connection_ends_when_its_last_bytes_are_sent() {
        for end in [Ok(()), Err("too many frames")] {
            let (server, mut peer) = duplex(4);
            let (context, stalled, writes) = (context(), Notify::new(), JoinedWrites::new(server));
            let connection = pin!(connection(&writes, b"0123456789", Poll::Ready(end)));
            let mut turns = Turns::new(connection, writes, &context, Duration::from_secs(60), &stalled);

            assert!(timeout(Duration::ZERO, &mut turns).await.is_err());
            let mut received = [0; 10];
            let (ended, read) = tokio::join!(turns, peer.read_exact(&mut received));

            assert_eq!(ended.map_err(|error| error.to_string()), end.map_err(str::to_owned));
            assert_eq!((read.unwrap(), &received), (10, b"0123456789"));
        }
    }

    #[tokio::test]
    async fn a_connection_whose_bytes_cannot_be_sent_fails() {
        let (server, peer) = duplex(4);
        let (context, stalled, writes) = (context(), Notify::new(), JoinedWrites::new(server));
        let connection = pin!(connection(&writes, b"0123456789", Poll::Pending));
        let mut turns = Turns::new(connection, writes, &context, Duration::from_secs(60), &stalled);

        assert!(timeout(Duration::ZERO, &mut turns).await.is_err());
        drop(peer);

        assert!(turns.await.is_err());
    }
}
