//! The search of the audit log: the ends of one session, or of the sessions of one subject.
//!
//! Reads from the newest line to the oldest, because an audit log is written often and read rarely.

use std::error::Error;
use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use tracing::warn;

use super::SessionEnd;
use super::file_blocks::FileBlocks;
use super::folder::{Folder, ReadError};
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
pub struct SearchResult {
    /// The newest first.
    pub ends: Vec<SessionEnd>,
    /// The time of the oldest line that was searched. `None`: there was none.
    pub begin_time: Option<Time>,
}

impl SearchResult {
    /// The most ends that a search returns.
    pub const MAX_ENDS: usize = 100;
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

/// A search under way.
struct Search<'s> {
    app: &'s AppName,
    wanted: &'s Wanted,
    needle: String,
    /// No block is read after this time.
    end_time: Instant,
    found: SearchResult,
}

/// Searches until it has enough ends or the time is over, or a file cannot be read. Fails if it could not read anything.
pub(super) fn search(
    folder: &Folder,
    app: &AppName,
    wanted: &Wanted,
    time: Duration,
) -> Result<SearchResult, ReadError> {
    let (needle, found) = (wanted.needle(), SearchResult::default());
    let mut search = Search { app, wanted, needle, end_time: Instant::now() + time, found };
    for day in folder.days()? {
        let read = folder
            .read_file(day)
            .and_then(|file| search.read_file(file).map_err(|source| ReadError { path: folder.path_of(day), source }));
        match read {
            Ok(()) => {}
            // It has just been deleted, because it is too old.
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => {}
            // An old file must not hide newer ends.
            Err(error) if search.found.begin_time.is_some() => {
                warn!(error = &error as &dyn Error, "a search of the audit log ends here: a file cannot be read");
                break;
            }
            Err(error) => return Err(error),
        }
        if search.is_over() {
            break;
        }
    }
    Ok(search.into_found())
}

impl Search<'_> {
    fn read_file(&mut self, file: File) -> io::Result<()> {
        let mut blocks = FileBlocks::new(file)?;
        while let Some(block) = blocks.next()? {
            let lines: Vec<&[u8]> = block.split(|byte| *byte == b'\n').collect();
            let ends: Vec<_> = lines.iter().rev().filter_map(|line| self.wanted_end(line)).collect();
            self.found.ends.extend(ends);
            if let Some(oldest) = lines.iter().find_map(|line| read_line(line)) {
                self.found.begin_time = Some(oldest.time);
            }
            if self.is_over() {
                break;
            }
        }
        Ok(())
    }

    fn wanted_end(&self, line: &[u8]) -> Option<SessionEnd> {
        let text = std::str::from_utf8(line).ok()?;
        let may_be_wanted = text.contains(&self.needle) || !text.contains(ID_FIELD);
        let end = may_be_wanted.then(|| SessionEnd::of_line(text)).flatten()?;
        (end.app == *self.app && self.wanted.includes(&end)).then_some(end)
    }

    fn is_over(&self) -> bool {
        self.found.ends.len() >= SearchResult::MAX_ENDS || Instant::now() >= self.end_time
    }

    fn into_found(self) -> SearchResult {
        let mut found = self.found;
        // Calls that run at the same time may add their ends in another order.
        found.ends.sort_by_key(|end| std::cmp::Reverse(end.time));
        if found.ends.len() > SearchResult::MAX_ENDS {
            found.ends.truncate(SearchResult::MAX_ENDS);
            found.begin_time = found.ends.last().map(|end| end.time);
        }
        found
    }
}

