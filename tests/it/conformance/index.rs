//! The index of the sessions of a subject. It may name sessions that have ended, and names every live one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cloakroom::session::Subject;
use cloakroom::store::{
    Cursor, INDEX_CLEANUP_MIN, INDEX_PAGE_ENTRIES, INDEX_SAMPLE, Index, IndexEntry, Redis, RedisSettings, Store,
    SubjectRef,
};
use cloakroom::types::{AppName, Time};

use super::fixtures::*;
use super::sweep::sweep_all;
use crate::support::redis::RedisServer;

fn subject_ref(app_name: &str, name: &str) -> SubjectRef {
    SubjectRef { app: app(app_name), subject: subject(name) }
}

fn anna() -> SubjectRef {
    subject_ref("default", "anna")
}

fn entry(n: u32, add_time: Time) -> IndexEntry {
    IndexEntry { id: session_key(n).id, add_time, until: add_time + SPAN }
}

async fn enter(store: &impl Index, subject_ref: &SubjectRef, entry: IndexEntry) {
    store.add_to_index(subject_ref, &entry).await.expect("the store answers");
}

async fn entries(store: &impl Index, subject_ref: &SubjectRef) -> Vec<IndexEntry> {
    let (mut entries, mut from) = (Vec::new(), Cursor::default());
    loop {
        let page = store.list_index(subject_ref, &from).await.expect("the store answers");
        entries.extend(page.entries);
        let Some(next) = page.next else { break };
        from = next;
    }
    entries.sort();
    entries
}

fn sorted<const N: usize>(mut entries: [IndexEntry; N]) -> [IndexEntry; N] {
    entries.sort();
    entries
}

#[apply(every_store)]
async fn the_index_has_what_was_added(store: Arc<impl Store>) {
    let all = sorted([entry(1, START), entry(2, START + MINUTE), entry(3, START)]);
    for entry in all {
        enter(&*store, &anna(), entry).await;
    }

    assert_eq!(entries(&*store, &anna()).await, all);
}

#[apply(every_store)]
async fn the_index_of_an_unknown_subject_is_empty(store: Arc<impl Store>) {
    assert_eq!(entries(&*store, &anna()).await, []);
}

#[apply(every_store)]
async fn subjects_and_apps_have_separate_indexes(store: Arc<impl Store>) {
    let subjects = [anna(), subject_ref("default", "ann"), subject_ref("defaulta", "nna"), subject_ref("shop", "anna")];
    for (n, subject_ref) in (1..).zip(&subjects) {
        enter(&*store, subject_ref, entry(n, START)).await;
    }

    for (n, subject_ref) in (1..).zip(&subjects) {
        assert_eq!(entries(&*store, subject_ref).await, [entry(n, START)]);
    }
}

#[apply(every_store)]
async fn adding_a_session_again_replaces_its_times(store: Arc<impl Store>) {
    enter(&*store, &anna(), entry(1, START)).await;

    enter(&*store, &anna(), entry(1, START + HOUR)).await;

    assert_eq!(entries(&*store, &anna()).await, [entry(1, START + HOUR)]);
}

#[apply(every_store)]
async fn leave_removes_an_entry_only_with_its_exact_times(store: Arc<impl Store>) {
    enter(&*store, &anna(), entry(1, START)).await;
    enter(&*store, &anna(), entry(2, START)).await;
    enter(&*store, &anna(), entry(2, START + HOUR)).await;

    for seen in [entry(1, START), entry(2, START), entry(3, START)] {
        store.remove_from_index(&anna(), &seen).await.expect("the store answers");
    }

    assert_eq!(entries(&*store, &anna()).await, [entry(2, START + HOUR)]);
}

#[apply(every_store)]
async fn forget_removes_a_session_whatever_its_times_are(store: Arc<impl Store>) {
    enter(&*store, &anna(), entry(1, START)).await;
    enter(&*store, &anna(), entry(2, START)).await;

    for n in [1, 1, 3] {
        store.remove_session_from_index(&anna(), session_key(n).id).await.expect("the store answers");
    }

    assert_eq!(entries(&*store, &anna()).await, [entry(2, START)]);
}

