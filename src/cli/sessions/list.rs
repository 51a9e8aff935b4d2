//! `cloakroom sessions list`: lists all live sessions of a subject or of the app, page by page.

use std::collections::HashSet;
use std::num::NonZeroUsize;

use clap::Args;

use super::table::Table;
use super::{CommandContext, OutputFormat, json};
use crate::cli::{CliError, output};
use crate::grpc::wire::{ListSessionsRequest, SessionInfo};

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// List only sessions of this subject
    #[arg(long, value_name = "SUBJECT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    subject: Option<String>,
    /// Stop after this many sessions
    #[arg(long, value_name = "COUNT")]
    limit: Option<NonZeroUsize>,
    /// Also print the entries of each session
    #[arg(long)]
    entries: bool,
}

impl ListArgs {
    pub(super) async fn run(&self, context: &CommandContext) -> Result<(), CliError> {
        let limit = self.limit.map_or(usize::MAX, NonZeroUsize::get);
        let page_size = if self.entries { PAGE_SIZE_WITH_ENTRIES } else { PAGE_SIZE };
        let mut request = ListSessionsRequest {
            app: context.app.clone(),
            subject: self.subject.clone().unwrap_or_default(),
            page_size: i32::try_from(limit).map_or(page_size, |limit| page_size.min(limit)),
            page_token: String::new(),
            with_entries: self.entries,
        };
        let (mut table, mut seen) = (Table::new(context.now), HashSet::new());
        loop {
            let page_request = request.clone();
            let page = context.admin.call(async |mut client| client.list_sessions(page_request).await).await?;
            let sessions = unseen(page.sessions, &mut seen, limit);
            if !sessions.is_empty() && output::print_part(&render(context.format, &mut table, &sessions))?.is_break() {
                return Ok(());
            }
            if page.next_page_token.is_empty() || seen.len() == limit {
                break;
            }
            request.page_token = page.next_page_token;
        }
        if context.format == OutputFormat::Text {
            output::print_note(&format!("{} sessions", seen.len()));
        }
        Ok(())
    }
}

/// Returns the sessions that were on no earlier page, until `limit` are seen. A session that is used meanwhile may be on
/// two pages.
fn unseen(page: Vec<SessionInfo>, seen: &mut HashSet<String>, limit: usize) -> Vec<SessionInfo> {
    page.into_iter().filter(|session| seen.len() < limit && seen.insert(session.id.clone())).collect()
}

fn render(format: OutputFormat, table: &mut Table, sessions: &[SessionInfo]) -> String {
    match format {
        OutputFormat::Text => table.page(sessions),
        OutputFormat::Json => {
            let lines = sessions.iter().map(|session| json::line(&json::SessionJson::from(session)));
            lines.collect::<Vec<_>>().join("\n")
        }
    }
}

const PAGE_SIZE: i32 = 1000;

/// A session may hold 1 MiB.
const PAGE_SIZE_WITH_ENTRIES: i32 = 50;

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn a_session_on_two_pages_is_listed_once() {
        let mut seen = HashSet::new();

        let first = unseen(vec![example::full(), example::bare()], &mut seen, 3);
        let second = unseen(vec![example::bare()], &mut seen, 3);

        assert_eq!((first.len(), second.len(), seen.len()), (2, 0, 2));
    }

    #[test]
    fn no_more_sessions_are_listed_than_the_limit() {
        let mut seen = HashSet::new();

        let listed = unseen(vec![example::full(), example::bare()], &mut seen, 1);

        assert_eq!((listed.len(), seen.len()), (1, 1));
    }

    #[test]
    fn json_is_one_line_a_session() {
        let mut table = Table::new(example::NOW);

        let text = render(OutputFormat::Json, &mut table, &[example::full(), example::bare()]);

        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{text}");
    }
}
