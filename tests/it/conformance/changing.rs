//! Changing: what a save does to entries and to what is known beside them.

use std::sync::Arc;

use cloakroom::session::{Changes, Edit, Limits, NewLifetime, PermanentChange, Record, SubjectChange, Value, Version};
use cloakroom::store::Store;

use super::given::*;

fn names(record: &Record) -> Vec<&str> {
    record.entries.iter().map(|(name, _)| name).collect()
}

#[apply(every_store)]
async fn values_are_kept_byte_by_byte(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    let raw: Vec<u8> = (0..=255).collect();
    let changes = Changes {
        set: [("raw".to_owned(), Value::raw(&raw)), ("json".to_owned(), json(" {\"a\" : 1.0e0}\n"))].into(),
        ..Changes::default()
    };

    done(&*store, &session_key, &authority(1, START), &save(changes.clone())).await;

    let snapshot = snapshot(&*store, &session_key).await;
    let entries = snapshot.entries.to_map();
    assert_eq!(entries["raw"], changes.set["raw"].stored());
    assert_eq!(entries["json"], changes.set["json"].stored());
}

#[apply(every_store)]
async fn unset_removes_and_set_replaces(store: Arc<impl Store>) {
    let session_key = keep(&*store, session_key(1), &full_record()).await;
    let changes = Changes { unset: vec!["b".to_owned(), "nothing".to_owned()], ..set("a", "[2]") };

    done(&*store, &session_key, &authority(1, START), &save(changes)).await;

    let snapshot = snapshot(&*store, &session_key).await;
    assert_eq!(names(&snapshot), ["a", "c", "\u{fc}"]);
    assert_eq!(snapshot.entries.to_map()["a"], b"[2]");
    assert_eq!(
        (snapshot.head.entry_count, snapshot.head.entry_bytes),
        (snapshot.entries.count(), snapshot.entries.bytes())
    );
}

#[apply(every_store)]
async fn a_save_changes_as_many_entries_as_it_names(store: Arc<impl Store>) {
    let names = |count| (0..count).map(|n| format!("n{n}"));
    for (n, count) in [(1, 999), (2, 1000), (3, 1001), (4, 4096)] {
        let session_key = keep(&*store, session_key(n), &record()).await;
        let room = Limits { max_entries: 4097, max_bytes: 1 << 20 };
        let save = |changes| write(Edit { changes: Some(changes), limits: room, ..edit() });
        let all = Changes { set: names(count).map(|name| (name, json("1"))).collect(), ..Changes::default() };
        let none = Changes { unset: names(count).collect(), ..set("a", "1") };

        let full = done(&*store, &session_key, &authority(1, START), &save(all)).await;
        done(&*store, &session_key, &authority(1, START), &save(none)).await;

        let snapshot = snapshot(&*store, &session_key).await;
        assert_eq!(full.head.entry_count, count + 1);
        assert_eq!((self::names(&snapshot), snapshot.head.entry_count), (vec!["a", "lang"], 2));
    }
}

#[apply(every_store)]
async fn saves_of_different_entries_both_survive(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;

    done(&*store, &session_key, &authority(1, START), &save(set("a", "1"))).await;
    done(&*store, &session_key, &authority(1, START), &save(set("b", "2"))).await;

    assert_eq!(names(&snapshot(&*store, &session_key).await), ["a", "b", "lang"]);
}

#[apply(every_store)]
async fn a_save_without_changes_is_a_version_all_the_same(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;

    done(&*store, &session_key, &authority(1, START), &save(Changes::default())).await;

    let mut expected = record();
    expected.head.version = Version(2);
    assert_eq!(snapshot(&*store, &session_key).await, expected);
}

#[apply(every_store)]
async fn clear_removes_entries_permanent_subject_and_its_time(store: Arc<impl Store>) {
    let session_key = keep(&*store, session_key(1), &full_record()).await;

    done(&*store, &session_key, &authority(1, START), &save(Changes { clear: true, ..set("a", "2") })).await;

    let snapshot = snapshot(&*store, &session_key).await;
    assert_eq!(names(&snapshot), ["a"]);
    assert_eq!((snapshot.head.permanent, snapshot.head.subject, snapshot.head.authenticate_time), (None, None, None));
}

