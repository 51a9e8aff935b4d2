//! Authentication: the time when the user last authenticated, and whether that is recent enough.

use std::time::Duration;

use cloakroom::grpc::wire::{Changes, EndReason, OpenSessionRequest, Outcome};
use tonic::Code;

use crate::support::calls::{ChangesExt as _, open_cookie, reason, refused, save};
use crate::support::sessions::{HOUR, MILLI, MINUTE, SaveExt as _, gone, millis};
use crate::support::{StoreKind, TestService};

impl TestService {
    /// Tells whether the session's user authenticated less than `max_age` ago.
    async fn is_recent(&self, token: &str, max_age: Duration) -> bool {
        self.open(open_with_max_age(token, max_age)).await.recently_authenticated
    }

    /// Stores a session of this subject and returns its token.
    async fn stored_for(&self, subject: &str) -> String {
        self.log_in(&self.stored(&[("a", "1")]).await, subject).await
    }
}

fn open_with_max_age(token: &str, max_age: Duration) -> OpenSessionRequest {
    let max_authenticate_age = prost_types::Duration::try_from(max_age).ok();
    OpenSessionRequest { max_authenticate_age, ..open_cookie(&format!("session={token}")) }
}

#[apply(on_every_store)]
async fn an_authentication_is_recent_until_the_maximum_age(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored_for("anna").await;

    assert!(service.is_recent(&token, MILLI).await);
    service.advance(5 * MINUTE - MILLI);
    assert!(service.is_recent(&token, 5 * MINUTE).await);
    service.advance(MILLI);
    assert!(!service.is_recent(&token, 5 * MINUTE).await);
    assert!(service.is_recent(&token, 5 * MINUTE + MILLI).await);
    service.advance(MILLI);
    assert!(!service.is_recent(&token, 5 * MINUTE + MILLI).await);
}

#[apply(on_every_store)]
async fn a_reauthentication_moves_the_authentication_time(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored_for("anna").await;
    service.advance(HOUR);
    let now = service.millis();

    let session = service.update(&token, Changes::default().authenticated()).await;

    assert_eq!((session.subject.as_str(), millis(&session.authenticate_time)), ("anna", now));
    service.advance(5 * MINUTE - MILLI);
    assert!(service.is_recent(&session.token, 5 * MINUTE).await);
    service.advance(MILLI);
    assert!(!service.is_recent(&session.token, 5 * MINUTE).await);
}

#[apply(on_every_store)]
async fn a_reauthentication_replaces_the_token(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored_for("anna").await;

    let after = service.update(&token, Changes::default().authenticated()).await.token;

    assert_ne!(after, token);
    assert!(!service.is_recent(&token, HOUR).await, "an older token does not prove the user");
    assert_eq!(gone(&service.save(save(&token, Changes::default().authenticated())).await), EndReason::Superseded);
    assert_eq!(service.entries(&after).await["a"], "1");
}

#[apply(on_every_store)]
async fn a_repeated_reauthentication_changes_nothing(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored_for("anna").await;
    let request = save(&token, Changes::default().authenticated()).request_id("one");
    let first = service.save(request.clone()).await.session.unwrap();

    service.advance(MINUTE);
    let second = service.save(request).await.session.unwrap();

    assert_eq!((second.token, second.authenticate_time), (first.token, first.authenticate_time));
    let other = save(&token, Changes::default()).request_id("one");
    assert_eq!(service.refusal(other).await, (Code::Aborted, "REQUEST_ID_REUSED".to_owned()));
}

#[apply(on_every_store)]
async fn an_authentication_without_a_subject_is_refused_and_creates_nothing(store: StoreKind) {
    let service = TestService::new(store).await;
    let missing = (Code::FailedPrecondition, "SUBJECT_MISSING".to_owned());
    let token = service.stored_for("anna").await;
    let ticket = service.open_new().await.token;

    let new = Changes::default().set("a", "1").authenticated();
    let leaving = Changes::default().set("a", "2").subject("").authenticated();

    assert_eq!(service.refusal(save(&ticket, new)).await, missing);
    assert_eq!(service.refusal(save(&token, leaving)).await, missing);
    assert_eq!(service.entries(&token).await["a"], "1");
    assert!(service.is_recent(&token, HOUR).await);
}

#[apply(on_every_store)]
async fn a_creation_with_a_subject_can_authenticate(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;

    let saved = service.save(save(&ticket, Changes::default().set("a", "1").subject("anna").authenticated())).await;

    assert_eq!(saved.outcome(), Outcome::Created);
    assert_eq!(millis(&saved.session.unwrap().authenticate_time), service.millis());
}

#[apply(on_every_store)]
async fn a_session_without_a_subject_is_never_recently_authenticated(store: StoreKind) {
    let service = TestService::new(store).await;
    let anonymous = service.stored(&[("a", "1")]).await;
    let logged_out = service.update(&service.stored_for("anna").await, Changes::default().subject("")).await.token;

    assert!(!service.is_recent(&anonymous, HOUR).await);
    assert!(!service.is_recent(&logged_out, HOUR).await);
    assert!(!service.is_recent("forged", HOUR).await);
}

#[apply(on_every_store)]
async fn an_open_without_a_maximum_age_never_says_recent(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored_for("anna").await;

    assert!(!service.open_cookie(&token).await.recently_authenticated);
}

#[apply(on_every_store)]
async fn a_maximum_age_must_be_positive(store: StoreKind) {
    let service = TestService::new(store).await;
    let invalid = (Code::InvalidArgument, "AUTHENTICATE_AGE_INVALID".to_owned());
    let duration = |seconds, nanos| Some(prost_types::Duration { seconds, nanos });

    for max_authenticate_age in
        [duration(0, 0), duration(-1, 0), duration(0, 999_999), duration(1, -1), duration(315_576_000_001, 0)]
    {
        let request = OpenSessionRequest { max_authenticate_age, ..Default::default() };
        assert_eq!(reason(&refused(service.try_open(request).await)), invalid);
    }
}
