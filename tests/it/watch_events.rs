//! Events of an app's sessions, read from the service itself and by the WatchEvents RPC.

use cloakroom::grpc::wire::{
    Changes, EndReason, RotationCause, SessionEvent, SessionEventKind, WatchEventsRequest, WatchEventsResponse,
};
use cloakroom::service::Error;
use cloakroom::session::{self, Event, EventKind};
use cloakroom::store::{Cursor, FeedEntry};
use cloakroom::token::SessionId;
use tonic::{Code, Streaming};

use crate::support::calls::{ChangesExt as _, reason, save};
use crate::support::watches::session_key;
use crate::support::{StoreKind, TestService};

#[apply(on_every_store)]
async fn events_start_now_or_at_a_cursor(store: StoreKind) {
    let service = TestService::new(store).await;
    service.stored(&[("a", "1")]).await;
    let mut events = service.inner.events("", None).unwrap();
    let first = events.next().await.unwrap();
    assert_eq!(first.notices, []);

    let token = service.stored(&[("a", "1")]).await;
    let id = session_key(&service.session(&token).await.id).id;
    let created = events.next().await.unwrap();
    service.save(save(&token, Changes::default().set("b", "2"))).await;
    let token = service.log_in(&token, "anna").await;
    let changed = events.next().await.unwrap();
    service.destroy(&token).await;
    let mut resumed = service.inner.events("", Some(changed.cursor)).unwrap();

    assert_eq!(kinds(&created.notices), [(id, EventKind::Created)]);
    assert_eq!(kinds(&changed.notices), [(id, EventKind::SubjectChanged)]);
    let ended = [(id, EventKind::Ended(session::EndReason::Destroyed))];
    assert_eq!(kinds(&events.next().await.unwrap().notices), ended);
    assert_eq!(kinds(&resumed.next().await.unwrap().notices), ended);
}

#[apply(on_every_store)]
async fn an_invalid_cursor_is_an_error(store: StoreKind) {
    let service = TestService::new(store).await;
    for bytes in [vec![], vec![7; 24]] {
        let mut events = service.inner.events("", Some(Cursor(bytes))).unwrap();
        assert!(matches!(events.next().await, Err(Error::EventsMissed)));
    }
}

#[apply(on_every_store)]
async fn an_unknown_app_has_no_events(store: StoreKind) {
    let service = TestService::new(store).await;
    assert!(matches!(service.inner.events("unknown", None), Err(Error::AppUnknown)));
}

#[apply(on_every_store)]
async fn the_rpc_streams_events_in_order(store: StoreKind) {
    let service = TestService::new(store).await;
    let mut events = watch(&service, "").await;
    let begin = events.message().await.unwrap().unwrap().cursor;

    let token = service.stored(&[("a", "1")]).await;
    service.save(save(&token, Changes::default().set("a", "2"))).await;
    let token = service.rotate(&token, RotationCause::Privilege, "").await.session.unwrap().token;
    let token = service.save(save(&token, Changes::default().subject("ada"))).await.session.unwrap().token;
    service.destroy(&token).await;

    let streamed = read(&mut events, 4).await;
    assert_eq!(
        streamed.iter().map(SessionEvent::kind).collect::<Vec<_>>(),
        [
            SessionEventKind::Created,
            SessionEventKind::Rotated,
            SessionEventKind::SubjectChanged,
            SessionEventKind::Ended
        ]
    );
    assert_eq!(streamed[3].end_reason(), EndReason::Destroyed);
    assert!(streamed.iter().all(|event| event.id == streamed[0].id && event.time.is_some()));

    let again = read(&mut watch(&service, &begin).await, 4).await;
    assert!(again == streamed, "a cursor resumes where it was returned");
}

#[apply(on_every_store)]
async fn the_rpc_answers_an_invalid_cursor_with_events_missed(store: StoreKind) {
    let service = TestService::new(store).await;

    for cursor in ["bm8gY3Vyc29y", "no base64!"] {
        let request = WatchEventsRequest { cursor: cursor.to_owned(), ..Default::default() };
        let status = match service.admin.clone().watch_events(request).await {
            Ok(stream) => stream.into_inner().message().await.map(drop).unwrap_err(),
            Err(status) => status,
        };
        assert_eq!(reason(&status), (Code::Aborted, "EVENTS_MISSED".to_owned()));
    }
}

async fn watch(service: &TestService, cursor: &str) -> Streaming<WatchEventsResponse> {
    let request = WatchEventsRequest { cursor: cursor.to_owned(), ..Default::default() };
    service.admin.clone().watch_events(request).await.unwrap().into_inner()
}

async fn read(events: &mut Streaming<WatchEventsResponse>, count: usize) -> Vec<SessionEvent> {
    let mut read = Vec::new();
    while read.len() < count {
        read.extend(events.message().await.unwrap().unwrap().events);
    }
    read
}

fn kinds(entries: &[FeedEntry]) -> Vec<(SessionId, EventKind)> {
    let kind = |entry: &FeedEntry| match entry {
        FeedEntry::Session(Event { id, kind, .. }) => (*id, *kind),
        FeedEntry::AppRevoked { .. } => panic!("no app was revoked"),
    };
    entries.iter().map(kind).collect()
}
