//! The feed: what is told, in which order, and what is missed.

use std::sync::Arc;

use cloakroom::session::{
    Authority, Edit, EndReason, Event, EventKind, Limits, Precondition, Rotation, Verdict, Version,
};
use cloakroom::store::{Applied, Created, Cursor, Feed, FeedEntry, FeedRead, SessionKey, Store, Write};
use cloakroom::types::Time;
use tokio::task::JoinSet;

use super::given::*;
use super::{InAFile, InMemory, InRedis, Kind};

async fn latest(store: &impl Feed, name: &str) -> Cursor {
    store.latest(&app(name)).await.expect("the store answers")
}

async fn since(store: &impl Feed, name: &str, cursor: &Cursor) -> FeedRead {
    store.since(&app(name), cursor).await.expect("the store answers")
}

/// All that came after a cursor, and where it ends.
pub(super) async fn told(store: &impl Feed, name: &str, cursor: &Cursor) -> (Vec<FeedEntry>, Cursor) {
    let (mut all, mut cursor) = (Vec::new(), cursor.clone());
    loop {
        match since(store, name, &cursor).await {
            FeedRead::CursorExpired => panic!("nothing is missed"),
            FeedRead::Entries(notices, next) if notices.is_empty() => return (all, next),
            FeedRead::Entries(notices, next) => {
                all.extend(notices);
                cursor = next;
            }
        }
    }
}

fn should_log(session_key: &SessionKey, kind: EventKind, time: Time) -> FeedEntry {
    FeedEntry::Session(Event { id: session_key.id, kind, time })
}

fn rotation(n: u8, now: Time) -> Write {
    rotate(Rotation::Always(privilege(n, n.wrapping_add(1), now)))
}

#[apply(every_store)]
async fn a_session_is_told_of_from_its_creation_to_its_end(store: Arc<impl Store>) {
    let begin = latest(&*store, "default").await;
    let session_key = one_session(&*store).await;
    done(&*store, &session_key, &authority(1, START + MS), &rotation(1, START + MS)).await;
    let login = Edit {
        changes: Some(login("anna")),
        rotation: Rotation::OnSubjectChange(privilege(2, 3, START + MINUTE)),
        ..edit()
    };
    done(&*store, &session_key, &authority(2, START + MINUTE), &write(login)).await;
    done(&*store, &session_key, &authority(3, START + 30 * MINUTE), &Write::End(EndReason::Destroyed)).await;

    let (notices, end) = told(&*store, "default", &begin).await;

    let expected = [
        should_log(&session_key, EventKind::Created, START),
        should_log(&session_key, EventKind::Rotated, START + MS),
        should_log(&session_key, EventKind::SubjectChanged, START + MINUTE),
        should_log(&session_key, EventKind::Ended(EndReason::Destroyed), START + 30 * MINUTE),
    ];
    assert_eq!(notices, expected);
    assert_eq!(told(&*store, "default", &end).await, (Vec::new(), end));
}

#[apply(every_store)]
async fn every_end_by_a_call_is_told_with_its_reason(store: Arc<impl Store>) {
    let reasons = [EndReason::Destroyed, EndReason::Revoked, EndReason::Evicted, EndReason::Emptied];
    for (n, reason) in (1..).zip(reasons) {
        let session_key = keep(&*store, session_key(n), &record()).await;
        let begin = latest(&*store, "default").await;

        let write = if reason == EndReason::Emptied { save(clear()) } else { Write::End(reason) };
        done(&*store, &session_key, &by_admin(START), &write).await;

        let (notices, _) = told(&*store, "default", &begin).await;
        assert_eq!(notices, [should_log(&session_key, EventKind::Ended(reason), START)]);
    }
}

#[apply(every_store)]
async fn what_changes_neither_token_nor_subject_nor_life_is_not_told(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    let begin = latest(&*store, "default").await;

    done(&*store, &session_key, &authority(1, START), &save(set("a", "1"))).await;
    done(&*store, &session_key, &authority(1, START), &write(edit())).await;
    store.touch(&session_key, &touch(1, START + MINUTE)).await.expect("the store answers");
    assert_eq!(store.create(&session_key, &record()).await.expect("the store answers"), Created::Occupied);

    assert_eq!(told(&*store, "default", &begin).await.0, []);
}

