//! Empty sessions: a save that leaves no entry deletes the session and its cookie, as Flask does.

use cloakroom::app::{self, CookieSettings};
use cloakroom::grpc::wire::{Changes, EndReason, Outcome};

use crate::support::calls::{ChangesExt as _, save, save_cookie, set_cookies, varies};
use crate::support::sessions::{SaveExt as _, deleted_cookie};
use crate::support::{StoreKind, TestService, app_settings};

#[apply(on_every_store)]
async fn a_save_that_leaves_no_entry_deletes_session_and_cookie(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;

    let saved = service.save(save(&token, Changes::default().unset("a"))).await;

    assert_eq!((saved.outcome(), saved.end_reason()), (Outcome::Deleted, EndReason::Emptied));
    assert!(saved.session.is_none());
    deleted_cookie(&saved.headers);
    assert!(varies(&saved.headers));
    assert!(!service.is_live(&token).await);
}

#[apply(on_every_store)]
async fn a_clear_that_sets_nothing_deletes_the_session(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1"), ("_permanent", "true")]).await;

    let saved = service.save(save(&token, Changes::default().clear())).await;

    assert_eq!((saved.outcome(), saved.end_reason()), (Outcome::Deleted, EndReason::Emptied));
    assert!(!service.is_live(&token).await);
}

#[apply(on_every_store)]
async fn the_deleting_cookie_repeats_every_attribute(store: StoreKind) {
    let cookie = CookieSettings {
        name: "sid".to_owned(),
        domain: "example.com".to_owned(),
        path: "/app".to_owned(),
        secure: true,
        partitioned: true,
        ..Default::default()
    };
    let service = TestService::with_apps(store, [("default", app::Settings { cookie, ..app_settings() })]).await;
    let created = service.save(save(&service.open_new().await.token, Changes::default().set("a", "1"))).await;

    let saved = service.save(save(&created.session.unwrap().token, Changes::default().unset("a"))).await;

    let attributes = |cookie: &str| -> Vec<String> {
        let attributes =
            cookie.split("; ").skip(1).filter(|part| !part.starts_with("Expires=") && *part != "Max-Age=0");
        attributes.map(str::to_owned).collect()
    };
    let deleted = deleted_cookie(&saved.headers);
    assert!(deleted.starts_with("sid=;"), "{deleted}");
    assert!(deleted.contains("; Expires=Thu, 01 Jan 1970 00:00:00 GMT"), "{deleted}");
    assert_eq!(attributes(&deleted), attributes(set_cookies(&created.headers)[0]));
}

#[apply(on_every_store)]
async fn keep_empty_keeps_a_session_without_entries(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;

    let saved = service.save(save(&token, Changes::default().unset("a")).keep_empty()).await;

    assert_eq!(saved.outcome(), Outcome::Updated);
    assert!(service.is_live(&token).await);
    assert!(service.entries(&token).await.is_empty());
}

#[apply(on_every_store)]
async fn keep_empty_stores_a_new_session_without_entries(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;

    let saved = service.save(save(&ticket, Changes::default()).keep_empty()).await;

    assert_eq!(saved.outcome(), Outcome::Created);
    assert!(service.is_live(&saved.session.unwrap().token).await);
}

#[apply(on_every_store)]
async fn permanent_keeps_a_session_without_entries_whether_true_or_false(store: StoreKind) {
    let service = TestService::new(store).await;
    for (json, permanent) in [("true", true), ("false", false)] {
        let token = service.stored(&[("a", "1"), ("_permanent", json)]).await;

        let permanent_only = service.update(&token, Changes::default().unset("a")).await;
        assert_eq!(permanent_only.permanent, Some(permanent));

        let saved = service.save(save(&token, Changes::default().unset("_permanent"))).await;
        assert_eq!((saved.outcome(), saved.end_reason()), (Outcome::Deleted, EndReason::Emptied));
    }
}

#[apply(on_every_store)]
async fn permanent_alone_creates_no_session(store: StoreKind) {
    let service = TestService::new(store).await;

    for permanent in [true, false] {
        let changes = || Changes::default().permanent(permanent);
        let ticket = service.open_new().await.token;
        let saves = [service.save(save(&ticket, changes())).await, service.save(save_cookie("", changes())).await];

        for saved in saves {
            assert_eq!(saved.outcome(), Outcome::Unchanged);
            assert!(saved.session.unwrap().new && set_cookies(&saved.headers).is_empty());
        }
        let kept = service.save(save(&ticket, changes()).keep_empty()).await;
        assert_eq!(kept.outcome(), Outcome::Created);
        assert_eq!(service.session(&kept.session.unwrap().token).await.permanent, Some(permanent));
    }
    assert_eq!(service.stats("").await.created, 2);
}

#[apply(on_every_store)]
async fn the_removal_of_the_last_entry_logs_nobody_out(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let token = service.log_in(&token, "alice").await;

    let saved = service.save(save(&token, Changes::default().unset("a"))).await;

    assert_eq!(saved.outcome(), Outcome::Updated);
    assert_eq!(service.session(&token).await.subject, "alice");
    let logout = service.save(save(&token, Changes::default().subject(""))).await;
    assert_eq!((logout.outcome(), logout.end_reason()), (Outcome::Deleted, EndReason::Emptied));
}

#[apply(on_every_store)]
async fn a_login_that_sets_nothing_but_the_subject_creates_a_session(store: StoreKind) {
    let service = TestService::new(store).await;

    let login = || Changes::default().subject("alice");
    let ticket = service.open_new().await.token;
    for saved in [service.save(save(&ticket, login())).await, service.save(save_cookie("", login())).await] {
        assert_eq!(saved.outcome(), Outcome::Created);
        assert_eq!(service.session(&saved.session.unwrap().token).await.subject, "alice");
    }
}

#[apply(on_every_store)]
async fn emptying_a_new_session_deletes_the_cookie_and_stores_nothing(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;

    let saved = service.save(save(&ticket, Changes::default().unset("a"))).await;

    assert_eq!((saved.outcome(), saved.end_reason()), (Outcome::Deleted, EndReason::Emptied));
    assert!(saved.session.is_none());
    deleted_cookie(&saved.headers);
    let created = service.save(save(&ticket, Changes::default().set("a", "1"))).await;
    assert_eq!(created.outcome(), Outcome::Created);
}
