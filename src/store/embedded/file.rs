//! The file of the embedded store: creates it, opens it, checks its format, and opens it again after a failure.
//!
//! The database locks the file as long as it is open. This module knows only one of the tables: [`FORMAT`].

use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use parking_lot::{RwLock, RwLockReadGuard};
use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase as _, StorageError, TableDefinition, TableError,
};

use super::Settings;
use super::tables::{TablesError, create_tables};
use crate::store::Error;

/// The file. It is closed only while it is opened again after a failure.
pub(super) struct File {
    path: PathBuf,
    cache_bytes: usize,
    database: RwLock<Option<Database>>,
}

impl File {
    /// Opens the file in a folder. Creates both if they are missing.
    pub(super) fn open(settings: &Settings) -> Result<Self, FileOpenError> {
        let folder = &settings.path;
        create_folder(folder).map_err(|source| FileOpenError::Folder { path: folder.clone(), source })?;
        let path = folder.join(NAME);
        create_file(folder, &path).map_err(|source| FileOpenError::File { path: path.clone(), source })?;

        let builder = builder(settings.cache_bytes);
        let database = builder.create(&path).map_err(|error| open_error(&path, error))?;
        check_format(&path, &database)?;
        Ok(Self { path, cache_bytes: settings.cache_bytes, database: RwLock::new(Some(database)) })
    }

    /// Reads from a snapshot, which has every write that was answered before.
    pub(super) fn read<T>(&self, read: impl FnOnce(&ReadTransaction) -> Result<T, TablesError>) -> Result<T, Error> {
        let database = self.database();
        let Some(database) = &*database else { return Err(Error::unavailable(CLOSED)) };
        let reading = database.begin_read().map_err(Error::unavailable)?;
        read(&reading).map_err(Error::from)
    }

    /// Locks the database open; `None` while the file is closed.
    ///
    /// The lock must not be held across an await: [`Self::reopen`] waits for it.
    pub(super) fn database(&self) -> RwLockReadGuard<'_, Option<Database>> {
        self.database.read()
    }

    /// Closes the file and opens it again, so that the database repairs it after a failure.
    ///
    /// Fails if the file is gone: a new one would be an empty store.
    pub(super) fn reopen(&self) -> Result<(), FileOpenError> {
        // The lock is free again before the database is dropped, because that may wait for the disk. Readers get an
        // error meanwhile and do not wait.
        let failed = self.database.write().take();
        drop(failed);
        let database = builder(self.cache_bytes).open(&self.path).map_err(|error| open_error(&self.path, error))?;
        check_format(&self.path, &database)?;
        *self.database.write() = Some(database);
        Ok(())
    }

    /// Reads the number of the last commit in the file.
    pub(super) fn last_commit(&self) -> Option<u64> {
        let database = self.database();
        let table = database.as_ref()?.begin_read().ok()?.open_table(FORMAT).ok()?;
        let number = table.get(COMMIT).ok()??;
        Some(u64::from_be_bytes(number.value().try_into().ok()?))
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("path", &self.path).finish_non_exhaustive()
    }
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
    /// Another program wrote the file.
    #[error("{}: it is not a file of this service; name another folder", path.display())]
    Foreign { path: PathBuf },
    #[error("{}: it has format {found}, this version reads format {FORMAT_VERSION}; run a newer one", path.display())]
    TooNew { path: PathBuf, found: u32 },
    #[error("{}: it is damaged; move it away to start with an empty one", path.display())]
    Damaged { path: PathBuf, source: Box<dyn StdError + Send + Sync> },
    /// The operating system did not start the writer's thread.
    #[error("the store's writer can't be started")]
    Thread(#[source] io::Error),
}

fn builder(cache_bytes: usize) -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(cache_bytes);
    builder
}

/// Creates the folder, accessible only to its owner. One that exists stays as it is.
fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

/// Creates the file, accessible only to its owner. One that exists stays as it is.
fn create_file(folder: &Path, path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.read(true).write(true).create(true).truncate(false).open(path)?;
    // The folder has to be on disk too. Without its entry, a power cut would lose the whole file.
    #[cfg(unix)]
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}

fn open_error(path: &Path, error: DatabaseError) -> FileOpenError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => FileOpenError::InUse { path },
        DatabaseError::UpgradeRequired(_) => FileOpenError::Foreign { path },
        DatabaseError::Storage(StorageError::Io(source)) if source.kind() == io::ErrorKind::InvalidData => {
            FileOpenError::Foreign { path }
        }
        DatabaseError::Storage(StorageError::Io(source)) => FileOpenError::File { path, source },
        source => FileOpenError::Damaged { path, source: source.into() },
    }
}

/// Checks that the file is of this service and of a known format; writes the format into an empty one.
fn check_format(path: &Path, database: &Database) -> Result<(), FileOpenError> {
    let path = || path.to_owned();
    match read_format(database) {
        Ok(FileFormat::Version(FORMAT_VERSION)) => Ok(()),
        Ok(FileFormat::Version(found)) => Err(FileOpenError::TooNew { path: path(), found }),
        Ok(FileFormat::Foreign) => Err(FileOpenError::Foreign { path: path() }),
        Ok(FileFormat::Empty) => write_format(database).map_err(|source| match source {
            redb::Error::Io(source) => FileOpenError::File { path: path(), source },
            source => FileOpenError::Damaged { path: path(), source: source.into() },
        }),
        Err(source) => Err(FileOpenError::Damaged { path: path(), source: source.into() }),
    }
}

enum FileFormat {
    Empty,
    Version(u32),
    Foreign,
}

