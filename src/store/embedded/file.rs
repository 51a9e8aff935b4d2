//! The data file of the embedded store: creates it, opens it, and checks that it is whole and ours.
//!
//! The database locks the file as long as it is open. This module knows only one of the tables: [`Table::Format`].

use std::error::Error as StdError;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Database, DatabaseError, ReadableDatabase as _, StorageError, TableError, WriteTransaction};

use super::Settings;
use super::log::{self, LogError, LogFacts, cache_single_pages, is_same_file, sync_folder};
use super::rows::{StoredTables, Table};
use super::unwritten::Unwritten;
use crate::types::random;

/// The data file: where it is, and how it is opened.
#[derive(Debug)]
pub(super) struct DataFile {
    pub(super) path: PathBuf,
    cache_bytes: usize,
    /// The file, to see whether its path still names it.
    file: File,
}

/// The access that a database is opened for.
#[derive(Clone, Copy, Debug)]
enum AccessMode {
    Read,
    Write,
}

/// The facts that the database states about itself.
#[derive(Debug)]
pub(super) struct Format {
    /// Identifies the file.
    pub(super) identity: Vec<u8>,
    /// The number of the last frame of the log that the database has.
    pub(super) committed: u64,
    /// Whether the database lacks frames of the log, because the last process did not stop in order.
    needs_log: bool,
    /// How many bytes each file of the log had at least when the mark was made. 0: there is none.
    log_bytes: u64,
    /// The length of the file.
    pub(super) bytes: u64,
}

impl Format {
    pub(super) fn log_facts(&self) -> LogFacts<'_> {
        LogFacts { identity: &self.identity, committed: self.committed, least_bytes: self.log_bytes }
    }
}

impl DataFile {
    /// Opens the file in a folder. Creates both if they are missing.
    pub(super) fn open(settings: &Settings) -> Result<(Self, Database, Format), FileOpenError> {
        let folder = &settings.path;
        create_folder(folder).map_err(|source| FileOpenError::Folder { path: folder.clone(), source })?;
        log::check_unused(folder)?;
        let path = path_in(folder);
        match fs::metadata(&path) {
            Ok(metadata) => check_file(&path, &metadata)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(folder, &path)?,
            Err(source) => return Err(FileOpenError::File { path, source }),
        }
        let file = File::options().read(true).write(true).open(&path);
        let file = file.and_then(|file| cache_single_pages(&file).map(|()| file));
        let file = file.map_err(|source| FileOpenError::File { path: path.clone(), source })?;
        let data_file = Self { path, cache_bytes: settings.cache_bytes, file };
        let (database, format) = data_file.open_checked(MAX_CHECKED_BYTES, AccessMode::Write)?;
        warn_of_open_folder(folder);
        remove_leftovers(folder);
        if format.needs_log
            && let Some(path) = log::paths(folder).into_iter().find(|path| !path.exists())
        {
            return Err(FileOpenError::LogMissing { path });
        }
        Ok((data_file, database, format))
    }

    /// Opens the database. Fails if the file is not where it was: another one has other sessions.
    pub(super) fn open_database(&self) -> Result<(Database, Format), FileOpenError> {
        self.open_checked(0, AccessMode::Write)
    }

    /// Opens the database of a file that cannot be written to, for reading. What is written to it is lost.
    pub(super) fn open_unwritten(&self) -> Result<Database, FileOpenError> {
        self.open_checked(0, AccessMode::Read).map(|(database, _)| database)
    }

