//! Output for scripts: one JSON document a line, with the names of the proto and without unset fields.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_types::Timestamp;
use serde::Serialize;

use super::text;
use crate::grpc::wire::{GetStatsResponse, MigrationStats, RevokeSessionResponse, SessionInfo, Value, value};

/// Returns a document as one line. Escapes more than JSON requires: all characters that could control a terminal.
pub(in crate::cli) fn line(document: &impl Serialize) -> String {
    let json = serde_json::to_string(document).expect("all keys are strings, and no value fails to serialize");
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

/// `SessionInfo` of the proto.
#[derive(Serialize)]
pub(in crate::cli) struct SessionJson<'a> {
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
    entries: BTreeMap<&'a str, EntryJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_reason: Option<&'static str>,
}

/// `{"json":"…"}` or `{"raw":"<base64>"}`, as in proto JSON.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum EntryJson<'a> {
    Json(&'a str),
    Raw(String),
}

impl<'a> From<&'a SessionInfo> for SessionJson<'a> {
    fn from(session: &'a SessionInfo) -> Self {
        let context = session.context.as_ref();
        let times = [
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
            times: set_times(times),
            user_agent: context.map_or("", |context| &context.user_agent),
            remote_address: context.map_or("", |context| &context.remote_address),
            entry_count: session.entry_count,
            entry_bytes: session.entry_bytes,
            entries: session.entries.iter().filter_map(entry).collect(),
            end_reason: text::end_reason(session.end_reason()),
        }
    }
}

fn entry<'a>((name, value): (&'a String, &'a Value)) -> Option<(&'a str, EntryJson<'a>)> {
    let entry = match value.kind.as_ref()? {
        value::Kind::Json(json) => EntryJson::Json(json),
        value::Kind::Raw(raw) => EntryJson::Raw(STANDARD.encode(raw)),
    };
    Some((name, entry))
}

/// The result of revoking one session.
#[derive(Serialize)]
pub(super) struct RevocationJson<'a> {
    id: &'a str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_reason: Option<&'static str>,
}

impl<'a> RevocationJson<'a> {
    pub(super) fn new(id: &'a str, response: &RevokeSessionResponse) -> Self {
        Self { id, outcome: text::outcome(response.outcome()), end_reason: text::end_reason(response.end_reason()) }
    }
}

/// The statistics of an app.
#[derive(Serialize)]
pub(super) struct StatsJson<'a> {
    #[serde(flatten)]
    times: BTreeMap<&'static str, String>,
    opened: u64,
    created: u64,
    ended: BTreeMap<&'a str, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    live_anonymous: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    migrations: Vec<MigrationJson<'a>>,
}

/// The statistics of one migration source.
#[derive(Serialize)]
struct MigrationJson<'a> {
    source: &'a str,
    #[serde(flatten)]
    times: BTreeMap<&'static str, String>,
    imported: u64,
    found: u64,
    refused: BTreeMap<&'a str, u64>,
}

impl<'a> From<&'a MigrationStats> for MigrationJson<'a> {
    fn from(stats: &'a MigrationStats) -> Self {
        let times = [("until", &stats.until), ("last_import_time", &stats.last_import_time)];
        Self {
            source: &stats.source,
            times: set_times(times),
            imported: stats.imported,
            found: stats.found,
            refused: stats.refused.iter().map(|(reason, count)| (reason.as_str(), *count)).collect(),
        }
    }
}

impl<'a> From<&'a GetStatsResponse> for StatsJson<'a> {
    fn from(stats: &'a GetStatsResponse) -> Self {
        let times = [("start_time", &stats.start_time), ("scan_time", &stats.scan_time)];
        Self {
            times: set_times(times),
            opened: stats.opened,
            created: stats.created,
            ended: stats.ended.iter().map(|(reason, count)| (reason.as_str(), *count)).collect(),
            live: stats.live,
            live_anonymous: stats.live_anonymous,
            migrations: stats.migrations.iter().map(Into::into).collect(),
        }
    }
}

/// Returns the names and the texts of the times that are set.
fn set_times<'t>(
    times: impl IntoIterator<Item = (&'static str, &'t Option<Timestamp>)>,
) -> BTreeMap<&'static str, String> {
    times.into_iter().filter_map(|(name, time)| Some((name, text::rfc3339(time)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;
    use crate::grpc::wire::{EndReason, Outcome};

    #[test]
    fn a_session_is_one_line_with_the_names_of_the_proto() {
        let text = line(&SessionJson::from(&example::full()));

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
    fn unset_fields_are_left_out() {
        let text = line(&SessionJson::from(&example::bare()));

        for name in ["subject", "permanent", "authenticate_time", "user_agent", "entries", "end_reason"] {
            assert!(!text.contains(&format!("\"{name}\"")), "{name} is in {text}");
        }
    }

    #[test]
    fn control_characters_are_escaped_and_read_back_the_same() {
        let text = "\u{1b}[2J \u{9b}31m \u{7f} \u{202e} \u{2066} Zoë";

        let line = line(&text);

        assert_eq!(line, r#""\u001b[2J \u009b31m \u007f \u202e \u2066 Zoë""#);
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }

    #[test]
    fn a_revocation_has_an_outcome_and_a_reason() {
        let response = |outcome: Outcome, reason: EndReason| RevokeSessionResponse {
            outcome: outcome.into(),
            end_reason: reason.into(),
        };

        let ended = line(&RevocationJson::new("0f", &response(Outcome::Deleted, EndReason::Revoked)));
        let unknown = line(&RevocationJson::new("0f", &response(Outcome::Gone, EndReason::Unspecified)));

        assert_eq!(ended, r#"{"id":"0f","outcome":"DELETED","end_reason":"REVOKED"}"#);
        assert_eq!(unknown, r#"{"id":"0f","outcome":"GONE"}"#);
    }

    #[test]
    fn statistics_are_one_line() {
        let stats = GetStatsResponse {
            start_time: example::at(0),
            opened: 9,
            created: 3,
            ended: [("REVOKED".to_owned(), 1)].into(),
            live: Some(2),
            live_anonymous: Some(1),
            scan_time: None,
            migrations: Vec::new(),
        };

        let expected = "{\"start_time\":\"2026-01-02T03:04:05.000Z\",\"opened\":9,\"created\":3,\
                        \"ended\":{\"REVOKED\":1},\"live\":2,\"live_anonymous\":1}";
        assert_eq!(line(&StatsJson::from(&stats)), expected);
    }
}
