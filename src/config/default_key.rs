//! The signing key of the app `default` if the configuration gives none, so that a first start works without settings.
//!
//! The key is generated once and kept in the data folder. If several processes start at the same time, one generates it
//! and all read it.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::secret_files;
use crate::token::{Key, KeyRing, KeyRingError};
use crate::types::Secret;

/// Where the key of the app `default` comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefaultKey {
    /// The configuration.
    Configured,
    /// A file that an earlier start wrote.
    Found(PathBuf),
    /// A file that this start wrote.
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

/// Reads the keys in `folder`. Creates the file if it is missing.
pub fn open(folder: &Path) -> Result<(KeyRing, DefaultKey), Error> {
    if let Some(keys) = find(folder)? {
        return Ok((keys, DefaultKey::Found(path_in(folder))));
    }
    let path = path_in(folder);
    let origin = create(folder, &path).map_err(|source| Error::Create { path: path.clone(), source })?;
    let keys = find(folder)?.ok_or(Error::Vanished { path })?;
    Ok((keys, origin))
}

/// Checks that both the key file and the data file are there, or neither: a new one would log everybody out in silence.
pub(super) fn check_pair(folder: &Path, data_file: PathBuf) -> Result<(), Error> {
    // Looked for first, because another process that starts now makes its key first.
    let has_data = data_file.exists();
    let path = path_in(folder);
    match (find(folder)?, has_data) {
        (None, true) => Err(Error::KeyMissing { path, data_file }),
        (Some(_), false) => Err(Error::DataMissing { path, data_file }),
        (Some(_), true) | (None, false) => Ok(()),
    }
}

/// Reads the keys in `folder`. The file has to exist.
pub(super) fn reopen(folder: &Path) -> Result<(KeyRing, DefaultKey), Error> {
    let path = path_in(folder);
    match find(folder)? {
        Some(keys) => Ok((keys, DefaultKey::Found(path))),
        None => Err(Error::Missing { path }),
    }
}

/// Reads the keys in `folder`. `None`: there is no file.
pub fn find(folder: &Path) -> Result<Option<KeyRing>, Error> {
    let path = path_in(folder);
    let read = |file: File| -> io::Result<(u32, String)> {
        let mode = file.metadata()?.permissions().mode() & 0o777;
        let mut text = String::new();
        file.take(MAX_BYTES).read_to_string(&mut text)?;
        Ok((mode, text))
    };
    let (mode, text) = match File::open(&path).and_then(read) {
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

/// Creates the whole file in one step. Does not replace the file of another process.
fn create(folder: &Path, path: &Path) -> io::Result<DefaultKey> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let owner_only = fs::Permissions::from_mode(0o600);
    let mut file = tempfile::Builder::new().prefix(".default.key.").permissions(owner_only).tempfile_in(folder)?;
    writeln!(file, "# The signing key of the app `default`. Who loses it logs everybody out;")?;
    writeln!(file, "# who has it can forge sessions. A newer key goes on a line above.")?;
    writeln!(file, "{}", Key::generate())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => File::open(folder)?.sync_all().map(|()| DefaultKey::Created(path.to_owned())),
        Err(taken) if taken.error.kind() == io::ErrorKind::AlreadyExists => Ok(DefaultKey::Found(path.to_owned())),
        Err(failed) => Err(failed.error),
    }
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
    /// The file was removed just after it was created.
    #[error("{}: the key was removed while the service started; start again", path.display())]
    Vanished { path: PathBuf },
}

const MAX_BYTES: u64 = 64 * 1024;