#[apply(every_store)]
async fn clear_goes_first_and_keeps_what_the_same_save_sets(store: Arc<impl Store>) {
    let session_key = keep(&*store, session_key(1), &full_record()).await;
    let changes =
        Changes { clear: true, set: set("z", "1").set, permanent: PermanentChange::Set(true), ..login("anna") };

    done(&*store, &session_key, &authority(1, START + HOUR / 2), &save(changes)).await;

    let snapshot = snapshot(&*store, &session_key).await;
    assert_eq!(names(&snapshot), ["z"]);
    assert_eq!((snapshot.head.permanent, snapshot.head.subject), (Some(true), Some(subject("anna"))));
    assert_eq!(snapshot.head.authenticate_time, Some(START + HOUR / 2));
}

#[apply(every_store)]
async fn a_first_subject_finds_the_entries_as_they_are(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;

    done(&*store, &session_key, &authority(1, START + MINUTE), &save(login("anna"))).await;

    let snapshot = snapshot(&*store, &session_key).await;
    assert_eq!(names(&snapshot), ["lang"]);
    assert_eq!((snapshot.head.subject, snapshot.head.authenticate_time), (Some(subject("anna")), Some(START + MINUTE)));
}

#[apply(every_store)]
async fn what_one_subject_leaves_another_does_not_find(store: Arc<impl Store>) {
    let session_key = keep(&*store, session_key(1), &full_record()).await;
    let changes = Changes { set: set("z", "1").set, ..login("bert") };

    done(&*store, &session_key, &authority(1, START + MINUTE), &save(changes)).await;

    let snapshot = snapshot(&*store, &session_key).await;
    assert_eq!(names(&snapshot), ["z"]);
    assert_eq!((snapshot.head.permanent, snapshot.head.subject), (None, Some(subject("bert"))));
    assert_eq!(snapshot.head.authenticate_time, Some(START + MINUTE));
}

#[apply(every_store)]
async fn a_subject_that_goes_leaves_the_entries(store: Arc<impl Store>) {
    let session_key = keep(&*store, session_key(1), &full_record()).await;
    let changes = Changes { subject: SubjectChange::Remove, ..Changes::default() };

    done(&*store, &session_key, &authority(1, START), &save(changes)).await;

    let snapshot = snapshot(&*store, &session_key).await;
    assert_eq!(snapshot.entries, full_record().entries);
    assert_eq!((snapshot.head.subject, snapshot.head.authenticate_time), (None, None));
}

#[apply(every_store)]
async fn a_save_tells_where_it_came_from(store: Arc<impl Store>) {
    let session_key = keep(&*store, session_key(1), &full_record()).await;
    let save =
        |agent: Option<&str>| write(Edit { changes: Some(set("a", "1")), context: agent.map(context), ..edit() });

    done(&*store, &session_key, &authority(1, START), &save(Some("Browser/2.0"))).await;
    let told = snapshot(&*store, &session_key).await;
    done(&*store, &session_key, &authority(1, START), &save(None)).await;
    let not_told = snapshot(&*store, &session_key).await;

    assert_eq!((told.head.context, not_told.head.context), (context("Browser/2.0"), context("Browser/2.0")));
}

#[apply(every_store)]
async fn a_lifetime_is_counted_from_the_creation(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    let cap = START + 3 * HOUR;
    let save = |cap| {
        let lifetime = Some(NewLifetime { idle_timeout: 2 * HOUR, span: 5 * HOUR, cap });
        write(Edit { changes: Some(set("a", "1")), lifetime, ..edit() })
    };

    let free = done(&*store, &session_key, &authority(1, START + MINUTE), &save(None)).await;
    let capped = done(&*store, &session_key, &authority(1, START + MINUTE), &save(Some(cap))).await;

    assert_eq!((free.head.idle_timeout, free.head.deadline_time), (2 * HOUR, START + 5 * HOUR));
    assert_eq!((capped.head.idle_timeout, capped.head.deadline_time), (2 * HOUR, cap));
}
