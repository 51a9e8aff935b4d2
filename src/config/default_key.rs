//! The signing key of the app `default` if the configuration gives none, so that a first start works without settings.
//!
//! The key is generated once and kept in the data folder. The first start writes it as `default.key.new`, makes the data
//! file, and only then gives the key its name. So a first start that is ended in between can be repeated, and a key or a
//! data file that is alone has lost the other one. If several processes start at the same time, one generates the key and
//! all read it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::files::open_again;
use super::secret_files;
use crate::store::create_folder;
use crate::token::{Key, KeyRing, KeyRingError};
use crate::types::Secret;

/// Where the key of the app `default` comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefaultKey {
    /// The configuration.
    Configured,
    /// A file that an earlier start wrote.
    Found(PathBuf),
    /// A file that this start has made, or that an interrupted first start has left to it.
    Created(PathBuf),
    /// It was generated for this process alone.
    Ephemeral,
    /// There is none: the app has only null sessions.
    Missing,
}

/// Where the key of the app `default` has to come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum KeySource<'s> {
    /// The configuration. This is so too for an app of kind `cookie`, whose key is Flask's, and of kind `external`, which
    /// needs none.
    Configuration,
    /// The data folder.
    Folder(&'s Path),
    /// The process, because nothing outlives it.
    Process,
    /// Nowhere: replicas have to share the key.
    None,
}

/// Generates a key that is not kept.
pub(super) fn generate() -> KeyRing {
    KeyRing::parse(&[Key::generate()]).expect("a generated key is a key")
}

/// Writes a new key if this is a first start. Called before the data file is opened, and so made.
///
/// Fails if only one of the key file and the data file is there.
pub fn prepare(folder: &Path, data_file: &Path) -> Result<(), Error> {
    match check_pair(folder, data_file)? {
        FolderState::New => create(folder).map_err(|source| Error::Create { path: new_path_in(folder), source }),
        FolderState::InUse => Ok(()),
    }
}

/// Reads the keys in `folder`, and gives the key of a first start its name. Called after [`prepare()`], while this process
/// has the data file open and no other can.
pub fn open(folder: &Path) -> Result<(KeyRing, DefaultKey), Error> {
    let (path, new_path) = (path_in(folder), new_path_in(folder));
    if let Some(keys) = find(folder)? {
        // Else it would be taken for the key if that were lost.
        discard_unfinished(folder)?;
        return Ok((keys, DefaultKey::Found(path)));
    }
    let Some(keys) = read(&new_path)? else { return Err(Error::Vanished { path }) };
    let named = fs::rename(&new_path, &path).and_then(|()| File::open(folder)?.sync_all());
    named.map_err(|source| Error::Create { path: path.clone(), source })?;
    Ok((keys, DefaultKey::Created(path)))
}

/// Removes the key that an interrupted first start has left. The caller has the store open.
pub(super) fn discard_unfinished(folder: &Path) -> Result<(), Error> {
    let path = new_path_in(folder);
    remove_if_there(&path).map_err(|source| Error::Leftover { path, source })
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether a data folder has had its first start, by the files in it.
#[derive(Clone, Copy, Debug)]
pub(super) enum FolderState {
    /// No data file, and no key but perhaps that of an interrupted first start.
    New,
    /// The data file, with its key or that of the first start that has made it.
    InUse,
}

/// Checks that both the key file and the data file are there, or neither: a new one would log everybody out in silence.
pub(super) fn check_pair(folder: &Path, data_file: &Path) -> Result<FolderState, Error> {
    let path = path_in(folder);
    // Another process may be in its first start. It makes the new key, the data file and the key, in this order, so that
    // after the data file was seen, one of the keys is seen in this order.
    let has_data = data_file.exists();
    let has_new_key = new_path_in(folder).exists();
    let has_key = find(folder)?.is_some();
    let data_file = data_file.to_owned();
    match (has_key, has_data) {
        // Looked for again, because that process may have made both just now.
        (true, false) if !data_file.exists() => Err(Error::DataMissing { path, data_file }),
        (false, true) if !has_new_key => Err(Error::KeyMissing { path, data_file }),
        (false, false) => Ok(FolderState::New),
        _ => Ok(FolderState::InUse),
    }
}

/// Checks that a first start here does not make a key while another store has one, in the folder `other`.
///
/// A file that cannot be looked at counts as there, because `cloakroom check` may run as another user.
pub(super) fn check_other(folder: &Path, data_file: &Path, other: &Path) -> Result<(), Error> {
    let is_missing = |path: &Path| matches!(path.try_exists(), Ok(false));
    let is_first_start = is_missing(&path_in(folder)) && is_missing(data_file);
    let path = path_in(other);
    if is_first_start && path.exists() {
        return Err(Error::LeftBehind { path, folder: folder.to_owned() });
    }
    Ok(())
}

/// Reads the keys in `folder`. The file has to exist.
pub(super) fn reopen(folder: &Path) -> Result<(KeyRing, DefaultKey), Error> {
    let path = path_in(folder);
    match find(folder)? {
        Some(keys) => Ok((keys, DefaultKey::Found(path))),
        None => Err(Error::Missing { path }),
    }
}

/// Reads the keys in `folder`. `None`: there is no file. The key of an interrupted first start does not count.
pub fn find(folder: &Path) -> Result<Option<KeyRing>, Error> {
    read(&path_in(folder))
}

fn read(path: &Path) -> Result<Option<KeyRing>, Error> {
    let path = path.to_owned();
    let read = |file: File| -> io::Result<(u32, String)> {
        let mode = file.metadata()?.permissions().mode() & 0o777;
        let mut text = String::new();
        file.take(MAX_BYTES).read_to_string(&mut text)?;
        Ok((mode, text))
    };
    let (mode, text) = match open_again(&path).and_then(read) {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Read { path, source }),
    };
    if mode & 0o077 != 0 {
        return Err(Error::TooPermissive { path, mode });
    }
    let secrets = secret_files::parse(&text);
    let texts = secrets.iter().map(Secret::expose).collect::<Vec<_>>();
    KeyRing::parse(&texts).map(Some).map_err(|source| Error::Invalid { path, source })
}

