//! An end of a session as the audit log has it, and its line in a file.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::session::{EndReason, Subject};
use crate::token::SessionId;
use crate::types::{AppName, Time, timestamp};

/// The end of a session, of a token of it, or of all sessions of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionEnd {
    pub time: Time,
    pub app: AppName,
    /// `None`: all sessions of the app that were created before.
    pub id: Option<SessionId>,
    /// `None`: an anonymous session, or all of the app.
    pub subject: Option<Subject>,
    /// [`EndReason::Superseded`] if only a token ended, and the session lives.
    pub reason: EndReason,
    pub create_time: Option<Time>,
    /// The last use before the end that was stored.
    pub access_time: Option<Time>,
    /// The name of the caller whose call ended it. Empty: it was no call.
    pub caller: String,
    /// The RPC of the call, as `package.Service/Method`.
    pub rpc: String,
    /// The id of the call in the logs.
    pub call_id: String,
}

/// One line of a file. The names are those of the logs.
#[derive(Serialize, Deserialize)]
struct Line<'l> {
    time: Cow<'l, str>,
    app: Cow<'l, str>,
    #[serde(rename = "session.id", default, skip_serializing_if = "Option::is_none")]
    id: Option<Cow<'l, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<Cow<'l, str>>,
    #[serde(rename = "end.reason")]
    reason: Cow<'l, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    create_time: Option<Cow<'l, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_time: Option<Cow<'l, str>>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    caller: Cow<'l, str>,
    #[serde(rename = "call.rpc", default, skip_serializing_if = "str::is_empty")]
    rpc: Cow<'l, str>,
    #[serde(rename = "call.id", default, skip_serializing_if = "str::is_empty")]
    call_id: Cow<'l, str>,
}

impl SessionEnd {
    /// Returns the line of this end, with its line break.
    pub(super) fn to_line(&self) -> String {
        let text = |time| Cow::Owned(timestamp::text(time));
        let line = Line {
            time: text(self.time),
            app: self.app.as_str().into(),
            id: self.id.map(|id| id.to_string().into()),
            subject: self.subject.as_ref().map(|subject| subject.as_str().into()),
            reason: self.reason.as_str().into(),
            create_time: self.create_time.map(text),
            access_time: self.access_time.map(text),
            caller: self.caller.as_str().into(),
            rpc: self.rpc.as_str().into(),
            call_id: self.call_id.as_str().into(),
        };
        let mut line = serde_json::to_string(&line).expect("a line has only texts");
        line.push('\n');
        line
    }

    /// Reads a line. `None`: it is torn, or was not written by this service.
    pub(super) fn of_line(line: &str) -> Option<Self> {
        let line: Line<'_> = serde_json::from_str(line).ok()?;
        let time = |text: Cow<'_, str>| timestamp::parse(&text).ok();
        Some(Self {
            time: time(line.time)?,
            app: AppName::parse(&line.app).ok()?,
            id: match line.id {
                Some(id) => Some(SessionId::parse(&id)?),
                None => None,
            },
            subject: match line.subject {
                Some(subject) => Some(Subject::parse(&subject).ok()?),
                None => None,
            },
            reason: EndReason::parse(&line.reason)?,
            create_time: line.create_time.and_then(time),
            access_time: line.access_time.and_then(time),
            caller: line.caller.into_owned(),
            rpc: line.rpc.into_owned(),
            call_id: line.call_id.into_owned(),
        })
    }
}

/// The field of a line that is about one session.
pub(super) const ID_FIELD: &str = "\"session.id\":";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_back_as_it_was_written() {
        let end = SessionEnd {
            time: Time::from_millis(1_767_323_045_678),
            app: AppName::parse("shop").unwrap(),
            id: SessionId::parse(&"0f".repeat(16)),
            subject: Subject::parse("ann \"a\"\n\u{2028}@test.example").ok(),
            reason: EndReason::Destroyed,
            create_time: Some(Time::from_millis(1)),
            access_time: Some(Time::from_millis(2)),
            caller: "desk".to_owned(),
            rpc: "cloakroom.v1.SessionService/DestroySession".to_owned(),
            call_id: "7".to_owned(),
        };
        let whole_app = SessionEnd { id: None, subject: None, create_time: None, access_time: None, ..end.clone() };

        for end in [end, whole_app] {
            let line = end.to_line();

            assert_eq!(line.matches('\n').count(), 1, "{line}");
            assert_eq!(SessionEnd::of_line(line.trim_end()), Some(end.clone()), "{line}");
            assert_eq!(line.contains(ID_FIELD), end.id.is_some(), "{line}");
            for length in 0..line.len() - 1 {
                assert_eq!(line.get(..length).and_then(SessionEnd::of_line), None, "a torn line is none");
            }
        }
    }
}
