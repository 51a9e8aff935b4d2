//! The settings of a listener's TLS.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Tls;
use crate::auth::Callers;
use crate::server::bind_error::BindError;
use crate::types::{SettingError, Time};

/// The `[server.tls]` and `[admin.tls]` tables. Files are in PEM, and are read again when they change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSettings {
    /// The certificate of the service, followed by its chain. Not set or empty: TCP is not encrypted.
    ///
    /// Set it beyond loopback.
    pub certificate_file: Option<PathBuf>,
    /// The private key of the certificate.
    pub key_file: Option<PathBuf>,
    /// The authorities that sign callers' certificates, if callers are recognized by certificates.
    ///
    /// A caller does not have to show a certificate, but one that it shows has to be valid.
    pub client_ca_file: Option<PathBuf>,
}

/// The files that a listener with TLS reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) client_ca: Option<PathBuf>,
}

impl TlsSettings {
    /// Returns the files. `None`: the listener has no TLS.
    pub(crate) fn files(&self) -> Result<Option<TlsFiles>, SettingError> {
        let [certificate, key, client_ca] =
            [&self.certificate_file, &self.key_file, &self.client_ca_file].map(|path| path.as_deref().filter(is_set));
        match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Some(TlsFiles {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
                client_ca: client_ca.map(Path::to_owned),
            })),
            (None, None) if client_ca.is_none() => Ok(None),
            (None, _) => Err(SettingError::new("tls.certificate_file", INCOMPLETE)),
            (Some(_), None) => Err(SettingError::new("tls.key_file", INCOMPLETE)),
        }
    }

    /// Checks the values, without reading a file. The error's key begins with `tls`.
    pub fn check(&self, callers: &Callers) -> Result<(), SettingError> {
        self.files()?;
        if self.knows_certificates() && !callers.has_certificates() {
            return Err(SettingError::new("tls.client_ca_file", CLIENT_CA_UNUSED));
        }
        Ok(())
    }

    /// Reads the files and returns when the certificate expires. `None`: the listener has no TLS.
    pub fn check_files(&self, now: Time) -> Result<Option<Time>, BindError> {
        Tls::try_files(self, now)
    }

    /// Whether the listener has TLS.
    pub fn is_on(&self) -> bool {
        self.certificate_file.as_deref().is_some_and(|path| is_set(&path))
    }

    /// Whether callers may show certificates.
    pub fn knows_certificates(&self) -> bool {
        self.client_ca_file.as_deref().is_some_and(|path| is_set(&path))
    }
}

/// Whether a path is set. An empty one counts as unset.
fn is_set(path: &&Path) -> bool {
    !path.as_os_str().is_empty()
}

const INCOMPLETE: &str = "a listener that is to speak TLS needs certificate_file and key_file";
const CLIENT_CA_UNUSED: &str = "no caller is known by its certificate; give one certificate_names in [callers]";
