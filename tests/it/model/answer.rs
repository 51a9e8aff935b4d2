//! Answers: what the service says, and how it is compared.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use cloakroom::service::{Error, Header, Outcome, SessionView};
use cloakroom::session::EditError;
use cloakroom::types::Time;

use super::facts::Facts;

/// What went wrong, if something did.
pub(super) type Checked<T = ()> = Result<T, String>;

/// The answer to a write.
pub(super) struct Answer {
    pub(super) outcome: Outcome,
    pub(super) session: Option<SessionView>,
    pub(super) headers: Vec<Header>,
}

pub(super) type RecordedBody = Result<Answer, Error>;

impl Answer {
    pub(super) const fn new(outcome: Outcome, session: Option<SessionView>, headers: Vec<Header>) -> Self {
        Self { outcome, session, headers }
    }

    pub(super) fn view(&self) -> Checked<&SessionView> {
        self.session.as_ref().ok_or_else(|| "the answer has no session".to_owned())
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

pub(super) fn check_view(facts: &Facts, view: &SessionView, now: u64) -> Checked {
    same("id", view.id.map(|id| id.to_string()), Some(facts.id.clone()))?;
    same("version", view.version.0, facts.version)?;
    same("permanent", view.permanent, facts.permanent)?;
    same("subject", view.subject.as_ref().map(|subject| subject.as_str().to_owned()), facts.subject.clone())?;
    let times = view.times.ok_or("no times")?;
    same("authenticated", times.authenticate_time.map(Time::millis), facts.authenticated)?;
    same("created", times.create_time.map(Time::millis), Some(facts.created))?;
    same("used", times.access_time.millis(), facts.used.max(now))?;
    same("idle timeout", times.idle_timeout, Duration::from_millis(facts.idle))?;
    same("its end", times.expire_time.millis(), facts.expires(now))
}

pub(super) fn entries(view: &SessionView) -> BTreeMap<String, Vec<u8>> {
    view.entries.iter().map(|(name, kept)| (name.to_owned(), kept.to_vec())).collect()
}

pub(super) fn refused(answer: RecordedBody, why: &str) -> Checked {
    let error = answer.err().ok_or_else(|| format!("it has to be refused: {why}"))?;
    let said = match &error {
        Error::TokenInvalid(_) => "token",
        Error::EtagMismatch => "stale",
        Error::RequestIdReused => "reused",
        Error::Refused { edit_error: EditError::NoSubject, .. } => "nobody",
        Error::Refused { edit_error: EditError::NotACounter { .. }, .. } => "no counter",
        Error::Refused { edit_error: EditError::TooManyEntries { .. }, .. } => "too many",
        Error::Refused { edit_error: EditError::TooLarge { .. }, .. } => "too large",
        other => return Err(format!("it fails: {other}")),
    };
    same("refused for", said, why)
}

pub(super) fn same<T: PartialEq + Debug>(what: &str, is: T, has_to_be: T) -> Checked {
    if is == has_to_be { Ok(()) } else { Err(format!("{what}: is {is:?}, has to be {has_to_be:?}")) }
}

#[expect(clippy::needless_pass_by_value, reason = "it is for map_err")]
pub(super) fn text(error: Error) -> String {
    format!("refused: {error}")
}
