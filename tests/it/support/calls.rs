//! Short calls of SessionService, and builders for its messages.

use std::collections::BTreeMap;

use cloakroom::grpc::wire::{
    Changes, DestroySessionRequest, DestroySessionResponse, Header, OpenSessionRequest, OpenSessionResponse, Outcome,
    RotateSessionRequest, RotateSessionResponse, RotationCause, SaveSessionRequest, SaveSessionResponse, Session,
    Value, destroy_session_request, open_session_request, rotate_session_request, save_session_request, value,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::TestService;

impl TestService {
    /// Opens a new session, for a request without a cookie.
    pub(crate) async fn open_new(&self) -> Session {
        self.open(OpenSessionRequest::default()).await.session.unwrap()
    }

    /// Opens the session of a Cookie header.
    pub(crate) async fn open_cookie(&self, token: &str) -> OpenSessionResponse {
        self.open(open_cookie(&format!("session={token}"))).await
    }

    /// Opens a session.
    pub(crate) async fn open(&self, request: OpenSessionRequest) -> OpenSessionResponse {
        self.try_open(request).await.unwrap()
    }

    /// Opens a session; the call may fail.
    pub(crate) async fn try_open(&self, request: OpenSessionRequest) -> Result<OpenSessionResponse, Status> {
        Ok(self.client.clone().open_session(request).await?.into_inner())
    }

    /// Saves a session.
    pub(crate) async fn save(&self, request: SaveSessionRequest) -> SaveSessionResponse {
        self.try_save(request).await.unwrap()
    }

    /// Saves a session; the call may fail.
    pub(crate) async fn try_save(&self, request: SaveSessionRequest) -> Result<SaveSessionResponse, Status> {
        Ok(self.client.clone().save_session(request).await?.into_inner())
    }

    /// Stores a session with these entries and returns its token.
    pub(crate) async fn stored(&self, entries: &[(&str, &str)]) -> String {
        let ticket = self.open_new().await.token;
        let changes = entries.iter().fold(Changes::default(), |changes, (name, json)| changes.set(name, json));
        let saved = self.save(save(&ticket, changes)).await;
        assert_eq!(saved.outcome(), Outcome::Created);
        saved.session.unwrap().token
    }

    /// Rotates a session.
    pub(crate) async fn rotate(&self, token: &str, cause: RotationCause, request_id: &str) -> RotateSessionResponse {
        let credential = Some(rotate_session_request::Credential::Token(token.to_owned()));
        let (cause, request_id) = (cause.into(), request_id.to_owned());
        let request = RotateSessionRequest { credential, cause, request_id, ..Default::default() };
        self.client.clone().rotate_session(request).await.unwrap().into_inner()
    }

    /// Destroys a session.
    pub(crate) async fn destroy(&self, token: &str) -> DestroySessionResponse {
        self.destroy_as(token, "").await
    }

    /// Destroys a session with a request id.
    pub(crate) async fn destroy_as(&self, token: &str, request_id: &str) -> DestroySessionResponse {
        let credential = Some(destroy_session_request::Credential::Token(token.to_owned()));
        let request_id = request_id.to_owned();
        let request = DestroySessionRequest { credential, request_id, ..Default::default() };
        self.client.clone().destroy_session(request).await.unwrap().into_inner()
    }

    /// Opens a cookie and returns the entries as JSON texts.
    pub(crate) async fn entries(&self, token: &str) -> BTreeMap<String, String> {
        json_entries(self.open_cookie(token).await.session.unwrap())
    }
}

/// Builds an open with this Cookie header.
pub(crate) fn open_cookie(header: &str) -> OpenSessionRequest {
    let credential = Some(open_session_request::Credential::CookieHeader(header.to_owned()));
    OpenSessionRequest { credential, ..Default::default() }
}

/// Builds a save of changes by token.
pub(crate) fn save(token: &str, changes: Changes) -> SaveSessionRequest {
    SaveSessionRequest { changes: Some(changes), ..save_unmodified(token) }
}

/// Builds a save without changes by token.
pub(crate) fn save_unmodified(token: &str) -> SaveSessionRequest {
    let credential = Some(save_session_request::Credential::Token(token.to_owned()));
    SaveSessionRequest { credential, accessed: true, ..Default::default() }
}

/// Builds a save of changes by Cookie header, without an open before it.
pub(crate) fn save_cookie(header: &str, changes: Changes) -> SaveSessionRequest {
    let credential = Some(save_session_request::Credential::CookieHeader(header.to_owned()));
    SaveSessionRequest { credential, changes: Some(changes), accessed: true, ..Default::default() }
}

/// Builder methods of changes.
pub(crate) trait ChangesExt: Sized {
    fn set(self, name: &str, json: &str) -> Self;
    fn set_raw(self, name: &str, bytes: &[u8]) -> Self;
    fn unset(self, name: &str) -> Self;
    fn increment(self, name: &str, delta: i64) -> Self;
    fn permanent(self, permanent: bool) -> Self;
    fn subject(self, subject: &str) -> Self;
    fn authenticated(self) -> Self;
    fn clear(self) -> Self;
}

impl ChangesExt for Changes {
    fn set(mut self, name: &str, json: &str) -> Self {
        self.set.insert(name.to_owned(), Value { kind: Some(value::Kind::Json(json.to_owned())) });
        self
    }

    fn set_raw(mut self, name: &str, bytes: &[u8]) -> Self {
        self.set.insert(name.to_owned(), Value { kind: Some(value::Kind::Raw(bytes.to_vec())) });
        self
    }

    fn unset(mut self, name: &str) -> Self {
        self.unset.push(name.to_owned());
        self
    }

    fn increment(mut self, name: &str, delta: i64) -> Self {
        self.increment.insert(name.to_owned(), delta);
        self
    }

    fn permanent(self, permanent: bool) -> Self {
        Self { permanent: Some(permanent), ..self }
    }

    fn subject(self, subject: &str) -> Self {
        Self { subject: Some(subject.to_owned()), ..self }
    }

    fn authenticated(self) -> Self {
        Self { authenticated: true, ..self }
    }

    fn clear(self) -> Self {
        Self { clear: true, ..self }
    }
}

/// Returns a session's entries as JSON texts.
pub(crate) fn json_entries(session: Session) -> BTreeMap<String, String> {
    let json = |(name, value): (String, Value)| match value.kind {
        Some(value::Kind::Json(text)) => (name, text),
        Some(value::Kind::Raw(bytes)) => (name, format!("raw {bytes:?}")),
        None => panic!("the service answered a value without a kind"),
    };
    session.entries.into_iter().map(json).collect()
}

/// Returns the values of the Set-Cookie headers.
pub(crate) fn set_cookies(headers: &[Header]) -> Vec<&str> {
    values(headers, "Set-Cookie")
}

/// Tells whether the headers have `Vary: Cookie`.
pub(crate) fn varies(headers: &[Header]) -> bool {
    values(headers, "Vary") == ["Cookie"]
}

fn values<'h>(headers: &'h [Header], name: &str) -> Vec<&'h str> {
    headers.iter().filter(|header| header.name == name).map(|header| header.value.as_str()).collect()
}

/// Returns code and reason of an error.
pub(crate) fn reason(status: &Status) -> (Code, String) {
    let info = status.get_details_error_info().expect("every error carries an ErrorInfo");
    assert_eq!(info.domain, "cloakroom");
    (status.code(), info.reason)
}

/// Returns the error of a call that must fail.
#[track_caller]
pub(crate) fn refused<T>(answer: Result<T, Status>) -> Status {
    answer.err().expect("the call is refused")
}
