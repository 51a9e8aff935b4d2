//! The feed: which events it has, in which order, and when a cursor has expired.

use std::sync::Arc;

use cloakroom::session::{
    Authority, Denial, Edit, EndReason, Event, EventKind, Limits, Precondition, Rotation, Version,
};
use cloakroom::store::{Applied, Created, Cursor, Feed, FeedEntry, FeedRead, SessionKey, Store, Write};
use cloakroom::types::Time;
use tokio::task::JoinSet;

use super::fixtures::*;
use super::{Fresh, embedded, memory, redis};

async fn latest(store: &impl Feed, name: &str) -> Cursor {
    store.feed_end(&app(name)).await.expect("the store answers")
}

async fn since(store: &impl Feed, name: &str, cursor: &Cursor) -> FeedRead {
    store.read_feed(&app(name), cursor).await.expect("the store answers")
}

/// Reads the feed after a cursor to its end.
pub(super) async fn read_feed(store: &impl Feed, name: &str, cursor: &Cursor) -> (Vec<FeedEntry>, Cursor) {
    let (mut all, mut cursor) = (Vec::new(), cursor.clone());
    loop {
        match since(store, name, &cursor).await {
            FeedRead::CursorExpired => panic!("the cursor has expired"),
            FeedRead::Entries(entries, next) if entries.is_empty() => return (all, next),
            FeedRead::Entries(entries, next) => {
                all.extend(entries);
                cursor = next;
            }
        }
    }
}

fn event(session_key: &SessionKey, kind: EventKind, time: Time) -> FeedEntry {
    FeedEntry::Session(Event { id: session_key.id, kind, time })
}

fn rotation(n: u8, now: Time) -> Write {
    rotate(Rotation::Always(privilege(n, n.wrapping_add(1), now)))
}

#[apply(every_store)]
async fn the_feed_has_every_event_of_a_session_in_order(store: Arc<impl Store>) {
    let begin = latest(&*store, "default").await;
    let session_key = create_session(&*store).await;
    commit(&*store, &session_key, &by_token(1, START + MS), &rotation(1, START + MS)).await;
    let login = Edit {
        changes: Some(login("anna")),
        rotation: Rotation::OnSubjectChange(privilege(2, 3, START + MINUTE)),
        ..edit()
    };
    commit(&*store, &session_key, &by_token(2, START + MINUTE), &write(login)).await;
    commit(&*store, &session_key, &by_token(3, START + 30 * MINUTE), &Write::End(EndReason::Destroyed)).await;

    let (entries, end) = read_feed(&*store, "default", &begin).await;

    let expected = [
        event(&session_key, EventKind::Created, START),
        event(&session_key, EventKind::Rotated, START + MS),
        event(&session_key, EventKind::SubjectChanged, START + MINUTE),
        event(&session_key, EventKind::Ended(EndReason::Destroyed), START + 30 * MINUTE),
    ];
    assert_eq!(entries, expected);
    assert_eq!(read_feed(&*store, "default", &end).await, (Vec::new(), end));
}

#[apply(every_store)]
async fn every_end_by_a_call_is_an_event_with_its_reason(store: Arc<impl Store>) {
    let reasons = [EndReason::Destroyed, EndReason::Revoked, EndReason::Evicted, EndReason::Emptied];
    for (n, reason) in (1..).zip(reasons) {
        let session_key = create(&*store, session_key(n), &record()).await;
        let begin = latest(&*store, "default").await;

        let write = if reason == EndReason::Emptied { save(clear()) } else { Write::End(reason) };
        commit(&*store, &session_key, &by_admin(START), &write).await;

        let (entries, _) = read_feed(&*store, "default", &begin).await;
        assert_eq!(entries, [event(&session_key, EventKind::Ended(reason), START)]);
    }
}

#[apply(every_store)]
async fn a_write_by_which_a_session_expires_earlier_is_an_event_and_one_by_which_it_expires_later_is_none(
    store: Arc<impl Store>,
) {
    let session_key = create_session(&*store).await;
    let begin = latest(&*store, "default").await;

    for (idle_timeout, absolute_timeout) in [(HOUR, SPAN), (HOUR / 2, SPAN), (HOUR, SPAN), (HOUR, MINUTE)] {
        let lifetime = lifetime(idle_timeout, absolute_timeout);
        let write = write(Edit { changes: Some(set("a", "1")), lifetime, ..edit() });
        commit(&*store, &session_key, &by_token(1, START), &write).await;
    }

    let earlier = event(&session_key, EventKind::ExpiresEarlier, START);
    assert_eq!(read_feed(&*store, "default", &begin).await.0, [earlier, earlier]);
}