    /// Opens the database, and checks the whole of it if it has at most so many bytes.
    fn open_checked(&self, max_checked_bytes: u64, access: AccessMode) -> Result<(Database, Format), FileOpenError> {
        let path = || self.path.clone();
        if !self.is_in_place() {
            return Err(FileOpenError::Moved { path: path() });
        }
        let failed = |source| FileOpenError::File { path: path(), source };
        let length = self.file.metadata().map_err(failed)?.len();
        let file = self.file.try_clone().map_err(failed)?;
        let mut builder = Database::builder();
        builder.set_cache_size(self.cache_bytes);
        // A check reads the whole file. Without one, damage is found when it is read.
        builder.set_check_integrity_on_open(length <= max_checked_bytes);
        // The database panics at some kinds of damage.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let opened = FileBackend::new(file).and_then(|backend| match access {
                AccessMode::Write => builder.create_with_backend(backend),
                AccessMode::Read => builder.create_with_backend(Unwritten::new(backend)?),
            });
            let database = opened.map_err(|error| open_error(&self.path, error))?;
            let format = check_format(&self.path, &database, length)?;
            Ok((database, format))
        }));
        opened.unwrap_or_else(|_| Err(FileOpenError::damaged(&self.path, "the database has panicked")))
    }

    /// Whether the path still names the file that was opened.
    pub(super) fn is_in_place(&self) -> bool {
        is_same_file(&self.path, &self.file)
    }
}

/// Returns the path of the data file in a folder.
pub(super) fn path_in(folder: &Path) -> PathBuf {
    folder.join("sessions.redb")
}

/// Notes in the data file that the log may have frames which the file does not have, and the least length of its files.
///
/// An earlier version of the service, which knows no log, then refuses the file.
pub(super) fn mark_logged(database: &Database, format: &Format, log_bytes: u64) -> Result<(), redb::Error> {
    // A log that was cut off is told once.
    if format.needs_log && format.log_bytes <= log_bytes {
        return Ok(());
    }
    let mut writing = database.begin_write()?;
    writing.set_quick_repair(true);
    StoredTables::create(&writing)?;
    write_commit(&writing, format.committed, Follows::Frames)?;
    writing.open_table(Table::Format.definition())?.insert(LOG_BYTES, log_bytes.to_be_bytes().as_slice())?;
    Ok(writing.commit()?)
}

/// Writes into a transaction which frame of the log is the last that it has, and whether frames may follow.
pub(super) fn write_commit(writing: &WriteTransaction, committed: u64, follows: Follows) -> Result<(), redb::Error> {
    let version = match follows {
        Follows::Frames => LOGGED_VERSION,
        Follows::Nothing => COMPLETE_VERSION,
    };
    let mut table = writing.open_table(Table::Format.definition())?;
    table.insert(COMMIT, committed.to_be_bytes().as_slice())?;
    table.insert(VERSION, version.to_be_bytes().as_slice())?;
    if follows == Follows::Nothing {
        // The log is not needed any more, and may become shorter.
        table.remove(LOG_BYTES)?;
    }
    Ok(())
}

/// The content of the log after a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    /// Frames that the data file does not have.
    Frames,
    /// Nothing: the process stops.
    Nothing,
}

/// Why the store cannot be opened, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum FileOpenError {
    #[error("{}: the folder can't be made", path.display())]
    Folder { path: PathBuf, source: io::Error },
    /// The file cannot be created, read or written.
    #[error("{}: the file can't be opened for reading and writing", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{}: another process has it open; give each service a folder of its own", path.display())]
    InUse { path: PathBuf },
    /// Another program wrote the file, or it is no file at all.
    #[error("{}: it is not a data file of this service; name another folder in store.embedded.path", path.display())]
    Foreign { path: PathBuf },
    #[error("{}: it has format {found}, this version reads format {LOGGED_VERSION}; run a newer one", path.display())]
    TooNew { path: PathBuf, found: u32 },
    #[error(
        "{}: it is empty; restore it from a backup, or move all files of its folder away to start without sessions",
        path.display()
    )]
    Empty { path: PathBuf },
    #[error(
        "{}: it is damaged; restore it from a backup, or move all files of its folder away to start without sessions",
        path.display()
    )]
    Damaged { path: PathBuf, source: Box<dyn StdError + Send + Sync> },
    /// There is a log, so there were sessions.
    #[error(
        "{}: it is not there, but {} is; restore it from a backup, or move all files of its folder away to start \
         without sessions", path.display(), log.display()
    )]
    Missing { path: PathBuf, log: PathBuf },
    #[error(
        "{}: it is not there, and has writes that the data file does not have; restore it, or make it an empty file \
         to start without those writes", path.display()
    )]
    LogMissing { path: PathBuf },
    #[error(
        "{}: it is damaged, or belongs to another state of the data file; restore both from one backup, or empty \
         the two logs to start without the writes in them", path.display()
    )]
    LogDamaged { path: PathBuf },
    #[error("{}: it was moved, deleted or replaced while the service was running", path.display())]
    Moved { path: PathBuf },
    /// Everybody on this machine may read or change the file.
    #[error("{path}: others may read or change it (mode {mode:o}); run: chmod 600 {path}", path = path.display())]
    TooPermissive { path: PathBuf, mode: u32 },
    /// Nothing is lost. The disk may have too little room.
    #[error("{}: it can't be compacted", path.display())]
    Compact { path: PathBuf, source: Box<dyn StdError + Send + Sync> },
    /// The operating system did not start a thread.
    #[error("the store's threads can't be started")]
    Thread(#[source] io::Error),
}