fn read_line(line: &[u8]) -> Option<SessionEnd> {
    SessionEnd::of_line(std::str::from_utf8(line).ok()?)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::Path;

    use super::*;
    use crate::audit::folder::Day;
    use crate::session::EndReason;

    const ENOUGH: Duration = Duration::from_secs(3600);

    fn end(seconds: u64, id: &str, subject: &str) -> SessionEnd {
        SessionEnd {
            time: Time::from_seconds(1_800_000_000 + seconds),
            app: AppName::parse("shop").unwrap(),
            id: SessionId::parse(&id.repeat(32)),
            subject: Subject::parse(subject).ok(),
            reason: EndReason::Destroyed,
            create_time: None,
            access_time: None,
            caller: String::new(),
            rpc: String::new(),
            call_id: String::new(),
        }
    }

    /// Writes these texts into the files of their days.
    fn folder<'e>(home: &Path, ends: impl IntoIterator<Item = (&'e SessionEnd, String)>) -> Folder {
        let folder = Folder::open(home, Time::from_seconds(1_800_000_000)).unwrap();
        for (end, text) in ends {
            folder.open_file(Day::of(end.time)).unwrap().append(&text).unwrap();
        }
        folder
    }

    fn found(home: &Path, ends: &[SessionEnd], wanted: &Wanted, time: Duration) -> SearchResult {
        let folder = folder(home, ends.iter().map(|end| (end, end.to_line())));
        search(&folder, &AppName::parse("shop").unwrap(), wanted, time).unwrap()
    }

    #[test]
    fn ends_of_a_session_a_subject_and_the_whole_app_are_found_over_several_days() {
        let home = tempfile::tempdir().unwrap();
        let other_app = SessionEnd { app: AppName::parse("desk").unwrap(), ..end(90_000, "a", "ann") };
        let whole_app = SessionEnd { id: None, subject: None, ..end(100_000, "a", "ann") };
        let ends =
            [end(1, "a", "ann"), end(2, "b", "ann \"2\""), other_app, whole_app.clone(), end(200_000, "a", "bob")];

        let of_session = Wanted::Session(SessionId::parse(&"a".repeat(32)).unwrap());
        let of_subject = Wanted::Subject(Subject::parse("ann \"2\"").unwrap());
        let of_session = found(home.path(), &ends, &of_session, ENOUGH);
        let of_subject = search(&Folder::open(home.path(), ends[0].time).unwrap(), &ends[0].app, &of_subject, ENOUGH);
        let of_subject = of_subject.unwrap();

        assert_eq!(of_session.ends, [ends[4].clone(), whole_app.clone(), ends[0].clone()]);
        assert_eq!(of_subject.ends, [whole_app, ends[1].clone()]);
        assert_eq!([of_session.begin_time, of_subject.begin_time], [Some(ends[0].time); 2]);
    }

    #[test]
    fn only_the_newest_hundred_are_returned_with_the_time_of_the_last() {
        let home = tempfile::tempdir().unwrap();
        let ends: Vec<_> = (0..1000).map(|seconds| end(seconds, "a", "ann")).collect();

        let found = found(home.path(), &ends, &Wanted::Subject(Subject::parse("ann").unwrap()), ENOUGH);

        assert_eq!(found.ends, ends[900..].iter().rev().cloned().collect::<Vec<_>>());
        assert_eq!(found.begin_time, Some(ends[900].time));
    }

    #[test]
    fn a_search_without_time_has_the_newest_part_and_says_where_it_begins() {
        let home = tempfile::tempdir().unwrap();
        let mut ends: Vec<_> = (0..3000).map(|seconds| end(seconds, "b", "bob")).collect();
        (ends[0], ends[2999]) = (end(0, "a", "ann"), end(2999, "a", "ann"));

        let found = found(home.path(), &ends, &Wanted::Subject(Subject::parse("ann").unwrap()), Duration::ZERO);

        assert_eq!(found.ends, [ends[2999].clone()]);
        assert!(found.begin_time > Some(ends[1].time) && found.begin_time < Some(ends[2999].time));
    }

    #[test]
    fn a_torn_line_and_other_damage_are_skipped() {
        let home = tempfile::tempdir().unwrap();
        let (first, torn, last) = (end(1, "a", "ann"), end(2, "a", "ann"), end(3, "a", "ann"));
        let half = torn.to_line()[..90].to_owned();
        let folder = folder(home.path(), [(&first, first.to_line()), (&torn, half), (&last, last.to_line())]);
        let mut file = File::options().append(true).open(folder.path_of(Day::of(last.time))).unwrap();
        file.write_all(b"\xff\xfe\n{}\n\nnull\n").unwrap();

        let found = search(&folder, &first.app, &Wanted::Subject(Subject::parse("ann").unwrap()), ENOUGH).unwrap();

        assert_eq!(found.ends, [last, first.clone()]);
        assert_eq!(found.begin_time, Some(first.time));
    }

    #[test]
    fn an_empty_log_has_no_begin() {
        let home = tempfile::tempdir().unwrap();

        let wanted = Wanted::Subject(Subject::parse("ann").unwrap());
        assert_eq!(found(home.path(), &[], &wanted, ENOUGH), SearchResult::default());
    }
}