#[apply(every_store)]
async fn what_is_not_written_is_not_told(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    let begin = latest(&*store, "default").await;
    let small = Limits { max_entries: 1, max_bytes: 1024 };

    let refused = write(Edit { changes: Some(set("a", "1")), limits: small, ..edit() });
    assert!(matches!(apply(&*store, &session_key, &authority(1, START), &refused).await, Applied::Refused(_)));
    judged(&*store, &session_key, &authority(9, START), &rotation(9, START)).await;
    let stale = Precondition { etag: Some(Version(7)), ..authority(1, START) };
    judged(&*store, &session_key, &stale, &Write::End(EndReason::Destroyed)).await;
    let late = authority(1, START + IDLE);
    judged(&*store, &session_key, &late, &Write::End(EndReason::Destroyed)).await;
    let missing =
        apply(&*store, &super::given::session_key(2), &authority(1, START), &Write::End(EndReason::Destroyed)).await;
    assert_eq!(missing, Applied::Missing);

    assert_eq!(told(&*store, "default", &begin).await.0, []);
}

#[apply(every_store)]
async fn what_is_repeated_is_told_once(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    let begin = latest(&*store, "default").await;
    let call = Precondition { fingerprint: Some(fingerprint(1, 1)), ..authority(1, START) };

    done(&*store, &session_key, &call, &rotation(1, START)).await;
    judged(&*store, &session_key, &call, &rotation(1, START)).await;
    done(&*store, &session_key, &authority(2, START), &Write::End(EndReason::Destroyed)).await;
    judged(&*store, &session_key, &authority(2, START), &Write::End(EndReason::Destroyed)).await;

    let ended = EventKind::Ended(EndReason::Destroyed);
    let expected = [should_log(&session_key, EventKind::Rotated, START), should_log(&session_key, ended, START)];
    assert_eq!(told(&*store, "default", &begin).await.0, expected);
}

#[apply(every_store)]
async fn a_subject_ends_only_its_own_session(store: Arc<impl Store>) {
    let session_key = keep(&*store, session_key(1), &full_record()).await;
    let nobodys = keep(&*store, super::given::session_key(2), &record()).await;
    let begin = latest(&*store, "default").await;
    let by_subject = |name| Precondition { authority: Authority::Subject(subject(name)), ..by_admin(START) };
    let end = Write::End(EndReason::Revoked);

    assert_eq!(judged(&*store, &session_key, &by_subject("bert"), &end).await, Verdict::Gone(None));
    assert_eq!(judged(&*store, &nobodys, &by_subject("anna"), &end).await, Verdict::Gone(None));
    done(&*store, &session_key, &by_subject("anna"), &end).await;
    assert_eq!(judged(&*store, &session_key, &by_subject("anna"), &end).await, gone(EndReason::Revoked));

    let ended = should_log(&session_key, EventKind::Ended(EndReason::Revoked), START);
    assert_eq!(told(&*store, "default", &begin).await.0, [ended]);
}

#[apply(every_store)]
async fn the_revocation_of_an_app_is_told_to_its_own_readers(store: Arc<impl Store>) {
    let begin = latest(&*store, "default").await;
    let others = [latest(&*store, "default2").await, latest(&*store, "defaul").await];

    store.revoke_app(&app("default"), START + MINUTE).await.expect("the store answers");

    let (mut notices, _) = told(&*store, "default", &begin).await;
    notices.dedup();
    assert_eq!(notices, [FeedEntry::AppRevoked { time: START + MINUTE }]);
    for (name, cursor) in ["default2", "defaul"].into_iter().zip(&others) {
        assert_eq!(told(&*store, name, cursor).await.0, []);
    }
}