impl FileOpenError {
    pub(super) fn damaged(path: &Path, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Damaged { path: path.to_owned(), source: source.into() }
    }

    /// Tells a disk that fails from a file that is damaged.
    pub(super) fn of_database(path: &Path, error: redb::Error) -> Self {
        match error {
            redb::Error::Io(source) if source.kind() != io::ErrorKind::UnexpectedEof => {
                Self::File { path: path.to_owned(), source }
            }
            redb::Error::PreviousIo => Self::File { path: path.to_owned(), source: io::Error::other(error) },
            error => Self::damaged(path, error),
        }
    }
}

impl From<LogError> for FileOpenError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Io(path, source) => Self::File { path, source },
            LogError::InUse(path) => Self::InUse { path },
            LogError::Damaged(path) => Self::LogDamaged { path },
        }
    }
}

/// Creates the folder, accessible only to its owner, so that a power failure does not take it away. One that exists stays
/// as it is.
pub fn create_folder(folder: &Path) -> io::Result<()> {
    let missing: Vec<&Path> =
        folder.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    fs::DirBuilder::new().mode(0o700).recursive(true).create(folder)?;
    for above in missing.into_iter().filter_map(Path::parent) {
        sync_folder(if above.as_os_str().is_empty() { Path::new(".") } else { above })?;
    }
    Ok(())
}

