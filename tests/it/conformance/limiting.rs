//! Limits: what does not fit is refused whole, and what does not grow always fits.

use std::sync::Arc;

use cloakroom::session::{Changes, Edit, EditError, Limits, WhenEmpty};
use cloakroom::store::{Applied, SessionKey, Store, Write};

use super::given::*;

/// A save under limits. The session of [`one_session`] has one entry of 8 bytes.
fn within(max_entries: u32, max_bytes: u32, changes: Changes) -> Write {
    let limits = Limits { max_entries, max_bytes };
    write(Edit { changes: Some(changes), limits, when_empty: WhenEmpty::Keep, ..edit() })
}

async fn refused(store: &impl Store, session_key: &SessionKey, save: &Write) -> EditError {
    let before = snapshot(store, session_key).await;
    let Applied::Refused(edit_error) = apply(store, session_key, &authority(1, START), save).await else {
        panic!("not refused")
    };
    assert_eq!(snapshot(store, session_key).await, before);
    edit_error
}

#[apply(every_store)]
async fn a_session_holds_as_many_entries_as_it_may(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    done(&*store, &session_key, &authority(1, START), &within(2, 1024, set("a", "1"))).await;

    let edit_error = refused(&*store, &session_key, &within(2, 1024, set("b", "1"))).await;

    assert_eq!(edit_error, EditError::TooManyEntries { count: 3 });
}

#[apply(every_store)]
async fn a_session_holds_as_many_bytes_as_it_may(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;

    let edit_error = refused(&*store, &session_key, &within(9, 10, set("ab", "1"))).await;
    done(&*store, &session_key, &authority(1, START), &within(9, 10, set("a", "1"))).await;

    assert_eq!(edit_error, EditError::TooLarge { bytes: 11 });
    assert_eq!(snapshot(&*store, &session_key).await.head.entry_bytes, 10);
}

#[apply(every_store)]
async fn a_counter_that_needs_one_more_digit_may_be_too_large(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    done(&*store, &session_key, &authority(1, START), &within(9, 10, increment("n", 9))).await;

    let edit_error = refused(&*store, &session_key, &within(9, 10, increment("n", 1))).await;

    assert_eq!(edit_error, EditError::TooLarge { bytes: 11 });
}

#[apply(every_store)]
async fn what_does_not_grow_is_never_refused(store: Arc<impl Store>) {
    let session_key = keep(&*store, session_key(1), &full_record()).await;

    // The limits are lower by now than what is kept.
    done(&*store, &session_key, &authority(1, START), &within(1, 1, set("a", "2"))).await;
    done(&*store, &session_key, &authority(1, START), &within(1, 1, login("anna"))).await;
    let swap = Changes { unset: vec!["b".to_owned()], ..set("d", "1") };
    done(&*store, &session_key, &authority(1, START), &within(1, 1, swap)).await;
    done(&*store, &session_key, &authority(1, START), &within(1, 1, unset("a"))).await;

    assert_eq!(snapshot(&*store, &session_key).await.head.entry_count, 3);
}

#[apply(every_store)]
async fn entries_and_bytes_are_limited_apart(store: Arc<impl Store>) {
    let session_key = keep(&*store, session_key(1), &full_record()).await;

    // Fewer entries, more bytes; then fewer bytes, more entries.
    let larger = Changes { unset: vec!["b".to_owned(), "c".to_owned()], ..set("a", "\"a long text, a long text\"") };
    let more = Changes {
        unset: vec!["c".to_owned()],
        set: [("d".to_owned(), json("1")), ("e".to_owned(), json("1"))].into(),
        ..Changes::default()
    };

    assert!(matches!(refused(&*store, &session_key, &within(1, 1, larger)).await, EditError::TooLarge { .. }));
    assert_eq!(refused(&*store, &session_key, &within(1, 1, more)).await, EditError::TooManyEntries { count: 5 });
}
