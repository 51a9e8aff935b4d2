//! What an import makes of an export: nobody is logged out, and nobody who was logged out is let in.

use std::path::PathBuf;

use cloakroom::session::{EndReason, Generation, Record, Version};
use cloakroom::store::{Created, Handle};
use cloakroom::types::Time;

use super::place::{
    DESTROYED, Kind, LEGACY, LIVE, OTHERS, Place, REVOKED, REVOKED_WITH_ITS_APP, anna, create, end, end_reason, fill,
    index, legacy, load, revocation, subject_ref, with_other_app,
};
use crate::conformance::fixtures::{
    HOUR, MINUTE, MS, START, app, by_token, full_record, key_in, record, save, session_key, set, subject, touch,
};

const KINDS: [Kind; 3] = [Kind::Embedded, Kind::Redis, Kind::RedisCluster];

/// A store that was filled and exported, and the file.
async fn exported(kind: Kind) -> (Place, PathBuf) {
    let place = Place::new(kind);
    fill(&place.open()).await;
    let file = place.folder.path().join("export");
    with_other_app(&place).export(&file);
    (place, file)
}

/// The parts of a record that an import leaves alone: all but the generation, and until when its end is remembered.
fn content(mut record: Record) -> Record {
    record.head.generation = Generation::default();
    record.head.imported_from = None;
    record
}

#[tokio::test]
async fn every_store_imports_what_every_store_exports() {
    for kind in KINDS {
        let (source, file) = exported(kind).await;
        let before = source.open();
        for target_kind in KINDS {
            let target = Place::new(target_kind);

            let said = with_other_app(&target).import(&file);

            assert_same(&before, &target.open()).await;
            let live = OTHERS.len() + 2;
            assert!(said.contains(&format!("{live}  live sessions written")), "{kind:?} {target_kind:?}: {said}");
            assert!(said.contains("2  ended sessions written"), "{kind:?} {target_kind:?}: {said}");
            assert!(said.contains("2  revocations written"), "{kind:?} {target_kind:?}: {said}");
        }
    }
}

/// Both stores must answer alike.
pub(super) async fn assert_same(before: &Handle, after: &Handle) {
    let keys = OTHERS.map(|number| key_in("other", number)).chain([LIVE, LEGACY].map(session_key));
    for session_key in keys {
        let (before, after) = (load(before, &session_key).await.unwrap(), load(after, &session_key).await.unwrap());
        assert_eq!(content(before.record), content(after.record.clone()));
        assert_eq!(after.record.head.generation, after.generation, "it lives");
    }
    assert_eq!(end_reason(after, &session_key(DESTROYED)).await, Some(EndReason::Destroyed));
    assert_eq!(end_reason(after, &session_key(REVOKED_WITH_ITS_APP)).await, Some(EndReason::Revoked));
    let of_others = subject_ref(&key_in("other", 100), subject("anna"));
    for subject_ref in [anna(), of_others] {
        assert_eq!(index(after, &subject_ref).await, index(before, &subject_ref).await);
    }
    // Legacy sessions that were revoked before they were imported do not come back.
    assert_eq!(after.load_revocation(&anna()).await.unwrap(), Some(revocation()));
    for (number, issued, created) in [
        (900, Some(REVOKED), Created::Revoked),
        (901, None, Created::Revoked),
        (902, Some(REVOKED + MS), Created::Stored),
    ] {
        assert_eq!(after.create(&session_key(number), &legacy(issued)).await.unwrap(), created, "{number}");
    }
}

