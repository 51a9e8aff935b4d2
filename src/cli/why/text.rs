//! The answer as text of at most 80 columns, or of the terminal's if that has fewer.

use super::answer::{Answer, SessionAnswer, SubjectAnswer, WhyReport};
use super::replica::{AuditLogState, NotedEnd, ReplicaLog};
use super::verdict;
use crate::cli::layout::{cut, wrapped};
use crate::cli::sessions::text::{absolute, end_reason, printable, time};
use crate::cli::style::{BAD, GOOD, WARNING, styled};
use crate::grpc::wire::{CredentialState, SessionInfo};
use crate::types::{Time, counted, timestamp};

/// Returns the whole answer, for a terminal of this width.
pub(super) fn text(report: &WhyReport, columns: Option<usize>) -> String {
    let columns = columns.map_or(MAX_COLUMNS, |columns| columns.min(MAX_COLUMNS));
    let mut report_text = ReportText { report, columns, text: String::new() };
    match &report.answer {
        Answer::Sessions(answers) => report_text.sessions(answers),
        Answer::Subject(answer) => report_text.subject(answer),
    }
    report_text.logs();
    report_text.text
}

struct ReportText<'r> {
    report: &'r WhyReport,
    columns: usize,
    text: String,
}

impl ReportText<'_> {
    fn sessions(&mut self, answers: &[SessionAnswer]) {
        for (index, answer) in answers.iter().enumerate() {
            self.paragraph(&format!("{}: ", index + 1), &styled_verdict(answer));
            for (name, value) in details(answer, self.report.now) {
                self.row(name, &value);
            }
            self.ends(&answer.ends, answer.explanation.id.as_str());
            self.row("do", &verdict::advice(answer));
        }
        if answers.is_empty() {
            let sentence = "the header has no cookie of the app: the browser did not keep it, or does not send it here";
            self.paragraph("", sentence);
            self.row("do", verdict::NO_COOKIE);
        }
        let lives = answers.iter().any(|answer| answer.explanation.state() == CredentialState::Live);
        if lives && !self.report.has_live_session() {
            let sentence = "two sessions live: none of them is opened, because one may have been planted";
            self.paragraph("", sentence);
        }
    }

    fn subject(&mut self, answer: &SubjectAnswer) {
        let (subject, count) = (cut(printable(&answer.subject), MAX_SUBJECT_COLUMNS), answer.live.len());
        let number = match (&self.report.store_error, answer.more) {
            (Some(_), _) => "the store could not be asked".to_owned(),
            (None, true) => format!("{}, and more", counted(count, "session lives", "sessions live")),
            (None, false) => counted(count, "session lives", "sessions live"),
        };
        self.paragraph("", &format!("{subject}: {number}"));
        for session in answer.live.iter().take(MAX_LIVE_ROWS) {
            self.row("session", &live_session(session, self.report.now));
        }
        if count > MAX_LIVE_ROWS {
            self.row("", "cloakroom sessions list --subject lists all of them");
        }
        self.ends(&answer.ends, "");
        if answer.live.is_empty() {
            self.row("do", &verdict::advice_on_subject(answer));
        }
    }

    /// Writes the ends. Leaves out the id if it is this one.
    fn ends(&mut self, ends: &[NotedEnd], id: &str) {
        for NotedEnd { end, replica } in ends {
            let by = if end.caller.is_empty() { "the service" } else { &end.caller };
            let reason = end_reason(end.reason()).unwrap_or_default();
            let mut what = format!("{}, by {}", absolute(time(&end.time), self.report.now), printable(by));
            match end.id.as_str() {
                "" => what += ": all sessions of the app",
                other if other != id => what += &format!(": session {}", printable(other)),
                _ if reason == "SUPERSEDED" => what += ": its token was replaced, the session went on",
                _ => {}
            }
            self.row(reason, &what);
            let rpc = printable(end.rpc.strip_prefix(PACKAGE).unwrap_or(&end.rpc));
            let words = [
                Some(rpc).filter(|rpc| !rpc.is_empty()),
                Some(format!("call.id {}", printable(&end.call_id))).filter(|_| !end.call_id.is_empty()),
                Some(format!("in the log of {replica}")),
            ];
            self.row("", &words.into_iter().flatten().collect::<Vec<_>>().join(", "));
        }
    }

    fn logs(&mut self) {
        if let Some(error) = &self.report.store_error {
            self.paragraph("store: ", &printable(error));
        }
        let has_ends = match &self.report.answer {
            Answer::Sessions(answers) => answers.iter().any(|answer| !answer.ends.is_empty()),
            Answer::Subject(answer) => !answer.ends.is_empty(),
        };
        if self.report.has_whole_logs() && !has_ends {
            self.paragraph("", "no audit log has an end of it");
        }
        for log in &self.report.logs {
            if let Some(line) = log_line(log) {
                self.paragraph("log: ", &line);
            }
        }
    }

    fn row(&mut self, name: &str, value: &str) {
        self.paragraph(&format!("   {name:<ROW_NAME_COLUMNS$}"), value);
    }

    /// Writes a text behind its beginning, and breaks its lines at spaces.
    fn paragraph(&mut self, beginning: &str, text: &str) {
        self.text += &wrapped(beginning, text, self.columns);
    }
}

