//! Recent authentication: when a user has last proved who they are, and whether that is recent enough.

use std::time::Duration;

use cloakroom::grpc::wire::{Changes, EndReason, OpenSessionRequest, Outcome};
use tonic::Code;

use crate::support::calls::{ChangesExt as _, open_cookie, reason, refused, save};
use crate::support::sessions::{HOUR, MILLI, MINUTE, SaveExt as _, gone, millis};
use crate::support::{StoreKind, TestService};

impl TestService {
    /// Whether the session's user authenticated less than this ago.
    async fn is_recent(&self, token: &str, max_age: Duration) -> bool {
        self.open(asking(token, max_age)).await.recently_authenticated
    }

    /// A session of this subject. Answers its token.
    async fn of(&self, subject: &str) -> String {
        self.log_in(&self.stored(&[("a", "1")]).await, subject).await
    }
}

fn asking(token: &str, max_age: Duration) -> OpenSessionRequest {
    let max_authenticate_age = prost_types::Duration::try_from(max_age).ok();
    OpenSessionRequest { max_authenticate_age, ..open_cookie(&format!("session={token}")) }
}

#[apply(on_every_store)]
async fn an_authentication_is_recent_up_to_its_age_and_no_longer(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.of("anna").await;

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
async fn an_authentication_again_counts_from_then_on(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.of("anna").await;
    service.advance(HOUR);
    let again = service.millis();

    let session = service.update(&token, Changes::default().authenticated()).await;

    assert_eq!((session.subject.as_str(), millis(&session.authenticate_time)), ("anna", again));
    service.advance(5 * MINUTE - MILLI);
    assert!(service.is_recent(&session.token, 5 * MINUTE).await);
    service.advance(MILLI);
    assert!(!service.is_recent(&session.token, 5 * MINUTE).await);
}

#[apply(on_every_store)]
async fn an_authentication_again_replaces_the_token(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.of("anna").await;

    let after = service.update(&token, Changes::default().authenticated()).await.token;

    assert_ne!(after, token);
    assert!(!service.is_recent(&token, HOUR).await, "an older token says nothing of the user");
    assert_eq!(gone(&service.save(save(&token, Changes::default().authenticated())).await), EndReason::Superseded);
    assert_eq!(service.entries(&after).await["a"], "1");
}

#[apply(on_every_store)]
async fn an_authentication_again_is_repeated_harmlessly(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.of("anna").await;
    let request = save(&token, Changes::default().authenticated()).request_id("one");
    let first = service.save(request.clone()).await.session.unwrap();

    service.advance(MINUTE);
    let second = service.save(request).await.session.unwrap();

    assert_eq!((second.token, second.authenticate_time), (first.token, first.authenticate_time));
    let other = save(&token, Changes::default()).request_id("one");
    assert_eq!(service.refusal(other).await, (Code::Aborted, "REQUEST_ID_REUSED".to_owned()));
}

#[apply(on_every_store)]
async fn an_authentication_of_nobody_is_refused_and_creates_nothing(store: StoreKind) {
    let service = TestService::new(store).await;
    let missing = (Code::FailedPrecondition, "SUBJECT_MISSING".to_owned());
    let token = service.of("anna").await;
    let ticket = service.open_new().await.token;

    let new = Changes::default().set("a", "1").authenticated();
    let leaving = Changes::default().set("a", "2").subject("").authenticated();

    assert_eq!(service.refusal(save(&ticket, new)).await, missing);
    assert_eq!(service.refusal(save(&token, leaving)).await, missing);
    assert_eq!(service.entries(&token).await["a"], "1");
    assert!(service.is_recent(&token, HOUR).await);
}

#[apply(on_every_store)]
async fn a_creation_may_authenticate_with_its_subject(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;

    let saved = service.save(save(&ticket, Changes::default().set("a", "1").subject("anna").authenticated())).await;

    assert_eq!(saved.outcome(), Outcome::Created);
    assert_eq!(millis(&saved.session.unwrap().authenticate_time), service.millis());
}

#[apply(on_every_store)]
async fn who_never_authenticated_is_never_recent(store: StoreKind) {
    let service = TestService::new(store).await;
    let nobody = service.stored(&[("a", "1")]).await;
    let out = service.update(&service.of("anna").await, Changes::default().subject("")).await.token;

    assert!(!service.is_recent(&nobody, HOUR).await);
    assert!(!service.is_recent(&out, HOUR).await);
    assert!(!service.is_recent("forged", HOUR).await);
}

#[apply(on_every_store)]
async fn who_does_not_ask_is_told_nothing(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.of("anna").await;

    assert!(!service.open_cookie(&token).await.recently_authenticated);
}

#[apply(on_every_store)]
async fn an_age_has_to_be_a_positive_span(store: StoreKind) {
    let service = TestService::new(store).await;
    let invalid = (Code::InvalidArgument, "AUTHENTICATE_AGE_INVALID".to_owned());
    let span = |seconds, nanos| Some(prost_types::Duration { seconds, nanos });

    for max_authenticate_age in [span(0, 0), span(-1, 0), span(0, 999_999), span(1, -1), span(315_576_000_001, 0)] {
        let request = OpenSessionRequest { max_authenticate_age, ..Default::default() };
        assert_eq!(reason(&refused(service.try_open(request).await)), invalid);
    }
}
