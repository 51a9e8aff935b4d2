//! The answer: what was found in the store, with the ends that the audit logs have of it.

use super::query::Findings;
use super::replica::{AuditLogState, NotedEnd, ReplicaLog};
use crate::cli::sessions::text::time;
use crate::grpc::wire::list_session_ends_request::Wanted;
use crate::grpc::wire::{CredentialExplanation, CredentialState, EndReason, SessionInfo};
use crate::types::Time;

/// All that the command prints.
pub(super) struct WhyReport {
    pub(super) app: String,
    pub(super) now: Time,
    /// Why the store could not be asked.
    pub(super) store_error: Option<String>,
    pub(super) answer: Answer,
    pub(super) logs: Vec<ReplicaLog>,
}

pub(super) enum Answer {
    Sessions(Vec<SessionAnswer>),
    Subject(SubjectAnswer),
}

/// The known facts about one session.
pub(super) struct SessionAnswer {
    pub(super) explanation: CredentialExplanation,
    /// The newest first.
    pub(super) ends: Vec<NotedEnd>,
}

/// The known facts about the sessions of a subject.
pub(super) struct SubjectAnswer {
    pub(super) subject: String,
    pub(super) live: Vec<SessionInfo>,
    pub(super) more: bool,
    /// The newest first.
    pub(super) ends: Vec<NotedEnd>,
}

impl WhyReport {
    /// Whether one session would be opened, or a session of the subject lives.
    pub(super) fn has_live_session(&self) -> bool {
        match &self.answer {
            Answer::Subject(answer) => !answer.live.is_empty(),
            Answer::Sessions(answers) => {
                let is_good = |answer: &&SessionAnswer| {
                    matches!(answer.explanation.state(), CredentialState::Live | CredentialState::Unused)
                };
                let mut ids = answers.iter().filter(is_good).map(|answer| &answer.explanation.id);
                ids.next().is_some_and(|first| ids.all(|id| id == first))
            }
        }
    }

    /// Whether any audit log was read.
    pub(super) fn has_log(&self) -> bool {
        self.logs.iter().any(|log| matches!(log.state, AuditLogState::Read { .. }))
    }

    /// Whether each audit log was read, and asked about everything.
    pub(super) fn has_whole_logs(&self) -> bool {
        let is_partial = |log: &ReplicaLog| {
            matches!(log.state, AuditLogState::Failed(_) | AuditLogState::Read { failure: Some(_), .. })
        };
        self.has_log() && !self.logs.iter().any(is_partial)
    }
}

impl Answer {
    /// Joins what the store has with the ends of each of [`Findings::wanted`].
    pub(super) fn new(findings: Findings, ends: Vec<Vec<NotedEnd>>) -> Self {
        let wanted = findings.wanted();
        let ends = ends.into_iter().map(|mut ends| {
            ends.sort_by_key(|noted| std::cmp::Reverse(time(&noted.end.time)));
            ends
        });
        let mut ends: Vec<_> = wanted.into_iter().zip(ends).collect();
        match findings {
            Findings::Subject { subject, live, more } => {
                let ends = ends.pop().map(|(_, ends)| ends).unwrap_or_default();
                Self::Subject(SubjectAnswer { subject, live, more, ends })
            }
            Findings::Sessions(explanations) => {
                let answers = explanations.into_iter().map(|explanation| {
                    let id = Wanted::Id(explanation.id.clone());
                    let own = ends.iter().find(|(wanted, _)| *wanted == id).map(|(_, ends)| ends.clone());
                    SessionAnswer::new(explanation, own.unwrap_or_default())
                });
                Self::Sessions(answers.collect())
            }
        }
    }
}

impl SessionAnswer {
    /// Leaves out ends of the whole app that cannot have been the end of this session.
    fn new(explanation: CredentialExplanation, mut ends: Vec<NotedEnd>) -> Self {
        let own = || ends.iter().filter(|noted| !noted.is_of_app());
        let created = explanation.session.as_ref().and_then(|session| time(&session.create_time));
        let created = created.or_else(|| own().find_map(|noted| time(&noted.end.create_time)));
        let ended = own().find(|noted| !noted.is_of_token()).and_then(|noted| time(&noted.end.time));
        // The store knows when a session has ended by itself, and not when all of its app were revoked.
        let ended = ended.or_else(|| time(&explanation.end_time));
        let has_no_end = matches!(
            explanation.state(),
            CredentialState::Live | CredentialState::Superseded | CredentialState::Unused
        );
        let may_be_its_end = |noted: &NotedEnd| {
            let at = time(&noted.end.time);
            !has_no_end && at >= created && (ended.is_none() || at < ended)
        };
        ends.retain(|noted| !noted.is_of_app() || may_be_its_end(noted));
        Self { explanation, ends }
    }

