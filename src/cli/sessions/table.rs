//! Output for people: a table of many sessions, and the fields of one session.

use super::text::{NONE, absolute, cut, end_reason, printable, relative, time, value};
use crate::grpc::wire::{SessionInfo, Value};
use crate::types::Time;

/// A table that is printed page by page. Columns only grow, so a list of one page is aligned as a whole.
#[derive(Debug)]
pub(super) struct Table {
    now: Time,
    widths: [usize; COLUMNS],
    has_header: bool,
}

impl Table {
    pub(super) const fn new(now: Time) -> Self {
        Self { now, widths: [0; COLUMNS], has_header: false }
    }

    /// Returns the lines of a page, with the header on the first page, and the entries of each session below it.
    pub(super) fn page(&mut self, sessions: &[SessionInfo]) -> String {
        let header = (!self.has_header).then(|| HEADER.map(str::to_owned));
        self.has_header = true;
        let rows = sessions.iter().map(|session| row(session, self.now)).collect::<Vec<_>>();
        for cells in header.iter().chain(&rows) {
            for (width, cell) in self.widths.iter_mut().zip(cells) {
                *width = cell.chars().count().max(*width);
            }
        }
        let mut text = header.map(|header| self.line(&header)).unwrap_or_default();
        for (cells, session) in rows.iter().zip(sessions) {
            text.push_str(&self.line(cells));
            text.push_str(&entries(session, MAX_CELL_CHARS));
        }
        text
    }

    fn line(&self, cells: &[String; COLUMNS]) -> String {
        let padded = cells.iter().zip(self.widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    }
}

fn row(session: &SessionInfo, now: Time) -> [String; COLUMNS] {
    let (address, agent) = context(session);
    [
        printable(&session.id),
        or_none(cut(printable(&session.subject), MAX_CELL_CHARS)),
        relative(time(&session.create_time), now),
        relative(time(&session.access_time), now),
        relative(time(&session.expire_time), now),
        or_none(cut(printable(address), MAX_CELL_CHARS)),
        or_none(cut(printable(agent), MAX_CELL_CHARS)),
    ]
}

/// Returns all fields of one session, a line each, and its entries.
pub(super) fn session_fields(session: &SessionInfo, now: Time) -> String {
    let (address, agent) = context(session);
    let ended =
        end_reason(session.end_reason()).map(|reason| format!("{reason} {}", absolute(time(&session.end_time), now)));
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
        ("entries", format!("{}, of {} bytes", session.entry_count, session.entry_bytes)),
    ];
    let mut text = fields(&rows);
    text.push_str(&entries(session, usize::MAX));
    text
}

/// Returns a line for each name and value, with the values aligned.
pub(super) fn fields(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    rows.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
}

/// Returns a line for each entry, sorted by name, with values of at most `max_chars`.
fn entries(session: &SessionInfo, max_chars: usize) -> String {
    let mut entries = session.entries.iter().collect::<Vec<_>>();
    entries.sort_unstable_by_key(|(name, _)| *name);
    let line = |(name, data): (&String, &Value)| format!("    {} = {}\n", printable(name), cut(value(data), max_chars));
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

/// The longest cell, in characters.
const MAX_CELL_CHARS: usize = 60;

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn a_page_is_a_table_with_a_header() {
        let (full, bare) = (example::full(), example::bare());

        let text = Table::new(example::NOW).page(&[full, bare]);

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
        let mut table = Table::new(example::NOW);

        table.page(&[example::full()]);
        let second = table.page(&[example::bare()]);

        let expected = "ffffffffffffffffffffffffffffffff  -        now      now     in 31d   -             -\n";
        assert_eq!(second, expected);
    }

    #[test]
    fn a_session_is_printed_with_all_fields() {
        let text = session_fields(&example::full(), example::NOW);

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
        let text = session_fields(&example::ended(), example::NOW);

        assert!(text.contains("ended          REVOKED 2026-01-02T03:03:05Z (1m ago)\n"), "{text}");
    }
}
