//! Rotating: a new token for the same session, and what it leaves as it was.

use cloakroom::grpc::wire::{Changes, Outcome, RotationCause};

use crate::on_every_store;
use crate::support::calls::{ChangesExt as _, save, save_unmodified, set_cookies};
use crate::support::sessions::{MINUTE, SaveExt as _};
use crate::support::{House, On};

async fn a_rotation_keeps_id_entries_etag_and_all_else(on: On) {
    let house = House::new(on).await;
    for cause in [RotationCause::Unspecified, RotationCause::Privilege, RotationCause::Renewal] {
        let token = house.stored(&[("a", "1"), ("_permanent", "true")]).await;
        let token = house.log_in(&token, "alice").await;
        let before = house.session(&token).await;
        house.advance(MINUTE);

        let rotated = house.rotate(&token, cause, "").await;

        assert_eq!(rotated.outcome(), Outcome::Updated);
        let session = rotated.session.unwrap();
        assert_ne!(session.token, token);
        assert!(set_cookies(&rotated.headers)[0].starts_with(&format!("session={}; Expires=", session.token)));
        assert!(session.entries.is_empty());
        let after = house.session(&session.token).await;
        assert!(after.entries == before.entries && after.entries.len() == 1);
        assert_eq!((&after.id, &after.etag), (&before.id, &before.etag));
        assert_eq!((&after.subject, after.permanent), (&before.subject, before.permanent));
        assert_eq!((after.create_time, after.authenticate_time), (before.create_time, before.authenticate_time));
    }
}

async fn a_rotation_of_a_ticket_changes_nothing(on: On) {
    let house = House::new(on).await;
    let new = house.open_new().await;

    let rotated = house.rotate(&new.token, RotationCause::Privilege, "").await;

    assert_eq!(rotated.outcome(), Outcome::Unchanged);
    assert!(rotated.headers.is_empty());
    let session = rotated.session.unwrap();
    assert_eq!((session.new, &session.id), (true, &new.id));
    for ticket in [session.token, new.token] {
        house.save(save(&ticket, Changes::default().set("a", "1"))).await;
        assert_eq!(house.save(save_unmodified(&ticket)).await.session.unwrap().id, new.id);
    }
}

async fn a_save_with_rotate_replaces_the_token_in_the_same_step(on: On) {
    let house = House::new(on).await;
    let token = house.stored(&[("a", "1")]).await;
    let before = house.session(&token).await;

    let saved = house.save(save(&token, Changes::default().set("b", "2")).rotating()).await;

    assert_eq!(saved.outcome(), Outcome::Updated);
    let after = saved.session.unwrap();
    assert!(set_cookies(&saved.headers)[0].starts_with(&format!("session={};", after.token)));
    assert_eq!(after.id, before.id);
    assert_ne!((&after.token, &after.etag), (&token, &before.etag));
    assert_eq!(house.entries(&after.token).await.len(), 2);
    assert!(!house.lives(&token).await);
}

async fn a_save_that_only_rotates_leaves_the_etag_alone(on: On) {
    let house = House::new(on).await;
    let token = house.stored(&[("a", "1")]).await;
    let before = house.session(&token).await;

    let saved = house.save(save_unmodified(&token).rotating()).await;

    assert_eq!(saved.outcome(), Outcome::Updated);
    let after = saved.session.unwrap();
    assert_ne!(after.token, before.token);
    assert_eq!(after.etag, before.etag);
    assert!(house.lives(&after.token).await && !house.lives(&token).await);
}

async fn a_rotation_keeps_a_session_without_entries(on: On) {
    let house = House::new(on).await;
    let ticket = house.open_new().await.token;
    let token = house.save(save(&ticket, Changes::default()).keep_empty()).await.session.unwrap().token;

    let by_call = house.rotate(&token, RotationCause::Privilege, "").await.session.unwrap().token;
    let by_save = house.save(save_unmodified(&by_call).rotating()).await.session.unwrap().token;

    assert!(house.lives(&by_save).await);
}

