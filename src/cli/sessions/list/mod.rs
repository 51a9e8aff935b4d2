//! `cloakroom sessions list`: lists the live sessions of a subject or of the app, page by page.
//!
//! The service chooses the sessions of a subject. All other filters, the order and the limit are applied here.

mod filter;
mod order;
mod pages;
mod selection;

use std::collections::HashSet;
use std::num::NonZeroUsize;

use clap::Args;

use self::filter::{Filter, FilterArgs};
use self::order::{Order, SortField};
use self::pages::Pages;
use self::selection::Selection;
use super::table::SessionTable;
use super::{CommandContext, OutputFormat, json};
use crate::cli::progress::Progress;
use crate::cli::{CliError, output};
use crate::grpc::wire::SessionInfo;
use crate::token::SessionId;
use crate::types::counted;

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// List only sessions of this subject. The service reads only these
    #[arg(long, value_name = "SUBJECT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    #[arg(help_heading = "Filters")]
    subject: Option<String>,
    #[command(flatten, next_help_heading = "Filters")]
    filter: FilterArgs,
    /// Sort the sessions [default: as the service sends them]
    ///
    /// Reads all sessions of the subject or of the app before it prints the first one. With --limit it keeps no more than
    /// that many in memory; without, it ends with an error if they take more than 256 MiB.
    #[arg(long, value_name = "FIELD")]
    sort: Option<SortField>,
    /// Turn the order of --sort round
    #[arg(long, requires = "sort")]
    reverse: bool,
    /// List at most this many sessions, the first ones of the order
    #[arg(long, value_name = "COUNT")]
    limit: Option<NonZeroUsize>,
    /// Also print the entries of each session
    #[arg(long)]
    entries: bool,
}

impl ListArgs {
    pub(super) async fn run(&self, context: &CommandContext) -> Result<(), CliError> {
        let limit = self.limit.map_or(usize::MAX, NonZeroUsize::get);
        let filter = self.filter.at(context.now);
        let reads_more = self.sort.is_some() || !self.filter.is_empty();
        let page_size = if reads_more { usize::MAX } else { limit };
        let pages = Pages::new(context, self.subject.as_deref(), self.entries, page_size);
        let listed = match self.sort {
            Some(field) => {
                let selection = Selection::new(Order::new(field, self.reverse), limit, MAX_SORTED_BYTES);
                sorted(context, pages, &filter, selection).await?
            }
            None => unsorted(context, pages, &filter, limit).await?,
        };
        if let Some(count) = listed.filter(|_| context.format == OutputFormat::Text) {
            output::print_note(&counted(count, "session", "sessions"));
        }
        Ok(())
    }
}

/// Prints the sessions as they come. Returns how many; `None` if the reader has closed the pipe.
async fn unsorted(
    context: &CommandContext,
    mut pages: Pages<'_>,
    filter: &Filter,
    limit: usize,
) -> Result<Option<usize>, CliError> {
    let (mut table, mut seen, mut count) = (SessionTable::new(context.now, context.columns), HashSet::new(), 0);
    while let Some(mut page) = pages.next().await? {
        page.retain(|session| filter.includes(session) && is_new(session, &mut seen));
        page.truncate(limit - count);
        count += page.len();
        if !page.is_empty() && output::print_part(&render(context.format, &mut table, &page))?.is_break() {
            return Ok(None);
        }
        if count == limit {
            break;
        }
    }
    Ok(Some(count))
}

/// Reads all sessions, and prints those that are selected. Returns how many; `None` if the reader has closed the pipe.
async fn sorted(
    context: &CommandContext,
    mut pages: Pages<'_>,
    filter: &Filter,
    mut selection: Selection,
) -> Result<Option<usize>, CliError> {
    let (mut progress, mut read) = (Progress::new(), 0);
    while let Some(page) = pages.next().await? {
        read += page.len() as u64;
        page.into_iter().filter(|session| filter.includes(session)).try_for_each(|session| selection.add(session))?;
        progress.show(read);
    }
    drop(progress);
    let sessions = selection.into_sorted();
    let mut table = SessionTable::new(context.now, context.columns);
    for part in sessions.chunks(PRINTED_AT_ONCE) {
        if output::print_part(&render(context.format, &mut table, part))?.is_break() {
            return Ok(None);
        }
    }
    Ok(Some(sessions.len()))
}

/// Whether the session was on no earlier page. One that is used meanwhile may be on two pages.
fn is_new(session: &SessionInfo, seen: &mut HashSet<SessionId>) -> bool {
    SessionId::parse(&session.id).is_none_or(|id| seen.insert(id))
}

fn render(format: OutputFormat, table: &mut SessionTable, sessions: &[SessionInfo]) -> String {
    match format {
        OutputFormat::Text => table.page(sessions),
        OutputFormat::Json => {
            let lines = sessions.iter().map(|session| json::line(&json::SessionJson::from(session)));
            lines.collect::<Vec<_>>().join("\n")
        }
    }
}

/// The most memory for sessions that are sorted: about half a million without their entries.
const MAX_SORTED_BYTES: usize = 256 << 20;

/// The rows of a table that are aligned together.
const PRINTED_AT_ONCE: usize = 1000;

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn a_session_on_two_pages_is_listed_once() {
        let mut seen = HashSet::new();

        let new = [example::full(), example::bare(), example::bare()].map(|session| is_new(&session, &mut seen));

        assert_eq!(new, [true, true, false]);
    }

    #[test]
    fn json_is_one_line_a_session() {
        let mut table = SessionTable::new(example::NOW, None);

        let text = render(OutputFormat::Json, &mut table, &[example::full(), example::bare()]);

        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{text}");
    }
}
