//! Creation: a ticket creates one session, once.

use cloakroom::grpc::wire::{Changes, EndReason, OpenSessionRequest, Outcome, RotationCause, open_session_request};
use tonic::Code;

use crate::support::calls::{ChangesExt as _, save, save_cookie, save_unmodified, set_cookies};
use crate::support::sessions::{MINUTE, SECOND, SaveExt as _, gone};
use crate::support::{StoreKind, TestService};

#[apply(on_every_store)]
async fn a_new_session_is_stored_nowhere(store: StoreKind) {
    let service = TestService::new(store).await;

    let (one, other) = (service.open_new().await, service.open_new().await);

    assert!(one.new && one.entries.is_empty());
    assert_eq!((one.etag.as_str(), one.subject.as_str(), one.create_time), ("0", "", None));
    assert_ne!(one.id, other.id);
    assert_eq!((one.id.len(), one.id.to_lowercase()), (32, one.id.clone()));
    assert!(one.token.starts_with("t1."), "a ticket");
}

#[apply(on_every_store)]
async fn a_second_save_with_a_ticket_updates_its_session(store: StoreKind) {
    let service = TestService::new(store).await;
    let new = service.open_new().await;

    let first = service.save(save(&new.token, Changes::default().set("a", "1").increment("n", 1))).await;
    let second = service.save(save(&new.token, Changes::default().set("b", "2").increment("n", 1))).await;

    assert_eq!([first.outcome(), second.outcome()], [Outcome::Created, Outcome::Updated]);
    let (first, second) = (first.session.unwrap(), second.session.unwrap());
    assert_eq!((&first.id, &first.token), (&second.id, &second.token));
    assert_eq!(first.id, new.id);
    assert_eq!(service.entries(&first.token).await.len(), 3);
    assert_eq!(service.entries(&first.token).await["n"], "2");
}

#[apply(on_every_store)]
async fn a_ticket_in_a_cookie_opens_nothing(store: StoreKind) {
    let service = TestService::new(store).await;
    let new = service.open_new().await;

    let before = service.session(&new.token).await;
    let created = service.save(save(&new.token, Changes::default().set("a", "1"))).await.session.unwrap();
    let after = service.session(&new.token).await;
    let credential = Some(open_session_request::Credential::Token(new.token.clone()));
    let by_token = service.open(OpenSessionRequest { credential, ..Default::default() }).await.session.unwrap();

    for session in [before, after, by_token] {
        assert!(session.new && session.entries.is_empty());
        assert_ne!(session.id, created.id);
    }
}

#[apply(on_every_store)]
async fn a_ticket_in_a_cookie_writes_to_another_session(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;
    let created = service.save(save(&ticket, Changes::default().set("a", "1"))).await.session.unwrap();

    let saved = service.save(save_cookie(&format!("session={ticket}"), Changes::default().set("b", "2"))).await;

    assert_eq!(saved.outcome(), Outcome::Created);
    assert_ne!(saved.session.unwrap().id, created.id);
    assert_eq!(service.entries(&created.token).await.len(), 1);
}

#[apply(on_every_store)]
async fn no_set_cookie_holds_a_ticket(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;

    let created = service.save(save(&ticket, Changes::default().set("a", "1"))).await;
    let updated = service.save(save(&ticket, Changes::default().set("a", "2"))).await;

    for saved in [created, updated] {
        let token = saved.session.unwrap().token;
        assert!(token.starts_with("v1."));
        assert!(set_cookies(&saved.headers)[0].starts_with(&format!("session={token}; ")));
    }
}

#[apply(on_every_store)]
async fn a_save_with_a_ticket_sets_the_cookie_of_its_session(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;
    let token = service.save(save(&ticket, Changes::default().set("a", "1"))).await.session.unwrap().token;
    let cookie = format!("session={token}; HttpOnly; Path=/; SameSite=Lax");

    let saves = [save_unmodified(&ticket), save(&ticket, Changes::default().set("a", "2"))];

    for request in saves {
        let saved = service.save(request).await;
        assert_eq!(set_cookies(&saved.headers), [cookie.as_str()]);
        assert_eq!(saved.session.unwrap().token, token);
    }
}

#[apply(on_every_store)]
async fn a_ticket_is_valid_for_15_minutes(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;

    service.advance(15 * MINUTE);
    let saved = service.save(save(&ticket, Changes::default().set("a", "1"))).await;

    assert_eq!(saved.outcome(), Outcome::Created);
}

#[apply(on_every_store)]
async fn an_older_ticket_is_refused_and_creates_nothing(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;
    service.advance(15 * MINUTE + SECOND);

    let refusals = [
        service.refusal(save(&ticket, Changes::default().set("a", "1"))).await,
        service.refusal(save(&ticket, Changes::default()).keep_empty()).await,
        service.refusal(save_unmodified(&ticket)).await,
    ];

    assert_eq!(refusals, [(); 3].map(|()| (Code::InvalidArgument, "TOKEN_INVALID".to_owned())));
    service.clock.set(cloakroom::types::Time::from_millis(service.millis() - 15 * 60 * 1000));
    let saved = service.save(save(&ticket, Changes::default().set("a", "1"))).await;
    assert_eq!(saved.outcome(), Outcome::Created);
}

