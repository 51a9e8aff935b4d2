//! Why a server cannot listen.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::tls;
use crate::types::SettingError;

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error(transparent)]
    Settings(#[from] SettingError),
    #[error("tls")]
    Tls(#[from] tls::Error),
    #[error("listen: cannot listen on {address}")]
    Tcp { address: SocketAddr, source: io::Error },
    #[error("unix_socket: cannot listen on {}", path.display())]
    Unix { path: PathBuf, source: io::Error },
}
