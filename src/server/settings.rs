//! The settings of a server, as a person writes them, and what is wrong with them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::TlsSettings;
use crate::auth::Callers;
use crate::grpc::MAX_REQUEST_BYTES;
use crate::types::{duration, listen_address};

/// The `[server]` table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The TCP address to listen on, IP and port. Empty: none. Change it to serve other machines.
    #[serde(with = "listen_address")]
    pub listen: Option<SocketAddr>,
    /// A Unix socket to listen on as well. Empty: none. Set it when callers run on this machine: a call costs half.
    ///
    /// Owner and group may connect. A file that a dead server left there is replaced.
    pub unix_socket: Option<PathBuf>,
    /// Listen beyond loopback though no callers are known. Only on a network that is all yours.
    pub insecure: bool,
    /// Threads that serve. 0: one a core. Lower it to leave cores to others.
    pub workers: usize,
    /// The most connections at once. Raise it, and the limit of open files, for very many frontends.
    pub max_connections: usize,
    /// The most connections of one IP address (IPv6: of one /64). Raise it when callers share an address.
    pub max_connections_per_peer: usize,
    /// The most calls at once on one connection. Raise it when a proxy puts all callers on a few connections.
    pub max_concurrent_streams: u32,
    /// The most calls at once in the whole process; further ones are OVERLOADED. Lower it if memory is short.
    pub max_calls: usize,
    /// The most bytes, at once, of requests that are over 64 KiB; further ones are OVERLOADED. Lower it if memory is short.
    ///
    /// Counted from the first byte of a request to its answer, as it comes: decoded, an honest one takes twice as much, and one
    /// that is made to be large up to 13 times. At least 4 MiB, so that every single one fits.
    pub request_budget_bytes: usize,
    /// How soon a new connection has to make its first call. Raise it for callers behind very slow links.
    #[serde(with = "duration")]
    pub first_request_timeout: Duration,
    /// How long a connection may stay open without a call. Lower it if many frontends come and go.
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
    /// How old a connection may get, give or take a tenth. Lower it so that callers find new servers sooner.
    #[serde(with = "duration")]
    pub max_connection_age: Duration,
    /// How long a connection may be silent before it is asked for a sign of life, which has as long, at most 10 s.
    #[serde(with = "duration")]
    pub keepalive_interval: Duration,
    /// The longest a call may take; a caller's `grpc-timeout` shortens it. Raise it for a slow store.
    ///
    /// A stream has to begin by then, and may go on.
    #[serde(with = "duration")]
    pub call_timeout: Duration,
    /// How long running calls may finish when a connection or the server ends. Raise it with `call_timeout`.
    #[serde(with = "duration")]
    pub drain_timeout: Duration,
    /// How long a stop waits between saying NOT_SERVING and refusing connections. As long as load balancers look away.
    #[serde(with = "duration")]
    pub shutdown_delay: Duration,
    /// How long the store may be silent before health says NOT_SERVING. Raise it if its failovers take longer.
    #[serde(with = "duration")]
    pub store_unhealthy_after: Duration,
    /// Encryption of the TCP address.
    pub tls: TlsSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50051)),
            unix_socket: None,
            insecure: false,
            workers: 0,
            max_connections: 10_000,
            max_connections_per_peer: 256,
            max_concurrent_streams: 256,
            max_calls: 4096,
            request_budget_bytes: 128 * 1024 * 1024,
            first_request_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(15 * 60),
            max_connection_age: Duration::from_secs(30 * 60),
            keepalive_interval: Duration::from_secs(30),
            call_timeout: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(10),
            shutdown_delay: Duration::ZERO,
            store_unhealthy_after: Duration::from_secs(10),
            tls: TlsSettings::default(),
        }
    }
}

