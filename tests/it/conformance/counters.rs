//! Counters: increments add up, stay within an int64, and never change an entry that is no counter.

use std::sync::Arc;

use cloakroom::session::{Changes, EditError, Precondition, Value};
use cloakroom::store::{Applied, SessionKey, Store};

use super::fixtures::*;

async fn add(store: &impl Store, session_key: &SessionKey, delta: i64) -> Option<i64> {
    match apply(store, session_key, &by_token(1, START), &save(increment("n", delta))).await {
        Applied::Done(done) => Some(done.counters["n"]),
        Applied::Refused(EditError::NotACounter { name }) if name == "n" => None,
        other => panic!("neither done nor refused: {other:?}"),
    }
}

#[apply(every_store)]
async fn an_absent_counter_is_zero(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;

    assert_eq!(add(&*store, &session_key, -7).await, Some(-7));
    assert_eq!(load_record(&*store, &session_key).await.entries.to_map()["n"], b"-7");
}

#[apply(every_store)]
async fn increments_add_up(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    commit(&*store, &session_key, &by_token(1, START), &save(set("n", "40"))).await;

    assert_eq!(add(&*store, &session_key, 5).await, Some(45));
    assert_eq!(add(&*store, &session_key, 0).await, Some(45));
    assert_eq!(add(&*store, &session_key, -50).await, Some(-5));
}

#[apply(every_store)]
async fn a_counter_reaches_both_ends_of_an_int64_and_stops_there(store: Arc<impl Store>) {
    for (n, end, step) in [(1, i64::MAX, 1), (2, i64::MIN, -1)] {
        let session_key = create(&*store, session_key(n), &record()).await;

        assert_eq!(add(&*store, &session_key, end).await, Some(end));
        assert_eq!(add(&*store, &session_key, step).await, None);
        assert_eq!(add(&*store, &session_key, -step).await, Some(end - step));
        assert_eq!(add(&*store, &session_key, step).await, Some(end));
        assert_eq!(add(&*store, &session_key, end).await, None);
        assert_eq!(load_record(&*store, &session_key).await.entries.to_map()["n"], end.to_string().as_bytes());
    }
}

#[apply(every_store)]
async fn a_counter_crosses_from_one_end_to_the_other(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    commit(&*store, &session_key, &by_token(1, START), &save(set("n", "-9223372036854775808"))).await;

    assert_eq!(add(&*store, &session_key, i64::MAX).await, Some(-1));
}

#[apply(every_store)]
async fn numbers_that_a_double_cannot_hold_are_exact(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    commit(&*store, &session_key, &by_token(1, START), &save(set("n", "9007199254740992"))).await;

    assert_eq!(add(&*store, &session_key, 1).await, Some(9_007_199_254_740_993));
}

#[apply(every_store)]
async fn only_a_decimal_int64_is_a_counter(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    let no_counters =
        ["1.0", "1e3", "-0", " 1", "1 ", "\"1\"", "null", "true", "[1]", "9223372036854775808", "-9223372036854775809"];
    let no_counters = no_counters.map(json).into_iter().chain([Value::raw(b"1"), Value::raw(b"")]);

    for value in no_counters {
        let changes = Changes { set: [("n".to_owned(), value.clone())].into(), ..Changes::default() };
        commit(&*store, &session_key, &by_token(1, START), &save(changes)).await;

        assert_eq!(add(&*store, &session_key, 1).await, None, "{:?}", value.stored());
        assert_eq!(load_record(&*store, &session_key).await.entries.to_map()["n"], value.stored());
    }
}

#[apply(every_store)]
async fn a_save_with_a_bad_increment_changes_nothing(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    let before = load_record(&*store, &session_key).await;
    let changes = Changes {
        set: set("a", "1").set,
        increment: [("b".to_owned(), 1), ("lang".to_owned(), 1), ("n".to_owned(), 1)].into(),
        ..Changes::default()
    };

    let precondition = Precondition { fingerprint: Some(fingerprint(1, 1)), ..by_token(1, START) };
    let refused = apply(&*store, &session_key, &precondition, &save(changes)).await;

    assert_eq!(refused, Applied::Refused(EditError::NotACounter { name: "lang".to_owned() }));
    assert_eq!(load_record(&*store, &session_key).await, before);
}

#[apply(every_store)]
async fn a_save_returns_the_values_of_its_counters(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    let both = Changes { increment: [("x".to_owned(), 1), ("y".to_owned(), -2)].into(), ..Changes::default() };

    commit(&*store, &session_key, &by_token(1, START), &save(both.clone())).await;
    let done = commit(&*store, &session_key, &by_token(1, START), &save(both)).await;

    assert_eq!(done.counters, [("x".to_owned(), 2), ("y".to_owned(), -4)].into());
}

#[apply(every_store)]
async fn clear_resets_counters(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    add(&*store, &session_key, 5).await;

    let changes = Changes { clear: true, ..increment("n", 2) };
    let done = commit(&*store, &session_key, &by_token(1, START), &save(changes)).await;

    assert_eq!(done.counters["n"], 2);
}

#[apply(every_store)]
async fn another_subject_resets_counters(store: Arc<impl Store>) {
    let session_key = create(&*store, session_key(1), &full_record()).await;
    add(&*store, &session_key, 5).await;

    let changes = Changes { increment: increment("n", 2).increment, ..login("bert") };
    let done = commit(&*store, &session_key, &by_token(1, START), &save(changes)).await;

    assert_eq!(done.counters["n"], 2);
}
