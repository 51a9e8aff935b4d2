//! The settings of a listener's TLS, as a person writes them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Tls;
use crate::auth::Callers;
use crate::server::{BindError, SettingsError};
use crate::types::Time;

/// The `[server.tls]` and `[admin.tls]` tables. Files are read again when they change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSettings {
    /// The listener's certificate in PEM, its chain after it. Empty: TCP is not encrypted. Set it beyond loopback.
    pub certificate_file: Option<PathBuf>,
    /// The certificate's private key in PEM.
    pub key_file: Option<PathBuf>,
    /// The certificates, in PEM, of those who sign the certificates of callers. Set it to know callers by theirs.
    ///
    /// A caller need not show one, but one that it shows has to be good.
    pub client_ca_file: Option<PathBuf>,
}

/// Which files a listener that speaks TLS reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) client_ca: Option<PathBuf>,
}

impl TlsSettings {
    /// The files, if the listener is to speak TLS.
    pub(crate) fn files(&self) -> Result<Option<TlsFiles>, SettingsError> {
        let [certificate, key, client_ca] =
            [&self.certificate_file, &self.key_file, &self.client_ca_file].map(|path| path.as_deref().filter(is_set));
        match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Some(TlsFiles {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
                client_ca: client_ca.map(Path::to_owned),
            })),
            (None, None) if client_ca.is_none() => Ok(None),
            (None, _) => Err(SettingsError::TlsIncomplete { key: "tls.certificate_file" }),
            (Some(_), None) => Err(SettingsError::TlsIncomplete { key: "tls.key_file" }),
        }
    }

    /// Says what is wrong, if anything is, without reading a file.
    pub fn check(&self, callers: &Callers) -> Result<(), SettingsError> {
        self.files()?;
        let asks_in_vain = self.knows_certificates() && !callers.has_certificates();
        if asks_in_vain { Err(SettingsError::ClientCaIdle) } else { Ok(()) }
    }

    /// Reads the files, if there are any; says when the certificate expires, or what is wrong with them.
    pub fn check_files(&self, now: Time) -> Result<Option<Time>, BindError> {
        Tls::try_files(self, now)
    }

    /// Whether the listener speaks TLS.
    pub fn is_on(&self) -> bool {
        self.certificate_file.as_deref().is_some_and(|path| is_set(&path))
    }

    /// Whether callers may show certificates.
    pub fn knows_certificates(&self) -> bool {
        self.client_ca_file.as_deref().is_some_and(|path| is_set(&path))
    }
}

/// An empty path counts as unset, as everywhere.
fn is_set(path: &&Path) -> bool {
    !path.as_os_str().is_empty()
}
