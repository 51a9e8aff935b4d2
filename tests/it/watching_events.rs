//! Events: what happens to an app's sessions, and where a reader that was away goes on.

use cloakroom::grpc::wire::Changes;
use cloakroom::service::Error;
use cloakroom::session::{EndReason, Event, EventKind};
use cloakroom::store::{Cursor, FeedEntry};

use crate::support::calls::{ChangesExt as _, save};
use crate::support::watches::session_key;
use crate::support::{On, TestService};

/// What happened, by session.
fn happenings(notices: &[FeedEntry]) -> Vec<(cloakroom::token::SessionId, EventKind)> {
    let of_one = |notice: &FeedEntry| match notice {
        FeedEntry::Session(Event { id, kind, .. }) => (*id, *kind),
        FeedEntry::AppRevoked { .. } => panic!("no app was revoked"),
    };
    notices.iter().map(of_one).collect()
}

#[apply(on_every_store)]
async fn events_come_from_now_on_and_go_on_from_a_cursor(on: On) {
    let service = TestService::new(on).await;
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

    assert_eq!(happenings(&created.notices), [(id, EventKind::Created)]);
    assert_eq!(happenings(&changed.notices), [(id, EventKind::SubjectChanged)]);
    let ended = [(id, EventKind::Ended(EndReason::Destroyed))];
    assert_eq!(happenings(&events.next().await.unwrap().notices), ended);
    assert_eq!(happenings(&resumed.next().await.unwrap().notices), ended);
}

#[apply(on_every_store)]
async fn a_cursor_that_can_not_be_followed_is_missed(on: On) {
    let service = TestService::new(on).await;
    for bytes in [vec![], vec![7; 24]] {
        let mut events = service.inner.events("", Some(Cursor(bytes))).unwrap();
        assert!(matches!(events.next().await, Err(Error::EventsMissed)));
    }
}

#[apply(on_every_store)]
async fn an_unknown_app_has_no_events(on: On) {
    let service = TestService::new(on).await;
    assert!(matches!(service.inner.events("nobodys", None), Err(Error::AppUnknown)));
}