/// Checks the file in a folder, if there is one, and returns its length. A service may have it open.
pub(super) fn check_unopened(folder: &Path) -> Result<Option<u64>, FileOpenError> {
    let path = path_in(folder);
    match fs::metadata(&path) {
        Ok(metadata) => check_file(&path, &metadata).map(|()| Some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => check_no_log(folder, &path).map(|()| None),
        Err(source) => Err(FileOpenError::File { path, source }),
    }
}

/// Checks that a missing file has no log, for then it is lost.
fn check_no_log(folder: &Path, path: &Path) -> Result<(), FileOpenError> {
    match log::paths(folder).into_iter().find(|path| path.exists()) {
        // Another process may have made both just now.
        Some(_) if path.exists() => Ok(()),
        Some(log) => Err(FileOpenError::Missing { path: path.to_owned(), log }),
        None => Ok(()),
    }
}

/// Checks a file that exists before the database sees it.
fn check_file(path: &Path, metadata: &Metadata) -> Result<(), FileOpenError> {
    let (path, mode) = (path.to_owned(), metadata.permissions().mode() & 0o777);
    match metadata {
        _ if !metadata.is_file() => Err(FileOpenError::Foreign { path }),
        _ if metadata.len() == 0 => Err(FileOpenError::Empty { path }),
        _ if mode & 0o007 != 0 => Err(FileOpenError::TooPermissive { path, mode }),
        _ => Ok(()),
    }
}

/// Whether everybody on this machine may replace the files of a folder.
pub fn is_open_to_all(folder: &Metadata) -> bool {
    let mode = folder.permissions().mode();
    mode & 0o002 != 0 && mode & 0o1000 == 0
}

/// Warns if everybody on this machine may replace the files. No error: it is how Kubernetes makes its volumes.
fn warn_of_open_folder(folder: &Path) {
    let Ok(metadata) = fs::metadata(folder) else { return };
    if is_open_to_all(&metadata) {
        let (path, mode) = (folder.display(), format!("{:o}", metadata.permissions().mode() & 0o7777));
        tracing::warn!(%path, mode, "everybody on this machine may replace the store's files; run chmod 700 on the folder");
    }
}

/// Creates the whole file in one step.
fn create(folder: &Path, path: &Path) -> Result<(), FileOpenError> {
    check_no_log(folder, path)?;
    let failed = |source| FileOpenError::File { path: path.to_owned(), source };
    // Accessible only to its owner.
    let new = tempfile::Builder::new().prefix(NEW_PREFIX).tempfile_in(folder).map_err(failed)?;
    let database = Database::builder().create(new.path()).map_err(|error| open_error(path, error))?;
    write_format(&database).map_err(|error| FileOpenError::of_database(path, error))?;
    drop(database);
    match new.persist_noclobber(path) {
        Ok(_) => sync_folder(folder).map_err(failed),
        // Another process was faster, and may have removed this file; one of the two will get the data file.
        Err(_) if path.exists() => Ok(()),
        Err(error) => Err(failed(error.error)),
    }
}

/// Removes what killed first starts have left. This process has the data file, so that no other one makes it.
fn remove_leftovers(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        // What a person has called so has another ending.
        let name = entry.file_name();
        let ending = name.as_encoded_bytes().strip_prefix(NEW_PREFIX.as_bytes());
        if ending.is_some_and(|ending| ending.len() == 6 && ending.iter().all(u8::is_ascii_alphanumeric)) {
            // One that stays only takes room.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn open_error(path: &Path, error: DatabaseError) -> FileOpenError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => FileOpenError::InUse { path },
        DatabaseError::UpgradeRequired(_) => FileOpenError::Foreign { path },
        DatabaseError::Storage(StorageError::Io(source)) if source.kind() == io::ErrorKind::InvalidData => {
            FileOpenError::Foreign { path }
        }
        source => FileOpenError::of_database(&path, source.into()),
    }
}

/// Checks that the file is of this service and of a known format.
fn check_format(path: &Path, database: &Database, bytes: u64) -> Result<Format, FileOpenError> {
    let foreign = || FileOpenError::Foreign { path: path.to_owned() };
    let read = |key| read_format(database, key).map_err(|error| FileOpenError::of_database(path, error));
    let version = read(VERSION)?.and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes).ok_or_else(foreign)?;
    if !(COMPLETE_VERSION..=LOGGED_VERSION).contains(&version) {
        return Err(FileOpenError::TooNew { path: path.to_owned(), found: version });
    }
    let number = |bytes: Option<Vec<u8>>| bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes);
    Ok(Format {
        identity: read(IDENTITY)?.ok_or_else(foreign)?,
        committed: number(read(COMMIT)?),
        log_bytes: number(read(LOG_BYTES)?),
        needs_log: version == LOGGED_VERSION,
        bytes,
    })
}

