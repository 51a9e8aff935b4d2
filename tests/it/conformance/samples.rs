//! Samples: parts of the store that have the same share of every app's sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cloakroom::session::{EndReason, Entries, Record};
use cloakroom::store::{Position, SampledKeys, SessionKey, Snapshot, Store, Write};
use cloakroom::token::{SessionId, SplitToken};
use cloakroom::types::AppName;

use super::fixtures::*;
use crate::support::duplicates::each_listed;

/// The key of a session with an id as real ones are: a hash.
fn hashed_key(name: &str, n: u32) -> SessionKey {
    let token = SplitToken::derived(&app(name), "test", &[&n.to_be_bytes()]);
    SessionKey { app: app(name), id: token.id(&app(name)) }
}

async fn fill(store: &impl Store, name: &str, count: u32) {
    for n in 0..count {
        create(store, hashed_key(name, n), &record()).await;
    }
}

fn names(names: &[&str]) -> BTreeSet<AppName> {
    names.iter().map(|name| app(name)).collect()
}

/// Reads every page of the samples of these apps, each of about `limit` sessions.
async fn sample_all(store: &impl Store, apps: &BTreeSet<AppName>, limit: usize) -> Vec<SampledKeys> {
    let (mut pages, mut from) = (Vec::new(), Position::default());
    loop {
        let page = store.sample_keys(apps, from, limit).await.expect("the store answers");
        let next = page.next;
        pages.push(page);
        match next {
            Some(next) => {
                assert!(next > from, "positions go up");
                from = next;
            }
            None => return pages,
        }
    }
}

/// Fills apps whose names begin alike. Returns the sessions of those that [`sampled_ids`] is about.
async fn fill_all(store: &impl Store) -> BTreeSet<(AppName, SessionId)> {
    for (name, count) in [("shop", 200), ("shop2", 100), ("shop-a", 3), ("sho", 1), ("other", 50)] {
        fill(store, name, count).await;
    }
    let sampled = [("shop", 200), ("shop2", 100), ("sho", 1)];
    let keys = sampled.into_iter().flat_map(|(name, count)| (0..count).map(|n| hashed_key(name, n)));
    keys.map(|key| (key.app, key.id)).collect()
}

async fn sampled_ids(store: &impl Store, limit: usize) -> Vec<(AppName, SessionId)> {
    let pages = sample_all(store, &names(&["shop", "shop2", "sho", "empty"]), limit).await;
    pages.into_iter().flat_map(|page| page.session_keys).map(|key| (key.app, key.id)).collect()
}

#[apply(stores_without_moves)]
async fn all_pages_of_a_sample_have_each_session_of_the_apps(store: Arc<impl Store>) {
    let expected = fill_all(&*store).await;

    for limit in [7, 100, 1000] {
        assert_eq!(each_listed(sampled_ids(&*store, limit).await), expected, "by pages of {limit}");
    }
}

#[apply(stores_without_redis)]
async fn no_session_is_in_two_pages_of_a_sample(store: Arc<impl Store>) {
    let expected = fill_all(&*store).await;

    for limit in [7, 100, 1000] {
        assert_eq!(sampled_ids(&*store, limit).await.len(), expected.len(), "by pages of {limit}");
    }
}

#[apply(stores_without_moves)]
async fn a_part_of_the_positions_has_that_part_of_the_sessions(store: Arc<impl Store>) {
    fill(&*store, "shop", 4000).await;
    fill(&*store, "blog", 2000).await;

    let (mut counts, mut next) = (BTreeMap::<AppName, u32>::new(), Position::default());
    while next.0 < u64::MAX / 2 {
        let page = store.sample_keys(&names(&["shop", "blog"]), next, 100).await.expect("the store answers");
        page.session_keys.into_iter().for_each(|key| *counts.entry(key.app).or_default() += 1);
        next = page.next.expect("this is not the end");
    }

    let share = next.0 as f64 / u64::MAX as f64;
    for (name, count) in [("shop", 4000.0), ("blog", 2000.0)] {
        let estimate = f64::from(counts[&app(name)]) / share;
        assert!((estimate / count - 1.0).abs() < 0.15, "{estimate} sessions of {name}");
    }
}

#[apply(every_store)]
async fn many_sessions_of_an_app_whose_name_is_longer_do_not_distort_the_sample(store: Arc<impl Store>) {
    fill(&*store, "s2", 5000).await;
    fill(&*store, "s", 1000).await;

    let pages = sample_all(&*store, &names(&["s"]), 100).await;

    let found: usize = pages.iter().map(|page| page.session_keys.len()).sum();
    let skipped: u64 = pages.iter().flat_map(|page| page.skipped.values()).sum();
    let estimate = found as f64 / (1.0 - skipped as f64 / u64::MAX as f64);
    assert!((estimate - 1000.0).abs() < 10.0, "{found} found, {skipped} positions skipped");
}

#[apply(stores_without_moves)]
async fn a_sampled_head_is_what_a_load_reads_without_the_entries(store: Arc<impl Store>) {
    let live = create(&*store, key_in("shop", 1), &full_record()).await;
    let ended = create(&*store, session_key(2), &record()).await;
    commit(&*store, &ended, &by_token(1, START), &Write::End(EndReason::Destroyed)).await;
    store.revoke_app(&app("shop"), START).await.expect("the store answers");

    let keys = [live, session_key(3), ended];
    let heads = store.sample_heads(&keys).await.expect("the store answers");

    let mut expected = Vec::new();
    for key in &keys {
        expected.push(load(&*store, key).await.map(|Snapshot { record, generation }| Snapshot {
            record: Record { entries: Entries::default(), ..record },
            generation,
        }));
    }
    assert_eq!(heads, expected);
    assert!(store.sample_heads(&[]).await.expect("the store answers").is_empty());
}
