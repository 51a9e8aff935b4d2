//! Output for people: a table of many sessions, and the fields of one session.

use super::text::{NONE, absolute, end_reason, printable, relative, time, value};
use crate::cli::layout::{cut, folded, padded, width, wrapped};
use crate::cli::style::{BAD, HEADING, styled};
use crate::grpc::wire::{SessionInfo, Value};
use crate::types::{Time, counted};

/// A table that is printed page by page. Columns only grow, so a list of one page is aligned as a whole.
///
/// On a terminal, addresses and user agents are shortened until a row fits. If that is not enough, each session is
/// folded: its id, and below it `name: value`. Ids and subjects are never shortened.
#[derive(Debug)]
pub(super) struct SessionTable {
    now: Time,
    /// The width of the terminal. `None`: nothing is shortened.
    columns: Option<usize>,
    widths: [usize; COLUMNS],
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Nothing was printed.
    New,
    Rows,
    Folded,
}

impl SessionTable {
    pub(super) const fn new(now: Time, columns: Option<usize>) -> Self {
        Self { now, columns, widths: [0; COLUMNS], form: Form::New }
    }

    /// Returns the lines of a page, with the header on the first page, and the entries of each session below it.
    pub(super) fn page(&mut self, sessions: &[SessionInfo]) -> String {
        let rows = sessions.iter().map(|session| row(session, self.now)).collect::<Vec<_>>();
        for (column, own) in self.widths.iter_mut().enumerate() {
            let longest = rows.iter().map(|cells| width(&cells[column])).max().unwrap_or_default();
            *own = longest.max(width(HEADER[column])).max(*own);
        }
        let widths = match self.columns {
            Some(_) if self.form == Form::Folded => None,
            Some(columns) => fitted(self.widths, columns),
            None => Some(self.widths),
        };
        let mut text = String::new();
        if self.form == Form::New
            && let Some(widths) = widths
        {
            text += &format!("{}\n", styled(HEADING, line(HEADER.map(str::to_owned), widths).trim_end()));
        }
        self.form = if widths.is_some() { Form::Rows } else { Form::Folded };
        for (cells, session) in rows.into_iter().zip(sessions) {
            text += &match widths {
                Some(widths) => line(cells, widths),
                None => folded_row(cells, self.columns.unwrap_or(usize::MAX)),
            };
            text += &entries(session, self.columns);
        }
        text
    }
}

/// Returns the widths for a terminal. `None`: it is too narrow.
fn fitted(mut widths: [usize; COLUMNS], columns: usize) -> Option<[usize; COLUMNS]> {
    for (column, least) in SHORTENED {
        widths[column] = widths[column].min(MAX_COLUMNS);
        let excess = row_width(widths).saturating_sub(columns);
        widths[column] -= excess.min(widths[column].saturating_sub(least));
    }
    (row_width(widths) <= columns).then_some(widths)
}

fn row_width(widths: [usize; COLUMNS]) -> usize {
    widths.iter().sum::<usize>() + GAP.len() * (COLUMNS - 1)
}

fn line(cells: [String; COLUMNS], widths: [usize; COLUMNS]) -> String {
    let cells = cells.into_iter().zip(widths).map(|(cell, width)| padded(&cut(cell, width), width));
    format!("{}\n", cells.collect::<Vec<_>>().join(GAP).trim_end())
}

/// Returns a line with the id, and below it all that the session has.
fn folded_row(cells: [String; COLUMNS], columns: usize) -> String {
    let [id, cells @ ..] = cells;
    let pairs = FOLDED_NAMES.into_iter().zip(cells).filter(|(_, cell)| cell != NONE);
    format!("{id}\n{}", folded(pairs, columns))
}

fn row(session: &SessionInfo, now: Time) -> [String; COLUMNS] {
    let (address, agent) = context(session);
    [
        printable(&session.id),
        or_none(printable(&session.subject)),
        relative(time(&session.create_time), now),
        relative(time(&session.access_time), now),
        relative(time(&session.expire_time), now),
        or_none(printable(address)),
        or_none(printable(agent)),
    ]
}

