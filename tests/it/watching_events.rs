//! Events: what happens to an app's sessions, and where a reader that was away goes on.

use cloakroom::grpc::wire::Changes;
use cloakroom::service::Error;
use cloakroom::session::{EndReason, Event, EventKind};
use cloakroom::store::{Cursor, FeedEntry};

use crate::on_every_store;
use crate::support::calls::{ChangesExt as _, save};
use crate::support::watches::place;
use crate::support::{House, On};

/// What happened, by session.
fn happenings(notices: &[FeedEntry]) -> Vec<(cloakroom::token::SessionId, EventKind)> {
    let of_one = |notice: &FeedEntry| match notice {
        FeedEntry::Session(Event { id, kind, .. }) => (*id, *kind),
        FeedEntry::AppRevoked { .. } => panic!("no app was revoked"),
    };
    notices.iter().map(of_one).collect()
}

async fn events_come_from_now_on_and_go_on_from_a_cursor(on: On) {
    let house = House::new(on).await;
    house.stored(&[("a", "1")]).await;
    let mut events = house.service.events("", None).unwrap();
    let first = events.next().await.unwrap();
    assert_eq!(first.events, []);

    let token = house.stored(&[("a", "1")]).await;
    let id = place(&house.session(&token).await.id).id;
    let created = events.next().await.unwrap();
    house.save(save(&token, Changes::default().set("b", "2"))).await;
    let token = house.log_in(&token, "anna").await;
    let changed = events.next().await.unwrap();
    house.destroy(&token).await;
    let mut resumed = house.service.events("", Some(changed.cursor)).unwrap();

    assert_eq!(happenings(&created.events), [(id, EventKind::Created)]);
    assert_eq!(happenings(&changed.events), [(id, EventKind::SubjectChanged)]);
    let ended = [(id, EventKind::Ended(EndReason::Destroyed))];
    assert_eq!(happenings(&events.next().await.unwrap().events), ended);
    assert_eq!(happenings(&resumed.next().await.unwrap().events), ended);
}

async fn a_cursor_that_can_not_be_followed_is_missed(on: On) {
    let house = House::new(on).await;
    for bytes in [vec![], vec![7; 24]] {
        let mut events = house.service.events("", Some(Cursor(bytes))).unwrap();
        assert!(matches!(events.next().await, Err(Error::EventsMissed)));
    }
}

async fn an_unknown_app_has_no_events(on: On) {
    let house = House::new(on).await;
    assert!(matches!(house.service.events("nobodys", None), Err(Error::AppUnknown)));
}

on_every_store!(
    events_come_from_now_on_and_go_on_from_a_cursor,
    a_cursor_that_can_not_be_followed_is_missed,
    an_unknown_app_has_no_events,
);