#[apply(every_store)]
async fn a_write_that_changes_only_entries_or_access_time_is_no_event(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    let begin = latest(&*store, "default").await;

    commit(&*store, &session_key, &by_token(1, START), &save(set("a", "1"))).await;
    commit(&*store, &session_key, &by_token(1, START), &write(edit())).await;
    store.touch(&session_key, &touch(1, START + MINUTE)).await.expect("the store answers");
    assert_eq!(store.create(&session_key, &record()).await.expect("the store answers"), Created::Occupied);

    assert_eq!(read_feed(&*store, "default", &begin).await.0, []);
}

#[apply(every_store)]
async fn a_rejected_write_is_no_event(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    let begin = latest(&*store, "default").await;
    let small = Limits { max_entries: 1, max_bytes: 1024 };

    let refused = write(Edit { changes: Some(set("a", "1")), limits: small, ..edit() });
    assert!(matches!(apply(&*store, &session_key, &by_token(1, START), &refused).await, Applied::Refused(_)));
    rejection(&*store, &session_key, &by_token(9, START), &rotation(9, START)).await;
    let stale = Precondition { etag: Some(Version(7)), ..by_token(1, START) };
    rejection(&*store, &session_key, &stale, &Write::End(EndReason::Destroyed)).await;
    let late = by_token(1, START + IDLE);
    rejection(&*store, &session_key, &late, &Write::End(EndReason::Destroyed)).await;
    let missing =
        apply(&*store, &super::fixtures::session_key(2), &by_token(1, START), &Write::End(EndReason::Destroyed)).await;
    assert_eq!(missing, Applied::Missing);

    assert_eq!(read_feed(&*store, "default", &begin).await.0, []);
}

#[apply(every_store)]
async fn a_repeated_call_is_one_event(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    let begin = latest(&*store, "default").await;
    let call = Precondition { fingerprint: Some(fingerprint(1, 1)), ..by_token(1, START) };

    commit(&*store, &session_key, &call, &rotation(1, START)).await;
    rejection(&*store, &session_key, &call, &rotation(1, START)).await;
    commit(&*store, &session_key, &by_token(2, START), &Write::End(EndReason::Destroyed)).await;
    rejection(&*store, &session_key, &by_token(2, START), &Write::End(EndReason::Destroyed)).await;

    let ended = EventKind::Ended(EndReason::Destroyed);
    let expected = [event(&session_key, EventKind::Rotated, START), event(&session_key, ended, START)];
    assert_eq!(read_feed(&*store, "default", &begin).await.0, expected);
}

#[apply(every_store)]
async fn a_subject_ends_only_its_own_session(store: Arc<impl Store>) {
    let session_key = create(&*store, session_key(1), &full_record()).await;
    let anonymous = create(&*store, super::fixtures::session_key(2), &record()).await;
    let begin = latest(&*store, "default").await;
    let by_subject = |name| Precondition { authority: Authority::Subject(subject(name)), ..by_admin(START) };
    let end = Write::End(EndReason::Revoked);

    assert_eq!(rejection(&*store, &session_key, &by_subject("bert"), &end).await, Denial::Gone(None));
    assert_eq!(rejection(&*store, &anonymous, &by_subject("anna"), &end).await, Denial::Gone(None));
    commit(&*store, &session_key, &by_subject("anna"), &end).await;
    assert_eq!(rejection(&*store, &session_key, &by_subject("anna"), &end).await, gone(EndReason::Revoked));

    let ended = event(&session_key, EventKind::Ended(EndReason::Revoked), START);
    assert_eq!(read_feed(&*store, "default", &begin).await.0, [ended]);
}

#[apply(every_store)]
async fn the_revocation_of_an_app_is_an_event_of_that_app_only(store: Arc<impl Store>) {
    let begin = latest(&*store, "default").await;
    let others = [latest(&*store, "default2").await, latest(&*store, "defaul").await];

    store.revoke_app(&app("default"), START + MINUTE).await.expect("the store answers");

    let (mut entries, _) = read_feed(&*store, "default", &begin).await;
    entries.dedup();
    assert_eq!(entries, [FeedEntry::AppRevoked { time: START + MINUTE }]);
    for (name, cursor) in ["default2", "defaul"].into_iter().zip(&others) {
        assert_eq!(read_feed(&*store, name, cursor).await.0, []);
    }
}

