//! Limits: a save that exceeds one changes nothing; a save that does not grow the session is never refused.

use std::sync::Arc;

use cloakroom::session::{Changes, Edit, EditError, Limits, WhenEmpty};
use cloakroom::store::{Applied, SessionKey, Store, Write};

use super::fixtures::*;

/// A save under limits. The session of [`create_session`] has one entry of 8 bytes.
fn save_within(max_entries: u32, max_bytes: u32, changes: Changes) -> Write {
    let limits = Limits { max_entries, max_bytes };
    write(Edit { changes: Some(changes), limits, when_empty: WhenEmpty::Keep, ..edit() })
}

async fn refusal(store: &impl Store, session_key: &SessionKey, save: &Write) -> EditError {
    let before = load_record(store, session_key).await;
    let Applied::Refused(edit_error) = apply(store, session_key, &by_token(1, START), save).await else {
        panic!("not refused")
    };
    assert_eq!(load_record(store, session_key).await, before);
    edit_error
}

#[apply(every_store)]
async fn the_number_of_entries_is_limited(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    commit(&*store, &session_key, &by_token(1, START), &save_within(2, 1024, set("a", "1"))).await;

    let edit_error = refusal(&*store, &session_key, &save_within(2, 1024, set("b", "1"))).await;

    assert_eq!(edit_error, EditError::TooManyEntries { count: 3 });
}

#[apply(every_store)]
async fn the_number_of_bytes_is_limited(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;

    let edit_error = refusal(&*store, &session_key, &save_within(9, 10, set("ab", "1"))).await;
    commit(&*store, &session_key, &by_token(1, START), &save_within(9, 10, set("a", "1"))).await;

    assert_eq!(edit_error, EditError::TooLarge { bytes: 11 });
    assert_eq!(load_record(&*store, &session_key).await.head.entry_bytes, 10);
}

#[apply(every_store)]
async fn one_more_digit_of_a_counter_can_exceed_the_limit(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    commit(&*store, &session_key, &by_token(1, START), &save_within(9, 10, increment("n", 9))).await;

    let edit_error = refusal(&*store, &session_key, &save_within(9, 10, increment("n", 1))).await;

    assert_eq!(edit_error, EditError::TooLarge { bytes: 11 });
}

#[apply(every_store)]
async fn a_save_that_does_not_grow_the_session_is_never_refused(store: Arc<impl Store>) {
    let session_key = create(&*store, session_key(1), &full_record()).await;

    // The limits are lower than the size of the session.
    commit(&*store, &session_key, &by_token(1, START), &save_within(1, 1, set("a", "2"))).await;
    commit(&*store, &session_key, &by_token(1, START), &save_within(1, 1, login("anna"))).await;
    let swap = Changes { unset: vec!["b".to_owned()], ..set("d", "1") };
    commit(&*store, &session_key, &by_token(1, START), &save_within(1, 1, swap)).await;
    commit(&*store, &session_key, &by_token(1, START), &save_within(1, 1, unset("a"))).await;

    assert_eq!(load_record(&*store, &session_key).await.head.entry_count, 3);
}

#[apply(every_store)]
async fn growth_in_entries_and_in_bytes_is_limited_separately(store: Arc<impl Store>) {
    let session_key = create(&*store, session_key(1), &full_record()).await;

    // Fewer entries, more bytes; then fewer bytes, more entries.
    let larger = Changes { unset: vec!["b".to_owned(), "c".to_owned()], ..set("a", "\"a long text, a long text\"") };
    let more = Changes {
        unset: vec!["c".to_owned()],
        set: [("d".to_owned(), json("1")), ("e".to_owned(), json("1"))].into(),
        ..Changes::default()
    };

    assert!(matches!(refusal(&*store, &session_key, &save_within(1, 1, larger)).await, EditError::TooLarge { .. }));
    assert_eq!(refusal(&*store, &session_key, &save_within(1, 1, more)).await, EditError::TooManyEntries { count: 5 });
}
