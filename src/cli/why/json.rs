//! The answer for scripts: one document, with the names of `admin_service.proto` and without unset fields.

use serde_json::{Map, Value, json};

use super::answer::{Answer, SessionAnswer, WhyReport};
use super::replica::{AuditLogState, NotedEnd, ReplicaLog};
use super::verdict;
use crate::cli::sessions::json::{SessionJson, line};
use crate::cli::sessions::text::{end_reason, rfc3339};
use crate::grpc::wire::SessionInfo;
use crate::types::{Time, timestamp};

/// Returns the document as one line.
pub(super) fn document(report: &WhyReport) -> String {
    let mut document = Map::new();
    document.insert("app".to_owned(), report.app.clone().into());
    match &report.answer {
        Answer::Sessions(answers) => {
            document.insert("explanations".to_owned(), answers.iter().map(explanation).collect());
        }
        Answer::Subject(answer) => {
            document.insert("subject".to_owned(), answer.subject.clone().into());
            document.insert("sessions".to_owned(), answer.live.iter().map(session).collect());
            document.insert("ends".to_owned(), answer.ends.iter().map(end).collect());
        }
    }
    document.extend(set([("store_error", report.store_error.clone())]));
    document.insert("logs".to_owned(), report.logs.iter().map(log).collect());
    line(&document)
}

fn explanation(answer: &SessionAnswer) -> Value {
    let explanation = &answer.explanation;
    let state = explanation.state().as_str_name().trim_start_matches("CREDENTIAL_STATE_");
    let mut fields = set([
        ("state", Some(state.to_owned())),
        ("end_reason", end_reason(explanation.end_reason()).map(str::to_owned)),
        ("end_time", rfc3339(&explanation.end_time)),
        ("id", Some(explanation.id.clone())),
        ("rejection", Some(explanation.rejection.clone())),
        ("key_id", Some(explanation.key_id.clone())),
        ("other_app", Some(explanation.other_app.clone())),
        ("verdict", Some(verdict::verdict(answer))),
        ("advice", Some(verdict::advice(answer))),
    ]);
    fields.extend(explanation.session.as_ref().map(|info| ("session".to_owned(), session(info))));
    fields.insert("ends".to_owned(), answer.ends.iter().map(end).collect());
    fields.into()
}

fn end(NotedEnd { end, replica }: &NotedEnd) -> Value {
    let fields = set([
        ("time", rfc3339(&end.time)),
        ("id", Some(end.id.clone())),
        ("subject", Some(end.subject.clone())),
        ("reason", end_reason(end.reason()).map(str::to_owned)),
        ("create_time", rfc3339(&end.create_time)),
        ("access_time", rfc3339(&end.access_time)),
        ("caller", Some(end.caller.clone())),
        ("rpc", Some(end.rpc.clone())),
        ("call_id", Some(end.call_id.clone())),
        ("replica", Some(replica.to_string())),
    ]);
    fields.into()
}

fn log(ReplicaLog { address, state }: &ReplicaLog) -> Value {
    let address = address.to_string();
    match state {
        AuditLogState::Failed(error) => json!({ "replica": address, "state": "FAILED", "error": error }),
        AuditLogState::NotAsked => json!({ "replica": address, "state": "NOT_ASKED" }),
        AuditLogState::Off => json!({ "replica": address, "state": "OFF" }),
        AuditLogState::Read { begin_time, lost, failure } => {
            let mut fields = set([
                ("replica", Some(address)),
                ("state", Some("READ".to_owned())),
                ("begin_time", begin_time.map(|time: Time| timestamp::text(time))),
                ("error", failure.clone()),
            ]);
            fields.insert("lost".to_owned(), (*lost).into());
            fields.into()
        }
    }
}

fn session(info: &SessionInfo) -> Value {
    serde_json::to_value(SessionJson::from(info)).expect("all keys are strings, and no value fails to serialize")
}

/// Returns the fields that are set and not empty.
fn set<const N: usize>(fields: [(&'static str, Option<String>); N]) -> Map<String, Value> {
    let set = fields.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)));
    set.map(|(name, value)| (name.to_owned(), value.into())).collect()
}
