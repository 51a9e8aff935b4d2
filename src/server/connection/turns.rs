//! The turns of a connection: each poll of it is one. After each, its costs are known and are judged.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Sleep, sleep};

use super::BoxError;
use super::connection_metrics::Cut;
use super::context::ConnectionContext;

/// A connection, and what is done after each of its turns.
pub(super) struct Turns<'c, C> {
    pub(super) connection: Pin<&'c mut C>,
    context: &'c ConnectionContext,
    /// Notified once, when a response has been unread for too long. `None`: it was.
    stalled: Option<&'c Notify>,
    /// Half of the time within which a response has to be read.
    period: Duration,
    /// Set while a response is not sent yet.
    next_period: Option<Pin<Box<Sleep>>>,
}

impl<'c, C> Turns<'c, C> {
    pub(super) fn new(
        connection: Pin<&'c mut C>,
        context: &'c ConnectionContext,
        send_timeout: Duration,
        stalled: &'c Notify,
    ) -> Self {
        Self { connection, context, stalled: Some(stalled), period: send_timeout / 2, next_period: None }
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

impl<C: Future<Output = Result<(), BoxError>>> Future for Turns<'_, C> {
    type Output = C::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = &mut *self;
        me.context.credit.begin_turn();
        let polled = me.connection.as_mut().poll(cx);
        if let Poll::Ready(Err(error)) = &polled
            && is_violation(&**error)
        {
            me.context.connection_metrics.cut(Cut::Protocol);
            me.context.permit.control.record_violation();
        }
        if polled.is_ready() {
            return polled;
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