    /// Why the session has ended: as the store says, or else as the logs say.
    pub(super) fn end_reason(&self) -> Option<EndReason> {
        match self.explanation.state() {
            CredentialState::Ended => Some(self.explanation.end_reason()),
            CredentialState::Unknown | CredentialState::Unspecified => self.end().map(|noted| noted.end.reason()),
            _ => None,
        }
    }

    /// Returns the noted end of the session, or of all sessions of the app.
    pub(super) fn end(&self) -> Option<&NotedEnd> {
        // The store knows when a session has ended by itself. Then an end of the whole app was not its end.
        let has_own_end = self.explanation.end_time.is_some();
        self.ends.iter().find(|noted| !(noted.is_of_token() || has_own_end && noted.is_of_app()))
    }
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::*;
    use crate::grpc::wire::SessionEnd;

    fn at(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp { seconds, nanos: 0 })
    }

    fn noted(seconds: i64, id: &str, reason: EndReason) -> NotedEnd {
        let end = SessionEnd {
            time: at(seconds),
            id: id.to_owned(),
            reason: reason.into(),
            create_time: at(100).filter(|_| !id.is_empty()),
            ..Default::default()
        };
        NotedEnd { end, replica: "127.0.0.1:1".parse().unwrap() }
    }

    fn times(state: CredentialState, ends: Vec<NotedEnd>) -> Vec<i64> {
        let explanation = CredentialExplanation { id: "0f".to_owned(), state: state.into(), ..Default::default() };
        let Answer::Sessions(answers) = Answer::new(Findings::Sessions(vec![explanation]), vec![ends]) else {
            panic!("it was asked for a session");
        };
        answers[0].ends.iter().map(|noted| noted.end.time.unwrap().seconds).collect()
    }

    #[test]
    fn only_an_end_of_the_whole_app_in_its_lifetime_can_be_the_end_of_a_session() {
        let of_app = || [50, 150, 250].map(|seconds| noted(seconds, "", EndReason::Revoked));
        let with = |own| of_app().into_iter().chain(own).collect::<Vec<_>>();
        let ended = noted(200, "0f", EndReason::Destroyed);
        let rotated = || noted(120, "0f", EndReason::Superseded);

        assert_eq!(times(CredentialState::Unknown, with(None)), [250, 150, 50]);
        assert_eq!(times(CredentialState::Unknown, with(Some(rotated()))), [250, 150, 120]);
        assert_eq!(times(CredentialState::Unknown, with(Some(ended))), [200, 150]);
        assert_eq!(times(CredentialState::Live, with(Some(rotated()))), [120]);
        assert_eq!(times(CredentialState::Unused, with(None)), Vec::<i64>::new());
    }

    #[test]
    fn two_tokens_of_one_session_are_one_query_and_have_the_same_ends() {
        let explanation = |id: &str| CredentialExplanation { id: id.to_owned(), ..Default::default() };
        let findings = Findings::Sessions(["0f", "", "0e", "0f"].map(explanation).into());

        let wanted = findings.wanted();
        let ends = vec![vec![noted(5, "0f", EndReason::Revoked)], vec![noted(6, "0e", EndReason::Revoked)]];
        let Answer::Sessions(answers) = Answer::new(findings, ends) else { panic!("it was asked for sessions") };

        assert!(wanted == ["0f", "0e"].map(|id| Wanted::Id(id.to_owned())));
        let ends = answers.iter().map(|answer| answer.ends.iter().map(|noted| noted.end.id.as_str()).collect());
        assert_eq!(ends.collect::<Vec<Vec<_>>>(), [vec!["0f"], vec![], vec!["0e"], vec!["0f"]]);
    }

    #[test]
    fn a_later_end_of_the_whole_app_is_not_blamed_for_an_end_that_no_log_has() {
        let explanation = CredentialExplanation {
            id: "0f".to_owned(),
            state: CredentialState::Ended.into(),
            end_reason: EndReason::Destroyed.into(),
            end_time: at(200),
            ..Default::default()
        };
        let revoked = [150, 250].map(|seconds| noted(seconds, "", EndReason::Revoked)).into();

        let Answer::Sessions(answers) = Answer::new(Findings::Sessions(vec![explanation]), vec![revoked]) else {
            panic!("it was asked for a session");
        };

        assert_eq!(answers[0].ends.len(), 1, "only one from before its own end may be shown");
        assert_eq!(answers[0].end_reason(), Some(EndReason::Destroyed));
        assert!(answers[0].end().is_none(), "it has not ended this session");
    }
}
