//! WatchEvents: the stream of what happens to an app's sessions.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tonic::{Response, Status};

use super::leave::Leave;
use super::stream::{Step, Steps};
use super::{convert, wire};
use crate::service::{Batch, Error, Events, Service};
use crate::session::{Event, Happening};
use crate::store::{Cursor, Notice, Store};

/// What a WatchEvents answers.
pub(super) type WatchEventsStream<S> = Steps<wire::WatchEventsResponse, (Events<S>, Leave)>;

/// The body of `AdminService::watch_events`.
pub(super) fn watch_events<S: Store>(
    service: &Service<S>,
    leave: Leave,
    request: wire::WatchEventsRequest,
) -> Result<Response<WatchEventsStream<S>>, Status> {
    let wire::WatchEventsRequest { app, cursor } = request;
    let events = service.events(&app, parse(&cursor)?)?;
    Ok(Response::new(Steps::new((events, leave), step)))
}

fn step<S: Store>((mut events, mut leave): (Events<S>, Leave)) -> Step<wire::WatchEventsResponse, (Events<S>, Leave)> {
    Box::pin(async move {
        let batch = leave.or(async { Ok(events.next().await?) }).await?;
        Ok((response(&batch), Some((events, leave))))
    })
}

/// A cursor; empty: none. What no service wrote can't be followed.
fn parse(cursor: &str) -> Result<Option<Cursor>, Error> {
    if cursor.is_empty() {
        return Ok(None);
    }
    URL_SAFE_NO_PAD.decode(cursor).map(|bytes| Some(Cursor(bytes))).map_err(|_| Error::EventsMissed)
}

fn response(batch: &Batch) -> wire::WatchEventsResponse {
    let events = batch.notices.iter().map(event).collect();
    wire::WatchEventsResponse { events, cursor: URL_SAFE_NO_PAD.encode(&batch.cursor.0) }
}

fn event(notice: &Notice) -> wire::SessionEvent {
    use wire::SessionEventKind as Kind;

    let (id, kind, reason, time) = match notice {
        Notice::AppRevoked { time } => (String::new(), Kind::AppRevoked, None, *time),
        Notice::Session(Event { id, happening, time }) => {
            let (kind, reason) = match happening {
                Happening::Created => (Kind::Created, None),
                Happening::Rotated => (Kind::Rotated, None),
                Happening::SubjectChanged => (Kind::SubjectChanged, None),
                Happening::Ended(reason) => (Kind::Ended, Some(*reason)),
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
