//! WatchEvents: the stream of the events of an app's sessions.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::stream;
use tonic::Status;
use tonic::codegen::BoxStream;

use super::stream::next_permitted;
use super::{convert, wire};
use crate::auth::StreamPermit;
use crate::service::{Error, EventBatch, EventReader, Service};
use crate::session::{Event, EventKind};
use crate::store::{Cursor, FeedEntry};

/// Starts to follow an app's event feed, after the cursor in the request.
pub(super) fn watch_events(
    service: &Service,
    permit: StreamPermit,
    request: wire::WatchEventsRequest,
) -> Result<BoxStream<wire::WatchEventsResponse>, Status> {
    let wire::WatchEventsRequest { app, cursor } = request;
    let events = service.events(&app, parse_cursor(&cursor)?)?;
    Ok(Box::pin(stream::try_unfold((events, permit), next_batch)))
}

async fn next_batch(
    (mut events, mut permit): (EventReader, StreamPermit),
) -> Result<Option<(wire::WatchEventsResponse, (EventReader, StreamPermit))>, Status> {
    let batch = next_permitted(&mut permit, async { Ok(events.next().await?) }).await?;
    Ok(Some((response(&batch), (events, permit))))
}

/// Parses a cursor; an empty text means none. Text that no service wrote is reported as missed events.
fn parse_cursor(cursor: &str) -> Result<Option<Cursor>, Error> {
    if cursor.is_empty() {
        return Ok(None);
    }
    URL_SAFE_NO_PAD.decode(cursor).map(|bytes| Some(Cursor(bytes))).map_err(|_| Error::EventsMissed)
}

fn response(batch: &EventBatch) -> wire::WatchEventsResponse {
    let events = batch.events.iter().filter_map(event).collect();
    wire::WatchEventsResponse { events, cursor: URL_SAFE_NO_PAD.encode(&batch.cursor.0) }
}

/// Makes the event of an entry; `None` for one that is for the watches of sessions alone.
fn event(entry: &FeedEntry) -> Option<wire::SessionEvent> {
    use wire::SessionEventKind as Kind;

    let (id, kind, reason, time) = match entry {
        FeedEntry::AppRevoked { time } => (String::new(), Kind::AppRevoked, None, *time),
        FeedEntry::Session(Event { id, kind, time }) => {
            let (kind, reason) = match kind {
                EventKind::Created => (Kind::Created, None),
                EventKind::Rotated => (Kind::Rotated, None),
                EventKind::SubjectChanged => (Kind::SubjectChanged, None),
                EventKind::ExpiresEarlier => return None,
                EventKind::Ended(reason) => (Kind::Ended, Some(*reason)),
            };
            (id.to_string(), kind, reason, *time)
        }
    };
    Some(wire::SessionEvent {
        id,
        kind: kind.into(),
        end_reason: convert::end_reason(reason),
        time: Some(convert::timestamp(time)),
    })
}
