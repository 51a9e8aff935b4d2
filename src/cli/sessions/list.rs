//! `cloakroom sessions list`: every live session of a subject or of the app, page by page.

use std::collections::HashSet;

use clap::Args;

use super::table::Table;
use super::{CommandContext, OutputFormat, json};
use crate::cli::{CliError, output};
use crate::grpc::wire::{ListSessionsRequest, SessionInfo};

#[derive(Debug, Args)]
pub(super) struct List {
    /// Only this subject's
    #[arg(long, value_name = "SUBJECT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    subject: Option<String>,
    /// Show what they hold, too
    #[arg(long)]
    entries: bool,
}

impl List {
    pub(super) async fn run(&self, context: &CommandContext) -> Result<(), CliError> {
        let mut request = ListSessionsRequest {
            app: context.app.clone(),
            subject: self.subject.clone().unwrap_or_default(),
            page_size: if self.entries { PAGE_WITH_ENTRIES } else { PAGE },
            page_token: String::new(),
            with_entries: self.entries,
        };
        let (mut table, mut seen) = (Table::new(context.now), HashSet::new());
        loop {
            let asked = request.clone();
            let page = context.admin.ask(async |mut client| client.list_sessions(asked).await).await?;
            let fresh = fresh(page.sessions, &mut seen);
            if !fresh.is_empty() && output::part(&rendered(context.format, &mut table, &fresh))?.is_break() {
                return Ok(());
            }
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        if context.format == OutputFormat::People {
            output::tell(&format!("{} sessions", seen.len()));
        }
        Ok(())
    }
}

/// Those that no earlier page had: what moves while it is listed may come twice.
fn fresh(page: Vec<SessionInfo>, seen: &mut HashSet<String>) -> Vec<SessionInfo> {
    page.into_iter().filter(|session| seen.insert(session.id.clone())).collect()
}

fn rendered(format: OutputFormat, table: &mut Table, sessions: &[SessionInfo]) -> String {
    match format {
        OutputFormat::People => table.page(sessions),
        OutputFormat::Json => {
            let lines = sessions.iter().map(|session| json::line(&json::SessionJson::from(session)));
            lines.collect::<Vec<_>>().join("\n")
        }
    }
}

const PAGE: i32 = 1000;

/// Sessions may have a MiB each.
const PAGE_WITH_ENTRIES: i32 = 50;

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn a_session_that_comes_twice_is_listed_once() {
        let mut seen = HashSet::new();

        let first = fresh(vec![example::full(), example::bare()], &mut seen);
        let second = fresh(vec![example::bare()], &mut seen);

        assert_eq!((first.len(), second.len(), seen.len()), (2, 0, 2));
    }

    #[test]
    fn json_is_one_line_a_session() {
        let mut table = Table::new(example::NOW);

        let text = rendered(OutputFormat::Json, &mut table, &[example::full(), example::bare()]);

        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{text}");
    }
}