fn read_format(database: &Database) -> Result<FileFormat, redb::Error> {
    let reading = database.begin_read()?;
    let table = match reading.open_table(FORMAT) {
        Ok(table) => table,
        Err(TableError::Storage(error)) => return Err(error.into()),
        Err(TableError::TableDoesNotExist(_)) => {
            let is_empty = reading.list_tables()?.next().is_none() && reading.list_multimap_tables()?.next().is_none();
            return Ok(if is_empty { FileFormat::Empty } else { FileFormat::Foreign });
        }
        Err(_) => return Ok(FileFormat::Foreign),
    };
    let version = table.get(VERSION)?;
    let version = version.and_then(|bytes| bytes.value().try_into().ok()).map(u32::from_be_bytes);
    Ok(version.map_or(FileFormat::Foreign, FileFormat::Version))
}

fn write_format(database: &Database) -> Result<(), redb::Error> {
    let writing = database.begin_write()?;
    create_tables(&writing)?;
    let mut table = writing.open_table(FORMAT)?;
    table.insert(VERSION, FORMAT_VERSION.to_be_bytes().as_slice())?;
    drop(table);
    Ok(writing.commit()?)
}

/// The table with the file's own data.
pub(super) const FORMAT: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("format");

/// In [`FORMAT`]: eight random bytes that identify this file.
pub(super) const IDENTITY: &[u8] = b"identity";

/// In [`FORMAT`]: the number of the last commit in eight bytes.
pub(super) const COMMIT: &[u8] = b"commit";

/// In [`FORMAT`]: the version of the format in four bytes.
const VERSION: &[u8] = b"version";

const FORMAT_VERSION: u32 = 1;
const NAME: &str = "sessions.redb";
const CLOSED: &str = "the store's file is being opened again after a failure";

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(folder: &Path) -> Settings {
        Settings { path: folder.to_owned(), ..Settings::default() }
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_missing_folder_is_created_with_an_empty_file_in_it() {
        let home = folder();
        let path = home.path().join("a/b");

        let file = File::open(&settings(&path)).unwrap();

        assert_eq!(file.last_commit(), None);
        assert!(path.join(NAME).is_file());
    }

    #[cfg(unix)]
    #[test]
    fn folder_and_file_are_accessible_only_to_their_owner() {
        use std::os::unix::fs::PermissionsExt as _;

        let home = folder();
        let path = home.path().join("data");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;

        let _file = File::open(&settings(&path)).unwrap();

        assert_eq!((mode(&path), mode(&path.join(NAME))), (0o700, 0o600));
    }

    #[test]
    fn the_error_names_a_folder_that_cannot_be_created() {
        let home = folder();
        let path = home.path().join("taken");
        fs::write(&path, "").unwrap();

        let refused = File::open(&settings(&path)).unwrap_err();

        assert!(matches!(&refused, FileOpenError::Folder { path: named, .. } if *named == path), "{refused:?}");
    }

    #[test]
    fn the_error_names_a_file_that_cannot_be_opened() {
        let home = folder();
        let path = home.path().join(NAME);
        fs::create_dir(&path).unwrap();

        let refused = File::open(&settings(home.path())).unwrap_err();

        assert!(matches!(&refused, FileOpenError::File { path: named, .. } if *named == path), "{refused:?}");
    }

    #[test]
    fn a_file_cannot_be_opened_twice_at_a_time() {
        let home = folder();
        let file = File::open(&settings(home.path())).unwrap();

        let refused = File::open(&settings(home.path())).unwrap_err();
        drop(file);

        assert!(matches!(refused, FileOpenError::InUse { .. }), "{refused:?}");
        File::open(&settings(home.path())).unwrap();
    }

    #[test]
    fn a_file_that_is_no_database_is_refused_and_stays_as_it_is() {
        let home = folder();
        let path = home.path().join(NAME);
        let text = "somebody's diary\n".repeat(1000);
        fs::write(&path, &text).unwrap();

        let refused = File::open(&settings(home.path())).unwrap_err();

        assert!(matches!(refused, FileOpenError::Foreign { .. }), "{refused:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn a_database_of_another_program_is_refused() {
        let home = folder();
        let theirs = Database::create(home.path().join(NAME)).unwrap();
        let writing = theirs.begin_write().unwrap();
        writing.open_table(TableDefinition::<u64, u64>::new("theirs")).unwrap();
        writing.commit().unwrap();
        drop(theirs);

        let refused = File::open(&settings(home.path())).unwrap_err();

        assert!(matches!(refused, FileOpenError::Foreign { .. }), "{refused:?}");
    }

    #[test]
    fn a_file_of_a_newer_format_is_refused_with_its_version() {
        let home = folder();
        let file = File::open(&settings(home.path())).unwrap();
        let writing = file.database().as_ref().unwrap().begin_write().unwrap();
        writing.open_table(FORMAT).unwrap().insert(VERSION, 2_u32.to_be_bytes().as_slice()).unwrap();
        writing.commit().unwrap();
        drop(file);

        let refused = File::open(&settings(home.path())).unwrap_err();

        assert!(matches!(refused, FileOpenError::TooNew { found: 2, .. }), "{refused:?}");
        assert!(refused.to_string().ends_with("it has format 2, this version reads format 1; run a newer one"));
    }

    #[test]
    fn a_file_that_is_gone_is_not_created_again() {
        let home = folder();
        let file = File::open(&settings(home.path())).unwrap();
        fs::remove_file(home.path().join(NAME)).unwrap();

        let refused = file.reopen().unwrap_err();

        assert!(matches!(refused, FileOpenError::File { .. }), "{refused:?}");
        assert!(matches!(file.read(|_| Ok(())), Err(Error::Unavailable(_))));
        assert!(!home.path().join(NAME).exists());
    }
}
