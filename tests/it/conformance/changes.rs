//! What a save changes: entries, permanent, subject, context and lifetime.

use std::sync::Arc;

use cloakroom::session::{Changes, Edit, Limits, NewLifetime, PermanentChange, Record, SubjectChange, Value, Version};
use cloakroom::store::Store;

use super::fixtures::*;

fn names(record: &Record) -> Vec<&str> {
    record.entries.iter().map(|(name, _)| name).collect()
}

#[apply(every_store)]
async fn values_are_stored_byte_for_byte(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    let raw: Vec<u8> = (0..=255).collect();
    let changes = Changes {
        set: [("raw".to_owned(), Value::raw(&raw)), ("json".to_owned(), json(" {\"a\" : 1.0e0}\n"))].into(),
        ..Changes::default()
    };

    commit(&*store, &session_key, &by_token(1, START), &save(changes.clone())).await;

    let record = load_record(&*store, &session_key).await;
    let entries = record.entries.to_map();
    assert_eq!(entries["raw"], changes.set["raw"].stored());
    assert_eq!(entries["json"], changes.set["json"].stored());
}

#[apply(every_store)]
async fn unset_removes_and_set_replaces(store: Arc<impl Store>) {
    let session_key = create(&*store, session_key(1), &full_record()).await;
    let changes = Changes { unset: vec!["b".to_owned(), "nothing".to_owned()], ..set("a", "[2]") };

    commit(&*store, &session_key, &by_token(1, START), &save(changes)).await;

    let record = load_record(&*store, &session_key).await;
    assert_eq!(names(&record), ["a", "c", "\u{fc}"]);
    assert_eq!(record.entries.to_map()["a"], b"[2]");
    assert_eq!((record.head.entry_count, record.head.entry_bytes), (record.entries.count(), record.entries.bytes()));
}

#[apply(every_store)]
async fn a_save_changes_as_many_entries_as_it_names(store: Arc<impl Store>) {
    let names = |count| (0..count).map(|n| format!("n{n}"));
    for (n, count) in [(1, 999), (2, 1000), (3, 1001), (4, 4096)] {
        let session_key = create(&*store, session_key(n), &record()).await;
        let limits = Limits { max_entries: 4097, max_bytes: 1 << 20 };
        let save = |changes| write(Edit { changes: Some(changes), limits, ..edit() });
        let many = Changes { set: names(count).map(|name| (name, json("1"))).collect(), ..Changes::default() };
        let few = Changes { unset: names(count).collect(), ..set("a", "1") };

        let full = commit(&*store, &session_key, &by_token(1, START), &save(many)).await;
        commit(&*store, &session_key, &by_token(1, START), &save(few)).await;

        let record = load_record(&*store, &session_key).await;
        assert_eq!(full.head.entry_count, count + 1);
        assert_eq!((self::names(&record), record.head.entry_count), (vec!["a", "lang"], 2));
    }
}

#[apply(every_store)]
async fn saves_of_different_entries_both_survive(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;

    commit(&*store, &session_key, &by_token(1, START), &save(set("a", "1"))).await;
    commit(&*store, &session_key, &by_token(1, START), &save(set("b", "2"))).await;

    assert_eq!(names(&load_record(&*store, &session_key).await), ["a", "b", "lang"]);
}

#[apply(every_store)]
async fn a_save_without_changes_counts_up_the_version(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;

    commit(&*store, &session_key, &by_token(1, START), &save(Changes::default())).await;

    let mut expected = record();
    expected.head.version = Version(2);
    assert_eq!(load_record(&*store, &session_key).await, expected);
}

#[apply(every_store)]
async fn clear_removes_entries_permanent_subject_and_its_time(store: Arc<impl Store>) {
    let session_key = create(&*store, session_key(1), &full_record()).await;

    commit(&*store, &session_key, &by_token(1, START), &save(Changes { clear: true, ..set("a", "2") })).await;

    let record = load_record(&*store, &session_key).await;
    assert_eq!(names(&record), ["a"]);
    assert_eq!((record.head.permanent, record.head.subject, record.head.authenticate_time), (None, None, None));
}

