//! Prints the events of one session until it ends, and the reason for its end.
//!
//! Only calls send events. A session that expires sends none, and the event of a revoked app names no session. In both
//! cases the session is loaded again. The stream of events is open before the session is loaded for the first time, so
//! that no event between the two is missed. While nobody answers, both are tried again.

use std::ops::ControlFlow;
use std::time::Duration;

use prost_types::Timestamp;
use tokio::time::sleep;

use super::admin::CallError;
use super::event_stream::{EventStream, Outage};
use super::watch::print_batch;
use super::{CommandContext, text};
use crate::cli::CliError;
use crate::grpc::wire::{
    EndReason, GetSessionRequest, SessionEvent, SessionEventKind, SessionInfo, WatchEventsResponse,
};
use crate::token::SessionId;
use crate::types::{Clock as _, SystemClock};

/// Prints the events of one session from the stream of its app.
pub(super) struct WatchPrinter<'c> {
    context: &'c CommandContext,
    id: String,
    events: EventStream<'c>,
}

impl<'c> WatchPrinter<'c> {
    /// Prints until the session has ended, or until the reader has closed the pipe.
    pub(super) async fn run(context: &'c CommandContext, id: SessionId) -> Result<(), CliError> {
        let mut events = EventStream::open(context, "").await?;
        // The service sends the first batch at once and without events. No later event is missed.
        let first = events.next().await?;
        let mut printer = Self { context, id: id.to_string(), events };
        // Loaded before the first line is printed, so that this line is printed only for a session that is known.
        let mut session = printer.load_session().await?;
        if print_batch(context, &first)?.is_break() {
            return Ok(());
        }
        while printer.follow(&session).await?.is_continue() {
            session = printer.reload_session().await?;
        }
        Ok(())
    }

    /// Loads the session as soon as somebody answers.
    async fn reload_session(&self) -> Result<SessionInfo, CallError> {
        let mut outage = Outage::default();
        loop {
            match self.load_session().await {
                Err(error) if error.may_go_on() => outage.wait(&error).await,
                loaded => return loaded,
            }
        }
    }

    async fn load_session(&self) -> Result<SessionInfo, CallError> {
        let request = GetSessionRequest { app: self.context.app.clone(), id: self.id.clone(), with_entries: false };
        let response = self.context.admin.call(async |mut client| client.get_session(request).await).await?;
        Ok(response.session.unwrap_or_default())
    }

    /// Prints the end of a session that has ended. Otherwise prints events until the session has to be loaded again.
    async fn follow(&mut self, session: &SessionInfo) -> Result<ControlFlow<()>, CliError> {
        if session.end_reason() != EndReason::Unspecified {
            return self.print(vec![end_event(session)]).map(|_| ControlFlow::Break(()));
        }
        let expiry = sleep(time_until(&session.expire_time));
        tokio::pin!(expiry);
        loop {
            let batch = tokio::select! {
                () = &mut expiry => return Ok(ControlFlow::Continue(())),
                batch = self.events.next() => batch?,
            };
            let app_is_revoked = batch.events.iter().any(|event| event.kind() == SessionEventKind::AppRevoked);
            let events: Vec<_> = batch.events.into_iter().filter(|event| event.id == self.id).collect();
            let has_ended = events.iter().any(|event| event.kind() == SessionEventKind::Ended);
            if !events.is_empty() && (self.print(events)?.is_break() || has_ended) {
                return Ok(ControlFlow::Break(()));
            }
            if app_is_revoked {
                return Ok(ControlFlow::Continue(()));
            }
        }
    }

    /// Prints events. Breaks if the reader has closed the pipe.
    fn print(&self, events: Vec<SessionEvent>) -> Result<ControlFlow<()>, CliError> {
        print_batch(self.context, &WatchEventsResponse { events, cursor: self.events.cursor().to_owned() })
    }
}

/// Returns the event for the end of a session, also if the service sent none.
fn end_event(session: &SessionInfo) -> SessionEvent {
    SessionEvent {
        id: session.id.clone(),
        kind: SessionEventKind::Ended.into(),
        end_reason: session.end_reason,
        time: session.end_time.or(session.expire_time),
    }
}

/// Returns the time until a session expires, at least [`MIN_WAIT`].
fn time_until(expire_time: &Option<Timestamp>) -> Duration {
    let remaining = text::time(expire_time).map(|time| time.since(SystemClock.now()));
    remaining.unwrap_or_default().max(MIN_WAIT)
}

/// The clock of the service may be behind, so a session may still be alive at its expire time.
const MIN_WAIT: Duration = Duration::from_secs(1);
