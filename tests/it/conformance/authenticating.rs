//! Authenticating: a save can say that the subject has just authenticated again.

use std::sync::Arc;

use cloakroom::session::{AuthenticationChange, Changes, EditError, SubjectChange};
use cloakroom::store::{Applied, Store};

use super::given::*;

fn again() -> Changes {
    Changes { authentication: AuthenticationChange::Now, ..Changes::default() }
}

#[apply(every_store)]
async fn it_is_kept_and_changes_nothing_else(store: Arc<impl Store>) {
    let session_key = keep(&*store, session_key(1), &full_record()).await;
    let mut expected = full_record();

    done(&*store, &session_key, &authority(1, START + HOUR / 2), &save(again())).await;

    expected.head.version = expected.head.version.next();
    (expected.head.access_time, expected.head.authenticate_time) = (START + HOUR / 2, Some(START + HOUR / 2));
    assert_eq!(snapshot(&*store, &session_key).await, expected);
}

#[apply(every_store)]
async fn a_session_of_nobody_refuses_it_and_stays_as_it_is(store: Arc<impl Store>) {
    let one = one_session(&*store).await;
    let other = keep(&*store, session_key(2), &full_record()).await;
    let with_a_counter = Changes { increment: increment("n", 1).increment, ..again() };

    let refused = [
        (&one, with_a_counter),
        (&other, Changes { subject: SubjectChange::Remove, ..again() }),
        (&other, Changes { clear: true, ..again() }),
    ];

    for (session_key, changes) in refused {
        let before = load(&*store, session_key).await;
        let applied = apply(&*store, session_key, &authority(1, START), &save(changes)).await;
        assert_eq!(applied, Applied::Refused(EditError::NoSubject));
        assert_eq!(load(&*store, session_key).await, before);
    }
}

#[apply(every_store)]
async fn a_subject_of_the_same_save_is_enough(store: Arc<impl Store>) {
    for (n, clear) in [(1, false), (2, true)] {
        let session_key = keep(&*store, session_key(n), &record()).await;
        let changes = Changes { clear, set: set("a", "1").set, subject: login("anna").subject, ..again() };

        let saved = done(&*store, &session_key, &authority(1, START + MINUTE), &save(changes)).await;

        assert_eq!(saved.head.authenticate_time, Some(START + MINUTE));
    }
}
