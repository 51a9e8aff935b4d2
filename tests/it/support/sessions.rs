//! Calls and requests with conditions, and checks of their answers.

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
    /// Starts a service with one app and these timeouts.
    pub(crate) async fn with_lifetimes(store: StoreKind, idle_timeout: Duration, absolute_timeout: Duration) -> Self {
        let settings = app::Settings { idle_timeout, absolute_timeout, ..app_settings() };
        Self::with_apps(store, [("default", settings)]).await
    }

    /// Starts a service with one app and this grace period of renewed tokens.
    pub(crate) async fn with_grace(store: StoreKind, rotation_grace: Duration) -> Self {
        Self::with_apps(store, [("default", app::Settings { rotation_grace, ..app_settings() })]).await
    }

    /// Saves changes by token, with the outcome UPDATED, and returns the session.
    pub(crate) async fn update(&self, token: &str, changes: Changes) -> Session {
        let saved = self.save(save(token, changes)).await;
        assert_eq!(saved.outcome(), Outcome::Updated);
        saved.session.unwrap()
    }

    /// Makes a save that must fail; returns code and reason.
    pub(crate) async fn refusal(&self, request: SaveSessionRequest) -> (Code, String) {
        reason(&self.try_save(request).await.err().expect("the save is refused"))
    }

    /// Logs a subject in and returns the new token.
    pub(crate) async fn log_in(&self, token: &str, subject: &str) -> String {
        let after = self.update(token, Changes::default().subject(subject)).await.token;
        assert_ne!(after, token);
        after
    }

    /// Opens the session of a cookie.
    pub(crate) async fn session(&self, token: &str) -> Session {
        self.open_cookie(token).await.session.unwrap()
    }

    /// Tells whether a cookie opens a stored session.
    pub(crate) async fn is_live(&self, token: &str) -> bool {
        !self.session(token).await.new
    }

    /// Rotates a session; the call may fail.
    pub(crate) async fn try_rotate(&self, request: RotateSessionRequest) -> Result<RotateSessionResponse, Status> {
        Ok(self.client.clone().rotate_session(request).await?.into_inner())
    }

    /// Destroys a session; the call may fail.
    pub(crate) async fn try_destroy(&self, request: DestroySessionRequest) -> Result<DestroySessionResponse, Status> {
        Ok(self.client.clone().destroy_session(request).await?.into_inner())
    }

    /// Returns the service's time.
    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    /// Returns the service's time in milliseconds.
    pub(crate) fn millis(&self) -> u64 {
        self.now().millis()
    }
}

/// Builds a rotation by Cookie header.
pub(crate) fn rotate_cookie(header: &str) -> RotateSessionRequest {
    let credential = Some(rotate_session_request::Credential::CookieHeader(header.to_owned()));
    RotateSessionRequest { credential, ..Default::default() }
}

/// Builds a destruction by Cookie header.
pub(crate) fn destroy_cookie(header: &str) -> DestroySessionRequest {
    let credential = Some(destroy_session_request::Credential::CookieHeader(header.to_owned()));
    DestroySessionRequest { credential, ..Default::default() }
}

/// Builder methods of a save.
pub(crate) trait SaveExt {
    fn etag(self, etag: &str) -> Self;
    fn request_id(self, request_id: &str) -> Self;
    fn rotate(self) -> Self;
    fn keep_empty(self) -> Self;
    fn request_age(self, age: Duration) -> Self;
}

impl SaveExt for SaveSessionRequest {
    fn etag(self, etag: &str) -> Self {
        Self { etag: etag.to_owned(), ..self }
    }

    fn request_id(self, request_id: &str) -> Self {
        Self { request_id: request_id.to_owned(), ..self }
    }

    fn rotate(self) -> Self {
        Self { rotate: true, ..self }
    }

    fn keep_empty(self) -> Self {
        Self { keep_empty: true, ..self }
    }

    fn request_age(self, age: Duration) -> Self {
        Self { request_age: Some(age.try_into().unwrap()), ..self }
    }
}

/// Builder methods of a session's lifetime.
pub(crate) trait LifetimeExt {
    fn idle_timeout(self, duration: Duration) -> Self;
    fn deadline(self, millis: u64) -> Self;
    fn default_lifetime(self) -> Self;
}

impl LifetimeExt for Changes {
    fn idle_timeout(self, duration: Duration) -> Self {
        let duration = prost_types::Duration::try_from(duration).unwrap();
        Self { lifetime: Some(changes::Lifetime::IdleTimeout(duration)), ..self }
    }

    fn deadline(self, millis: u64) -> Self {
        Self { lifetime: Some(changes::Lifetime::DeadlineTime(timestamp(millis))), ..self }
    }

    fn default_lifetime(self) -> Self {
        Self { lifetime: Some(changes::Lifetime::DefaultLifetime(true)), ..self }
    }
}

/// Checks that a save was GONE, without a session or a cookie; returns the end reason.
pub(crate) fn gone(saved: &SaveSessionResponse) -> EndReason {
    assert_eq!(saved.outcome(), Outcome::Gone);
    assert!(saved.session.is_none());
    assert_eq!(set_cookies(&saved.headers), [""; 0]);
    saved.end_reason()
}

/// Checks that the only Set-Cookie deletes its cookie, and returns it.
pub(crate) fn deleted_cookie(headers: &[Header]) -> String {
    let cookies = set_cookies(headers);
    let [cookie] = *cookies else { panic!("one Set-Cookie was expected: {cookies:?}") };
    assert!(cookie.contains("; Max-Age=0"), "{cookie}");
    cookie.to_owned()
}

/// Converts a timestamp to milliseconds.
pub(crate) fn millis(time: &Option<Timestamp>) -> u64 {
    let time = time.expect("the time is set");
    u64::try_from(time.seconds).unwrap() * 1000 + u64::try_from(time.nanos).unwrap() / 1_000_000
}

fn timestamp(millis: u64) -> Timestamp {
    let nanos = i32::try_from(millis % 1000).unwrap() * 1_000_000;
    Timestamp { seconds: i64::try_from(millis / 1000).unwrap(), nanos }
}
