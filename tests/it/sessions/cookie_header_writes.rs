//! Writes by Cookie header: saves, rotations and destructions without an open.

use cloakroom::grpc::wire::{Changes, EndReason, Outcome, SaveSessionRequest, SaveSessionResponse};
use tonic::Code;

use crate::support::browser::Browser;
use crate::support::calls::{ChangesExt as _, reason, save, save_cookie, set_cookies};
use crate::support::sessions::{HOUR, MINUTE, SaveExt as _, deleted_cookie, destroy_cookie, rotate_cookie};
use crate::support::{StoreKind, TestService, app_settings};

/// Builds a save of one entry with this Cookie header.
fn write(header: &str) -> SaveSessionRequest {
    save_cookie(header, Changes::default().set("b", "2"))
}

fn header(token: &str) -> String {
    format!("theme=dark; session={token}; lang=en")
}

/// Checks that the save created a session with its one entry; returns the session's id.
async fn created_id(service: &TestService, saved: SaveSessionResponse) -> String {
    assert_eq!(saved.outcome(), Outcome::Created);
    let mut browser = Browser::default();
    browser.receive(&saved.headers);
    assert_eq!(browser.token(), Some(saved.session.as_ref().unwrap().token.as_str()));
    assert_eq!(service.entries(browser.token().unwrap()).await, [("b".to_owned(), "2".to_owned())].into());
    saved.session.unwrap().id
}

#[apply(on_every_store)]
async fn a_write_by_a_live_cookie_updates_its_session(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;

    let saved = service.save(write(&header(&token))).await;

    assert_eq!(saved.outcome(), Outcome::Updated);
    assert_eq!(saved.session.unwrap().token, token);
    assert_eq!(service.entries(&token).await.len(), 2);
}

#[apply(on_every_store)]
async fn a_write_without_a_cookie_creates_a_session(store: StoreKind) {
    let service = TestService::new(store).await;

    let (first, second) = (service.save(write("")).await, service.save(write("theme=dark")).await);

    assert_ne!(created_id(&service, first).await, created_id(&service, second).await);
}

#[apply(on_every_store)]
async fn a_write_by_a_forged_cookie_creates_a_session(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let id = service.session(&token).await.id;
    let flipped = if token.ends_with('A') { 'E' } else { 'A' };
    let forged = format!("{}{flipped}", &token[..token.len() - 1]);

    for value in [forged.as_str(), "", "v1", "v1.x.y.z", "\u{e9}"] {
        let saved = service.save(write(&header(value))).await;
        assert_ne!(created_id(&service, saved).await, id);
    }

    assert_eq!(service.entries(&token).await.len(), 1);
}

#[apply(on_every_store)]
async fn a_write_by_the_cookie_of_an_ended_session_creates_another_at_once(store: StoreKind) {
    let service = TestService::with_lifetimes(store, HOUR, 24 * HOUR).await;
    let (destroyed, idle) = (service.stored(&[("a", "1")]).await, service.stored(&[("a", "1")]).await);
    let ended = [service.session(&destroyed).await.id, service.session(&idle).await.id];
    service.advance(HOUR - MINUTE);
    service.destroy(&destroyed).await;
    service.advance(MINUTE);

    for dead in [&destroyed, &idle] {
        let saved = service.save(write(&header(dead))).await;
        assert!(!ended.contains(&created_id(&service, saved).await));
        let login = service.save(save_cookie(&header(dead), Changes::default().subject("anna").set("b", "2"))).await;
        created_id(&service, login).await;
        assert_eq!(service.save(save(dead, Changes::default().set("b", "2"))).await.outcome(), Outcome::Gone);
    }
}

#[apply(on_every_store)]
async fn a_write_by_a_superseded_cookie_leaves_the_session_and_the_cookie_alone(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let next = service.log_in(&token, "alice").await;

    let saved = service.save(write(&header(&token))).await;

    assert_eq!((saved.outcome(), set_cookies(&saved.headers).len()), (Outcome::Created, 0));
    assert_eq!(service.entries(&next).await.len(), 1);
    assert_ne!(saved.session.unwrap().id, service.session(&next).await.id);
}

#[apply(on_every_store)]
async fn a_write_by_a_cookie_with_a_forgotten_end_creates_a_session(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let id = service.session(&token).await.id;
    service.destroy(&token).await;

    service.advance(16 * MINUTE);
    let saved = service.save(write(&header(&token))).await;

    assert_ne!(created_id(&service, saved).await, id);
}

#[apply(on_every_store)]
async fn a_write_by_a_cookie_unknown_to_the_store_creates_a_session(store: StoreKind) {
    let settings = app_settings();
    let before = TestService::with_apps(store, [("default", settings.clone())]).await;
    let after = TestService::with_apps(store, [("default", settings)]).await;
    let token = before.stored(&[("a", "1")]).await;
    let id = before.session(&token).await.id;

    let saved = after.save(write(&header(&token))).await;

    assert_ne!(created_id(&after, saved).await, id);
}

