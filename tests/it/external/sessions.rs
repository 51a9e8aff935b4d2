//! What happens to the session of a key, from its first save to its end.

use cloakroom::grpc::wire::{Changes, EndReason, Outcome, WatchSessionRequest, WatchState, watch_session_request};
use tonic::Code;

use super::*;
use crate::support::calls::{ChangesExt as _, refused};
use crate::support::sessions::{MINUTE, SaveExt as _, gone};

#[apply(on_every_store)]
async fn an_unknown_key_opens_a_new_session_and_stores_nothing(store: StoreKind) {
    let service = service(store).await;

    let opened = service.open(open(KEY)).await;

    let session = opened.session.unwrap();
    assert_eq!((session.new, session.etag.as_str(), session.token.as_str()), (true, "0", ""));
    assert_eq!((opened.read_headers.len(), opened.untouched_headers.len()), (0, 0));
    assert_eq!(refused(service.try_info(&session.id, false).await).code(), Code::NotFound);
    assert_eq!(service.session_of(KEY).await.id, session.id, "the id is derived from the key");
    assert_ne!(service.session_of(OTHER_KEY).await.id, session.id);
}

#[apply(on_every_store)]
async fn the_first_save_creates_the_session_and_later_saves_change_it(store: StoreKind) {
    let service = service(store).await;
    let id = service.session_of(KEY).await.id;

    let first = service.save(save(KEY, Changes::default().set("a", "1").set_raw("b", b"\0\xff"))).await;
    let second = service.save(save(KEY, Changes::default().unset("b").increment("n", 2))).await;

    assert_eq!((first.outcome(), second.outcome()), (Outcome::Created, Outcome::Updated));
    assert_eq!((first.headers.len(), second.headers.len()), (0, 0));
    assert_eq!(second.counters["n"], 2);
    let session = second.session.unwrap();
    assert_eq!((session.id.as_str(), session.token.as_str(), session.etag.as_str()), (id.as_str(), "", "2"));
    let entries = service.entries_of(KEY).await;
    assert_eq!(entries, [("a", "1"), ("n", "2")].map(|(name, json)| (name.to_owned(), json.to_owned())).into());
}

#[apply(on_every_store)]
async fn a_key_may_be_any_16_to_256_bytes(store: StoreKind) {
    let service = service(store).await;
    for key in [vec![0; 16], vec![255; 256], b"v1.AAAAAAAA.looks-like-a-token.AAAA".to_vec()] {
        assert!(service.session_of(&key).await.new);
        assert_eq!(service.save(save(&key, Changes::default().set("a", "1"))).await.outcome(), Outcome::Created);
        assert_eq!(service.entries_of(&key).await.len(), 1);
    }
    let longer = [vec![0; 16], vec![0]].concat();
    assert!(service.session_of(&longer).await.new, "no key is cut");
}

#[apply(on_every_store)]
async fn nothing_revives_the_session_of_a_key_that_was_destroyed(store: StoreKind) {
    let service = service(store).await;
    service.save(save(KEY, Changes::default().set("a", "1"))).await;

    let destroyed = service.destroy_key(KEY).await;

    assert_eq!((destroyed.outcome(), destroyed.end_reason()), (Outcome::Deleted, EndReason::Destroyed));
    assert_eq!(destroyed.headers.len(), 0);
    let opened = service.open(open(KEY)).await;
    assert_eq!((null_reason(&opened), opened.end_reason()), ("GONE", EndReason::Destroyed));
    assert_eq!((opened.read_headers.len(), opened.untouched_headers.len()), (0, 0));
    let saves = [
        save(KEY, Changes::default().set("a", "2")),
        save(KEY, Changes::default()).keep_empty(),
        save(KEY, Changes::default().clear().set("a", "2")),
        save(KEY, Changes::default().subject("ann")),
        save_unmodified(KEY),
    ];
    for request in saves {
        let saved = service.save(request).await;
        assert_eq!(gone(&saved), EndReason::Destroyed);
        assert_eq!(saved.headers.len(), 0);
    }
    assert_eq!(service.destroy_key(KEY).await.outcome(), Outcome::Gone);

    service.advance(15 * MINUTE);
    assert_eq!(gone(&service.save(save(KEY, Changes::default().set("a", "2"))).await), EndReason::Destroyed);
    assert!(service.session_of(OTHER_KEY).await.new, "another key begins another session");
}

#[apply(on_every_store)]
async fn the_end_of_a_session_that_is_not_stored_leaves_its_key_good(store: StoreKind) {
    let service = service(store).await;
    assert_eq!(service.destroy_key(KEY).await.outcome(), Outcome::Gone);
    assert_eq!(service.save(save(KEY, Changes::default().set("a", "1"))).await.outcome(), Outcome::Created);
}

