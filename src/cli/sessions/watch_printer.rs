//! A vigil: what happens to one session, until it ends, and why it did.
//!
//! Events tell what calls do. An end by time alone nobody tells, and a revocation of the whole app names no session: then
//! the session itself is looked at. The stream of events is open before the first look, so nothing between the two is missed.

use std::time::Duration;

use prost_types::Timestamp;
use tokio::time::{Instant, sleep_until};
use tonic::Streaming;

use super::watch::{begin, tell};
use super::{CommandContext, text};
use crate::cli::CliError;
use crate::grpc::wire::{
    EndReason, GetSessionRequest, SessionEvent, SessionEventKind, SessionInfo, WatchEventsResponse,
};
use crate::token::SessionId;
use crate::types::{Clock as _, SystemClock};

/// One session, and the events of its app.
pub(super) struct WatchPrinter<'d> {
    context: &'d CommandContext,
    id: String,
    batches: Streaming<WatchEventsResponse>,
    cursor: String,
}

/// Whether there is more to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WatchProgress {
    Alive,
    Over,
}

impl<'d> WatchPrinter<'d> {
    /// Tells what happens to a session, and returns once it has ended, or nobody reads it any more.
    pub(super) async fn over(context: &'d CommandContext, id: SessionId) -> Result<(), CliError> {
        let mut batches = begin(context, "").await?;
        // It comes at once, without events: from here on every one comes.
        let first = context.admin.next(&mut batches).await?.ok_or(ENDED)?;
        let mut vigil = Self { context, id: id.to_string(), batches, cursor: first.cursor.clone() };
        // Before anybody reads that the vigil has begun: from then on its events tell of a session that lives.
        let mut session = vigil.look().await?;
        if tell(context, &first)?.is_break() {
            return Ok(());
        }
        while vigil.follow(&session).await? == WatchProgress::Alive {
            session = vigil.look().await?;
        }
        Ok(())
    }

    /// The session as it stands.
    async fn look(&self) -> Result<SessionInfo, CliError> {
        let request = GetSessionRequest { app: self.context.app.clone(), id: self.id.clone(), with_entries: false };
        let answer = self.context.admin.ask(async |mut client| client.get_session(request).await).await?;
        Ok(answer.session.unwrap_or_default())
    }

    /// Tells its end if it has ended; else reads events until it has to be looked at again.
    async fn follow(&mut self, session: &SessionInfo) -> Result<WatchProgress, CliError> {
        if session.end_reason() != EndReason::Unspecified {
            self.tell(vec![ended(session)])?;
            return Ok(WatchProgress::Over);
        }
        let over = sleep_until(Instant::now() + rest(&session.expire_time));
        tokio::pin!(over);
        loop {
            let batch = tokio::select! {
                () = &mut over => return Ok(WatchProgress::Alive),
                batch = self.context.admin.next(&mut self.batches) => batch?.ok_or(ENDED)?,
            };
            self.cursor = batch.cursor;
            let is_revoked = batch.events.iter().any(|event| event.kind() == SessionEventKind::AppRevoked);
            let events: Vec<_> = batch.events.into_iter().filter(|event| event.id == self.id).collect();
            let has_ended = events.iter().any(|event| event.kind() == SessionEventKind::Ended);
            if !events.is_empty() && (self.tell(events)? == WatchProgress::Over || has_ended) {
                return Ok(WatchProgress::Over);
            }
            if is_revoked {
                return Ok(WatchProgress::Alive);
            }
        }
    }

    /// Prints events; the vigil is over if nobody reads them.
    fn tell(&self, events: Vec<SessionEvent>) -> Result<WatchProgress, CliError> {
        let batch = WatchEventsResponse { events, cursor: self.cursor.clone() };
        Ok(if tell(self.context, &batch)?.is_break() { WatchProgress::Over } else { WatchProgress::Alive })
    }
}

/// The event that the end of a session is, or would be if somebody told it.
fn ended(session: &SessionInfo) -> SessionEvent {
    SessionEvent {
        id: session.id.clone(),
        kind: SessionEventKind::Ended.into(),
        end_reason: session.end_reason,
        time: session.end_time.or(session.expire_time),
    }
}

/// How long until then; a moment at least, for the service's clock may be behind.
fn rest(expire_time: &Option<Timestamp>) -> Duration {
    let rest = text::time(expire_time).map(|time| time.since(SystemClock.now()));
    rest.unwrap_or_default().max(A_MOMENT)
}

const A_MOMENT: Duration = Duration::from_secs(1);

const ENDED: &str = "the service has ended the stream; watch again";
