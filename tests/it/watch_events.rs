//! Events of an app's sessions, read from the service itself and by the WatchEvents RPC.

use std::time::{Duration, Instant};

use cloakroom::grpc::wire::{
    Changes, EndReason, RotationCause, SessionEvent, SessionEventKind, WatchEventsRequest, WatchEventsResponse,
};
use cloakroom::service::Error;
use cloakroom::session::{self, Event, EventKind};
use cloakroom::store::{Cursor, FeedEntry};
use cloakroom::token::SessionId;
use tokio::task::JoinSet;
use tonic::{Code, Streaming};

use crate::admin::http_pages::metric;
use crate::support::calls::{ChangesExt as _, reason, save};
use crate::support::watches::session_key;
use crate::support::{StoreKind, TestService};

#[apply(on_every_store)]
async fn events_start_now_or_at_a_cursor(store: StoreKind) {
    let service = TestService::new(store).await;
    service.stored(&[("a", "1")]).await;
    let mut events = service.inner.events("", None).unwrap();
    let first = events.next().await.unwrap();
    assert_eq!(first.events, []);

    let token = service.stored(&[("a", "1")]).await;
    let id = session_key(&service.session(&token).await.id).id;
    let created = events.next().await.unwrap();
    service.save(save(&token, Changes::default().set("b", "2"))).await;
    let token = service.log_in(&token, "anna").await;
    let changed = events.next().await.unwrap();
    service.destroy(&token).await;
    let mut resumed = service.inner.events("", Some(changed.cursor)).unwrap();

    assert_eq!(kinds(&created.events), [(id, EventKind::Created)]);
    assert_eq!(kinds(&changed.events), [(id, EventKind::SubjectChanged)]);
    let ended = [(id, EventKind::Ended(session::EndReason::Destroyed))];
    assert_eq!(kinds(&events.next().await.unwrap().events), ended);
    assert_eq!(kinds(&resumed.next().await.unwrap().events), ended);
}

#[tokio::test]
async fn idle_streams_read_the_store_no_more_often_than_a_few() {
    let service = TestService::new(StoreKind::Memory).await;
    let reads = async || {
        metric(&service, "cloakroom_store_operation_duration_seconds_count{operation=\"read_feed\"}").await.unwrap()
    };
    let mut readers = JoinSet::new();
    for _ in 0..100 {
        let mut events = service.inner.events("", None).unwrap();
        events.next().await.unwrap();
        readers.spawn(async move { events.next().await.unwrap() });
    }
    // Each reads when it begins, and when the poller does.
    while reads().await < 200.0 {
        tokio::task::yield_now().await;
    }
    let (before, begin) = (reads().await, Instant::now());
    while begin.elapsed() < Duration::from_secs(1) {
        tokio::task::yield_now().await;
    }
    let idle = reads().await - before;
    let token = service.stored(&[("a", "1")]).await;
    let id = session_key(&service.session(&token).await.id).id;

    for batch in readers.join_all().await {
        assert_eq!(kinds(&batch.events), [(id, EventKind::Created)]);
    }
    assert!(idle < 250.0, "{idle} reads in a second");
}

#[tokio::test]
async fn an_app_has_a_thousand_streams_of_events_and_no_more() {
    let service = TestService::new(StoreKind::Memory).await;
    let mut readers = Vec::new();
    for _ in 0..1000 {
        readers.push(service.inner.events("", None).unwrap());
    }

    let refused = service.inner.events("", None);
    readers.pop();

    assert!(matches!(refused, Err(Error::TooManyWatchers)));
    assert!(service.inner.events("", None).is_ok());
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
