//! What tests say of sessions: requests with their conditions, and answers as facts.

use std::time::Duration;

use cloakroom::app;
use cloakroom::grpc::wire::{
    Changes, DestroySessionRequest, DestroySessionResponse, EndReason, Header, Outcome, RotateSessionRequest,
    RotateSessionResponse, SaveSessionRequest, SaveSessionResponse, Session, changes, destroy_session_request,
    rotate_session_request,
};
use cloakroom::types::{Clock as _, Time};
use prost_types::Timestamp;
use tonic::{Code, Status};

use super::calls::{ChangesExt as _, reason, save, set_cookies};
use super::{StoreKind, TestService, app_settings};

pub(crate) const MILLI: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);

impl TestService {
    /// The service with one app whose sessions live this long.
    pub(crate) async fn with_lifetimes(store: StoreKind, idle_timeout: Duration, absolute_timeout: Duration) -> Self {
        let settings = app::Settings { idle_timeout, absolute_timeout, ..app_settings() };
        Self::with_apps(store, [("default", settings)]).await
    }

    /// The service with one app that grants a renewed token this long.
    pub(crate) async fn with_grace(store: StoreKind, rotation_grace: Duration) -> Self {
        Self::with_apps(store, [("default", app::Settings { rotation_grace, ..app_settings() })]).await
    }

    /// Saves changes by token that are really made. Answers the session.
    pub(crate) async fn update(&self, token: &str, changes: Changes) -> Session {
        let saved = self.save(save(token, changes)).await;
        assert_eq!(saved.outcome(), Outcome::Updated);
        saved.session.unwrap()
    }

    /// A save that is refused: code and reason.
    pub(crate) async fn refusal(&self, request: SaveSessionRequest) -> (Code, String) {
        reason(&self.try_save(request).await.err().expect("the save is refused"))
    }

    /// Logs a subject in. Answers the new token.
    pub(crate) async fn log_in(&self, token: &str, subject: &str) -> String {
        let after = self.update(token, Changes::default().subject(subject)).await.token;
        assert_ne!(after, token);
        after
    }

    /// The session that a cookie opens.
    pub(crate) async fn session(&self, token: &str) -> Session {
        self.open_cookie(token).await.session.unwrap()
    }

    /// Whether a cookie opens a session that is stored.
    pub(crate) async fn lives(&self, token: &str) -> bool {
        !self.session(token).await.new
    }

    /// Rotates, with every condition.
    pub(crate) async fn try_rotate(&self, request: RotateSessionRequest) -> Result<RotateSessionResponse, Status> {
        Ok(self.client.clone().rotate_session(request).await?.into_inner())
    }

    /// Destroys, with every condition.
    pub(crate) async fn try_destroy(&self, request: DestroySessionRequest) -> Result<DestroySessionResponse, Status> {
        Ok(self.client.clone().destroy_session(request).await?.into_inner())
    }

    /// The service's time.
    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    /// The service's time in milliseconds.
    pub(crate) fn millis(&self) -> u64 {
        self.now().millis()
    }
}

/// A rotation by Cookie header.
pub(crate) fn rotate_cookie(header: &str) -> RotateSessionRequest {
    let credential = Some(rotate_session_request::Credential::CookieHeader(header.to_owned()));
    RotateSessionRequest { credential, ..Default::default() }
}

/// A destruction by Cookie header.
pub(crate) fn destroy_cookie(header: &str) -> DestroySessionRequest {
    let credential = Some(destroy_session_request::Credential::CookieHeader(header.to_owned()));
    DestroySessionRequest { credential, ..Default::default() }
}

/// The conditions of a save as short verbs.
pub(crate) trait SaveExt {
    fn etag(self, etag: &str) -> Self;
    fn id(self, request_id: &str) -> Self;
    fn rotating(self) -> Self;
    fn keep_empty(self) -> Self;
}

impl SaveExt for SaveSessionRequest {
    fn etag(self, etag: &str) -> Self {
        Self { etag: etag.to_owned(), ..self }
    }

    fn id(self, request_id: &str) -> Self {
        Self { request_id: request_id.to_owned(), ..self }
    }

    fn rotating(self) -> Self {
        Self { rotate: true, ..self }
    }

    fn keep_empty(self) -> Self {
        Self { keep_empty: true, ..self }
    }
}

/// The lifetimes of a session as short verbs.
pub(crate) trait LifetimeExt {
    fn idle_timeout(self, span: Duration) -> Self;
    fn deadline(self, millis: u64) -> Self;
    fn default_lifetime(self) -> Self;
}

impl LifetimeExt for Changes {
    fn idle_timeout(self, span: Duration) -> Self {
        let span = prost_types::Duration::try_from(span).unwrap();
        Self { lifetime: Some(changes::Lifetime::IdleTimeout(span)), ..self }
    }

    fn deadline(self, millis: u64) -> Self {
        Self { lifetime: Some(changes::Lifetime::DeadlineTime(timestamp(millis))), ..self }
    }

    fn default_lifetime(self) -> Self {
        Self { lifetime: Some(changes::Lifetime::DefaultLifetime(true)), ..self }
    }
}

/// Why a save found its session gone, with all that goes with it.
pub(crate) fn gone(saved: &SaveSessionResponse) -> EndReason {
    assert_eq!(saved.outcome(), Outcome::Gone);
    assert!(saved.session.is_none());
    assert_eq!(set_cookies(&saved.headers), [""; 0]);
    saved.end_reason()
}

/// The one cookie that headers delete.
pub(crate) fn deleted_cookie(headers: &[Header]) -> String {
    let cookies = set_cookies(headers);
    let [cookie] = *cookies else { panic!("one Set-Cookie was expected: {cookies:?}") };
    assert!(cookie.contains("; Max-Age=0"), "{cookie}");
    cookie.to_owned()
}

/// A time of the wire in milliseconds.
pub(crate) fn millis(time: &Option<Timestamp>) -> u64 {
    let time = time.expect("the time is set");
    u64::try_from(time.seconds).unwrap() * 1000 + u64::try_from(time.nanos).unwrap() / 1_000_000
}

fn timestamp(millis: u64) -> Timestamp {
    let nanos = i32::try_from(millis % 1000).unwrap() * 1_000_000;
    Timestamp { seconds: i64::try_from(millis / 1000).unwrap(), nanos }
}
