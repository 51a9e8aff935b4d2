//! `cloakroom sessions watch`: prints the events of an app's sessions, or of one session until it ends.

use std::ops::ControlFlow;

use super::event_stream::EventStream;
use super::watch_printer::WatchPrinter;
use super::{CommandContext, OutputFormat, json, text};
use crate::cli::layout::width;
use crate::cli::style::{BAD, styled};
use crate::cli::{CliError, output};
use crate::grpc::wire::{SessionEvent, SessionEventKind, WatchEventsResponse};
use crate::token::SessionId;
use clap::Args;
use serde::Serialize;

#[derive(Debug, Args)]
pub(super) struct WatchArgs {
    /// Print only the events of this session, and stop when it ends [default: all sessions of the app]
    #[arg(value_name = "ID", value_parser = super::parse_id, conflicts_with = "cursor")]
    id: Option<SessionId>,
    /// Continue after this cursor, the last one that --json printed [default: from now on]
    #[arg(long, value_name = "CURSOR", default_value = "", hide_default_value = true)]
    cursor: String,
}

impl WatchArgs {
    pub(super) async fn run(&self, context: &CommandContext) -> Result<(), CliError> {
        if let Some(id) = self.id {
            return WatchPrinter::run(context, id).await;
        }
        let mut events = EventStream::open(context, &self.cursor).await?;
        while print_batch(context, &events.next().await?)?.is_continue() {}
        Ok(())
    }
}

/// Prints a batch. As JSON also one without events, because its cursor is where the stream begins.
pub(super) fn print_batch(context: &CommandContext, batch: &WatchEventsResponse) -> Result<ControlFlow<()>, CliError> {
    let lines: Vec<String> = match context.format {
        OutputFormat::Text => batch.events.iter().map(|event| row(event, context.columns)).collect(),
        OutputFormat::Json => vec![json::line(&BatchJson::new(&batch.events, &batch.cursor))],
    };
    if lines.is_empty() { Ok(ControlFlow::Continue(())) } else { Ok(output::print_part(&lines.join("\n"))?) }
}

/// Returns a line such as `2026-11-23T17:34:14Z  0f…  ENDED REVOKED`. If it does not fit, the id has a line of its own.
fn row(event: &SessionEvent, columns: Option<usize>) -> String {
    let time = text::time(&event.time).map(|time| humantime::format_rfc3339_seconds(time.into()).to_string());
    let id = if event.id.is_empty() { "-" } else { &event.id };
    let reason = text::end_reason(event.end_reason()).unwrap_or_default();
    let (time, id, what) = (time.unwrap_or_default(), text::printable(id), format!("{} {reason}", kind(event)));
    let what = match event.kind() {
        SessionEventKind::Ended | SessionEventKind::AppRevoked => styled(BAD, what.trim_end()),
        _ => what.trim_end().to_owned(),
    };
    let line = format!("{time}  {id:32}  {what}");
    if columns.is_none_or(|columns| width(&line) <= columns) { line } else { format!("{id}\n  {what}\n  {time}") }
}

fn kind(event: &SessionEvent) -> &'static str {
    event.kind().as_str_name().trim_start_matches("SESSION_EVENT_KIND_")
}

/// `WatchEventsResponse` of the proto.
#[derive(Serialize)]
struct BatchJson<'a> {
    events: Vec<EventJson<'a>>,
    cursor: &'a str,
}

#[derive(Serialize)]
struct EventJson<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
}

impl<'a> BatchJson<'a> {
    fn new(events: &'a [SessionEvent], cursor: &'a str) -> Self {
        let event = |event: &'a SessionEvent| EventJson {
            id: &event.id,
            kind: kind(event),
            end_reason: text::end_reason(event.end_reason()),
            time: text::rfc3339(&event.time),
        };
        Self { events: events.iter().map(event).collect(), cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::style::plain;
    use crate::grpc::wire::EndReason;

    fn ended() -> SessionEvent {
        SessionEvent {
            id: "0f".repeat(16),
            kind: SessionEventKind::Ended.into(),
            end_reason: EndReason::Revoked.into(),
            time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 5_000_000 }),
        }
    }

    #[test]
    fn an_event_is_a_line_of_text() {
        let revoked = SessionEvent { kind: SessionEventKind::AppRevoked.into(), ..Default::default() };

        assert_eq!(plain(&row(&ended(), None)), format!("2023-11-14T22:13:20Z  {}  ENDED REVOKED", "0f".repeat(16)));
        assert_eq!(plain(&row(&revoked, None)), format!("  {:32}  APP_REVOKED", "-"));
    }

    #[test]
    fn an_event_that_does_not_fit_is_folded_with_a_whole_id() {
        let folded = format!("{}\n  ENDED REVOKED\n  2023-11-14T22:13:20Z", "0f".repeat(16));

        assert_eq!(plain(&row(&ended(), Some(68))), folded);
        assert_eq!(plain(&row(&ended(), Some(69))), plain(&row(&ended(), None)));
    }

    #[test]
    fn a_batch_is_a_line_of_json() {
        let line = json::line(&BatchJson::new(&[ended()], "c1"));

        let event = r#""kind":"ENDED","end_reason":"REVOKED","time":"2023-11-14T22:13:20.005Z""#;
        assert_eq!(line, format!(r#"{{"events":[{{"id":"{}",{event}}}],"cursor":"c1"}}"#, "0f".repeat(16)));
    }
}
