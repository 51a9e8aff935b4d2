//! The settings of a server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::TlsSettings;
use crate::auth::Callers;
use crate::connect::Protocol;
use crate::grpc::MAX_REQUEST_BYTES;
use crate::types::{SettingError, check_duration, duration, listen_address};

/// The `[server]` table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The TCP address to listen on, IP and port. Empty: none. Change it to serve other machines.
    #[serde(with = "listen_address")]
    pub listen: Option<SocketAddr>,
    /// A Unix socket to listen on as well. Not set or empty: none. A call from this machine costs half as much.
    ///
    /// Its owner and its group may connect. A file that a server left there when it ended is replaced.
    pub unix_socket: Option<PathBuf>,
    /// Listen beyond loopback although no callers are configured. Only on a network where every machine is trusted.
    pub insecure: bool,
    /// How calls may be made: `grpc`, `connect` (with HTTP/1.1 and JSON), or both. Take away what nobody uses. Operators
    /// and health checks may always use gRPC.
    pub protocols: Protocols,
    /// Threads that serve calls. 0 to 1024; 0: one for each core. Lower it to leave cores to other programs.
    pub workers: usize,
    /// The most connections at once. 1 to 1000000. Raise it, and the limit of open files, for very many frontends.
    pub max_connections: usize,
    /// The most connections of one IP address (IPv6: of one /64). 1 to 1000000. Raise it when callers share one.
    pub max_connections_per_peer: usize,
    /// The most calls at once on one connection. 1 to 65536.
    ///
    /// Raise it when a proxy puts all callers on a few connections.
    pub max_concurrent_streams: u32,
    /// The most calls at once of each listener; more are refused as OVERLOADED. 1 to 1000000.
    ///
    /// Lower it if memory is short.
    pub max_calls: usize,
    /// The most calls at once of one IP address (IPv6: of one /64), and of one caller. 0 to 1000000; 0: half of max_calls.
    ///
    /// Raise it when one proxy makes nearly all calls. The Unix socket has no address.
    pub max_calls_per_peer: usize,
    /// The most bytes at once of requests that are over 64 KiB each; more are refused as OVERLOADED.
    ///
    /// 4 MiB, so that every single request fits, to 1 TiB. It holds for each listener. Lower it if memory is short. The
    /// bytes are counted from their arrival until the response. A decoded request uses twice as much; one that is made to
    /// be large uses up to 13 times as much.
    pub request_budget_bytes: usize,
    /// The most bytes at once of requests that are not whole and of responses that are not read. 4 MiB to 1 TiB.
    ///
    /// Above it the connection is closed that has held such bytes for the longest time. It holds for each listener; one
    /// worker may have half of it. Each such call counts 6 KiB besides, and one of a stream of requests, or of a request
    /// that is over 64 KiB, 42. Raise it for very many callers on slow links.
    pub pending_budget_bytes: usize,
    /// A new connection has to make its first call within this time. 10 ms to 1 hour. Raise it for very slow links.
    #[serde(with = "duration")]
    pub first_request_timeout: Duration,
    /// How long a connection may stay open without a call. 10 ms to 365 days. Lower it if many frontends come and go.
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
    /// How old a connection may get, give or take a tenth. 10 ms to 365 days. Lower it to find new replicas sooner.
    #[serde(with = "duration")]
    pub max_connection_age: Duration,
    /// The silence after which a connection is pinged. 10 ms to 1 hour.
    ///
    /// The peer has the same time to answer, at most 10 s.
    #[serde(with = "duration")]
    pub keepalive_interval: Duration,
    /// The longest that a call may take; a caller's `grpc-timeout` can shorten it. 10 ms to 1 hour.
    ///
    /// A stream has to begin within it, and may then go on. Raise it for a slow store.
    #[serde(with = "duration")]
    pub call_timeout: Duration,
    /// A request has to be whole within this time. 10 ms to 1 hour. Raise it for large requests on slow links.
    #[serde(with = "duration")]
    pub request_timeout: Duration,
    /// A response has to be read within this time, or half of it more; else its connection ends. 10 ms to 1 hour.
    ///
    /// Raise it for large responses on slow links.
    #[serde(with = "duration")]
    pub send_timeout: Duration,
    /// How long running calls may take to finish when a connection or the server ends. 0 to 1 hour.
    ///
    /// Raise it together with `call_timeout`.
    #[serde(with = "duration")]
    pub drain_timeout: Duration,
    /// How long a stop waits between reporting NOT_SERVING and refusing connections. 0 to 1 hour.
    ///
    /// Set it to the time that load balancers need to notice.
    #[serde(with = "duration")]
    pub shutdown_delay: Duration,
    /// Health reports NOT_SERVING when the store has not answered for this time. 10 ms to 1 hour.
    ///
    /// A store that refuses writes, for example because it is full, makes health NOT_SERVING at once.
    /// Raise it if the store's failovers take longer.
    #[serde(with = "duration")]
    pub store_unhealthy_after: Duration,
    /// The pause between two counts of the live sessions. 1 s to 365 days; 0: they are never counted.
    ///
    /// A count reads a sample of at most 20,000 sessions. Raise it if very many replicas share one Redis.
    #[serde(with = "duration")]
    pub live_count_interval: Duration,
    /// TLS on the TCP address.
    pub tls: TlsSettings,
}