/// Returns all fields of one session, a line each, and its entries.
pub(super) fn session_fields(session: &SessionInfo, now: Time, columns: Option<usize>) -> String {
    let (address, agent) = context(session);
    let ended = end_reason(session.end_reason())
        .map(|reason| format!("{} {}", styled(BAD, reason), absolute(time(&session.end_time), now)));
    let permanent = session.permanent.map_or(NONE, |permanent| if permanent { "yes" } else { "no" });
    let rows = [
        ("session", printable(&session.id)),
        ("subject", or_none(printable(&session.subject))),
        ("created", absolute(time(&session.create_time), now)),
        ("used", absolute(time(&session.access_time), now)),
        ("authenticated", absolute(time(&session.authenticate_time), now)),
        ("expires", absolute(time(&session.expire_time), now)),
        ("ended", ended.unwrap_or_else(|| NONE.to_owned())),
        ("permanent", permanent.to_owned()),
        ("etag", printable(&session.etag)),
        ("address", or_none(printable(address))),
        ("user agent", or_none(printable(agent))),
        ("entries", format!("{}, of {}", session.entry_count, counted(session.entry_bytes, "byte", "bytes"))),
    ];
    fields(&rows, columns) + &entries(session, None)
}

/// Returns a line for each name and value, with the values aligned. On a terminal, long values go on below their begin.
pub(super) fn fields(rows: &[(&str, String)], columns: Option<usize>) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let columns = columns.unwrap_or(usize::MAX);
    let line = |(name, value): &(&str, String)| wrapped(&format!("{name:width$}  "), value, columns);
    rows.iter().map(line).collect()
}

/// Returns a line for each entry, sorted by name. If the width is known, longer lines are shortened.
fn entries(session: &SessionInfo, columns: Option<usize>) -> String {
    let mut entries = session.entries.iter().collect::<Vec<_>>();
    entries.sort_unstable_by_key(|(name, _)| *name);
    let line = |(name, data): (&String, &Value)| {
        let line = format!("    {} = {}", printable(name), value(data));
        format!("{}\n", columns.map_or_else(|| line.clone(), |columns| cut(line.clone(), columns)))
    };
    entries.into_iter().map(line).collect()
}

/// Returns address and user agent, empty if the frontend sent none.
fn context(session: &SessionInfo) -> (&str, &str) {
    session.context.as_ref().map_or(("", ""), |context| (&context.remote_address, &context.user_agent))
}

fn or_none(text: String) -> String {
    if text.is_empty() { NONE.to_owned() } else { text }
}

const COLUMNS: usize = 7;

const HEADER: [&str; COLUMNS] = ["SESSION", "SUBJECT", "CREATED", "USED", "EXPIRES", "ADDRESS", "USER AGENT"];

/// The names of all cells but the id.
const FOLDED_NAMES: [&str; COLUMNS - 1] = ["subject", "created", "used", "expires", "address", "user agent"];

/// The columns that are shortened, one after the other, and the least that is left of each.
const SHORTENED: [(usize, usize); 2] = [(6, 10), (5, 15)];

/// The most columns for an address or a user agent on a terminal.
const MAX_COLUMNS: usize = 60;