/// Returns the verdict with its first word in the colour of its state.
fn styled_verdict(answer: &SessionAnswer) -> String {
    let verdict = verdict::verdict(answer);
    let style = match answer.explanation.state() {
        CredentialState::Live | CredentialState::Unused => GOOD,
        CredentialState::Ended | CredentialState::Rejected => BAD,
        CredentialState::Superseded | CredentialState::Unknown | CredentialState::Unspecified => WARNING,
    };
    let end = verdict.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(verdict.len());
    let (word, rest) = verdict.split_at(end);
    format!("{}{rest}", styled(style, word))
}

fn details(answer: &SessionAnswer, now: Time) -> Vec<(&'static str, String)> {
    let explanation = &answer.explanation;
    let end = match explanation.state() {
        CredentialState::Live => "ends",
        CredentialState::Superseded => "replaced",
        _ => "ended",
    };
    let session = explanation.session.as_ref();
    let at = |timestamp| Some(absolute(Some(time(timestamp)?), now));
    let known = |text: &String| (!text.is_empty()).then(|| cut(printable(text), MAX_SUBJECT_COLUMNS));
    let subject = session.and_then(|session| known(&session.subject));
    let details = [
        ("session", known(&explanation.id)),
        ("subject", subject),
        ("key", known(&explanation.key_id)),
        ("app", known(&explanation.other_app).map(|app| format!("it verifies for the app {app}"))),
        ("created", session.and_then(|session| at(&session.create_time))),
        ("used", session.and_then(|session| at(&session.access_time))),
        (end, at(&explanation.end_time)),
    ];
    details.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn live_session(session: &SessionInfo, now: Time) -> String {
    format!("{}, used {}", printable(&session.id), absolute(time(&session.access_time), now))
}

/// Returns what is to be said about the log of a replica. `None`: it was not needed.
fn log_line(ReplicaLog { address, state }: &ReplicaLog) -> Option<String> {
    Some(match state {
        AuditLogState::NotAsked => return None,
        AuditLogState::Failed(error) => printable(error),
        AuditLogState::Off => format!("{address}: this replica has no audit log; set folder in [audit]"),
        AuditLogState::Read { begin_time, lost, failure } => {
            let begin = begin_time
                .as_ref()
                .map_or_else(|| "it is empty".to_owned(), |time| format!("from {}", timestamp::text(*time)));
            let lost = if *lost == 0 {
                String::new()
            } else {
                format!(", without {} lost", counted(*lost, "end that was", "ends that were"))
            };
            let failure =
                failure.as_ref().map(|error| format!("; of some sessions it could not tell: {}", printable(error)));
            format!("{address}: {begin}{lost}{}", failure.unwrap_or_default())
        }
    })
}

const MAX_COLUMNS: usize = 80;

/// As wide as the longest name, SUPERSEDED, and a space.
const ROW_NAME_COLUMNS: usize = 11;

/// As wide as a subject may be; the rest is left out.
const MAX_SUBJECT_COLUMNS: usize = 60;

const MAX_LIVE_ROWS: usize = 10;

const PACKAGE: &str = "cloakroom.v1.";