/// The protocols that are served, at least one. In a configuration it is a list of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Vec<ProtocolName>", into = "Vec<ProtocolName>")]
pub struct Protocols {
    pub grpc: bool,
    pub connect: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum ProtocolName {
    Grpc,
    Connect,
}

impl Protocols {
    /// Whether calls by this protocol are served.
    pub(super) const fn serves(self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Grpc | Protocol::ExtAuthz => self.grpc,
            Protocol::ConnectUnary(_) | Protocol::ConnectStream(_) | Protocol::ForwardAuth => self.connect,
        }
    }
}

impl Default for Protocols {
    fn default() -> Self {
        Self { grpc: true, connect: true }
    }
}

impl TryFrom<Vec<ProtocolName>> for Protocols {
    type Error = &'static str;

    fn try_from(names: Vec<ProtocolName>) -> Result<Self, Self::Error> {
        let serves = |name| names.contains(&name);
        match names.is_empty() {
            true => Err("name at least one of grpc and connect"),
            false => Ok(Self { grpc: serves(ProtocolName::Grpc), connect: serves(ProtocolName::Connect) }),
        }
    }
}

impl From<Protocols> for Vec<ProtocolName> {
    fn from(protocols: Protocols) -> Self {
        let grpc = protocols.grpc.then_some(ProtocolName::Grpc);
        grpc.into_iter().chain(protocols.connect.then_some(ProtocolName::Connect)).collect()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50051)),
            unix_socket: None,
            insecure: false,
            protocols: Protocols::default(),
            workers: 0,
            max_connections: 10_000,
            max_connections_per_peer: 1024,
            max_concurrent_streams: 256,
            max_calls: 4096,
            max_calls_per_peer: 0,
            request_budget_bytes: 128 * 1024 * 1024,
            pending_budget_bytes: 32 * 1024 * 1024,
            first_request_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(15 * 60),
            max_connection_age: Duration::from_secs(30 * 60),
            keepalive_interval: Duration::from_secs(30),
            call_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(3),
            send_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
            shutdown_delay: Duration::ZERO,
            store_unhealthy_after: Duration::from_millis(900),
            live_count_interval: Duration::from_secs(5 * 60),
            tls: TlsSettings::default(),
        }
    }
}