async fn gain_change_and_loss_of_the_subject_rotate(on: On) {
    let house = House::new(on).await;
    let token = house.stored(&[("a", "1")]).await;
    let id = house.session(&token).await.id;

    let gained = house.update(&token, Changes::default().subject("alice")).await;
    let changed = house.update(&gained.token, Changes::default().subject("bob").set("b", "2")).await;
    let lost = house.update(&changed.token, Changes::default().subject("")).await;

    assert_eq!([&gained.subject, &changed.subject, &lost.subject], ["alice", "bob", ""]);
    assert_eq!([&gained.id, &changed.id, &lost.id], [&id; 3]);
    for dead in [&token, &gained.token, &changed.token] {
        assert!(!house.lives(dead).await);
    }
    assert!(house.lives(&lost.token).await);
}

async fn the_same_subject_again_does_not_rotate(on: On) {
    let house = House::new(on).await;
    let nobodys = house.stored(&[("a", "1")]).await;
    let alices = house.log_in(&house.stored(&[("a", "1")]).await, "alice").await;

    let nobody = house.update(&nobodys, Changes::default().subject("")).await;
    let alice = house.update(&alices, Changes::default().subject("alice")).await;

    assert_eq!([nobody.token, alice.token], [nobodys, alices]);
}

async fn subjects_are_compared_as_bytes(on: On) {
    let house = House::new(on).await;
    let token = house.log_in(&house.stored(&[("a", "1")]).await, "e\u{301}").await;

    let after = house.update(&token, Changes::default().subject("\u{e9}").set("b", "2")).await;

    assert_ne!(after.token, token);
    assert_eq!(house.entries(&after.token).await.into_keys().collect::<Vec<_>>(), ["b"]);
}

async fn a_clear_rotates_even_if_the_subject_stays(on: On) {
    let house = House::new(on).await;
    let token = house.log_in(&house.stored(&[("a", "1")]).await, "alice").await;

    let cleared = house.update(&token, Changes::default().clear().set("b", "1").subject("alice")).await;

    assert_ne!(cleared.token, token);
    assert!(!house.lives(&token).await);
}

async fn from_one_subject_to_another_goes_nothing_but_what_is_set(on: On) {
    let house = House::new(on).await;
    let token = house.stored(&[("cart", "[1]"), ("n", "5"), ("_permanent", "true")]).await;
    let alice = house.log_in(&token, "alice").await;
    assert_eq!(house.entries(&alice).await.len(), 2, "a login keeps what nobody in particular left");

    let changes = Changes::default().subject("bob").set("theme", "1").increment("n", 1).unset("cart");
    let saved = house.save(save(&alice, changes)).await;

    assert_eq!(saved.counters["n"], 1);
    let session = saved.session.unwrap();
    assert_eq!((session.permanent, session.subject.as_str()), (None, "bob"));
    let entries = [("n", "1"), ("theme", "1")].map(|(name, json)| (name.to_owned(), json.to_owned()));
    assert_eq!(house.entries(&session.token).await, entries.into());
}

async fn a_logout_by_subject_keeps_the_entries(on: On) {
    let house = House::new(on).await;
    let token = house.log_in(&house.stored(&[("a", "1")]).await, "alice").await;

    let after = house.update(&token, Changes::default().subject("")).await.token;

    assert_eq!(house.entries(&after).await.len(), 1);
}

async fn a_refused_save_does_not_rotate(on: On) {
    let house = House::new(on).await;
    let token = house.stored(&[("a", "\"text\"")]).await;

    house.refusal(save(&token, Changes::default().increment("a", 1).subject("alice")).rotating()).await;
    house.refusal(save(&token, Changes::default().clear().set("b", "1")).etag("99")).await;

    let session = house.session(&token).await;
    assert_eq!((session.new, session.token.as_str(), session.subject.as_str()), (false, token.as_str(), ""));
}

on_every_store!(
    a_rotation_keeps_id_entries_etag_and_all_else,
    a_rotation_of_a_ticket_changes_nothing,
    a_save_with_rotate_replaces_the_token_in_the_same_step,
    a_save_that_only_rotates_leaves_the_etag_alone,
    a_rotation_keeps_a_session_without_entries,
    gain_change_and_loss_of_the_subject_rotate,
    the_same_subject_again_does_not_rotate,
    subjects_are_compared_as_bytes,
    a_clear_rotates_even_if_the_subject_stays,
    from_one_subject_to_another_goes_nothing_but_what_is_set,
    a_logout_by_subject_keeps_the_entries,
    a_refused_save_does_not_rotate,
);
