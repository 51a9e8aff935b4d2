//! The signing key of the app `default` when nobody has configured one, so that a first start just works.
//!
//! It is made once and kept in the data folder. Of any number of processes that start at the same time
//! one makes it and all read it. Nothing here knows whether the store allows such a key: Redis, which
//! several replicas share, does not.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::key_file;
use crate::token::{Key, KeyRing, KeyRingError};
use crate::types::Secret;

/// Where the key of the app `default` is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefaultKey {
    /// The configuration.
    Configured,
    /// A file of an earlier start.
    Found(PathBuf),
    /// A file of this start.
    Created(PathBuf),
    /// Made for this process alone.
    Ephemeral,
    /// There is none: the app has only null sessions.
    Missing,
}

/// The key kept in `folder`; it is made if there is none.
pub fn open(folder: &Path) -> Result<(KeyRing, DefaultKey), Error> {
    if let Some(ring) = find(folder)? {
        return Ok((ring, DefaultKey::Found(path_in(folder))));
    }
    let path = path_in(folder);
    let origin = create(folder, &path).map_err(|source| Error::Create { path: path.clone(), source })?;
    let ring = find(folder)?.ok_or(Error::Vanished { path })?;
    Ok((ring, origin))
}

/// The key kept in `folder`, which has to be there.
pub(super) fn reopen(folder: &Path) -> Result<(KeyRing, DefaultKey), Error> {
    let path = path_in(folder);
    match find(folder)? {
        Some(ring) => Ok((ring, DefaultKey::Found(path))),
        None => Err(Error::Gone { path }),
    }
}

/// The key kept in `folder`, if there is one.
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
        return Err(Error::Open { path, mode });
    }
    let secrets = key_file::parse(&text);
    let texts = secrets.iter().map(Secret::expose).collect::<Vec<_>>();
    KeyRing::parse(&texts).map(Some).map_err(|source| Error::NoKey { path, source })
}

/// Where the key is kept.
pub fn path_in(folder: &Path) -> PathBuf {
    folder.join("default.key")
}

/// Whole or not at all, and never over another process's key.
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

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be made.
    #[error("{}: the key of the app `default` cannot be made; give it one in apps.default.keys", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be read.
    #[error("{}: the key of the app `default` cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can read it.
    #[error("{path}: others may read or change this key (mode {mode:o}); run: chmod 600 {path}", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// What it holds is no key.
    #[error("{}: this is no file of keys; restore it, or remove it, which logs everybody out", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeyRingError,
    },
    /// It is not there, and a running service makes none.
    #[error(
        "{}: the key of the app `default` is not there; restore it, give the app one in apps.default.keys, \
         or restart to make a new one, which logs everybody out", path.display()
    )]
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// It was removed in the moment after it was made.
    #[error("{}: the key was removed while the service started; start again", path.display())]
    Vanished {
        /// The file.
        path: PathBuf,
    },
}

const MAX_BYTES: u64 = 64 * 1024;
