//! The listeners of a server: TCP, a Unix socket, or both.

use std::future::pending;
use std::io;
use std::net::SocketAddr;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, UnixListener};

use super::socket_file::{BACKLOG, SocketFile};
use crate::auth::PeerAddress;
use crate::server::Settings;
use crate::server::bind_error::BindError;
use crate::server::connection::Socket;

/// The open listeners. They are closed when this is dropped.
#[derive(Debug)]
pub(in crate::server) struct Listeners {
    tcp: Option<TcpListener>,
    // Dropped in this order: the listener is closed before the file is removed.
    unix: Option<(UnixListener, SocketFile)>,
}

impl Listeners {
    pub(in crate::server) async fn bind(settings: &Settings) -> Result<Self, BindError> {
        Ok(Self {
            tcp: settings.listen.map(bind_tcp).transpose()?,
            unix: match settings.unix_path() {
                None => None,
                Some(path) => Some(SocketFile::listen(path).await.map_err(|source| BindError::Unix {
                    setting: "unix_socket".into(),
                    path: path.to_owned(),
                    source,
                })?),
            },
        })
    }

    pub(in crate::server) fn tcp_addr(&self) -> Option<SocketAddr> {
        self.tcp.as_ref()?.local_addr().ok()
    }

    /// Waits for the next connection. Cancel-safe: no connection is lost.
    pub(in crate::server) async fn accept(&self) -> io::Result<(Socket, PeerAddress)> {
        tokio::select! {
            accepted = accept_tcp(self.tcp.as_ref()) => accepted,
            accepted = accept_unix(self.unix.as_ref()) => accepted,
        }
    }

    /// Closes the listeners and returns the connections that waited in their backlogs.
    ///
    /// Otherwise the kernel would reset those connections, and their first calls would be lost.
    pub(in crate::server) fn close(self) -> Vec<(Socket, PeerAddress)> {
        let tcp = self.tcp.and_then(|listener| listener.into_std().ok());
        let mut waiting: Vec<_> = tcp.iter().flat_map(accept_waiting_tcp).take(BACKLOG as usize).collect();
        drop(tcp);
        if let Some((listener, _file)) = self.unix
            && let Ok(listener) = listener.into_std()
        {
            waiting.extend(accept_waiting_unix(&listener).take(BACKLOG as usize));
        }
        waiting
    }
}

fn bind_tcp(address: SocketAddr) -> Result<TcpListener, BindError> {
    let socket = || if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let listen = || {
        let socket = socket()?;
        // Without this a restart would fail while old connections are in TIME_WAIT.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|source| BindError::tcp(address, source))
}

// These two call accept(2) directly, because tokio only knows of connections that it was notified of.

fn accept_waiting_tcp(listener: &std::net::TcpListener) -> impl Iterator<Item = (Socket, PeerAddress)> {
    let accept = || {
        let (socket, address) = listener.accept().ok()?;
        socket.set_nonblocking(true).ok()?;
        set_options(&SockRef::from(&socket));
        Some((Socket::Tcp(socket), PeerAddress::Tcp(address)))
    };
    std::iter::from_fn(accept)
}

fn accept_waiting_unix(listener: &std::os::unix::net::UnixListener) -> impl Iterator<Item = (Socket, PeerAddress)> {
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
    set_options(&SockRef::from(&socket));
    Ok((Socket::Tcp(socket.into_std()?), PeerAddress::Tcp(address)))
}

/// Sets the options of a connection. An error is ignored: it means that the peer has disconnected, not that the listener
/// fails.
fn set_options(socket: &SockRef<'_>) {
    // A message of a few hundred bytes must not wait for the acknowledgement of the last one.
    let _ = socket.set_tcp_nodelay(true);
    // A peer that reads nothing would have the kernel take megabytes of responses, all made for nothing.
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_notsent_lowat(MAX_NOT_SENT);
}

async fn accept_unix(listener: Option<&(UnixListener, SocketFile)>) -> io::Result<(Socket, PeerAddress)> {
    let Some((listener, _)) = listener else { return pending().await };
    let (socket, _) = listener.accept().await?;
    Ok((Socket::Unix(socket.into_std()?), PeerAddress::Unix))
}

/// The bytes on a connection that the kernel takes and has not sent.
#[cfg(target_os = "linux")]
const MAX_NOT_SENT: u32 = 128 * 1024;