impl Settings {
    /// Checks the values for a server with these callers, without opening a socket or a file.
    pub fn check(&self, callers: &Callers) -> Result<(), SettingError> {
        self.check_exposure(callers)?;
        self.tls.check(callers)?;
        check_number("workers", self.workers, 0..=1024)?;
        check_number("max_connections", self.max_connections, 1..=1_000_000)?;
        check_number("max_connections_per_peer", self.max_connections_per_peer, 1..=1_000_000)?;
        check_number("max_concurrent_streams", self.max_concurrent_streams as usize, 1..=65_536)?;
        check_number("max_calls", self.max_calls, 1..=1_000_000)?;
        check_number("max_calls_per_peer", self.max_calls_per_peer, 0..=1_000_000)?;
        check_number("pending_budget_bytes", self.pending_budget_bytes, MAX_REQUEST_BYTES..=TEBIBYTE)?;
        check_number("request_budget_bytes", self.request_budget_bytes, MAX_REQUEST_BYTES..=TEBIBYTE)?;
        check_duration("first_request_timeout", self.first_request_timeout, SHORTEST..=HOUR)?;
        check_duration("idle_timeout", self.idle_timeout, SHORTEST..=YEAR)?;
        check_duration("max_connection_age", self.max_connection_age, SHORTEST..=YEAR)?;
        check_duration("keepalive_interval", self.keepalive_interval, SHORTEST..=HOUR)?;
        check_duration("call_timeout", self.call_timeout, SHORTEST..=HOUR)?;
        check_duration("request_timeout", self.request_timeout, SHORTEST..=HOUR)?;
        check_duration("send_timeout", self.send_timeout, SHORTEST..=HOUR)?;
        check_duration("drain_timeout", self.drain_timeout, Duration::ZERO..=HOUR)?;
        check_duration("shutdown_delay", self.shutdown_delay, Duration::ZERO..=HOUR)?;
        check_duration("store_unhealthy_after", self.store_unhealthy_after, SHORTEST..=HOUR)?;
        if self.live_count_interval.is_zero() {
            return Ok(());
        }
        check_duration("live_count_interval", self.live_count_interval, SECOND..=YEAR).map(drop)
    }

    /// Returns how many worker threads serve.
    pub(super) fn worker_count(&self) -> usize {
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        if self.workers == 0 { cores() } else { self.workers }
    }

    /// Returns the path of the Unix socket. `None`: the server has none.
    pub fn unix_path(&self) -> Option<&Path> {
        self.unix_socket.as_deref().filter(|path| !path.as_os_str().is_empty())
    }

    /// Checks that it listens somewhere, and beyond loopback only if callers are configured or it is `insecure`.
    pub fn check_exposure(&self, callers: &Callers) -> Result<(), SettingError> {
        let allows_everyone = callers.is_empty() && !self.insecure;
        match self.listen {
            None if self.unix_path().is_none() => Err(SettingError::new("listen", NO_LISTENER)),
            Some(listen) if allows_everyone && !is_loopback(listen) => {
                Err(SettingError::new("listen", format!("{listen} {EXPOSED}")))
            }
            _ => Ok(()),
        }
    }
}

/// Whether only this machine can connect to an address.
pub(super) fn is_loopback(listen: SocketAddr) -> bool {
    listen.ip().to_canonical().is_loopback()
}

/// The half of so many connections that one address gets at most, so that it leaves room for the others; but at least one.
pub(super) fn half_of_connections(max_connections: usize) -> usize {
    (max_connections / 2).max(1)
}

fn check_number(key: &str, value: usize, bounds: RangeInclusive<usize>) -> Result<(), SettingError> {
    if bounds.contains(&value) {
        return Ok(());
    }
    Err(SettingError::new(key, format!("{value} is not between {} and {}", bounds.start(), bounds.end())))
}

const NO_LISTENER: &str =
    "there is nothing to listen on; give it an address such as 127.0.0.1:50051, or set unix_socket";
const EXPOSED: &str = "is open to other machines and to every caller; say in [callers] who may call, \
                       listen on 127.0.0.1 or on unix_socket, or set insecure = true if the whole network is yours";
// A shorter time would be a mistake in the unit. Tests use times as short as this.
const SHORTEST: Duration = Duration::from_millis(10);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const TEBIBYTE: usize = 1 << 40;
