//! Where connections come from: TCP, a Unix socket, or both.

use std::future::pending;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpSocket, UnixListener};

use super::socket_file::SocketFile;
use crate::auth::PeerAddress;
use crate::server::Settings;
use crate::server::connection::protocol::BACKLOG;
use crate::server::tls::TlsError;
use crate::types::SettingError;

/// Open listeners. Nothing listens any more when this is dropped.
#[derive(Debug)]
pub(crate) struct Listeners {
    tcp: Option<TcpListener>,
    // The file goes last: it must not outlive the listener in the eyes of a successor.
    unix: Option<(UnixListener, SocketFile)>,
}

/// A fresh connection, not tied to any runtime yet.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listeners {
    pub(crate) async fn bind(settings: &Settings) -> Result<Self, BindError> {
        Ok(Self {
            tcp: settings.listen.map(listen).transpose()?,
            unix: match settings.unix_path() {
                None => None,
                Some(path) => Some(listen_at(path).await?),
            },
        })
    }

    pub(crate) fn tcp_addr(&self) -> Option<SocketAddr> {
        self.tcp.as_ref()?.local_addr().ok()
    }

    /// The next connection. May be dropped while it waits without losing one.
    pub(crate) async fn accept(&self) -> io::Result<(Socket, PeerAddress)> {
        tokio::select! {
            accepted = accept_tcp(self.tcp.as_ref()) => accepted,
            accepted = accept_unix(self.unix.as_ref()) => accepted,
        }
    }

    /// Listens no more; answers who had connected by then.
    ///
    /// The machine breaks off whoever waits at a listener that is closed, and with it the first call that it has sent.
    pub(crate) fn close(self) -> Vec<(Socket, PeerAddress)> {
        let tcp = self.tcp.and_then(|listener| listener.into_std().ok());
        let mut waiting: Vec<_> = tcp.iter().flat_map(waiting_at_tcp).take(BACKLOG as usize).collect();
        drop(tcp);
        if let Some((listener, _file)) = self.unix
            && let Ok(listener) = listener.into_std()
        {
            waiting.extend(waiting_at_unix(&listener).take(BACKLOG as usize));
        }
        waiting
    }
}

/// Why the server does not listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The settings are wrong.
    #[error(transparent)]
    Settings(#[from] SettingError),
    /// The files of TLS can't be used.
    #[error("tls")]
    Tls(#[from] TlsError),
    /// The machine refuses the TCP address.
    #[error("listen: cannot listen on {address}")]
    Tcp {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The machine refuses the Unix socket.
    #[error("unix_socket: cannot listen on {}", path.display())]
    Unix {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn listen(address: SocketAddr) -> Result<TcpListener, BindError> {
    let socket = || if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let listen = || {
        let socket = socket()?;
        // A restart must not wait until the old connections' ports are free.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|source| BindError::Tcp { address, source })
}

async fn listen_at(path: &Path) -> Result<(UnixListener, SocketFile), BindError> {
    SocketFile::listen(path).await.map_err(|source| BindError::Unix { path: path.to_owned(), source })
}

/// Asked of the machine itself: tokio knows only what it has been told of so far.
fn waiting_at_tcp(listener: &std::net::TcpListener) -> impl Iterator<Item = (Socket, PeerAddress)> {
    let accept = || {
        let (socket, address) = listener.accept().ok()?;
        socket.set_nonblocking(true).ok()?;
        let _ = socket.set_nodelay(true);
        Some((Socket::Tcp(socket), PeerAddress::Tcp(address)))
    };
    std::iter::from_fn(accept)
}

fn waiting_at_unix(listener: &std::os::unix::net::UnixListener) -> impl Iterator<Item = (Socket, PeerAddress)> {
    let accept = || {
        let (socket, _) = listener.accept().ok()?;
        socket.set_nonblocking(true).ok()?;
        Some((Socket::Unix(socket), PeerAddress::Unix))
    };
    std::iter::from_fn(accept)
}

async fn accept_tcp(listener: Option<&TcpListener>) -> io::Result<(Socket, PeerAddress)> {
    let Some(listener) = listener else { return pending().await };
    let (socket, address) = listener.accept().await?;
    // A message of a few hundred bytes must not wait for the acknowledgement of the last one. Fails only if
    // the caller is gone again, which must not look like a failing listener.
    let _ = socket.set_nodelay(true);
    Ok((Socket::Tcp(socket.into_std()?), PeerAddress::Tcp(address)))
}

async fn accept_unix(listener: Option<&(UnixListener, SocketFile)>) -> io::Result<(Socket, PeerAddress)> {
    let Some((listener, _)) = listener else { return pending().await };
    let (socket, _) = listener.accept().await?;
    Ok((Socket::Unix(socket.into_std()?), PeerAddress::Unix))
}