impl Settings {
    /// Says what is wrong, if anything is, with a server for these callers, without touching the machine.
    pub fn check(&self, callers: &Callers) -> Result<(), SettingsError> {
        self.check_exposure(callers)?;
        self.tls.check(callers)?;
        counted("workers", self.workers, 0, 1024)?;
        counted("max_connections", self.max_connections, 1, 1_000_000)?;
        counted("max_connections_per_peer", self.max_connections_per_peer, 1, 1_000_000)?;
        counted("max_concurrent_streams", self.max_concurrent_streams as usize, 1, 65_536)?;
        counted("max_calls", self.max_calls, 1, 1_000_000)?;
        counted("request_budget_bytes", self.request_budget_bytes, MAX_REQUEST_BYTES, MOST_BUDGET)?;
        within("first_request_timeout", self.first_request_timeout, SHORTEST, HOUR)?;
        within("idle_timeout", self.idle_timeout, SHORTEST, YEAR)?;
        within("max_connection_age", self.max_connection_age, SHORTEST, YEAR)?;
        within("keepalive_interval", self.keepalive_interval, SHORTEST, HOUR)?;
        within("call_timeout", self.call_timeout, SHORTEST, HOUR)?;
        within("drain_timeout", self.drain_timeout, Duration::ZERO, HOUR)?;
        within("shutdown_delay", self.shutdown_delay, Duration::ZERO, HOUR)?;
        within("store_unhealthy_after", self.store_unhealthy_after, SHORTEST, HOUR)
    }

    /// Where the Unix socket is to be, if there is to be one.
    pub fn unix_path(&self) -> Option<&Path> {
        self.unix_socket.as_deref().filter(|path| !path.as_os_str().is_empty())
    }

    /// Whether it listens somewhere, and not for strangers while it asks nobody who it is.
    pub fn check_exposure(&self, callers: &Callers) -> Result<(), SettingsError> {
        let lets_all_in = callers.is_empty() && !self.insecure;
        match self.listen {
            None if self.unix_path().is_none() => Err(SettingsError::Nowhere),
            Some(listen) if lets_all_in && !is_loopback(listen) => Err(SettingsError::Exposed { listen }),
            _ => Ok(()),
        }
    }
}

/// What is wrong with a server's settings, and what would be right.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// No listener at all.
    #[error("listen: there is nothing to listen on; give it an address such as 127.0.0.1:50051, or set unix_socket")]
    Nowhere,
    /// A listener that strangers reach.
    #[error(
        "listen: {listen} is open to other machines and to every caller; say in [callers] who may call, \
         listen on 127.0.0.1 or on unix_socket, or set insecure = true if the whole network is yours"
    )]
    Exposed {
        /// Where.
        listen: SocketAddr,
    },
    /// An AdminService that strangers reach.
    #[error(
        "listen: {listen} is open to other machines, and whoever reaches it can end every session; say in [callers] \
         who may, listen on 127.0.0.1, or set insecure = true in [server] if the whole network is yours"
    )]
    AdminExposed {
        /// Where.
        listen: SocketAddr,
    },
    /// A certificate without a key, or the other way round.
    #[error("{key}: a listener that is to speak TLS needs certificate_file and key_file")]
    TlsIncomplete {
        /// What is missing.
        key: &'static str,
    },
    /// Certificates of callers are checked, but nobody is known by them.
    #[error("tls.client_ca_file: no caller is known by its certificate; give one certificate_names in [callers]")]
    ClientCaIdle,
    /// A time span out of its bounds.
    #[error("{key}: {} is not between {} and {}", duration::text(*.value), duration::text(*.least), duration::text(*.most))]
    Span {
        /// Which.
        key: &'static str,
        /// What it is.
        value: Duration,
        /// The least it may be.
        least: Duration,
        /// The most it may be.
        most: Duration,
    },
    /// A number out of its bounds.
    #[error("{key}: {value} is not between {least} and {most}")]
    Limit {
        /// Which.
        key: &'static str,
        /// What it is.
        value: usize,
        /// The least it may be.
        least: usize,
        /// The most it may be.
        most: usize,
    },
}

/// Whether only this machine reaches an address.
pub(super) fn is_loopback(listen: SocketAddr) -> bool {
    listen.ip().to_canonical().is_loopback()
}

fn within(key: &'static str, value: Duration, least: Duration, most: Duration) -> Result<(), SettingsError> {
    if (least..=most).contains(&value) { Ok(()) } else { Err(SettingsError::Span { key, value, least, most }) }
}

fn counted(key: &'static str, value: usize, least: usize, most: usize) -> Result<(), SettingsError> {
    if (least..=most).contains(&value) { Ok(()) } else { Err(SettingsError::Limit { key, value, least, most }) }
}

// Shorter is a slip of the unit; it still lets tests be quick.
const SHORTEST: Duration = Duration::from_millis(10);
/// 1 TiB.
const MOST_BUDGET: usize = 1 << 40;
const HOUR: Duration = Duration::from_secs(60 * 60);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
