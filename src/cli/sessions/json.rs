//! Answers for scripts: one JSON document a line, with the names of the proto. What is unset is left out.

use std::collections::BTreeMap;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_types::Timestamp;
use serde::Serialize;

use super::text;
use crate::grpc::wire::{GetStatsResponse, MigrationStats, RevokeSessionResponse, SessionInfo, Value, value};

/// One line. Characters that a terminal would obey are escaped, beyond what JSON asks for.
pub(super) fn line(document: &impl Serialize) -> String {
    let json = serde_json::to_string(document).expect("names are texts, and nothing here fails to be written");
    let mut line = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => {
                line.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => line.push(c),
        }
    }
    line
}

/// A session.
#[derive(Serialize)]
pub(super) struct Session<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    subject: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    permanent: Option<bool>,
    etag: &'a str,
    #[serde(flatten)]
    times: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    user_agent: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    remote_address: &'a str,
    entry_count: u32,
    entry_bytes: u32,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    entries: BTreeMap<&'a str, Entry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_reason: Option<&'static str>,
}

/// `{"json":"…"}` or `{"raw":"<base64>"}`, as in proto JSON.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Entry<'a> {
    Json(&'a str),
    Raw(String),
}

impl<'a> From<&'a SessionInfo> for Session<'a> {
    fn from(session: &'a SessionInfo) -> Self {
        let context = session.context.as_ref();
        let stamps = [
            ("create_time", &session.create_time),
            ("access_time", &session.access_time),
            ("authenticate_time", &session.authenticate_time),
            ("expire_time", &session.expire_time),
            ("end_time", &session.end_time),
        ];
        Self {
            id: &session.id,
            subject: &session.subject,
            permanent: session.permanent,
            etag: &session.etag,
            times: stamps.into_iter().filter_map(|(name, stamp)| Some((name, time(stamp)?))).collect(),
            user_agent: context.map_or("", |context| &context.user_agent),
            remote_address: context.map_or("", |context| &context.remote_address),
            entry_count: session.entry_count,
            entry_bytes: session.entry_bytes,
            entries: session.entries.iter().filter_map(entry).collect(),
            end_reason: text::end_reason(session.end_reason()),
        }
    }
}

fn entry<'a>((name, value): (&'a String, &'a Value)) -> Option<(&'a str, Entry<'a>)> {
    let entry = match value.kind.as_ref()? {
        value::Kind::Json(json) => Entry::Json(json),
        value::Kind::Raw(raw) => Entry::Raw(STANDARD.encode(raw)),
    };
    Some((name, entry))
}

/// What became of one session.
#[derive(Serialize)]
pub(super) struct Revoked<'a> {
    id: &'a str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_reason: Option<&'static str>,
}

impl<'a> Revoked<'a> {
    pub(super) fn new(id: &'a str, answer: &RevokeSessionResponse) -> Self {
        Self { id, outcome: text::outcome(answer.outcome()), end_reason: text::end_reason(answer.end_reason()) }
    }
}

/// The numbers of an app.
#[derive(Serialize)]
pub(super) struct Stats<'a> {
    #[serde(flatten)]
    times: BTreeMap<&'static str, String>,
    opened: u64,
    created: u64,
    ended: BTreeMap<&'a str, u64>,
    live: u64,
    live_anonymous: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    migrations: Vec<Migration<'a>>,
}

/// The numbers of one migration source.
#[derive(Serialize)]
struct Migration<'a> {
    source: &'a str,
    #[serde(flatten)]
    times: BTreeMap<&'static str, String>,
    imported: u64,
    found: u64,
    refused: BTreeMap<&'a str, u64>,
}

impl<'a> From<&'a MigrationStats> for Migration<'a> {
    fn from(stats: &'a MigrationStats) -> Self {
        let stamps = [("until", &stats.until), ("last_import_time", &stats.last_import_time)];
        Self {
            source: &stats.source,
            times: times(stamps),
            imported: stats.imported,
            found: stats.found,
            refused: stats.refused.iter().map(|(reason, count)| (reason.as_str(), *count)).collect(),
        }
    }
}

