//! Saves: changes are applied in one step, and never to a session that has ended.

use cloakroom::app::{self, LimitSettings};
use cloakroom::grpc::wire::{Changes, Outcome};
use tonic::Code;

use crate::support::calls::{ChangesExt as _, save, save_unmodified, set_cookies, varies};
use crate::support::sessions::{SaveExt as _, gone};
use crate::support::{StoreKind, TestService, app_settings};

#[apply(on_every_store)]
async fn a_first_save_creates_the_session_and_sets_its_cookie(store: StoreKind) {
    let service = TestService::new(store).await;
    let new = service.open_new().await;

    let saved = service.save(save(&new.token, Changes::default().set("a", "1"))).await;

    assert_eq!(saved.outcome(), Outcome::Created);
    let session = saved.session.unwrap();
    assert_eq!(session.id, new.id);
    assert_eq!(set_cookies(&saved.headers), [format!("session={}; HttpOnly; Path=/; SameSite=Lax", session.token)]);
    assert!(varies(&saved.headers));
    assert_eq!(service.entries(&session.token).await, [("a".to_owned(), "1".to_owned())].into());
}

#[apply(on_every_store)]
async fn saves_of_different_entries_all_survive(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;

    service.save(save(&token, Changes::default().set("b", "2"))).await;
    service.save(save(&token, Changes::default().set("c", "3").unset("a"))).await;

    let entries = [("b", "2"), ("c", "3")].map(|(name, json)| (name.to_owned(), json.to_owned()));
    assert_eq!(service.entries(&token).await, entries.into());
}

#[apply(on_every_store)]
async fn of_two_saves_of_one_entry_the_later_wins(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;

    service.update(&token, Changes::default().set("a", "2")).await;
    service.update(&token, Changes::default().set("a", "3")).await;

    assert_eq!(service.entries(&token).await["a"], "3");
}

#[apply(on_every_store)]
async fn a_clear_removes_what_other_requests_saved_before(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;

    service.update(&token, Changes::default().set("b", "2")).await;
    let token = service.update(&token, Changes::default().clear().set("c", "3")).await.token;

    assert_eq!(service.entries(&token).await, [("c".to_owned(), "3".to_owned())].into());
}

#[apply(on_every_store)]
async fn the_answer_to_a_save_has_no_entries(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;

    let session = service.update(&token, Changes::default().set("b", "2")).await;

    assert!(session.entries.is_empty());
    assert!(!session.new);
    assert_eq!(session.token, token);
}

#[apply(on_every_store)]
async fn values_are_kept_byte_for_byte(store: StoreKind) {
    let service = TestService::new(store).await;
    let json = " {\"b\" : 1.0 ,\r\n\t\"a\":\"\\u00e9\u{e9}\", \"a\": [ ] } ";
    let token = service.stored(&[("json", json)]).await;

    service.update(&token, Changes::default().set_raw("raw", &[0, 255, 0]).set_raw("none", &[])).await;

    let entries = service.entries(&token).await;
    assert_eq!(entries["json"], json);
    assert_eq!([&entries["raw"], &entries["none"]], ["raw [0, 255, 0]", "raw []"]);
}

#[apply(on_every_store)]
async fn a_save_with_the_current_etag_is_applied(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let etag = service.session(&token).await.etag;

    let saved = service.save(save(&token, Changes::default().set("a", "2")).etag(&etag)).await;

    assert_eq!(saved.outcome(), Outcome::Updated);
    let after = saved.session.unwrap().etag;
    assert_ne!(after, etag);
    assert_eq!(service.session(&token).await.etag, after);
}

#[apply(on_every_store)]
async fn a_save_with_an_older_etag_is_aborted_and_writes_nothing(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let etag = service.session(&token).await.etag;
    let after = service.update(&token, Changes::default().set("a", "2")).await.etag;

    let refusal = service.refusal(save(&token, Changes::default().set("a", "3").set("b", "3")).etag(&etag)).await;

    assert_eq!(refusal, (Code::Aborted, "ETAG_MISMATCH".to_owned()));
    assert_eq!(service.session(&token).await.etag, after);
    assert_eq!(service.entries(&token).await, [("a".to_owned(), "2".to_owned())].into());
}

#[apply(on_every_store)]
async fn the_etag_of_a_new_session_is_zero_and_creates_it_once(store: StoreKind) {
    let service = TestService::new(store).await;
    let new = service.open_new().await;
    let changes = |json| Changes::default().set("a", json);

    let created = service.save(save(&new.token, changes("1")).etag(&new.etag)).await;
    let refusal = service.refusal(save(&new.token, changes("2")).etag(&new.etag)).await;

    assert_eq!(new.etag, "0");
    assert_eq!(created.outcome(), Outcome::Created);
    assert_eq!(refusal, (Code::Aborted, "ETAG_MISMATCH".to_owned()));
    assert_eq!(service.entries(&created.session.unwrap().token).await["a"], "1");
}

