//! Rotation: a new token for the same session, which changes nothing else.

use cloakroom::grpc::wire::{Changes, Outcome, RotationCause};

use crate::support::calls::{ChangesExt as _, save, save_unmodified, set_cookies};
use crate::support::sessions::{MINUTE, SaveExt as _};
use crate::support::{StoreKind, TestService};

#[apply(on_every_store)]
async fn a_rotation_changes_only_the_token(store: StoreKind) {
    let service = TestService::new(store).await;
    for cause in [RotationCause::Unspecified, RotationCause::Privilege, RotationCause::Renewal] {
        let token = service.stored(&[("a", "1"), ("_permanent", "true")]).await;
        let token = service.log_in(&token, "alice").await;
        let before = service.session(&token).await;
        service.advance(MINUTE);

        let rotated = service.rotate(&token, cause, "").await;

        assert_eq!(rotated.outcome(), Outcome::Updated);
        let session = rotated.session.unwrap();
        assert_ne!(session.token, token);
        assert!(set_cookies(&rotated.headers)[0].starts_with(&format!("session={}; Expires=", session.token)));
        assert!(session.entries.is_empty());
        let after = service.session(&session.token).await;
        assert!(after.entries == before.entries && after.entries.len() == 1);
        assert_eq!((&after.id, &after.etag), (&before.id, &before.etag));
        assert_eq!((&after.subject, after.permanent), (&before.subject, before.permanent));
        assert_eq!((after.create_time, after.authenticate_time), (before.create_time, before.authenticate_time));
    }
}

#[apply(on_every_store)]
async fn a_rotation_of_a_ticket_changes_nothing(store: StoreKind) {
    let service = TestService::new(store).await;
    let new = service.open_new().await;

    let rotated = service.rotate(&new.token, RotationCause::Privilege, "").await;

    assert_eq!(rotated.outcome(), Outcome::Unchanged);
    assert!(rotated.headers.is_empty());
    let session = rotated.session.unwrap();
    assert_eq!((session.new, &session.id), (true, &new.id));
    for ticket in [session.token, new.token] {
        service.save(save(&ticket, Changes::default().set("a", "1"))).await;
        assert_eq!(service.save(save_unmodified(&ticket)).await.session.unwrap().id, new.id);
    }
}

#[apply(on_every_store)]
async fn a_save_with_rotate_also_replaces_the_token(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let before = service.session(&token).await;

    let saved = service.save(save(&token, Changes::default().set("b", "2")).rotate()).await;

    assert_eq!(saved.outcome(), Outcome::Updated);
    let after = saved.session.unwrap();
    assert!(set_cookies(&saved.headers)[0].starts_with(&format!("session={};", after.token)));
    assert_eq!(after.id, before.id);
    assert_ne!((&after.token, &after.etag), (&token, &before.etag));
    assert_eq!(service.entries(&after.token).await.len(), 2);
    assert!(!service.is_live(&token).await);
}

#[apply(on_every_store)]
async fn a_save_that_only_rotates_keeps_the_etag(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let before = service.session(&token).await;

    let saved = service.save(save_unmodified(&token).rotate()).await;

    assert_eq!(saved.outcome(), Outcome::Updated);
    let after = saved.session.unwrap();
    assert_ne!(after.token, before.token);
    assert_eq!(after.etag, before.etag);
    assert!(service.is_live(&after.token).await && !service.is_live(&token).await);
}

#[apply(on_every_store)]
async fn a_rotation_keeps_a_session_without_entries(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;
    let token = service.save(save(&ticket, Changes::default()).keep_empty()).await.session.unwrap().token;

    let by_call = service.rotate(&token, RotationCause::Privilege, "").await.session.unwrap().token;
    let by_save = service.save(save_unmodified(&by_call).rotate()).await.session.unwrap().token;

    assert!(service.is_live(&by_save).await);
}

#[apply(on_every_store)]
async fn a_new_another_and_a_removed_subject_rotate(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let id = service.session(&token).await.id;

    let gained = service.update(&token, Changes::default().subject("alice")).await;
    let changed = service.update(&gained.token, Changes::default().subject("bob").set("b", "2")).await;
    let lost = service.update(&changed.token, Changes::default().subject("")).await;

    assert_eq!([&gained.subject, &changed.subject, &lost.subject], ["alice", "bob", ""]);
    assert_eq!([&gained.id, &changed.id, &lost.id], [&id; 3]);
    for dead in [&token, &gained.token, &changed.token] {
        assert!(!service.is_live(dead).await);
    }
    assert!(service.is_live(&lost.token).await);
}

#[apply(on_every_store)]
async fn setting_the_same_subject_does_not_rotate(store: StoreKind) {
    let service = TestService::new(store).await;
    let anonymous = service.stored(&[("a", "1")]).await;
    let logged_in = service.log_in(&service.stored(&[("a", "1")]).await, "alice").await;

    let still_anonymous = service.update(&anonymous, Changes::default().subject("")).await;
    let still_logged_in = service.update(&logged_in, Changes::default().subject("alice")).await;

    assert_eq!([still_anonymous.token, still_logged_in.token], [anonymous, logged_in]);
}

#[apply(on_every_store)]
async fn subjects_are_compared_as_bytes(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.log_in(&service.stored(&[("a", "1")]).await, "e\u{301}").await;

    let after = service.update(&token, Changes::default().subject("\u{e9}").set("b", "2")).await;

    assert_ne!(after.token, token);
    assert_eq!(service.entries(&after.token).await.into_keys().collect::<Vec<_>>(), ["b"]);
}

#[apply(on_every_store)]
async fn a_clear_rotates_even_with_the_same_subject(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.log_in(&service.stored(&[("a", "1")]).await, "alice").await;

    let cleared = service.update(&token, Changes::default().clear().set("b", "1").subject("alice")).await;

    assert_ne!(cleared.token, token);
    assert!(!service.is_live(&token).await);
}

#[apply(on_every_store)]
async fn another_subject_gets_only_the_entries_of_that_save(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("cart", "[1]"), ("n", "5"), ("_permanent", "true")]).await;
    let alice = service.log_in(&token, "alice").await;
    assert_eq!(service.entries(&alice).await.len(), 2, "a login keeps the entries of the anonymous session");

    let changes = Changes::default().subject("bob").set("theme", "1").increment("n", 1).unset("cart");
    let saved = service.save(save(&alice, changes)).await;

    assert_eq!(saved.counters["n"], 1);
    let session = saved.session.unwrap();
    assert_eq!((session.permanent, session.subject.as_str()), (None, "bob"));
    let entries = [("n", "1"), ("theme", "1")].map(|(name, json)| (name.to_owned(), json.to_owned()));
    assert_eq!(service.entries(&session.token).await, entries.into());
}

#[apply(on_every_store)]
async fn removing_the_subject_keeps_the_entries(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.log_in(&service.stored(&[("a", "1")]).await, "alice").await;

    let after = service.update(&token, Changes::default().subject("")).await.token;

    assert_eq!(service.entries(&after).await.len(), 1);
}

#[apply(on_every_store)]
async fn a_refused_save_does_not_rotate(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "\"text\"")]).await;

    service.refusal(save(&token, Changes::default().increment("a", 1).subject("alice")).rotate()).await;
    service.refusal(save(&token, Changes::default().clear().set("b", "1")).etag("99")).await;

    let session = service.session(&token).await;
    assert_eq!((session.new, session.token.as_str(), session.subject.as_str()), (false, token.as_str(), ""));
}