#[apply(every_store)]
async fn a_cursor_goes_on_exactly_where_it_was_given(store: Arc<impl Store>) {
    let (one, other) = (one_session(&*store).await, keep(&*store, session_key(2), &record()).await);
    let mut cursor = latest(&*store, "default").await;

    for n in 1..20 {
        let now = START + u32::from(n) * MS;
        done(&*store, &one, &by_admin(now), &rotation(n, now)).await;
        done(&*store, &other, &by_admin(now), &rotation(n, now)).await;

        let (notices, next) = told(&*store, "default", &cursor).await;
        assert_eq!(notices.len(), 2);
        assert!([&one, &other].iter().all(|session_key| notices.contains(&should_log(
            session_key,
            EventKind::Rotated,
            now
        ))));
        cursor = next;
    }
}

#[apply(every_store)]
async fn many_notices_come_by_pages_and_in_order(store: Arc<impl Store>) {
    let begin = latest(&*store, "default").await;
    let mut sessions = JoinSet::new();
    for n in 1..=3 {
        let store = Arc::clone(&store);
        sessions.spawn(async move {
            let session_key = keep(&*store, session_key(n), &record()).await;
            for n in 1..900_u32 {
                let now = START + n * MS;
                done(&*store, &session_key, &by_admin(now), &rotation((n % 250) as u8, now)).await;
            }
        });
    }
    sessions.join_all().await;

    let (notices, _) = told(&*store, "default", &begin).await;

    assert_eq!(notices.len(), 2700);
    for n in 1..=3 {
        let id = session_key(n).id;
        let times = notices.iter().filter_map(|notice| match notice {
            FeedEntry::Session(event) if event.id == id => Some(event.time),
            _ => None,
        });
        assert!(times.eq((0..900).map(|n| START + n * MS)));
    }
}

#[apply(every_store)]
async fn who_is_too_slow_is_told_so(store: Arc<impl Store>) {
    let begin = latest(&*store, "default").await;
    let mut writers = JoinSet::new();
    for n in 1..=100 {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            // All in one partition, for a store that has some.
            let mut session_key = session_key(1);
            session_key.id = cloakroom::token::SessionId::from_bytes([&[0; 15][..], &[n]].concat().try_into().unwrap());
            keep(&*store, session_key.clone(), &record()).await;
            for n in 1..180 {
                done(&*store, &session_key, &by_admin(START), &rotation(n, START)).await;
            }
        });
    }
    writers.join_all().await;

    assert_eq!(since(&*store, "default", &begin).await, FeedRead::CursorExpired);
    let end = latest(&*store, "default").await;
    assert_eq!(since(&*store, "default", &end).await, FeedRead::Entries(Vec::new(), end));
}

#[apply(every_store)]
async fn what_is_no_cursor_of_this_feed_is_missed(store: Arc<impl Store>) {
    one_session(&*store).await;
    let good = latest(&*store, "default").await;
    keep(&*store, place_of("default2", 1), &record()).await;
    let of_another_app = latest(&*store, "default2").await;
    let longer = Cursor([&good.0[..], &[0]].concat());
    let shorter = Cursor(good.0[..good.0.len() - 1].to_vec());
    let garbage = Cursor(vec![0xff; good.0.len()]);

    for cursor in [of_another_app, longer, shorter, garbage, Cursor::default(), Cursor(vec![1])] {
        assert_eq!(since(&*store, "default", &cursor).await, FeedRead::CursorExpired, "{cursor:?}");
    }
    assert_eq!(since(&*store, "default", &good).await, FeedRead::Entries(Vec::new(), good));
}

#[tokio::test]
async fn a_cursor_of_another_store_is_missed() {
    is_missed_elsewhere::<InMemory>().await;
    is_missed_elsewhere::<InAFile>().await;
    is_missed_elsewhere::<InRedis>().await;
}

async fn is_missed_elsewhere<K: Kind>() {
    let ((here, _home), (there, _other_home)) = (K::fresh().await, K::fresh().await);
    one_session(&*there).await;

    let cursor = latest(&*there, "default").await;

    assert_eq!(since(&*here, "default", &cursor).await, FeedRead::CursorExpired);
}
