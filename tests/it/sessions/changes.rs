//! Changes: their order, contradictions among them, and the entry `_permanent`.

use cloakroom::grpc::wire::{Changes, Outcome, Value};
use tonic::Code;

use crate::support::calls::{ChangesExt as _, json_entries, save, set_cookies};
use crate::support::sessions::{MINUTE, SaveExt as _, millis};
use crate::support::{StoreKind, TestService};

#[apply(on_every_store)]
async fn clear_is_applied_before_set_and_increment(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("old", "1"), ("kept", "1"), ("counter", "40")]).await;

    let changes = Changes::default().increment("counter", 2).set("kept", "2").clear();
    let saved = service.save(save(&token, changes)).await;

    assert_eq!(saved.counters["counter"], 2);
    let entries = service.entries(&saved.session.unwrap().token).await;
    assert_eq!(entries, [("kept", "2"), ("counter", "2")].map(|(n, v)| (n.to_owned(), v.to_owned())).into());
}

#[apply(on_every_store)]
async fn clear_and_unset_can_be_combined(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1"), ("b", "1")]).await;

    let after = service.update(&token, Changes::default().clear().unset("a").set("c", "3")).await.token;

    assert_eq!(service.entries(&after).await.into_keys().collect::<Vec<_>>(), ["c"]);
}

#[apply(on_every_store)]
async fn unsetting_a_missing_entry_changes_nothing(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;

    service.update(&token, Changes::default().unset("b").unset("b")).await;

    assert_eq!(service.entries(&token).await.len(), 1);
}

#[apply(on_every_store)]
async fn one_entry_changed_in_two_ways_is_refused(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let etag = service.session(&token).await.etag;
    let other = || Changes::default().set("other", "1");

    let contradictions = [
        other().unset("a").set("a", "2"),
        other().set("a", "2").increment("a", 1),
        other().unset("a").increment("a", 1),
    ];
    for changes in contradictions {
        let refusal = service.refusal(save(&token, changes)).await;
        assert_eq!(refusal, (Code::InvalidArgument, "ENTRY_REPEATED".to_owned()));
    }

    assert_eq!(service.session(&token).await.etag, etag);
    assert_eq!(service.entries(&token).await, [("a".to_owned(), "1".to_owned())].into());
}

#[apply(on_every_store)]
async fn one_entry_changed_in_two_ways_creates_nothing(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;

    let refusal = service.refusal(save(&ticket, Changes::default().set("a", "1").increment("a", 1))).await;

    assert_eq!(refusal, (Code::InvalidArgument, "ENTRY_REPEATED".to_owned()));
    assert_eq!(service.save(save(&ticket, Changes::default().set("a", "1"))).await.outcome(), Outcome::Created);
}

#[apply(on_every_store)]
async fn a_value_without_a_kind_and_invalid_json_are_refused(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let mut without_kind = Changes::default();
    without_kind.set.insert("b".to_owned(), Value { kind: None });

    for changes in [without_kind, Changes::default().set("b", ""), Changes::default().set("b", "{'b': 1}")] {
        let refusal = service.refusal(save(&token, changes.set("a", "2"))).await;
        assert_eq!(refusal, (Code::InvalidArgument, "VALUE_INVALID".to_owned()));
    }

    assert_eq!(service.entries(&token).await, [("a".to_owned(), "1".to_owned())].into());
}

#[apply(on_every_store)]
async fn the_entry_permanent_makes_the_session_permanent(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;

    let saved = service.save(save(&token, Changes::default().set("_permanent", "true"))).await;

    let cookie = set_cookies(&saved.headers)[0];
    assert!(cookie.contains("; Expires="), "{cookie}");
    assert_eq!(saved.session.unwrap().permanent, Some(true));
    let session = service.session(&token).await;
    assert_eq!(session.permanent, Some(true));
    assert_eq!(json_entries(session).into_keys().collect::<Vec<_>>(), ["a"]);
}

#[apply(on_every_store)]
async fn the_entry_permanent_can_be_false_or_unset(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1"), ("_permanent", "true")]).await;

    let set = service.update(&token, Changes::default().set("_permanent", " false\n")).await;
    let unset = service.update(&token, Changes::default().unset("_permanent")).await;

    assert_eq!(set.permanent, Some(false));
    assert_eq!(unset.permanent, None);
    assert_eq!(service.session(&token).await.permanent, None);
}

#[apply(on_every_store)]
async fn the_entry_permanent_must_be_a_boolean(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;

    for json in ["1", "null", "\"true\"", "{}"] {
        let refusal = service.refusal(save(&token, Changes::default().set("_permanent", json))).await;
        assert_eq!(refusal, (Code::InvalidArgument, "VALUE_INVALID".to_owned()));
    }
    let raw = service.refusal(save(&token, Changes::default().set_raw("_permanent", b"true"))).await;
    let counted = service.refusal(save(&token, Changes::default().increment("_permanent", 1))).await;

    assert_eq!([raw.0, counted.0], [Code::InvalidArgument; 2]);
    assert_eq!(service.session(&token).await.permanent, None);
}

#[apply(on_every_store)]
async fn the_entry_and_the_field_permanent_must_agree(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;

    let same = service.update(&token, Changes::default().set("_permanent", "true").permanent(true)).await;
    let other = service.refusal(save(&token, Changes::default().set("_permanent", "false").permanent(true))).await;
    let gone = service.refusal(save(&token, Changes::default().unset("_permanent").permanent(true))).await;

    assert_eq!(same.permanent, Some(true));
    assert_eq!([other, gone], [(); 2].map(|()| (Code::InvalidArgument, "ENTRY_REPEATED".to_owned())));
}

#[apply(on_every_store)]
async fn clear_resets_permanent_subject_and_authentication_time(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1"), ("_permanent", "true")]).await;
    let token = service.log_in(&token, "alice").await;
    assert!(service.session(&token).await.authenticate_time.is_some());

    let cleared = service.update(&token, Changes::default().clear().set("b", "2")).await;

    for session in [service.session(&cleared.token).await, cleared] {
        assert_eq!((session.permanent, session.subject.as_str()), (None, ""));
        assert_eq!(session.authenticate_time, None);
    }
}

#[apply(on_every_store)]
async fn a_clear_does_not_undo_what_the_same_changes_set(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let token = service.log_in(&token, "alice").await;
    service.advance(MINUTE);

    let cleared = service.update(&token, Changes::default().clear().permanent(false).subject("alice")).await;

    for session in [service.session(&cleared.token).await, cleared] {
        assert_eq!((session.permanent, session.subject.as_str()), (Some(false), "alice"));
        assert_eq!(millis(&session.authenticate_time), service.millis());
    }
}

#[apply(on_every_store)]
async fn setting_the_subject_sets_the_authentication_time(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    assert_eq!(service.session(&token).await.authenticate_time, None);

    let token = service.log_in(&token, "alice").await;
    let login = service.millis();
    service.advance(MINUTE);
    let saved = service.save(save(&token, Changes::default().set("a", "2")).keep_empty()).await;
    let removed = service.update(&token, Changes::default().subject("")).await;

    assert_eq!(millis(&saved.session.unwrap().authenticate_time), login);
    assert_eq!((removed.authenticate_time, removed.subject.as_str()), (None, ""));
}
