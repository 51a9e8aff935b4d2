//! Responses of the service, and how they are compared with the model.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use cloakroom::service::{Error, Header, Opened, Outcome, SessionView};
use cloakroom::session::EditError;
use cloakroom::types::Time;

use super::expected_session::ExpectedSession;

/// The error says what does not match.
pub(super) type Checked<T = ()> = Result<T, String>;

pub(super) struct Answer {
    pub(super) outcome: Outcome,
    pub(super) session: Option<SessionView>,
    pub(super) headers: Vec<Header>,
}

pub(super) type WriteResult = Result<Answer, Error>;

impl Answer {
    pub(super) const fn new(outcome: Outcome, session: Option<SessionView>, headers: Vec<Header>) -> Self {
        Self { outcome, session, headers }
    }

    pub(super) fn view(&self) -> Checked<&SessionView> {
        self.session.as_ref().ok_or_else(|| "the response has no session".to_owned())
    }

    pub(super) fn cookies(&self) -> Vec<&str> {
        self.headers.iter().filter(|header| header.name == "Set-Cookie").map(|header| &*header.value).collect()
    }

    pub(super) fn deletes_the_cookie(&self) -> Checked {
        match *self.cookies() {
            [cookie] if cookie.contains("Max-Age=0") => Ok(()),
            ref other => Err(format!("the cookie is not deleted: {other:?}")),
        }
    }
}

pub(super) fn check_view(expected: &ExpectedSession, view: &SessionView, now: u64) -> Checked {
    same("id", view.id.map(|id| id.to_string()), Some(expected.id.clone()))?;
    same("version", view.version.0, expected.version)?;
    same("permanent", view.permanent, expected.permanent)?;
    same("subject", view.subject.as_ref().map(|subject| subject.as_str().to_owned()), expected.subject.clone())?;
    let times = view.times.ok_or("no times")?;
    same("authenticated", times.authenticate_time.map(Time::millis), expected.authenticated)?;
    same("created", times.create_time.map(Time::millis), Some(expected.created))?;
    same("access time", times.access_time.millis(), expected.used.max(now))?;
    same("idle timeout", times.idle_timeout, Duration::from_millis(expected.idle))?;
    same("expire time", times.expire_time.millis(), expected.expires(now))
}

pub(super) fn entries(opened: &Opened) -> BTreeMap<String, Vec<u8>> {
    opened.entries.iter().map(|(name, stored)| (name.to_owned(), stored.to_vec())).collect()
}

pub(super) fn check_refused(answer: WriteResult, reason: &str) -> Checked {
    let error = answer.err().ok_or_else(|| format!("it must be refused: {reason}"))?;
    let actual = match &error {
        Error::TokenInvalid(_) => "token",
        Error::EtagMismatch => "stale",
        Error::RequestIdReused => "reused",
        Error::Refused { edit_error: EditError::NoSubject, .. } => "no subject",
        Error::Refused { edit_error: EditError::NotACounter { .. }, .. } => "no counter",
        Error::Refused { edit_error: EditError::TooManyEntries { .. }, .. } => "too many",
        Error::Refused { edit_error: EditError::TooLarge { .. }, .. } => "too large",
        other => return Err(format!("it fails: {other}")),
    };
    same("refused for", actual, reason)
}

pub(super) fn same<T: PartialEq + Debug>(what: &str, actual: T, expected: T) -> Checked {
    if actual == expected { Ok(()) } else { Err(format!("{what}: is {actual:?}, must be {expected:?}")) }
}

#[expect(clippy::needless_pass_by_value, reason = "it is for map_err")]
pub(super) fn error_text(error: Error) -> String {
    format!("refused: {error}")
}
