//! Recent authentication: when a user has last proved who they are, and whether that is recent enough.

use std::time::Duration;

use cloakroom::grpc::wire::{Changes, EndReason, OpenSessionRequest, Outcome};
use tonic::Code;

use crate::on_every_store;
use crate::support::calls::{ChangesExt as _, open_cookie, reason, refused, save};
use crate::support::sessions::{HOUR, MILLI, MINUTE, SaveExt as _, gone, millis};
use crate::support::{House, On};

impl House {
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

async fn an_authentication_is_recent_up_to_its_age_and_no_longer(on: On) {
    let house = House::new(on).await;
    let token = house.of("anna").await;

    assert!(house.is_recent(&token, MILLI).await);
    house.advance(5 * MINUTE - MILLI);
    assert!(house.is_recent(&token, 5 * MINUTE).await);
    house.advance(MILLI);
    assert!(!house.is_recent(&token, 5 * MINUTE).await);
    assert!(house.is_recent(&token, 5 * MINUTE + MILLI).await);
    house.advance(MILLI);
    assert!(!house.is_recent(&token, 5 * MINUTE + MILLI).await);
}

async fn an_authentication_again_counts_from_then_on(on: On) {
    let house = House::new(on).await;
    let token = house.of("anna").await;
    house.advance(HOUR);
    let again = house.millis();

    let session = house.update(&token, Changes::default().authenticated()).await;

    assert_eq!((session.subject.as_str(), millis(&session.authenticate_time)), ("anna", again));
    house.advance(5 * MINUTE - MILLI);
    assert!(house.is_recent(&session.token, 5 * MINUTE).await);
    house.advance(MILLI);
    assert!(!house.is_recent(&session.token, 5 * MINUTE).await);
}

async fn an_authentication_again_replaces_the_token(on: On) {
    let house = House::new(on).await;
    let token = house.of("anna").await;

    let after = house.update(&token, Changes::default().authenticated()).await.token;

    assert_ne!(after, token);
    assert!(!house.is_recent(&token, HOUR).await, "an older token says nothing of the user");
    assert_eq!(gone(&house.save(save(&token, Changes::default().authenticated())).await), EndReason::Superseded);
    assert_eq!(house.entries(&after).await["a"], "1");
}

async fn an_authentication_again_is_repeated_harmlessly(on: On) {
    let house = House::new(on).await;
    let token = house.of("anna").await;
    let request = save(&token, Changes::default().authenticated()).id("one");
    let first = house.save(request.clone()).await.session.unwrap();

    house.advance(MINUTE);
    let second = house.save(request).await.session.unwrap();

    assert_eq!((second.token, second.authenticate_time), (first.token, first.authenticate_time));
    let other = save(&token, Changes::default()).id("one");
    assert_eq!(house.refusal(other).await, (Code::Aborted, "REQUEST_ID_REUSED".to_owned()));
}

async fn an_authentication_of_nobody_is_refused_and_creates_nothing(on: On) {
    let house = House::new(on).await;
    let missing = (Code::FailedPrecondition, "SUBJECT_MISSING".to_owned());
    let token = house.of("anna").await;
    let ticket = house.open_new().await.token;

    let new = Changes::default().set("a", "1").authenticated();
    let leaving = Changes::default().set("a", "2").subject("").authenticated();

    assert_eq!(house.refusal(save(&ticket, new)).await, missing);
    assert_eq!(house.refusal(save(&token, leaving)).await, missing);
    assert_eq!(house.entries(&token).await["a"], "1");
    assert!(house.is_recent(&token, HOUR).await);
}

async fn a_creation_may_authenticate_with_its_subject(on: On) {
    let house = House::new(on).await;
    let ticket = house.open_new().await.token;

    let saved = house.save(save(&ticket, Changes::default().set("a", "1").subject("anna").authenticated())).await;

    assert_eq!(saved.outcome(), Outcome::Created);
    assert_eq!(millis(&saved.session.unwrap().authenticate_time), house.millis());
}

async fn who_never_authenticated_is_never_recent(on: On) {
    let house = House::new(on).await;
    let nobody = house.stored(&[("a", "1")]).await;
    let out = house.update(&house.of("anna").await, Changes::default().subject("")).await.token;

    assert!(!house.is_recent(&nobody, HOUR).await);
    assert!(!house.is_recent(&out, HOUR).await);
    assert!(!house.is_recent("forged", HOUR).await);
}

async fn who_does_not_ask_is_told_nothing(on: On) {
    let house = House::new(on).await;
    let token = house.of("anna").await;

    assert!(!house.open_cookie(&token).await.recently_authenticated);
}

async fn an_age_has_to_be_a_positive_span(on: On) {
    let house = House::new(on).await;
    let invalid = (Code::InvalidArgument, "AUTHENTICATE_AGE_INVALID".to_owned());
    let span = |seconds, nanos| Some(prost_types::Duration { seconds, nanos });

    for max_authenticate_age in [span(0, 0), span(-1, 0), span(0, 999_999), span(1, -1), span(315_576_000_001, 0)] {
        let request = OpenSessionRequest { max_authenticate_age, ..Default::default() };
        assert_eq!(reason(&refused(house.try_open(request).await)), invalid);
    }
}

on_every_store!(
    an_authentication_is_recent_up_to_its_age_and_no_longer,
    an_authentication_again_counts_from_then_on,
    an_authentication_again_replaces_the_token,
    an_authentication_again_is_repeated_harmlessly,
    an_authentication_of_nobody_is_refused_and_creates_nothing,
    a_creation_may_authenticate_with_its_subject,
    who_never_authenticated_is_never_recent,
    who_does_not_ask_is_told_nothing,
    an_age_has_to_be_a_positive_span,
);
