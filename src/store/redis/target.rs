//! Where Redis is and how to log in, as the settings say it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, RedisError};

use tokio::time::timeout;

use super::failure::{Cause, Failure};
use super::settings::Settings;

/// The server that connections go to.
pub(super) struct Target {
    source: Source,
    /// The address at the start.
    pub(super) address: Arc<str>,
    pub(super) server: Server,
    /// How long opening a connection may take, and each operation.
    pub(super) timeout: Duration,
}

/// Which server serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Server {
    Primary,
    PrimaryOrReplica,
}

enum Source {
    Url(Box<ConnectionInfo>),
    /// Read again for each connection, so that a new password needs no restart.
    File(PathBuf),
}

impl Target {
    pub(super) fn new(settings: &Settings, server: Server) -> Result<Self, RedisError> {
        let info = settings.url.as_str().into_connection_info()?;
        let address = address(&info);
        let source = match &settings.url_file {
            Some(path) => Source::File(path.clone()),
            None => Source::Url(Box::new(info)),
        };
        Ok(Self { source, address, server, timeout: settings.timeout })
    }

    /// Returns the address, the database and the password for a connection that is opened now.
    pub(super) async fn info(&self) -> Result<ConnectionInfo, Failure> {
        let path = match &self.source {
            Source::Url(info) => return Ok((**info).clone()),
            Source::File(path) => path,
        };
        let failure = |cause| Failure { address: Arc::clone(&self.address), cause };
        let reading = timeout(self.timeout, tokio::fs::read_to_string(path));
        let url = reading.await.unwrap_or_else(|elapsed| Err(elapsed.into())).map_err(|error| {
            let (path, error) = (path.clone(), Arc::new(error));
            failure(Cause::UrlFile { path, error })
        })?;
        let info = url.trim().into_connection_info();
        // Without the library's error, which may quote the url.
        info.map_err(|_| failure(Cause::Unsuitable(format!("{} holds no url", path.display()).into())))
    }
}

/// Writes an address for logs: without user, password and database.
pub(super) fn address(info: &ConnectionInfo) -> Arc<str> {
    match info.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } if host.contains(':') => {
            format!("[{host}]:{port}").into()
        }
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => format!("{host}:{port}").into(),
        ConnectionAddr::Unix(path) => path.display().to_string().into(),
        _ => "an unknown address".into(),
    }
}

impl fmt::Debug for Target {
    /// Leaves out the url, because it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