#[apply(on_every_store)]
async fn a_write_without_changes_creates_nothing(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    service.destroy(&token).await;
    service.advance(16 * MINUTE);

    for header in ["", &header("forged"), &header(&token)] {
        for request in [write(header), write(header).rotate()] {
            let saved = service.save(SaveSessionRequest { changes: None, ..request }).await;

            assert_eq!(saved.outcome(), Outcome::Unchanged);
            assert_eq!(set_cookies(&saved.headers), [""; 0]);
            assert!(saved.session.unwrap().new);
        }
    }
}

#[apply(on_every_store)]
async fn two_live_sessions_in_one_header_are_refused(store: StoreKind) {
    let service = TestService::new(store).await;
    let (one, other) = (service.stored(&[("a", "1")]).await, service.stored(&[("a", "1")]).await);
    let both = format!("session={one}; session={other}");

    let refusal = service.refusal(write(&both)).await;
    let rotation = service.try_rotate(rotate_cookie(&both)).await.err().unwrap();

    assert_eq!(refusal, (Code::InvalidArgument, "COOKIES_AMBIGUOUS".to_owned()));
    assert_eq!(reason(&rotation), refusal);
    assert_eq!([service.entries(&one).await.len(), service.entries(&other).await.len()], [1, 1]);
}

#[apply(on_every_store)]
async fn of_a_live_and_a_dead_cookie_the_live_one_is_used(store: StoreKind) {
    let service = TestService::new(store).await;
    let (dead, live) = (service.stored(&[("a", "1")]).await, service.stored(&[("a", "1")]).await);
    service.destroy(&dead).await;

    for header in [format!("session={dead}; session={live}"), format!("session={live}; session={dead}")] {
        let saved = service.save(write(&header)).await;
        assert_eq!(saved.outcome(), Outcome::Updated);
        assert_eq!(saved.session.unwrap().token, live);
    }
}

#[apply(on_every_store)]
async fn the_cookie_of_a_forgotten_session_does_not_hide_a_superseded_one(store: StoreKind) {
    let service = TestService::new(store).await;
    let forgotten = service.stored(&[("a", "1")]).await;
    service.destroy(&forgotten).await;
    service.advance(16 * MINUTE);
    let superseded = service.stored(&[("a", "1")]).await;
    service.log_in(&superseded, "alice").await;
    let recovery = service.session(&superseded).await.id;

    for header in
        [format!("session={forgotten}; session={superseded}"), format!("session={superseded}; session={forgotten}")]
    {
        assert_eq!(service.save(write(&header)).await.session.unwrap().id, recovery);
    }
}

#[apply(on_every_store)]
async fn of_several_dead_cookies_the_superseded_one_gets_its_repeated_answer(store: StoreKind) {
    let service = TestService::new(store).await;
    let (dead, token) = (service.stored(&[("a", "1")]).await, service.stored(&[("a", "1")]).await);
    service.destroy(&dead).await;
    let header = format!("session={dead}; session={token}");
    let login = || save_cookie(&header, Changes::default().subject("alice")).request_id("one request id");

    let (first, again) = (service.save(login()).await, service.save(login()).await);

    assert_eq!([first.outcome(), again.outcome()], [Outcome::Updated; 2]);
    assert_eq!(first.session.unwrap().token, again.session.unwrap().token);
}

#[apply(on_every_store)]
async fn a_cookie_rotates_its_session(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;

    let rotated = service.try_rotate(rotate_cookie(&header(&token))).await.unwrap();
    let without_cookie = service.try_rotate(rotate_cookie("theme=dark")).await.unwrap();

    let next = rotated.session.as_ref().unwrap().token.clone();
    assert_eq!(rotated.outcome(), Outcome::Updated);
    assert!(service.is_live(&next).await && !service.is_live(&token).await);
    assert_eq!((without_cookie.outcome(), without_cookie.headers.len()), (Outcome::Gone, 0));
}

#[apply(on_every_store)]
async fn a_cookie_destroys_its_session(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;

    let destroyed = service.try_destroy(destroy_cookie(&header(&token))).await.unwrap();

    assert_eq!((destroyed.outcome(), destroyed.end_reason()), (Outcome::Deleted, EndReason::Destroyed));
    deleted_cookie(&destroyed.headers);
    assert!(!service.is_live(&token).await);
}

#[apply(on_every_store)]
async fn destroying_without_a_session_is_gone_and_deletes_the_cookie(store: StoreKind) {
    let service = TestService::new(store).await;

    for header in ["", "theme=dark", &header("forged")] {
        let destroyed = service.try_destroy(destroy_cookie(header)).await.unwrap();

        assert_eq!((destroyed.outcome(), destroyed.end_reason()), (Outcome::Gone, EndReason::Unspecified));
        deleted_cookie(&destroyed.headers);
    }
}

#[apply(on_every_store)]
async fn a_write_without_a_credential_is_refused(store: StoreKind) {
    let service = TestService::new(store).await;
    let changes = || Changes::default().set("a", "1");

    let nothing = SaveSessionRequest { credential: None, ..save("", changes()) };
    let refusals = [service.refusal(nothing).await, service.refusal(save("", changes())).await];
    let forged = service.refusal(save("v1.forged", changes())).await;

    assert_eq!(refusals, [(); 2].map(|()| (Code::InvalidArgument, "TOKEN_MISSING".to_owned())));
    assert_eq!(forged, (Code::InvalidArgument, "TOKEN_INVALID".to_owned()));
}
