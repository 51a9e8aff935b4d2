//! The folder of the audit log: one file for each day (UTC), which only the owner may read.
//!
//! Several processes of one machine may share the folder: each line is appended by one write.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use crate::types::{Time, timestamp};

/// The folder of the log. Clones are the same folder.
#[derive(Clone, Debug)]
pub(super) struct Folder(Arc<Path>);

/// A day since 1970, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(u64);

/// The open file of one day.
#[derive(Debug)]
pub(super) struct DayFile {
    pub(super) day: Day,
    file: File,
}

/// Why the audit log cannot be opened. The text begins with the key of the setting.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("audit.folder: {path} cannot be used; create it, and let the user of the service write there")]
    Folder { path: PathBuf, source: io::Error },
    #[error("audit: the thread that writes the audit log cannot be started")]
    Thread(#[source] io::Error),
}

/// Why the audit log cannot be searched.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be read")]
pub struct ReadError {
    pub(super) path: PathBuf,
    pub(super) source: io::Error,
}

/// Checks whether each file in the folder of an audit log can be read. Changes nothing.
pub fn check_readable(folder: &Path) -> Result<(), ReadError> {
    let folder = Folder(folder.into());
    for day in folder.days()? {
        match folder.read_file(day) {
            Err(error) if error.source.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

/// Fails if the disk of a folder has hardly any room left. Something else on it, such as the store, may need it more.
pub fn check_room(folder: &Path) -> io::Result<()> {
    let disk = rustix::fs::statvfs(folder)?;
    if disk.f_bavail >= (disk.f_blocks / 20).min(RESERVE / disk.f_frsize.max(1)) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::StorageFull,
        "No space left for the audit log: it leaves a part of the disk free",
    ))
}

impl Folder {
    /// Opens the folder, and creates it if it is missing. Fails if no file can be created there.
    ///
    /// A full disk is no reason to fail: it loses lines of the log, and nothing else.
    pub(super) fn open(path: &Path, now: Time) -> Result<Self, OpenError> {
        let folder = Self(path.into());
        let created = DirBuilder::new().recursive(true).mode(0o700).create(path);
        match created.and_then(|()| folder.check_rights()).and_then(|()| folder.open_file(Day::of(now))) {
            Err(error) if !is_full(&error) => Err(OpenError::Folder { path: path.to_owned(), source: error }),
            Ok(_) | Err(_) => Ok(folder),
        }
    }

    /// Fails if every user of the machine may write there: one could put in a file of its own, and read all subjects.
    fn check_rights(&self) -> io::Result<()> {
        if fs::metadata(&self.0)?.mode() & 0o002 == 0 {
            return Ok(());
        }
        Err(io::Error::other("every user may write there; take that right away: chmod o-w"))
    }

    pub(super) fn check_room(&self) -> io::Result<()> {
        check_room(&self.0)
    }

    /// Opens the file of a day to append to it, and creates it if it is missing. Ends a line that is torn.
    pub(super) fn open_file(&self, day: Day) -> io::Result<DayFile> {
        let mut options = File::options();
        options.read(true).append(true).create(true).mode(0o600).custom_flags(NO_LINK);
        let mut file = DayFile { day, file: options.open(self.path_of(day))? };
        if file.is_torn()? {
            file.append("\n")?;
        }
        Ok(file)
    }

    /// Opens the file of a day to read it.
    pub(super) fn read_file(&self, day: Day) -> Result<File, ReadError> {
        let path = self.path_of(day);
        // A pipe would block for ever.
        let file = File::options().read(true).custom_flags(NO_LINK | NO_WAIT).open(&path);
        let file = file.and_then(|file| {
            if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
        });
        file.map_err(|source| ReadError { path, source })
    }

    /// Returns the days that have a file, the newest first.
    pub(super) fn days(&self) -> Result<Vec<Day>, ReadError> {
        let names = fs::read_dir(&self.0)
            .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>());
        let names = names.map_err(|source| ReadError { path: self.0.to_path_buf(), source })?;
        let mut days: Vec<_> = names.iter().filter_map(|name| Day::of_file(name.to_str()?)).collect();
        days.sort_unstable_by(|a, b| b.cmp(a));
        Ok(days)
    }

    /// Deletes the files of all days before `first`, as many as it can. Returns how many it has deleted.
    pub(super) fn delete_before(&self, first: Day) -> io::Result<usize> {
        let (mut deleted, mut failure) = (0, None);
        let days = self.days().map_err(|error| error.source)?;
        for day in days.into_iter().filter(|day| *day < first) {
            match fs::remove_file(self.path_of(day)) {
                Ok(()) => deleted += 1,
                // Another process that shares the folder was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(deleted), Err)
    }

    pub(super) fn path_of(&self, day: Day) -> PathBuf {
        self.0.join(day.file_name())
    }
}

impl DayFile {
    /// Appends a text by one write, as far as the disk allows.
    pub(super) fn append(&mut self, text: &str) -> io::Result<()> {
        self.file.write_all(text.as_bytes())
    }

    /// Whether the last line has no end: its writer was killed, or the disk was full.
    fn is_torn(&self) -> io::Result<bool> {
        let Some(last) = self.file.metadata()?.len().checked_sub(1) else { return Ok(false) };
        let mut byte = [0];
        self.file.read_exact_at(&mut byte, last)?;
        Ok(byte != *b"\n")
    }
}

impl Day {
    /// The day of a time.
    pub(super) const fn of(time: Time) -> Self {
        Self(time.seconds() / SECONDS)
    }

    /// The day that was so many days before.
    pub(super) const fn before(self, days: u32) -> Self {
        Self(self.0.saturating_sub(days as u64))
    }

    /// Returns the name of the day's file, such as `session-ends-2026-01-31.jsonl`.
    fn file_name(self) -> String {
        let text = timestamp::text(Time::from_seconds(self.0 * SECONDS));
        format!("{PREFIX}{}{SUFFIX}", text.split('T').next().unwrap_or_default())
    }

    /// Returns the day whose file has this name.
    fn of_file(name: &str) -> Option<Self> {
        let date = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        let day = Self::of(timestamp::parse(date).ok()?);
        (day.file_name() == name).then_some(day)
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

const NO_LINK: i32 = OFlags::NOFOLLOW.bits().cast_signed();
const NO_WAIT: i32 = OFlags::NONBLOCK.bits().cast_signed();

/// The bytes that stay free on a large disk; on a small one it is a twentieth.
const RESERVE: u64 = 256 * 1024 * 1024;

const SECONDS: u64 = 24 * 60 * 60;

const PREFIX: &str = "session-ends-";
const SUFFIX: &str = ".jsonl";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_name_of_its_day() {
        let day = Day::of(Time::from_seconds(1_801_440_000 - 1));

        assert_eq!(day.file_name(), "session-ends-2027-01-31.jsonl");
        assert_eq!(Day::of_file("session-ends-2027-01-31.jsonl"), Some(day));
        for other in ["session-ends-2027-01-31", "session-ends-soon.jsonl", "notes.txt", "session-ends-.jsonl"] {
            assert_eq!(Day::of_file(other), None, "{other}");
        }
    }

    #[test]
    fn only_files_before_the_first_day_that_is_kept_are_deleted() {
        let home = tempfile::tempdir().unwrap();
        let today = Day(20_000);
        let folder = Folder::open(home.path(), Time::from_seconds(today.0 * SECONDS)).unwrap();
        for days in [1, 29, 30, 31, 400] {
            folder.open_file(today.before(days)).unwrap();
        }
        fs::write(home.path().join("notes.txt"), "").unwrap();

        folder.delete_before(today.before(30)).unwrap();

        assert_eq!(folder.days().unwrap(), [0, 1, 29, 30].map(|days| today.before(days)));
        assert!(home.path().join("notes.txt").exists());
    }
}
