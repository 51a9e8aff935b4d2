//! The setting `subject_key`: the entry that holds the subject.

use cloakroom::app;
use cloakroom::grpc::wire::{Changes, Outcome};
use tonic::Code;

use crate::support::calls::{ChangesExt as _, save};
use crate::support::sessions::{MINUTE, SaveExt as _, millis};
use crate::support::{StoreKind, TestService, app_settings};

/// Flask-Login's entry.
const KEY: &str = "_user_id";

async fn service(store: StoreKind) -> TestService {
    let subject_key = KEY.to_owned();
    TestService::with_apps(store, [("default", app::Settings { subject_key, ..app_settings() })]).await
}

fn set(json: &str) -> Changes {
    Changes::default().set(KEY, json)
}

#[apply(on_every_store)]
async fn a_string_is_the_subject_and_stays_an_entry(store: StoreKind) {
    let service = service(store).await;
    let token = service.stored(&[("a", "1")]).await;

    let session = service.update(&token, set(" \"al\\u0069ce\" ")).await;

    assert_eq!(session.subject, "alice");
    assert!(session.authenticate_time.is_some());
    assert_ne!(session.token, token);
    assert!(!service.is_live(&token).await);
    assert_eq!(service.entries(&session.token).await[KEY], " \"al\\u0069ce\" ");
}

#[apply(on_every_store)]
async fn an_integer_is_the_subject_in_its_decimal_digits(store: StoreKind) {
    let service = service(store).await;
    for (json, subject) in [("42", "42"), ("-7", "-7"), ("0", "0"), ("18446744073709551615", "18446744073709551615")] {
        let token = service.stored(&[("a", "1")]).await;
        assert_eq!(service.update(&token, set(json)).await.subject, subject);
    }
}

#[apply(on_every_store)]
async fn a_creation_takes_its_subject_from_the_entry(store: StoreKind) {
    let service = service(store).await;
    let ticket = service.open_new().await.token;

    let created = service.save(save(&ticket, set("\"alice\""))).await;

    assert_eq!(created.outcome(), Outcome::Created);
    assert_eq!(created.session.unwrap().subject, "alice");
}

#[apply(on_every_store)]
async fn null_unset_and_the_empty_string_remove_the_subject(store: StoreKind) {
    let service = service(store).await;
    for logout in [set("null"), set("\"\""), Changes::default().unset(KEY)] {
        let token = service.update(&service.stored(&[("a", "1")]).await, set("\"alice\"")).await.token;

        let after = service.update(&token, logout).await;

        assert_eq!((after.subject.as_str(), after.authenticate_time), ("", None));
        assert_ne!(after.token, token);
        assert!(!service.is_live(&token).await);
        assert_eq!(service.entries(&after.token).await["a"], "1");
    }
}

#[apply(on_every_store)]
async fn setting_the_same_subject_does_not_rotate(store: StoreKind) {
    let service = service(store).await;
    let token = service.update(&service.stored(&[("a", "1")]).await, set("\"7\"")).await.token;

    let string = service.update(&token, set("\"7\"")).await;
    let number = service.update(&token, set("7")).await;
    let field = service.update(&token, Changes::default().subject("7")).await;

    assert_eq!([&string.token, &number.token, &field.token], [&token; 3]);
}

#[apply(on_every_store)]
async fn another_subject_finds_none_of_the_old_entries(store: StoreKind) {
    let service = service(store).await;
    let token = service.update(&service.stored(&[("a", "1")]).await, set("\"alice\"")).await.token;

    let session = service.update(&token, set("\"bob\"").set("b", "2")).await;

    assert_eq!(session.subject, "bob");
    assert_ne!(session.token, token);
    let entries = [(KEY, "\"bob\""), ("b", "2")].map(|(name, json)| (name.to_owned(), json.to_owned()));
    assert_eq!(service.entries(&session.token).await, entries.into());
}

#[apply(on_every_store)]
async fn a_clear_without_the_entry_removes_the_subject(store: StoreKind) {
    let service = service(store).await;
    let token = service.update(&service.stored(&[("a", "1")]).await, set("\"alice\"")).await.token;

    let session = service.update(&token, Changes::default().clear().set("b", "2")).await;

    assert_eq!(session.subject, "");
}