#[apply(on_every_store)]
async fn a_creation_never_rotates(store: StoreKind) {
    let service = TestService::new(store).await;
    let changes = || Changes::default().set("a", "1");
    for (changes, rotates) in [(changes(), true), (changes().subject("alice"), false), (changes().clear(), false)] {
        let ticket = service.open_new().await.token;
        let request = save(&ticket, changes);

        let created = service.save(if rotates { request.rotate() } else { request }).await;
        let again = service.save(save(&ticket, Changes::default().set("b", "2"))).await;

        assert_eq!([created.outcome(), again.outcome()], [Outcome::Created, Outcome::Updated]);
        assert_eq!(created.session.unwrap().token, again.session.unwrap().token);
    }
}

#[apply(on_every_store)]
async fn a_subject_of_a_creation_is_authenticated(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;

    let created = service.save(save(&ticket, Changes::default().set("a", "1").subject("alice"))).await.session.unwrap();

    let opened = service.session(&created.token).await;
    assert_eq!([&created.subject, &opened.subject], ["alice"; 2]);
    assert!(created.authenticate_time.is_some());
    assert_eq!(created.authenticate_time, opened.create_time);
}

#[apply(on_every_store)]
async fn a_ticket_whose_session_exists_can_rotate_it(store: StoreKind) {
    let service = TestService::new(store).await;
    let rotated_by_save = |ticket: String| save_unmodified(&ticket).rotate();
    for rotate_by_call in [true, false] {
        let ticket = service.open_new().await.token;
        let token = service.save(save(&ticket, Changes::default().set("a", "1"))).await.session.unwrap().token;

        let next = if rotate_by_call {
            service.rotate(&ticket, RotationCause::Privilege, "").await.session
        } else {
            service.save(rotated_by_save(ticket)).await.session
        };

        assert!(service.is_live(&next.unwrap().token).await);
        assert!(!service.is_live(&token).await, "by call: {rotate_by_call}");
    }
}

#[apply(on_every_store)]
async fn a_ticket_cannot_write_to_its_session_after_a_rotation(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;
    let token = service.save(save(&ticket, Changes::default().set("a", "1"))).await.session.unwrap().token;
    let next = service.log_in(&token, "alice").await;

    let saved = service.save(save(&ticket, Changes::default().set("b", "2"))).await;

    assert_eq!(gone(&saved), EndReason::Superseded);
    assert_eq!(service.entries(&next).await.len(), 1);
}

#[apply(on_every_store)]
async fn a_save_after_a_logout_by_the_same_ticket_is_gone(store: StoreKind) {
    let service = TestService::new(store).await;
    for by_ticket in [true, false] {
        let ticket = service.open_new().await.token;
        let token = service.save(save(&ticket, Changes::default().set("a", "1"))).await.session.unwrap().token;
        service.destroy(if by_ticket { &ticket } else { &token }).await;

        service.advance(15 * MINUTE - SECOND);
        let saved = service.save(save(&ticket, Changes::default().set("b", "2"))).await;
        let emptied = service.save(save(&ticket, Changes::default())).await;

        assert_eq!([gone(&saved), gone(&emptied)], [EndReason::Destroyed; 2]);
        assert!(!service.is_live(&token).await);
    }
}

#[apply(on_every_store)]
async fn with_a_ticket_gone_and_etag_are_checked_before_the_limits(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;
    let too_large = || save(&ticket, Changes::default().set("a", &format!("\"{}\"", "x".repeat(70_000))));

    let new = service.refusal(too_large()).await;
    service.save(save(&ticket, Changes::default().set("a", "1"))).await;
    let stale = service.refusal(too_large().etag("0")).await;
    let stored = service.refusal(too_large()).await;
    service.destroy(&ticket).await;

    let too_large_error = (Code::FailedPrecondition, "SESSION_TOO_LARGE".to_owned());
    assert_eq!([new, stored], [(); 2].map(|()| too_large_error.clone()));
    assert_eq!(stale, (Code::Aborted, "ETAG_MISMATCH".to_owned()));
    assert_eq!(gone(&service.save(too_large()).await), EndReason::Destroyed);
}

#[apply(on_every_store)]
async fn an_unmodified_save_of_a_new_session_stores_nothing(store: StoreKind) {
    let service = TestService::new(store).await;
    let new = service.open_new().await;

    for request in [save_unmodified(&new.token), save_unmodified(&new.token).rotate()] {
        let saved = service.save(request).await;

        assert_eq!(saved.outcome(), Outcome::Unchanged);
        assert_eq!(set_cookies(&saved.headers), [""; 0]);
        let session = saved.session.unwrap();
        assert!(session.new);
        assert_eq!(session.id, new.id);
    }

    let created = service.save(save(&new.token, Changes::default().set("a", "1"))).await;
    assert_eq!(created.outcome(), Outcome::Created);
}