#[apply(every_store)]
async fn adding_to_a_large_index_returns_a_sample_of_it(store: Arc<impl Store>) {
    let all: Vec<IndexEntry> = (0..=INDEX_CLEANUP_MIN as u32).map(|n| entry(n, START)).collect();
    for few in &all[..INDEX_CLEANUP_MIN] {
        assert_eq!(store.add_to_index(&anna(), few).await.expect("the store answers"), []);
    }

    let mut sampled = BTreeSet::new();
    for one in all.iter().cycle().skip(INDEX_CLEANUP_MIN).take(400) {
        let others = store.add_to_index(&anna(), one).await.expect("the store answers");
        assert!((1..=INDEX_SAMPLE).contains(&others.len()) && !others.contains(one), "{others:?}");
        sampled.extend(others);
    }

    assert_eq!(sampled, all.into_iter().collect::<BTreeSet<_>>());
}

#[apply(every_store)]
async fn a_large_index_is_listed_in_pages_that_lack_no_entry_while_others_come_and_go(store: Arc<impl Store>) {
    let stays: BTreeSet<IndexEntry> = (0..3 * INDEX_PAGE_ENTRIES as u32).map(|n| entry(2 * n, START)).collect();
    for entry in &stays {
        enter(&*store, &anna(), *entry).await;
    }

    let (mut listed, mut from, mut pages) = (BTreeSet::new(), Cursor::default(), 0);
    loop {
        let page = store.list_index(&anna(), &from).await.expect("the store answers");
        assert!(page.entries.len() < 2 * INDEX_PAGE_ENTRIES, "{} on one page", page.entries.len());
        listed.extend(page.entries);
        let Some(next) = page.next else { break };
        (from, pages) = (next, pages + 1);
        for n in 0..64 {
            enter(&*store, &anna(), entry(2 * (64 * pages + n) + 1, START)).await;
            store.remove_session_from_index(&anna(), session_key(2 * n + 1).id).await.expect("the store answers");
        }
    }

    assert!(listed.is_superset(&stays), "{} of {} are missing", stays.difference(&listed).count(), stays.len());
    assert!((2..10).contains(&pages), "{pages}");
}

#[apply(every_store)]
async fn an_index_has_more_entries_than_any_smaller_number(store: Arc<impl Store>) {
    for n in 0..3 {
        enter(&*store, &anna(), entry(n, START)).await;
    }

    for (count, has_more) in [(0, true), (2, true), (3, false), (4, false)] {
        assert_eq!(store.has_more_entries(&anna(), count).await.expect("the store answers"), has_more, "{count}");
    }
    assert!(!store.has_more_entries(&subject_ref("default", "bert"), 0).await.expect("the store answers"));
}

#[apply(every_store)]
async fn the_longest_names_have_an_index(store: Arc<impl Store>) {
    let long = SubjectRef {
        app: AppName::parse(&"a".repeat(64)).unwrap(),
        subject: Subject::parse(&"\u{fc}".repeat(128)).unwrap(),
    };

    enter(&*store, &long, entry(1, START)).await;

    assert_eq!(entries(&*store, &long).await, [entry(1, START)]);
}

#[apply(stores_without_moves)]
async fn writes_to_sessions_leave_the_index_alone(store: Arc<impl Store>) {
    let session_key = create(&*store, session_key(1), &full_record()).await;
    enter(&*store, &anna(), entry(1, START)).await;

    commit(&*store, &session_key, &by_admin(START), &save(login("bert"))).await;
    store.revoke_app(&session_key.app, START).await.expect("the store answers");

    assert_eq!(entries(&*store, &anna()).await, [entry(1, START)]);
}

mod sweep {
    use super::*;