/// Reads a row of the table; `None` if there is no such row or no such table.
fn read_format(database: &Database, key: &[u8]) -> Result<Option<Vec<u8>>, redb::Error> {
    match database.begin_read()?.open_table(Table::Format.definition()) {
        Ok(table) => Ok(table.get(key)?.map(|value| value.value().to_vec())),
        Err(TableError::Storage(error)) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

fn write_format(database: &Database) -> Result<(), redb::Error> {
    let writing = database.begin_write()?;
    StoredTables::create(&writing)?;
    writing.open_table(Table::Format.definition())?.insert(IDENTITY, random::bytes::<8>().as_slice())?;
    write_commit(&writing, 0, Follows::Nothing)?;
    Ok(writing.commit()?)
}

/// How the name of a data file begins before it is complete.
const NEW_PREFIX: &str = ".sessions.redb.";

/// In [`Table::Format`]: eight random bytes that identify this file.
pub(super) const IDENTITY: &[u8] = b"identity";

/// In [`Table::Format`]: the number of the last frame of the log that the file has, in eight bytes.
const COMMIT: &[u8] = b"commit";

/// In [`Table::Format`]: the least length of each file of the log, in eight bytes, while the file lacks frames of it.
const LOG_BYTES: &[u8] = b"log_bytes";

/// In [`Table::Format`]: the version of the format in four bytes.
const VERSION: &[u8] = b"version";

/// The file has everything. It is the only format that the first versions of the service know.
const COMPLETE_VERSION: u32 = 1;

/// The log may have frames that the file does not have.
const LOGGED_VERSION: u32 = 2;

/// The largest file that is checked as a whole at the start: that takes less than half a second.
const MAX_CHECKED_BYTES: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use redb::TableDefinition;

    use super::*;

    fn open(folder: &Path) -> Result<(DataFile, Database, Format), FileOpenError> {
        DataFile::open(&Settings { path: folder.to_owned(), ..Settings::default() })
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_missing_folder_is_created_with_an_empty_file_in_it() {
        let home = folder();
        let path = home.path().join("a/b");

        let (.., format) = open(&path).unwrap();

        assert_eq!((format.committed, format.needs_log), (0, false));
        assert!(path_in(&path).is_file());
    }

    #[test]
    fn folder_and_file_are_accessible_only_to_their_owner() {
        let home = folder();
        let path = home.path().join("data");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;

        let _open = open(&path).unwrap();

        assert_eq!((mode(&path), mode(&path_in(&path))), (0o700, 0o600));
    }

    #[test]
    fn the_error_names_a_folder_that_cannot_be_created() {
        let home = folder();
        let path = home.path().join("taken");
        fs::write(&path, "").unwrap();

        let refused = open(&path).unwrap_err();

        assert!(matches!(&refused, FileOpenError::Folder { path: named, .. } if *named == path), "{refused:?}");
    }

    #[test]
    fn a_file_cannot_be_opened_twice_at_a_time() {
        let home = folder();
        let first = open(home.path()).unwrap();

        let refused = open(home.path()).unwrap_err();
        drop(first);

        assert!(matches!(refused, FileOpenError::InUse { .. }), "{refused:?}");
        open(home.path()).unwrap();
    }

    #[test]
    fn files_whose_log_is_in_use_are_in_use_while_the_data_file_is_not() {
        let home = folder();
        drop(open(home.path()).unwrap());
        let log = File::create(&log::paths(home.path())[0]).unwrap();
        log.lock().unwrap();

        let refused = open(home.path()).unwrap_err();
        drop(log);

        assert!(matches!(refused, FileOpenError::InUse { .. }), "{refused:?}");
        open(home.path()).unwrap();
    }

    #[test]
    fn a_database_of_another_program_is_refused() {
        let home = folder();
        let theirs = Database::create(path_in(home.path())).unwrap();
        fs::set_permissions(path_in(home.path()), fs::Permissions::from_mode(0o600)).unwrap();
        let writing = theirs.begin_write().unwrap();
        writing.open_table(TableDefinition::<u64, u64>::new("theirs")).unwrap();
        writing.commit().unwrap();
        drop(theirs);

        let refused = open(home.path()).unwrap_err();

        assert!(matches!(refused, FileOpenError::Foreign { .. }), "{refused:?}");
    }

    #[test]
    fn a_file_of_a_newer_format_is_refused_with_its_version() {
        let home = folder();
        let (_, database, _) = open(home.path()).unwrap();
        let writing = database.begin_write().unwrap();
        let newer = 3_u32.to_be_bytes();
        writing.open_table(Table::Format.definition()).unwrap().insert(VERSION, newer.as_slice()).unwrap();
        writing.commit().unwrap();
        drop(database);

        let refused = open(home.path()).unwrap_err();

        assert!(matches!(refused, FileOpenError::TooNew { found: 3, .. }), "{refused:?}");
        assert!(refused.to_string().ends_with("it has format 3, this version reads format 2; run a newer one"));
    }

    #[test]
    fn a_file_that_is_gone_or_replaced_is_not_opened_again() {
        let home = folder();
        let (data_file, database, _) = open(home.path()).unwrap();
        drop(database);
        fs::rename(path_in(home.path()), home.path().join("moved")).unwrap();
        let gone = data_file.open_database().unwrap_err();
        fs::copy(home.path().join("moved"), path_in(home.path())).unwrap();
        let replaced = data_file.open_database().unwrap_err();

        assert!(matches!(gone, FileOpenError::Moved { .. }), "{gone:?}");
        assert!(matches!(replaced, FileOpenError::Moved { .. }), "{replaced:?}");
    }
}
