//! WatchEvents: the stream of what happens to an app's sessions.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tonic::{Response, Status};

use super::stream::{Step, Steps, permitted};
use super::{convert, wire};
use crate::auth::StreamPermit;
use crate::service::{Error, EventBatch, EventReader, Service};
use crate::session::{Event, EventKind};
use crate::store::{Cursor, FeedEntry};

/// What a WatchEvents answers.
pub(super) type WatchEventsStream = Steps<wire::WatchEventsResponse, (EventReader, StreamPermit)>;

/// The body of `AdminService::watch_events`.
pub(super) fn watch_events(
    service: &Service,
    permit: StreamPermit,
    request: wire::WatchEventsRequest,
) -> Result<Response<WatchEventsStream>, Status> {
    let wire::WatchEventsRequest { app, cursor } = request;
    let events = service.events(&app, parse(&cursor)?)?;
    Ok(Response::new(Steps::new((events, permit), step)))
}

fn step(
    (mut events, mut permit): (EventReader, StreamPermit),
) -> Step<wire::WatchEventsResponse, (EventReader, StreamPermit)> {
    Box::pin(async move {
        let batch = permitted(&mut permit, async { Ok(events.next().await?) }).await?;
        Ok((response(&batch), Some((events, permit))))
    })
}

/// A cursor; empty: none. What no service wrote can't be followed.
fn parse(cursor: &str) -> Result<Option<Cursor>, Error> {
    if cursor.is_empty() {
        return Ok(None);
    }
    URL_SAFE_NO_PAD.decode(cursor).map(|bytes| Some(Cursor(bytes))).map_err(|_| Error::EventsMissed)
}

fn response(batch: &EventBatch) -> wire::WatchEventsResponse {
    let events = batch.events.iter().map(event).collect();
    wire::WatchEventsResponse { events, cursor: URL_SAFE_NO_PAD.encode(&batch.cursor.0) }
}

fn event(notice: &FeedEntry) -> wire::SessionEvent {
    use wire::SessionEventKind as Kind;

    let (id, kind, reason, time) = match notice {
        FeedEntry::AppRevoked { time } => (String::new(), Kind::AppRevoked, None, *time),
        FeedEntry::Session(Event { id, kind, time }) => {
            let (kind, reason) = match kind {
                EventKind::Created => (Kind::Created, None),
                EventKind::Rotated => (Kind::Rotated, None),
                EventKind::SubjectChanged => (Kind::SubjectChanged, None),
                EventKind::Ended(reason) => (Kind::Ended, Some(*reason)),
            };
            (id.to_string(), kind, reason, *time)
        }
    };
    wire::SessionEvent {
        id,
        kind: kind.into(),
        end_reason: reason.map_or(wire::EndReason::Unspecified, convert::end_reason).into(),
        time: Some(convert::timestamp(time)),
    }
}