    #[apply(stores_without_redis)]
    async fn the_sweep_of_an_expired_session_removes_its_entry(store: Arc<impl Store>) {
        let mut other = full_record();
        other.head.access_time = START + HOUR;
        create(&*store, session_key(1), &full_record()).await;
        create(&*store, session_key(2), &other).await;
        enter(&*store, &anna(), entry(1, START)).await;
        enter(&*store, &anna(), entry(2, START)).await;

        while store.sweep(START + IDLE + TOMBSTONE_TTL).await.expect("the store answers") > 0 {}

        assert_eq!(entries(&*store, &anna()).await, [entry(2, START)]);
    }

    #[apply(stores_without_redis)]
    async fn an_entry_expires_although_its_session_has_another_subject(store: Arc<impl Store>) {
        enter(&*store, &anna(), entry(1, START)).await;
        enter(&*store, &anna(), entry(2, START)).await;
        enter(&*store, &anna(), entry(2, START + HOUR)).await;

        for _ in 0..3 {
            store.sweep(START + SPAN).await.expect("the store answers");
        }

        assert_eq!(entries(&*store, &anna()).await, [entry(2, START + HOUR)]);
    }
}

#[apply(stores_without_redis)]
async fn the_purge_of_a_session_leaves_the_entry_of_a_login_that_is_about_to_take_its_place(store: Arc<impl Store>) {
    let purge_time = START + IDLE + TOMBSTONE_TTL;
    for (n, add_time, is_left) in [(1, START + IDLE, false), (2, START + IDLE + MS, true)] {
        let session_key = create(&*store, session_key(n), &full_record()).await;
        let entry = entry(n, add_time);
        enter(&*store, &anna(), entry).await;

        assert_eq!(sweep_all(&*store, purge_time).await, 1);

        assert_eq!(load(&*store, &session_key).await, None);
        assert_eq!(entries(&*store, &anna()).await.contains(&entry), is_left);
    }
}

#[tokio::test]
async fn an_index_in_redis_expires_with_its_last_entry() {
    let server = RedisServer::start();
    let store = Redis::new(&RedisSettings { url: server.url(), ..Default::default() }).unwrap();
    let expire_time = || -> u64 {
        let key = server.cli(&["--raw", "keys", "*:subject"]);
        server.cli(&["--raw", "pexpiretime", key.trim()]).trim().parse().unwrap()
    };

    enter(&store, &anna(), entry(1, START)).await;
    assert_eq!(expire_time(), (START + SPAN).millis());
    enter(&store, &anna(), entry(2, START + HOUR)).await;
    assert_eq!(expire_time(), (START + HOUR + SPAN).millis());
    enter(&store, &anna(), entry(3, START)).await;
    assert_eq!(expire_time(), (START + HOUR + SPAN).millis());

    for n in 1..=3 {
        store.remove_session_from_index(&anna(), session_key(n).id).await.unwrap();
    }
    assert_eq!(server.cli(&["--raw", "keys", "*"]).trim(), "cloakroom:layout");
}

#[tokio::test]
async fn a_listing_that_goes_on_at_another_process_of_redis_lacks_no_entry() {
    let mut server = RedisServer::start_with("--appendonly yes");
    let store =
        Redis::new(&RedisSettings { url: server.url(), timeout: Duration::from_secs(60), ..Default::default() })
            .unwrap();
    let all: BTreeSet<IndexEntry> = (0..2 * INDEX_PAGE_ENTRIES as u32).map(|n| entry(n, START)).collect();
    for entry in &all {
        enter(&store, &anna(), *entry).await;
    }
    let first = store.list_index(&anna(), &Cursor::default()).await.unwrap();

    server.stop();
    server.start_again();
    let (mut listed, mut from) = (BTreeSet::new(), first.next);
    while let Some(cursor) = from {
        let page = store.list_index(&anna(), &cursor).await.unwrap();
        listed.extend(page.entries);
        from = page.next;
    }

    assert_eq!(listed.len(), all.len());
}