const GAP: &str = "  ";

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;
    use crate::cli::style::plain;
    use crate::grpc::wire::RequestContext;

    #[test]
    fn a_page_is_a_table_with_a_header() {
        let (full, bare) = (example::full(), example::bare());

        let text = plain(&SessionTable::new(example::NOW, None).page(&[full, bare]));

        assert_eq!(
            text,
            "\
SESSION                           SUBJECT  CREATED  USED    EXPIRES  ADDRESS       USER AGENT
0123456789abcdef0123456789abcdef  user-7   2d ago   3m ago  in 30d   198.51.100.7  Firefox\\u{1b}[31m
    cart = [1,2]
    photo = (3 bytes)
ffffffffffffffffffffffffffffffff  -        now      now     in 31d   -             -
"
        );
    }

    #[test]
    fn only_the_first_page_has_the_header() {
        let mut table = SessionTable::new(example::NOW, None);

        table.page(&[example::full()]);
        let second = table.page(&[example::bare()]);

        let expected = "ffffffffffffffffffffffffffffffff  -        now      now     in 31d   -             -\n";
        assert_eq!(second, expected);
    }

    fn long() -> SessionInfo {
        let context =
            RequestContext { user_agent: "東京 Browser/1.0 ".repeat(30), remote_address: "2001:db8::".to_owned() };
        SessionInfo { subject: "ada@test.example".to_owned(), context: Some(context), ..example::full() }
    }

    #[test]
    fn on_a_terminal_only_the_user_agent_and_the_address_are_shortened() {
        let text = plain(&SessionTable::new(example::NOW, Some(105)).page(&[long()]));

        assert_eq!(
            text,
            "\
SESSION                           SUBJECT           CREATED  USED    EXPIRES  ADDRESS     USER AGENT
0123456789abcdef0123456789abcdef  ada@test.example  2d ago   3m ago  in 30d   2001:db8::  東京 Browser/1…
    cart = [1,2]
    photo = (3 bytes)
"
        );
    }

    #[test]
    fn on_a_narrow_terminal_a_row_is_folded() {
        let text = SessionTable::new(example::NOW, Some(80)).page(&[long(), example::bare()]);

        assert!(
            text.starts_with(
                "\
0123456789abcdef0123456789abcdef
  subject: ada@test.example   created: 2d ago   used: 3m ago   expires: in 30d
  address: 2001:db8::
  user agent: 東京 Browser/1.0 東京 Browser/1.0 "
            ),
            "{text}"
        );
        assert!(
            text.ends_with("ffffffffffffffffffffffffffffffff\n  created: now   used: now   expires: in 31d\n"),
            "{text}"
        );
    }

    #[test]
    fn a_list_that_was_folded_once_stays_folded() {
        let mut table = SessionTable::new(example::NOW, Some(80));

        let first = table.page(&[long()]);
        let second = table.page(&[example::bare()]);

        assert!(
            !first.contains("SESSION") && second.starts_with(&format!("{}\n  created", "f".repeat(32))),
            "{second}"
        );
    }

    #[test]
    fn every_width_has_whole_ids_and_subjects_and_no_line_that_is_longer() {
        let id = example::full().id;
        for columns in 20..=200 {
            let mut table = SessionTable::new(example::NOW, Some(columns));
            let text = table.page(&[example::full()]) + &table.page(&[long()]);

            assert_eq!(text.matches(&id).count(), 2, "{columns}: {text}");
            assert!(text.replace("\n    ", "").contains("ada@test.example"), "{columns}: {text}");
            for line in text.lines().filter(|line| *line != id) {
                assert!(width(line) <= columns, "{columns}: {line}");
            }
        }
    }

    #[test]
    fn a_session_is_printed_with_all_fields() {
        let text = session_fields(&example::full(), example::NOW, None);

        assert_eq!(
            text,
            "\
session        0123456789abcdef0123456789abcdef
subject        user-7
created        2025-12-31T03:04:05Z (2d ago)
used           2026-01-02T03:01:05Z (3m ago)
authenticated  2025-12-31T03:04:05Z (2d ago)
expires        2026-02-01T03:04:05Z (in 30d)
ended          -
permanent      yes
etag           4
address        198.51.100.7
user agent     Firefox\\u{1b}[31m
entries        2, of 17 bytes
    cart = [1,2]
    photo = (3 bytes)
"
        );
    }

    #[test]
    fn an_ended_session_is_printed_with_its_end() {
        let text = plain(&session_fields(&example::ended(), example::NOW, None));

        assert!(text.contains("ended          REVOKED 2026-01-02T03:03:05Z (1m ago)\n"), "{text}");
    }
}