#[apply(every_store)]
async fn a_cursor_continues_where_it_was_returned(store: Arc<impl Store>) {
    let (one, other) = (create_session(&*store).await, create(&*store, session_key(2), &record()).await);
    let mut cursor = latest(&*store, "default").await;

    for n in 1..20 {
        let now = START + u32::from(n) * MS;
        commit(&*store, &one, &by_admin(now), &rotation(n, now)).await;
        commit(&*store, &other, &by_admin(now), &rotation(n, now)).await;

        let (entries, next) = read_feed(&*store, "default", &cursor).await;
        assert_eq!(entries.len(), 2);
        assert!([&one, &other].iter().all(|session_key| entries.contains(&event(
            session_key,
            EventKind::Rotated,
            now
        ))));
        cursor = next;
    }
}

#[apply(every_store)]
async fn many_entries_are_read_in_pages_and_in_order(store: Arc<impl Store>) {
    let begin = latest(&*store, "default").await;
    let mut sessions = JoinSet::new();
    for n in 1..=3 {
        let store = Arc::clone(&store);
        sessions.spawn(async move {
            let session_key = create(&*store, session_key(n), &record()).await;
            for n in 1..900_u32 {
                let now = START + n * MS;
                commit(&*store, &session_key, &by_admin(now), &rotation((n % 250) as u8, now)).await;
            }
        });
    }
    sessions.join_all().await;

    let (entries, _) = read_feed(&*store, "default", &begin).await;

    assert_eq!(entries.len(), 2700);
    for n in 1..=3 {
        let id = session_key(n).id;
        let times = entries.iter().filter_map(|entry| match entry {
            FeedEntry::Session(event) if event.id == id => Some(event.time),
            _ => None,
        });
        assert!(times.eq((0..900).map(|n| START + n * MS)));
    }
}

#[apply(stores_without_moves)]
async fn the_cursor_of_a_reader_that_is_too_slow_expires(store: Arc<impl Store>) {
    let begin = latest(&*store, "default").await;
    let mut writers = JoinSet::new();
    for n in 1..=100 {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            // All in one partition, for stores that have partitions.
            let mut session_key = session_key(1);
            session_key.id = cloakroom::token::SessionId::from_bytes([&[0; 15][..], &[n]].concat().try_into().unwrap());
            create(&*store, session_key.clone(), &record()).await;
            for n in 1..180 {
                commit(&*store, &session_key, &by_admin(START), &rotation(n, START)).await;
            }
        });
    }
    writers.join_all().await;

    assert_eq!(since(&*store, "default", &begin).await, FeedRead::CursorExpired);
    let end = latest(&*store, "default").await;
    assert_eq!(since(&*store, "default", &end).await, FeedRead::Entries(Vec::new(), end));
}

#[apply(every_store)]
async fn a_cursor_of_another_feed_counts_as_expired(store: Arc<impl Store>) {
    create_session(&*store).await;
    let good = latest(&*store, "default").await;
    create(&*store, key_in("default2", 1), &record()).await;
    let cursor_of_another_app = latest(&*store, "default2").await;
    let longer = Cursor([&good.0[..], &[0]].concat());
    let shorter = Cursor(good.0[..good.0.len() - 1].to_vec());
    let garbage = Cursor(vec![0xff; good.0.len()]);

    for cursor in [cursor_of_another_app, longer, shorter, garbage, Cursor::default(), Cursor(vec![1])] {
        assert_eq!(since(&*store, "default", &cursor).await, FeedRead::CursorExpired, "{cursor:?}");
    }
    assert_eq!(since(&*store, "default", &good).await, FeedRead::Entries(Vec::new(), good));
}

#[tokio::test]
async fn a_cursor_of_another_store_counts_as_expired() {
    cursor_expires_elsewhere(memory(), memory()).await;
    cursor_expires_elsewhere(embedded(), embedded()).await;
    cursor_expires_elsewhere(redis(), redis()).await;
}

async fn cursor_expires_elsewhere<S: Store>((here, _place): Fresh<S>, (there, _other_place): Fresh<S>) {
    create_session(&*there).await;

    let cursor = latest(&*there, "default").await;

    assert_eq!(since(&*here, "default", &cursor).await, FeedRead::CursorExpired);
}
