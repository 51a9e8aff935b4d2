//! Why a server cannot listen.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::tls;
use crate::types::{ConfigKey, SettingError};

/// Why the server cannot listen. It names the setting, below the table of the server.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error(transparent)]
    Settings(#[from] SettingError),
    #[error("{setting}")]
    Tls { setting: ConfigKey, source: tls::Error },
    #[error("{setting}: cannot listen on {address}")]
    Tcp { setting: ConfigKey, address: SocketAddr, source: io::Error },
    #[error("{setting}: {address} is taken: end the other process that listens there, or set another address")]
    InUse { setting: ConfigKey, address: SocketAddr, source: io::Error },
    #[error("{setting}: cannot listen on {}", path.display())]
    Unix { setting: ConfigKey, path: PathBuf, source: io::Error },
}

impl BindError {
    pub(super) fn tcp(address: SocketAddr, source: io::Error) -> Self {
        let setting = "listen".into();
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { setting, address, source },
            _ => Self::Tcp { setting, address, source },
        }
    }

    /// The same error of the server whose table is called `name`.
    #[must_use]
    pub fn under(self, name: &str) -> Self {
        let full = |setting| ConfigKey::new([name]).join(setting);
        match self {
            Self::Settings(error) => Self::Settings(error.under(name)),
            Self::Tls { setting, source } => Self::Tls { setting: full(setting), source },
            Self::Tcp { setting, address, source } => Self::Tcp { setting: full(setting), address, source },
            Self::InUse { setting, address, source } => Self::InUse { setting: full(setting), address, source },
            Self::Unix { setting, path, source } => Self::Unix { setting: full(setting), path, source },
        }
    }
}

impl From<tls::Error> for BindError {
    fn from(source: tls::Error) -> Self {
        Self::Tls { setting: "tls".into(), source }
    }
}
