//! The files that connections need: the url, the password and the certificates.
//!
//! They are read at the start and looked at again at intervals, never for a single connection.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::store::redis::settings::Settings;
use crate::tls;
use crate::types::SettingError;

/// The paths of the files, each of which is optional.
#[derive(Debug)]
pub(in crate::store::redis) struct Files {
    url: Option<PathBuf>,
    password: Option<PathBuf>,
    pub(in crate::store::redis) ca: Option<PathBuf>,
    pub(in crate::store::redis) certificate: Option<PathBuf>,
    pub(in crate::store::redis) key: Option<PathBuf>,
}

/// The contents of the files.
pub(in crate::store::redis) struct Contents {
    pub(in crate::store::redis) url: Option<Vec<u8>>,
    pub(in crate::store::redis) password: Option<Vec<u8>>,
    pub(in crate::store::redis) ca: Option<Vec<u8>>,
    pub(in crate::store::redis) certificate: Option<Vec<u8>>,
    pub(in crate::store::redis) key: Option<Vec<u8>>,
}

impl Files {
    pub(in crate::store::redis) fn of(settings: &Settings) -> Self {
        let Settings { url_file, password_file, ca_file, certificate_file, key_file, .. } = settings;
        let [url, password, ca, certificate, key] =
            [url_file, password_file, ca_file, certificate_file, key_file].map(|path| set(path).map(Path::to_owned));
        Self { url, password, ca, certificate, key }
    }

    /// Whether there are none.
    pub(in crate::store::redis) const fn is_empty(&self) -> bool {
        let Self { url, password, ca, certificate, key } = self;
        url.is_none() && password.is_none() && ca.is_none() && certificate.is_none() && key.is_none()
    }

    /// Reads all of them. Blocks on the disk.
    pub(in crate::store::redis) fn read(&self) -> Result<Contents, SettingError> {
        let read = |setting: &str, path: &Option<PathBuf>| {
            let read = path.as_deref().map(tls::read).transpose();
            read.map_err(|error| SettingError::new(setting, error))
        };
        Ok(Contents {
            url: read("url_file", &self.url)?,
            password: read("password_file", &self.password)?,
            ca: read("ca_file", &self.ca)?,
            certificate: read("certificate_file", &self.certificate)?,
            key: read("key_file", &self.key)?,
        })
    }
}

impl Contents {
    /// Returns a digest that changes with the contents.
    pub(in crate::store::redis) fn digest(&self) -> [u8; 32] {
        let Self { url, password, ca, certificate, key } = self;
        let mut digest = Sha256::new();
        for file in [url, password, ca, certificate, key].into_iter().flatten() {
            digest.update(Sha256::digest(file));
        }
        digest.finalize().into()
    }
}

/// Returns a path that is set. An empty one counts as unset.
pub(in crate::store::redis) fn set(path: &Option<PathBuf>) -> Option<&Path> {
    path.as_deref().filter(|path| !path.as_os_str().is_empty())
}