#[apply(on_every_store)]
async fn an_etag_other_than_zero_creates_no_session(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;

    let refusal = service.refusal(save(&ticket, Changes::default().set("a", "1")).etag("1")).await;

    assert_eq!(refusal, (Code::Aborted, "ETAG_MISMATCH".to_owned()));
    let created = service.save(save(&ticket, Changes::default().set("b", "2"))).await;
    assert_eq!(created.outcome(), Outcome::Created);
    assert_eq!(service.entries(&created.session.unwrap().token).await.len(), 1);
}

#[apply(on_every_store)]
async fn an_unmodified_save_writes_nothing(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let etag = service.session(&token).await.etag;

    let saved = service.save(save_unmodified(&token)).await;

    assert_eq!(saved.outcome(), Outcome::Unchanged);
    assert_eq!(set_cookies(&saved.headers), [""; 0]);
    assert_eq!(saved.session.unwrap().etag, etag);
    assert_eq!(service.session(&token).await.etag, etag);
}

#[apply(on_every_store)]
async fn a_response_varies_by_cookie_only_if_the_session_was_accessed(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let mut untouched = save_unmodified(&token);
    untouched.accessed = false;

    let (read, untouched) = (service.save(save_unmodified(&token)).await, service.save(untouched).await);

    assert!(varies(&read.headers));
    assert!(untouched.headers.is_empty());
}

#[apply(on_every_store)]
async fn a_save_with_empty_changes_updates_the_session(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let etag = service.session(&token).await.etag;

    let saved = service.save(save(&token, Changes::default())).await;

    assert_eq!(saved.outcome(), Outcome::Updated);
    assert_ne!(saved.session.unwrap().etag, etag);
    assert_eq!(service.entries(&token).await.len(), 1);
}

/// A slow response may arrive after that of a login, whose cookie it must not replace.
#[apply(on_every_store)]
async fn a_save_sets_no_cookie_that_the_browser_already_has(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;

    let plain = service.save(save(&token, Changes::default().set("a", "2"))).await;
    let permanent = service.save(save(&token, Changes::default().permanent(true))).await;
    let moves_its_expiry = service.save(save(&token, Changes::default().set("a", "3"))).await;
    let no_longer = service.save(save(&token, Changes::default().permanent(false))).await;

    assert!(set_cookies(&plain.headers).is_empty() && varies(&plain.headers));
    for saved in [permanent, moves_its_expiry, no_longer] {
        assert_eq!(set_cookies(&saved.headers).len(), 1);
    }
}

#[apply(on_every_store)]
async fn two_saves_together_cannot_exceed_the_limits(store: StoreKind) {
    let limits = LimitSettings { max_entries: 2, max_session_bytes: 1024 };
    let service = TestService::with_apps(store, [("default", app::Settings { limits, ..app_settings() })]).await;
    let token = service.stored(&[("a", "1")]).await;
    // With `a`, `1`, `b` and the quotation marks, 1019 of them make 1024 bytes.
    let text = |length: usize| format!("\"{}\"", "x".repeat(length));

    let too_large = service.refusal(save(&token, Changes::default().set("b", &text(1020)).increment("a", 1))).await;
    service.update(&token, Changes::default().set("b", &text(1019))).await;
    let too_many =
        service.refusal(save(&token, Changes::default().set("b", "1").set("c", "1").increment("a", 1))).await;

    assert_eq!(too_large, (Code::FailedPrecondition, "SESSION_TOO_LARGE".to_owned()));
    assert_eq!(too_many, (Code::FailedPrecondition, "TOO_MANY_ENTRIES".to_owned()));
    assert_eq!(service.entries(&token).await.into_values().collect::<Vec<_>>(), ["1", &text(1019)]);
}

#[apply(on_every_store)]
async fn gone_is_checked_before_the_etag_and_the_etag_before_the_limits(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let too_large = format!("\"{}\"", "x".repeat(100_000));
    let both = || save(&token, Changes::default().set("b", &too_large)).etag("7");

    let refusal = service.refusal(both()).await;
    service.destroy(&token).await;
    let saved = service.save(both()).await;

    assert_eq!(refusal, (Code::Aborted, "ETAG_MISMATCH".to_owned()));
    gone(&saved);
}