#[tokio::test]
async fn a_second_import_keeps_what_was_written_and_ended_since() {
    let (_source, file) = exported(Kind::Embedded).await;
    for kind in KINDS {
        let target = Place::new(kind);
        with_other_app(&target).import(&file);
        let saved = by_token(1, START + 2 * MINUTE);
        let [first, second] = [key_in("other", 100), key_in("other", 101)];
        let store = target.open();
        store.apply(&first, &saved, &save(set("a", "2"))).await.unwrap();
        store.touch(&second, &touch(1, START + 5 * MINUTE)).await.unwrap();
        end(&store, &session_key(LIVE)).await;
        let newer = [load(&store, &first).await.unwrap(), load(&store, &second).await.unwrap()];
        drop(store);

        let said = target.import(&file);

        let store = target.open();
        assert_eq!([load(&store, &first).await.unwrap(), load(&store, &second).await.unwrap()], newer);
        assert_eq!(newer.map(|snapshot| snapshot.record.head.version), [Version(2), Version(1)]);
        assert_eq!(end_reason(&store, &session_key(LIVE)).await, Some(EndReason::Destroyed));
        assert!(
            said.contains(&format!("{}  sessions kept", OTHERS.len() + 4)) && !said.contains("sessions written"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_newer_export_replaces_what_an_older_one_wrote() {
    for kind in KINDS {
        let (source, older) = exported(Kind::Embedded).await;
        let store = source.open();
        store.apply(&key_in("other", 100), &by_token(1, START + MINUTE), &save(set("a", "2"))).await.unwrap();
        end(&store, &key_in("other", 101)).await;
        create(&store, &key_in("other", 999), &record()).await;
        drop(store);
        let newer = source.folder.path().join("newer");
        source.export(&newer);
        let target = Place::new(kind);
        with_other_app(&target).import(&older);

        let said = target.import(&newer);
        target.import(&older);

        let store = target.open();
        let saved = load(&store, &key_in("other", 100)).await.unwrap().record;
        assert_eq!((saved.head.version, saved.entries.to_map()["a"]), (Version(2), b"2".as_slice()));
        assert_eq!(end_reason(&store, &key_in("other", 101)).await, Some(EndReason::Destroyed));
        assert!(load(&store, &key_in("other", 999)).await.is_some());
        assert!(said.contains("2  live sessions written") && said.contains("1  ended session written"), "{said}");
    }
}

#[tokio::test]
async fn an_end_is_remembered_for_as_long_as_the_export_has_the_session_alive() {
    let (_source, file) = exported(Kind::Embedded).await;
    for kind in KINDS {
        let target = Place::new(kind);
        with_other_app(&target).import(&file);
        let store = target.open();
        end(&store, &key_in("other", 100)).await;
        // A tombstone is usually deleted after 16 minutes. Redis would do it by a clock of its own.
        while store.sweep(START + HOUR).await.unwrap() > 0 {}
        let head = load(&store, &key_in("other", 100)).await.unwrap().record.head;
        assert!(head.purge_time() > full_record().head.purge_time());
        drop(store);

        target.import(&file);

        assert_eq!(end_reason(&target.open(), &key_in("other", 100)).await, Some(EndReason::Destroyed));
    }
}

#[tokio::test]
async fn what_was_revoked_since_the_export_does_not_come_back() {
    let (_source, file) = exported(Kind::Embedded).await;
    for kind in KINDS {
        let target = Place::new(kind);
        target.open().revoke_app(&app("other"), START + MINUTE).await.unwrap();

        let said = with_other_app(&target).import(&file);

        let store = target.open();
        assert!(load(&store, &key_in("other", 100)).await.is_none());
        assert!(load(&store, &session_key(LIVE)).await.is_some());
        assert!(said.contains(&format!("{}  sessions left out: the store has revoked", OTHERS.len())), "{said}");
    }
}

#[tokio::test]
async fn an_import_ends_no_session_that_the_store_has() {
    // The app was revoked in the source.
    let (_source, file) = exported(Kind::Embedded).await;
    for kind in KINDS {
        let target = Place::new(kind);
        create(&target.open(), &session_key(50), &full_record()).await;

        with_other_app(&target).import(&file);

        let own = load(&target.open(), &session_key(50)).await.unwrap();
        assert_eq!(own.record, full_record());
        assert_eq!(own.generation, Generation::default());
    }
}

#[tokio::test]
async fn a_dry_run_says_the_same_and_writes_nothing() {
    let (_source, file) = exported(Kind::Embedded).await;
    for kind in KINDS {
        let target = Place::new(kind);

        let ended = with_other_app(&target).run(&["import", "--dry-run", file.to_str().unwrap()]);

        let store = target.open();
        assert!(load(&store, &session_key(LIVE)).await.is_none());
        assert_eq!(store.load_revocation(&anna()).await.unwrap(), None);
        assert_eq!(index(&store, &anna()).await, []);
        assert_eq!(store.create(&session_key(900), &legacy(Some(REVOKED))).await.unwrap(), Created::Stored);
        assert!(ended.stdout.contains("252  live sessions would be written"), "{ended:?}");
    }
}

#[tokio::test]
async fn a_dry_run_makes_no_data_file() {
    let (_source, file) = exported(Kind::Embedded).await;
    let target = Place::new(Kind::Embedded);

    let ended = with_other_app(&target).run(&["import", "--dry-run", file.to_str().unwrap()]);

    assert!(ended.stdout.contains("252  live sessions would be written"), "{ended:?}");
    assert!(!target.folder.path().join("data").exists());
}

#[tokio::test]
async fn sessions_that_have_expired_are_left_out() {
    let source = Place::new(Kind::Embedded);
    let mut old = record();
    let past = Time::from_millis(1_000_000_000_000);
    (old.head.create_time, old.head.access_time, old.head.deadline_time) = (past, past, past + HOUR);
    let store = source.open();
    create(&store, &session_key(1), &old).await;
    create(&store, &session_key(2), &record()).await;
    drop(store);
    let file = source.folder.path().join("export");

    let ended = source.run(&["export", file.to_str().unwrap()]);

    assert!(ended.stderr.contains("1 session exported"), "{ended:?}");
}
