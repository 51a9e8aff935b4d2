//! Reauthentication: a save says that the subject has just authenticated again.

use std::sync::Arc;

use cloakroom::session::{AuthenticationChange, Changes, EditError, SubjectChange};
use cloakroom::store::{Applied, Store};

use super::fixtures::*;

fn reauthentication() -> Changes {
    Changes { authentication: AuthenticationChange::Now, ..Changes::default() }
}

#[apply(every_store)]
async fn a_reauthentication_changes_its_time_and_nothing_else(store: Arc<impl Store>) {
    let session_key = create(&*store, session_key(1), &full_record()).await;
    let mut expected = full_record();

    commit(&*store, &session_key, &by_token(1, START + HOUR / 2), &save(reauthentication())).await;

    expected.head.version = expected.head.version.next();
    (expected.head.access_time, expected.head.authenticate_time) = (START + HOUR / 2, Some(START + HOUR / 2));
    assert_eq!(load_record(&*store, &session_key).await, expected);
}

#[apply(every_store)]
async fn an_anonymous_session_refuses_a_reauthentication(store: Arc<impl Store>) {
    let one = create_session(&*store).await;
    let other = create(&*store, session_key(2), &full_record()).await;
    let with_a_counter = Changes { increment: increment("n", 1).increment, ..reauthentication() };

    let refused = [
        (&one, with_a_counter),
        (&other, Changes { subject: SubjectChange::Remove, ..reauthentication() }),
        (&other, Changes { clear: true, ..reauthentication() }),
    ];

    for (session_key, changes) in refused {
        let before = load(&*store, session_key).await;
        let applied = apply(&*store, session_key, &by_token(1, START), &save(changes)).await;
        assert_eq!(applied, Applied::Refused(EditError::NoSubject));
        assert_eq!(load(&*store, session_key).await, before);
    }
}

#[apply(every_store)]
async fn a_reauthentication_may_come_with_the_first_subject(store: Arc<impl Store>) {
    for (n, clear) in [(1, false), (2, true)] {
        let session_key = create(&*store, session_key(n), &record()).await;
        let changes = Changes { clear, set: set("a", "1").set, subject: login("anna").subject, ..reauthentication() };

        let saved = commit(&*store, &session_key, &by_token(1, START + MINUTE), &save(changes)).await;

        assert_eq!(saved.head.authenticate_time, Some(START + MINUTE));
    }
}