#[apply(on_every_store)]
async fn changes_of_other_entries_keep_the_subject(store: StoreKind) {
    let service = service(store).await;
    let token = service.update(&service.stored(&[("a", "1")]).await, set("\"alice\"")).await.token;

    let session = service.update(&token, Changes::default().set("a", "2").unset("b").increment("n", 1)).await;

    assert_eq!((session.subject.as_str(), session.token), ("alice", token));
}

#[apply(on_every_store)]
async fn a_subject_must_be_a_string_or_an_integer(store: StoreKind) {
    let service = service(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let [long, many_digits] = [format!("\"{}\"", "x".repeat(257)), "9".repeat(257)];

    let wrong = ["true", "1.0", "1e3", "[]", "{}", &long, &many_digits].map(set);
    let raw = Changes::default().set_raw(KEY, b"alice");
    for changes in wrong.into_iter().chain([raw, Changes::default().increment(KEY, 1)]) {
        let refusal = service.refusal(save(&token, changes)).await;
        assert_eq!(refusal, (Code::InvalidArgument, "SUBJECT_INVALID".to_owned()));
    }

    let session = service.session(&token).await;
    assert_eq!((session.subject.as_str(), session.entries.len()), ("", 1));
}

#[apply(on_every_store)]
async fn the_entry_and_the_field_subject_must_agree(store: StoreKind) {
    let service = service(store).await;
    let token = service.stored(&[("a", "1")]).await;

    let same = service.update(&token, set("\"alice\"").subject("alice")).await;
    let contradictions = [
        set("\"alice\"").subject("bob"),
        set("\"alice\"").subject(""),
        set("null").subject("alice"),
        Changes::default().unset(KEY).subject("alice"),
    ];

    assert_eq!(same.subject, "alice");
    for changes in contradictions {
        assert_eq!(service.refusal(save(&same.token, changes)).await.0, Code::InvalidArgument);
    }
    assert_eq!(service.session(&same.token).await.subject, "alice");
}

#[apply(on_every_store)]
async fn without_the_setting_the_entry_sets_no_subject(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;

    let session = service.update(&token, set("\"alice\"")).await;

    assert_eq!((session.subject.as_str(), session.token), ("", token));
}

#[apply(on_every_store)]
async fn a_subject_has_at_most_256_bytes(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;

    let refusal = service.refusal(save(&token, Changes::default().subject(&"x".repeat(257)))).await;
    let fits = service.update(&token, Changes::default().subject(&"x".repeat(256))).await;

    assert_eq!(refusal, (Code::InvalidArgument, "SUBJECT_INVALID".to_owned()));
    assert_eq!(fits.subject.len(), 256);
}

#[apply(on_every_store)]
async fn a_change_beside_the_same_subject_in_an_entry_is_no_authentication(store: StoreKind) {
    let subject_key = "passport.user".to_owned();
    let service = TestService::with_apps(store, [("default", app::Settings { subject_key, ..app_settings() })]).await;
    let passport = |json: &str| Changes::default().set("passport", json);
    let login = service.update(&service.stored(&[("a", "1")]).await, passport(r#"{"user":"ann"}"#)).await;

    service.advance(MINUTE);
    let beside = service.update(&login.token, passport(r#"{"user":"ann","theme":"dark"}"#)).await;

    assert_eq!((&beside.token, beside.authenticate_time), (&login.token, login.authenticate_time));
    let again = save(&login.token, passport(r#"{"user":"ann"}"#)).rotate();
    let again = service.save(again).await.session.unwrap();
    let other = service.update(&again.token, passport(r#"{"user":"bob"}"#)).await;
    for session in [again, other] {
        assert_eq!(millis(&session.authenticate_time), service.millis());
    }
}

#[apply(on_every_store)]
async fn what_is_beside_the_subject_may_be_any_json(store: StoreKind) {
    let subject_key = "passport.user".to_owned();
    let service = TestService::with_apps(store, [("default", app::Settings { subject_key, ..app_settings() })]).await;
    let bio_cut_in_an_emoji = r#"{"user":123456789012345678901234567890,"bio":"\ud83d","n":1e400}"#;

    let token = service.stored(&[("a", "1")]).await;
    let session = service.update(&token, Changes::default().set("passport", bio_cut_in_an_emoji)).await;

    assert_eq!(session.subject, "123456789012345678901234567890");
}