/// Returns the path of the key file in `folder`.
pub fn path_in(folder: &Path) -> PathBuf {
    folder.join("default.key")
}

/// Returns the path of the key in `folder` while its first start is not finished.
fn new_path_in(folder: &Path) -> PathBuf {
    folder.join("default.key.new")
}

/// Writes the whole key of a first start in one step. Does not replace that of another process, or of an interrupted start.
fn create(folder: &Path) -> io::Result<()> {
    create_folder(folder)?;
    let owner_only = fs::Permissions::from_mode(0o600);
    let mut file = tempfile::Builder::new().prefix(".default.key.").permissions(owner_only).tempfile_in(folder)?;
    writeln!(file, "# The signing key of the app `default`. Who loses it logs everybody out;")?;
    writeln!(file, "# who has it can forge sessions. A newer key goes on a line above.")?;
    writeln!(file, "{}", Key::generate())?;
    file.as_file().sync_all()?;
    let new_path = new_path_in(folder);
    match file.persist_noclobber(&new_path) {
        Ok(_) => {}
        Err(taken) if taken.error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(failed) => return Err(failed.error),
    }
    // Another process may have finished its first start since the folder was looked at, and may have removed this one.
    if path_in(folder).exists() {
        remove_if_there(&new_path)?;
    }
    File::open(folder)?.sync_all()
}

/// Why the app `default` has no key.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the names of the fields say all")]
pub enum Error {
    #[error("{}: the key of the app `default` cannot be made; give it one in apps.default.keys", path.display())]
    Create { path: PathBuf, source: io::Error },
    #[error("{}: the key of the app `default` cannot be read", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// Other users may read or write the file.
    #[error("{path}: others may read or change this key (mode {mode:o}); run: chmod 600 {path}", path = path.display())]
    TooPermissive { path: PathBuf, mode: u32 },
    /// The file has something other than keys.
    #[error("{}: this is no file of keys; restore it, or remove it, which logs everybody out", path.display())]
    Invalid { path: PathBuf, source: KeyRingError },
    /// The file is missing, and a running service does not create it.
    #[error(
        "{}: the key of the app `default` is not there; restore it, or give the app one in apps.default.keys; \
         another one logs everybody out", path.display()
    )]
    Missing { path: PathBuf },
    /// Sessions may be there whose tokens the key has signed.
    #[error(
        "{path}: it is not there, but {} is; restore it from a backup, or give the app its key in \
         apps.default.keys; to go on with another one, which logs everybody out: \
         (umask 077; cloakroom keygen > {path})", data_file.display(), path = path.display()
    )]
    KeyMissing { path: PathBuf, data_file: PathBuf },
    /// The service has run here, so there were sessions.
    #[error(
        "{}: it is not there, but {} is; restore it from a backup, or move all files of the folder away to start \
         without sessions", data_file.display(), path.display()
    )]
    DataMissing { path: PathBuf, data_file: PathBuf },
    /// Sessions move here from another store or will move there, and their tokens were signed with its key.
    #[error(
        "{path}: this key of the app `default` has signed the tokens of the other store; another one logs everybody out. Copy \
         it: (umask 077; mkdir -p {folder}; cp {path} {folder}/moved.key), and name the copy in apps.default.keys_file: \
         \"{folder}/moved.key\"", path = path.display(), folder = folder.display()
    )]
    LeftBehind { path: PathBuf, folder: PathBuf },
    /// The key of an interrupted first start, which is of no use any more.
    #[error("{}: this key is left of an interrupted first start and can't be removed; remove it", path.display())]
    Leftover { path: PathBuf, source: io::Error },
    /// The file was removed just after it was created.
    #[error("{}: the key was removed while the service started; start again", path.display())]
    Vanished { path: PathBuf },
}

const MAX_BYTES: u64 = 64 * 1024;