#[apply(on_every_store)]
async fn a_session_without_content_stays_but_does_not_begin(store: StoreKind) {
    let service = service(store).await;
    let empty = [Changes::default(), Changes::default().permanent(true), Changes::default().unset("a")];
    for changes in empty.clone() {
        let saved = service.save(save(KEY, changes)).await;
        assert_eq!((saved.outcome(), saved.session.unwrap().new, saved.headers.len()), (Outcome::Unchanged, true, 0));
    }
    let kept = service.save(save(OTHER_KEY, Changes::default()).keep_empty()).await;
    assert_eq!(kept.outcome(), Outcome::Created);

    service.save(save(KEY, Changes::default().set("a", "1"))).await;
    for changes in [Changes::default().unset("a"), Changes::default().clear()] {
        assert_eq!(service.save(save(KEY, changes)).await.outcome(), Outcome::Updated);
        assert!(!service.session_of(KEY).await.new);
        service.save(save(KEY, Changes::default().set("a", "1"))).await;
    }
}

#[apply(on_every_store)]
async fn etags_and_request_ids_work_as_with_tokens(store: StoreKind) {
    let service = service(store).await;
    let add = |request_id: &str| save(KEY, Changes::default().increment("n", 1)).request_id(request_id);

    let first = service.save(add("first-save").etag("0")).await;
    let again = service.save(add("first-save").etag("0")).await;
    let late = service.refusal(add("late").etag("0")).await;
    let other = service.refusal(save(KEY, Changes::default().set("a", "1")).request_id("first-save")).await;
    let next = service.save(add("next").etag(&first.session.as_ref().unwrap().etag)).await;

    assert_eq!(
        (first.outcome(), again.outcome(), next.outcome()),
        (Outcome::Created, Outcome::Created, Outcome::Updated)
    );
    assert_eq!((again.counters["n"], next.counters["n"]), (1, 2));
    assert_eq!(late.1, "ETAG_MISMATCH");
    assert_eq!(other.1, "REQUEST_ID_REUSED");
}

#[apply(on_every_store)]
async fn a_change_of_key_is_a_destroy_and_a_save(store: StoreKind) {
    let service = service(store).await;
    service.save(save(KEY, Changes::default().set("cart", "[1]"))).await;

    service.destroy_key(KEY).await;
    let saved = service.save(save(OTHER_KEY, Changes::default().set("cart", "[1]").subject("ann"))).await;

    assert_eq!(saved.outcome(), Outcome::Created);
    assert_eq!(null_reason(&service.open(open(KEY)).await), "GONE");
    assert_eq!(service.session_of(OTHER_KEY).await.subject, "ann");
}

#[apply(on_every_store)]
async fn a_watch_of_a_key_reports_the_end(store: StoreKind) {
    let service = service(store).await;
    let watch = |key: &[u8]| {
        let credential = Some(watch_session_request::Credential::Key(key.to_vec()));
        WatchSessionRequest { credential, ..Default::default() }
    };
    service.save(save(KEY, Changes::default().set("a", "1"))).await;
    let mut answers = service.try_watch(watch(KEY)).await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().state(), WatchState::Alive);

    service.destroy_key(KEY).await;

    let last = answers.message().await.unwrap().unwrap();
    assert_eq!((last.state(), last.end_reason()), (WatchState::Ended, EndReason::Destroyed));
    assert!(answers.message().await.unwrap().is_none());
    assert_eq!(service.watch_nothing(watch(OTHER_KEY)).await, EndReason::Unspecified);
}

#[apply(on_every_store)]
async fn the_keys_of_two_apps_are_two_sessions(store: StoreKind) {
    let service = TestService::with_apps(store, [("default", settings()), ("other", settings())]).await;
    service.save(save(KEY, Changes::default().set("a", "1"))).await;

    let other = service.open(OpenSessionRequest { app: "other".to_owned(), ..open(KEY) }).await.session.unwrap();

    assert!(other.new);
    assert_ne!(other.id, service.session_of(KEY).await.id);
}

#[apply(on_every_store)]
async fn a_copy_of_the_store_opens_no_session(store: StoreKind) {
    let service = service(store).await;
    service.save(save(KEY, Changes::default().set("a", "1"))).await;
    let id = service.session_of(KEY).await.id;
    let session_key = crate::support::watches::session_key(&id);

    let head = service.store.load(&session_key).await.unwrap().unwrap().record.head;

    // All that the store has of the key: the id, and the hash of the verifier.
    for stored in [session_key.id.as_bytes().to_vec(), head.verifier_hash.as_bytes().to_vec()] {
        assert!(service.session_of(&stored).await.new);
    }
    assert!(service.session_of(id.as_bytes()).await.new);
}
