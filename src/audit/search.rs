//! The search of the audit log: the ends of one session, or of the sessions of one subject.
//!
//! Reads whole files, because an audit log is written often and read rarely.

use std::collections::VecDeque;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::time::{Duration, Instant};

use tracing::warn;

use super::SessionEnd;
use super::folder::{Day, Folder};
use super::session_end::ID_FIELD;
use crate::session::Subject;
use crate::token::SessionId;
use crate::types::{AppName, Time};

/// Whose ends are wanted. The ends of all sessions of the app are found as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    Session(SessionId),
    Subject(Subject),
}

/// The result of a search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The newest first.
    pub ends: Vec<SessionEnd>,
    /// The time of the oldest line that was searched. `None`: there was none.
    pub begin_time: Option<Time>,
}

impl Found {
    /// The most ends that a search returns.
    pub const MAX_ENDS: usize = 100;
}

/// The part of a search in one file.
#[derive(Default)]
struct FoundInFile {
    /// The oldest first.
    ends: VecDeque<SessionEnd>,
    first_time: Option<Time>,
}

impl Wanted {
    fn includes(&self, end: &SessionEnd) -> bool {
        match (self, &end.id) {
            (_, None) => true,
            (Self::Session(id), Some(of_end)) => id == of_end,
            (Self::Subject(subject), Some(_)) => end.subject.as_ref() == Some(subject),
        }
    }

    /// Returns what each line about it contains.
    fn needle(&self) -> String {
        match self {
            Self::Session(id) => id.to_string(),
            Self::Subject(subject) => serde_json::to_string(subject.as_str()).expect("a text is JSON"),
        }
    }
}

/// Searches from the newest file to the oldest, until it has enough ends or the time is over.
pub(super) fn search(folder: &Folder, app: &AppName, wanted: &Wanted, time: Duration) -> Found {
    let begin = Instant::now();
    let mut found = Found::default();
    let days = folder.days().unwrap_or_else(|error| {
        warn!(error = &error as &dyn std::error::Error, "the folder of the audit log cannot be read");
        Vec::new()
    });
    for day in days {
        let is_over = || begin.elapsed() > time;
        match search_file(folder, day, app, wanted, is_over) {
            Ok(Some(FoundInFile { ends, first_time })) => {
                found.begin_time = first_time.or(found.begin_time);
                found.ends.extend(ends.into_iter().rev());
            }
            Ok(None) => break,
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "a file of the audit log cannot be read");
                break;
            }
        }
        if found.ends.len() >= Found::MAX_ENDS {
            found.ends.truncate(Found::MAX_ENDS);
            found.begin_time = found.ends.last().map(|end| end.time);
            break;
        }
    }
    found
}

/// Searches the file of one day. `None`: the time is over.
fn search_file(
    folder: &Folder,
    day: Day,
    app: &AppName,
    wanted: &Wanted,
    is_over: impl Fn() -> bool,
) -> io::Result<Option<FoundInFile>> {
    let (mut reader, needle) = (BufReader::new(folder.read_file(day)?), wanted.needle());
    let (mut found, mut line) = (FoundInFile::default(), Vec::new());
    loop {
        line.clear();
        if reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
            return Ok(Some(found));
        }
        if is_over() {
            return Ok(None);
        }
        let Ok(text) = std::str::from_utf8(&line) else { continue };
        let may_be_wanted = text.contains(&needle) || !text.contains(ID_FIELD);
        if !may_be_wanted && found.first_time.is_some() {
            continue;
        }
        let Some(end) = SessionEnd::of_line(text) else { continue };
        found.first_time.get_or_insert(end.time);
        if end.app == *app && wanted.includes(&end) {
            found.ends.push_back(end);
            if found.ends.len() > Found::MAX_ENDS {
                found.ends.pop_front();
            }
        }
    }
}

/// Far more than a line has. It bounds the memory for a file that is damaged.
const MAX_LINE_BYTES: u64 = 64 * 1024;