#[apply(every_store)]
async fn clear_is_applied_before_the_other_changes_of_a_save(store: Arc<impl Store>) {
    let session_key = create(&*store, session_key(1), &full_record()).await;
    let changes =
        Changes { clear: true, set: set("z", "1").set, permanent: PermanentChange::Set(true), ..login("anna") };

    commit(&*store, &session_key, &by_token(1, START + HOUR / 2), &save(changes)).await;

    let record = load_record(&*store, &session_key).await;
    assert_eq!(names(&record), ["z"]);
    assert_eq!((record.head.permanent, record.head.subject), (Some(true), Some(subject("anna"))));
    assert_eq!(record.head.authenticate_time, Some(START + HOUR / 2));
}

#[apply(every_store)]
async fn a_first_subject_keeps_the_entries(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;

    commit(&*store, &session_key, &by_token(1, START + MINUTE), &save(login("anna"))).await;

    let record = load_record(&*store, &session_key).await;
    assert_eq!(names(&record), ["lang"]);
    assert_eq!((record.head.subject, record.head.authenticate_time), (Some(subject("anna")), Some(START + MINUTE)));
}

#[apply(every_store)]
async fn another_subject_clears_the_session(store: Arc<impl Store>) {
    let session_key = create(&*store, session_key(1), &full_record()).await;
    let changes = Changes { set: set("z", "1").set, ..login("bert") };

    commit(&*store, &session_key, &by_token(1, START + MINUTE), &save(changes)).await;

    let record = load_record(&*store, &session_key).await;
    assert_eq!(names(&record), ["z"]);
    assert_eq!((record.head.permanent, record.head.subject), (None, Some(subject("bert"))));
    assert_eq!(record.head.authenticate_time, Some(START + MINUTE));
}

#[apply(every_store)]
async fn removing_the_subject_keeps_the_entries(store: Arc<impl Store>) {
    let session_key = create(&*store, session_key(1), &full_record()).await;
    let changes = Changes { subject: SubjectChange::Remove, ..Changes::default() };

    commit(&*store, &session_key, &by_token(1, START), &save(changes)).await;

    let record = load_record(&*store, &session_key).await;
    assert_eq!(record.entries, full_record().entries);
    assert_eq!((record.head.subject, record.head.authenticate_time), (None, None));
}

#[apply(every_store)]
async fn a_save_stores_the_context_of_its_request(store: Arc<impl Store>) {
    let session_key = create(&*store, session_key(1), &full_record()).await;
    let save =
        |agent: Option<&str>| write(Edit { changes: Some(set("a", "1")), context: agent.map(context), ..edit() });

    commit(&*store, &session_key, &by_token(1, START), &save(Some("Browser/2.0"))).await;
    let with_context = load_record(&*store, &session_key).await;
    commit(&*store, &session_key, &by_token(1, START), &save(None)).await;
    let without_context = load_record(&*store, &session_key).await;

    assert_eq!(
        (with_context.head.context, without_context.head.context),
        (context("Browser/2.0"), context("Browser/2.0"))
    );
}

#[apply(every_store)]
async fn a_lifetime_counts_from_the_creation(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    let cap = START + 3 * HOUR;
    let save = |cap| {
        let lifetime = Some(NewLifetime { idle_timeout: 2 * HOUR, absolute_timeout: 5 * HOUR, cap });
        write(Edit { changes: Some(set("a", "1")), lifetime, ..edit() })
    };

    let free = commit(&*store, &session_key, &by_token(1, START + MINUTE), &save(None)).await;
    let capped = commit(&*store, &session_key, &by_token(1, START + MINUTE), &save(Some(cap))).await;

    assert_eq!((free.head.idle_timeout, free.head.deadline_time), (2 * HOUR, START + 5 * HOUR));
    assert_eq!((capped.head.idle_timeout, capped.head.deadline_time), (2 * HOUR, cap));
}
