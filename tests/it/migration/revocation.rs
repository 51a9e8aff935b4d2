//! A revocation also covers legacy sessions that are not imported yet.

use cloakroom::app::{self, OnSessionLimit};
use cloakroom::grpc::wire::Changes;

use super::*;
use crate::support::calls::{ChangesExt as _, save};
use crate::support::sessions::{MINUTE, SECOND};

#[apply(on_every_store_and_cookie)]
async fn after_the_revocation_of_an_app_no_older_session_is_imported(store: StoreKind, cookie: CookieSource) {
    let service = service_of(store, cookie).await;
    let old = cookie.sign(&service, &[("a", "1")]);
    let imported = cookie.sign(&service, &[("a", "2")]);
    service.import(&imported).await;
    service.advance(SECOND);

    service.revoke_app("").await;
    service.advance(SECOND);
    let newer = cookie.sign(&service, &[("a", "3")]);

    assert!(service.opens_nothing(&old).await && service.opens_nothing(&imported).await);
    service.import(&newer).await;
    service.advance(20 * MINUTE);
    assert!(service.opens_nothing(&old).await && service.opens_nothing(&imported).await);
    let migration = service.migration(cookie.as_str()).await;
    assert_eq!((migration.imported, migration.refused["REVOKED"]), (2, 4));
}

#[apply(on_every_store_and_cookie)]
async fn after_the_revocation_of_a_subject_no_older_session_is_imported(store: StoreKind, cookie: CookieSource) {
    let service = service_of(store, cookie).await;
    let [anna, bert] =
        [cookie.sign(&service, &[("_user_id", "\"anna\"")]), cookie.sign(&service, &[("_user_id", "\"bert\"")])];
    let imported = cookie.sign(&service, &[("_user_id", "\"anna\""), ("a", "1")]);
    service.import(&imported).await;
    service.advance(SECOND);

    assert_eq!(service.revoke_subject("anna", "").await, 1);
    service.advance(SECOND);
    let newer = cookie.sign(&service, &[("_user_id", "\"anna\"")]);

    assert!(service.opens_nothing(&anna).await && service.opens_nothing(&imported).await);
    service.import(&bert).await;
    let (id, _) = service.import(&newer).await;
    assert_eq!(service.ids_of("anna").await, [id]);
    service.advance(20 * MINUTE);
    assert!(service.opens_nothing(&anna).await && service.opens_nothing(&imported).await);
}

#[apply(on_every_store_and_cookie)]
async fn a_revocation_holds_if_the_end_of_the_migration_is_moved_to_a_later_day(
    store: StoreKind,
    cookie: CookieSource,
) {
    let until = |days| {
        let mut settings = cookie.settings();
        settings.migrate.until = Some(crate::support::now() + days * DAY);
        settings
    };
    let service = TestService::with_apps(store, [("default", until(10))]).await;
    let anna = cookie.sign(&service, &[("_user_id", "\"anna\"")]);
    service.advance(SECOND);
    service.revoke_subject("anna", "").await;

    let service = service.with_settings(&until(30)).await;
    service.advance(11 * DAY);
    service.store.sweep(service.clock.now()).await.unwrap();

    assert!(service.opens_nothing(&anna).await);
}

#[apply(on_every_store_and_cookie)]
async fn the_session_that_a_revocation_excepts_is_still_found(store: StoreKind, cookie: CookieSource) {
    let service = service_of(store, cookie).await;
    let [one, other, late] = ["1", "2", "3"].map(|n| cookie.sign(&service, &[("_user_id", "7"), ("n", n)]));
    let (id, token) = service.import(&one).await;
    service.import(&other).await;
    service.advance(SECOND);

    assert_eq!(service.revoke_subject("7", &id).await, 1);

    assert!(service.is_live(&token).await);
    assert_eq!(service.import(&one).await, (id, token));
    assert!(service.opens_nothing(&other).await && service.opens_nothing(&late).await);
}

#[apply(on_every_store_and_cookie)]
async fn an_earlier_revocation_does_not_cover_a_later_login_of_an_imported_session(
    store: StoreKind,
    cookie: CookieSource,
) {
    let service = service_of(store, cookie).await;
    let old = cookie.sign(&service, &[("a", "1")]);
    let (_, token) = service.import(&old).await;
    service.advance(SECOND);
    service.revoke_subject("anna", "").await;

    let token = service.log_in(&token, "anna").await;

    assert!(service.is_live(&token).await);
    assert_eq!(service.ids_of("anna").await.len(), 1);
}

#[apply(on_every_store_and_cookie)]
async fn an_import_is_not_subject_to_the_session_limit(store: StoreKind, cookie: CookieSource) {
    for on_session_limit in [OnSessionLimit::Evict, OnSessionLimit::Refuse] {
        let limited = app::Settings { max_sessions_per_subject: 1, on_session_limit, ..cookie.settings() };
        let service = TestService::with_apps(store, [("default", limited)]).await;
        let olds = ["1", "2", "3"].map(|n| cookie.sign(&service, &[("_user_id", "7"), ("n", n)]));
        let mut ids = Vec::new();
        for old in &olds {
            ids.push(service.import(old).await.0);
        }

        ids.sort_unstable();
        let mut listed = service.ids_of("7").await;
        listed.sort_unstable();
        assert_eq!(listed, ids);
        let login = save(&service.open_new().await.token, Changes::default().set("_user_id", "7"));
        match on_session_limit {
            OnSessionLimit::Evict => {
                service.save(login).await;
                assert_eq!(service.ids_of("7").await.len(), 1, "the next login counts them");
            }
            OnSessionLimit::Refuse => assert_eq!(service.refusal(login).await.1, "TOO_MANY_SESSIONS"),
        }
    }
}
