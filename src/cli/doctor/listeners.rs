//! Whether a service answers at the addresses of the configuration.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::finding::Finding;
use crate::cli::Address;
use crate::cli::credentials::TlsOptions;
use crate::cli::healthcheck::health;
use crate::config::Settings;
use crate::grpc;
use crate::server::TlsSettings;

/// Asks for the health at each address where the configuration lets a service listen.
pub(super) async fn examine(settings: &Settings, max_wait: Duration) -> Vec<Finding> {
    let Settings { server, admin, .. } = settings;
    let mut findings = Vec::new();
    for (check, listen, tls) in
        [("server.listen", server.listen, &server.tls), ("admin.listen", admin.listen, &admin.tls)]
    {
        if let Some(listen) = listen {
            findings.push(tcp(check, listen, tls, max_wait).await);
        }
    }
    if let Some(path) = server.unix_path() {
        findings.push(ask("server.unix_socket", &Address::Unix(path.to_owned()), None, max_wait).await);
    }
    findings
}

async fn tcp(check: &str, listen: SocketAddr, tls: &TlsSettings, max_wait: Duration) -> Finding {
    if listen.port() == 0 {
        return Finding::warning(check, format!("{listen}: the system chooses the port"), "set a port, to be found");
    }
    // The certificate is rarely valid for this address, and health is no secret.
    let tls = tls.is_on().then(TlsOptions::unverified);
    ask(check, &Address::of_listener(listen), tls, max_wait).await
}

async fn ask(check: &str, address: &Address, tls: Option<TlsOptions>, max_wait: Duration) -> Finding {
    if nobody_listens(address, max_wait).await {
        return Finding::warning(
            check,
            format!("{address}: nobody listens there"),
            "if the service is to run here now, start it, and look at its log",
        );
    }
    match health(address, tls, grpc::SESSION_SERVICE, max_wait).await {
        Ok(()) => Finding::ok(check, format!("{address}: a service answers there, and it serves")),
        Err(why) => Finding::failed(
            check,
            format!("{address}: somebody listens there, but: {why}"),
            "look at the log of the service, or at which other program it is",
        ),
    }
}

/// Whether a connection is refused, or there is no socket. A connection that takes too long has met somebody.
async fn nobody_listens(address: &Address, max_wait: Duration) -> bool {
    let connected = match address {
        Address::Tcp(address) => timeout(max_wait, TcpStream::connect(address)).await.map(|done| done.map(drop)),
        Address::Unix(path) => timeout(max_wait, UnixStream::connect(path)).await.map(|done| done.map(drop)),
    };
    let is_absent =
        |error: io::Error| matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound);
    connected.is_ok_and(|connected| connected.is_err_and(is_absent))
}
