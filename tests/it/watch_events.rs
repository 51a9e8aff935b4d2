//! WatchEvents: what happens to an app's sessions, over the operators' own listener.

use cloakroom::grpc::wire::{
    Changes, EndReason, RotationCause, SessionEvent, SessionEventKind, WatchEventsRequest, WatchEventsResponse,
};
use tonic::{Code, Streaming};

use crate::support::calls::{ChangesExt as _, reason, save};
use crate::support::{On, TestService};

#[apply(on_every_store)]
async fn what_happens_to_a_session_is_told_in_its_order(on: On) {
    let service = TestService::new(on).await;
    let mut events = watch(&service, "").await;
    let begin = events.message().await.unwrap().unwrap().cursor;

    let token = service.stored(&[("a", "1")]).await;
    service.save(save(&token, Changes::default().set("a", "2"))).await;
    let token = service.rotate(&token, RotationCause::Privilege, "").await.session.unwrap().token;
    let token = service.save(save(&token, Changes::default().subject("ada"))).await.session.unwrap().token;
    service.destroy(&token).await;

    let told = told(&mut events, 4).await;
    assert_eq!(
        told.iter().map(SessionEvent::kind).collect::<Vec<_>>(),
        [
            SessionEventKind::Created,
            SessionEventKind::Rotated,
            SessionEventKind::SubjectChanged,
            SessionEventKind::Ended
        ]
    );
    assert_eq!(told[3].end_reason(), EndReason::Destroyed);
    assert!(told.iter().all(|event| event.id == told[0].id && event.time.is_some()));

    let again = self::told(&mut watch(&service, &begin).await, 4).await;
    assert!(again == told, "a cursor resumes where it stands");
}

#[apply(on_every_store)]
async fn a_cursor_that_nobody_gave_out_is_missed(on: On) {
    let service = TestService::new(on).await;

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

async fn told(events: &mut Streaming<WatchEventsResponse>, count: usize) -> Vec<SessionEvent> {
    let mut told = Vec::new();
    while told.len() < count {
        told.extend(events.message().await.unwrap().unwrap().events);
    }
    told
}