impl<'a> From<&'a GetStatsResponse> for Stats<'a> {
    fn from(stats: &'a GetStatsResponse) -> Self {
        let stamps = [("start_time", &stats.start_time), ("scan_time", &stats.scan_time)];
        Self {
            times: times(stamps),
            opened: stats.opened,
            created: stats.created,
            ended: stats.ended.iter().map(|(reason, count)| (reason.as_str(), *count)).collect(),
            live: stats.live,
            live_anonymous: stats.live_anonymous,
            migrations: stats.migrations.iter().map(Into::into).collect(),
        }
    }
}

fn times(stamps: [(&'static str, &Option<Timestamp>); 2]) -> BTreeMap<&'static str, String> {
    stamps.into_iter().filter_map(|(name, stamp)| Some((name, time(stamp)?))).collect()
}

fn time(stamp: &Option<Timestamp>) -> Option<String> {
    let time = SystemTime::from(text::time(stamp)?);
    Some(humantime::format_rfc3339_millis(time).to_string())
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;
    use crate::grpc::wire::{EndReason, Outcome};

    #[test]
    fn a_session_is_one_line_with_the_names_of_the_proto() {
        let text = line(&Session::from(&example::full()));

        assert_eq!(
            text,
            "{\"id\":\"0123456789abcdef0123456789abcdef\",\"subject\":\"user-7\",\"permanent\":true,\"etag\":\"4\",\
             \"access_time\":\"2026-01-02T03:01:05.000Z\",\"authenticate_time\":\"2025-12-31T03:04:05.000Z\",\
             \"create_time\":\"2025-12-31T03:04:05.000Z\",\"expire_time\":\"2026-02-01T03:04:05.000Z\",\
             \"user_agent\":\"Firefox\\u001b[31m\",\"remote_address\":\"198.51.100.7\",\"entry_count\":2,\
             \"entry_bytes\":17,\"entries\":{\"cart\":{\"json\":\"[1,2]\"},\"photo\":{\"raw\":\"/wAB\"}}}"
        );
    }

    #[test]
    fn what_is_unset_is_left_out() {
        let text = line(&Session::from(&example::bare()));

        for name in ["subject", "permanent", "authenticate_time", "user_agent", "entries", "end_reason"] {
            assert!(!text.contains(&format!("\"{name}\"")), "{name} stands in {text}");
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped_and_reads_back_the_same() {
        let text = "\u{1b}[2J \u{9b}31m \u{7f} \u{202e} \u{2066} Zoë";

        let line = line(&text);

        assert_eq!(line, r#""\u001b[2J \u009b31m \u007f \u202e \u2066 Zoë""#);
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }

    #[test]
    fn an_end_says_outcome_and_reason() {
        let answer = |outcome: Outcome, reason: EndReason| RevokeSessionResponse {
            outcome: outcome.into(),
            end_reason: reason.into(),
        };

        let ended = line(&Revoked::new("0f", &answer(Outcome::Deleted, EndReason::Revoked)));
        let unknown = line(&Revoked::new("0f", &answer(Outcome::Gone, EndReason::Unspecified)));

        assert_eq!(ended, r#"{"id":"0f","outcome":"DELETED","end_reason":"REVOKED"}"#);
        assert_eq!(unknown, r#"{"id":"0f","outcome":"GONE"}"#);
    }

    #[test]
    fn numbers_are_one_line() {
        let stats = GetStatsResponse {
            start_time: example::at(0),
            opened: 9,
            created: 3,
            ended: [("REVOKED".to_owned(), 1)].into(),
            live: 2,
            live_anonymous: 1,
            scan_time: None,
            migrations: Vec::new(),
        };

        let expected = "{\"start_time\":\"2026-01-02T03:04:05.000Z\",\"opened\":9,\"created\":3,\
                        \"ended\":{\"REVOKED\":1},\"live\":2,\"live_anonymous\":1}";
        assert_eq!(line(&Stats::from(&stats)), expected);
    }
}
