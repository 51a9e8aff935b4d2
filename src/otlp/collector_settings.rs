//! How to reach a collector, by the settings of traces or of metrics.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderMap, Uri};

use super::collector::Collector;
use super::headers;
use crate::tls;
use crate::types::{SettingError, check_duration};

/// How to reach a collector: what the tables of traces and of metrics have in common.
#[derive(Clone, Debug)]
pub(super) struct CollectorSettings {
    /// The name of the table.
    pub(super) table: &'static str,
    pub(super) endpoint: String,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) headers_file: Option<PathBuf>,
    pub(super) timeout: Duration,
}

/// The address of a collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CollectorAddress {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) is_encrypted: bool,
}

impl CollectorSettings {
    /// Checks the values, without reading a file.
    pub(super) fn check(&self) -> Result<(), SettingError> {
        let address = self.address()?;
        if self.ca_file().is_some() && address.is_some_and(|address| !address.is_encrypted) {
            return Err(SettingError::new(
                "ca_file",
                "it is for an endpoint that begins with https://; remove one of the two",
            ));
        }
        check_duration("timeout", self.timeout, SHORTEST..=LONGEST).map(drop)
    }

    /// Reads the files and checks them.
    pub(super) fn check_files(&self) -> Result<(), SettingError> {
        Collector::open(self).map(drop)
    }

    /// Whether the headers would cross the network unencrypted.
    pub(super) fn exposes_headers(&self) -> bool {
        let is_exposed = |address: CollectorAddress| !address.is_encrypted && !address.is_on_this_machine();
        self.headers_file().is_some() && self.address().ok().flatten().is_some_and(is_exposed)
    }

    /// Returns the address of the collector. `None`: there is none.
    pub(super) fn address(&self) -> Result<Option<CollectorAddress>, SettingError> {
        if self.endpoint.is_empty() {
            return Ok(None);
        }
        match CollectorAddress::parse(&self.endpoint) {
            Some(address) => Ok(Some(address)),
            None => Err(SettingError::new("endpoint", NO_ENDPOINT)),
        }
    }

    /// Reads the headers.
    pub(super) fn read_headers(&self) -> Result<HeaderMap, SettingError> {
        let Some(file) = self.headers_file() else { return Ok(HeaderMap::new()) };
        let error = |problem: &dyn std::fmt::Display| SettingError::new("headers_file", problem);
        let bytes = tls::read(file).map_err(|problem| error(&problem))?;
        let text =
            std::str::from_utf8(&bytes).map_err(|_| error(&format_args!("{}: it is no UTF-8 text", file.display())))?;
        headers::parse(text).map_err(|problem| error(&format_args!("{}: {problem}", file.display())))
    }

    pub(super) fn ca_file(&self) -> Option<&Path> {
        self.ca_file.as_deref().filter(|path| !path.as_os_str().is_empty())
    }

    fn headers_file(&self) -> Option<&Path> {
        self.headers_file.as_deref().filter(|path| !path.as_os_str().is_empty())
    }
}

impl CollectorAddress {
    fn parse(endpoint: &str) -> Option<Self> {
        let uri = endpoint.parse::<Uri>().ok()?;
        let is_encrypted = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let (authority, path) = (uri.authority()?, uri.path());
        if authority.as_str().contains('@')
            || authority.host().is_empty()
            || uri.query().is_some()
            || !matches!(path, "" | "/")
        {
            return None;
        }
        // Anything that follows the host has to be a port.
        let rest = authority.as_str().strip_prefix(authority.host())?;
        let port = if rest.is_empty() { DEFAULT_PORT } else { rest.strip_prefix(':')?.parse::<u16>().ok()? };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        (port != 0).then_some(Self { host, port, is_encrypted })
    }

    fn is_on_this_machine(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Returns host and port as they stand in an address.
    pub(super) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

const NO_ENDPOINT: &str = "it has to be http://HOST:PORT or https://HOST:PORT, such as http://127.0.0.1:4317, without a \
                           path, a user and a password";

/// The port of OTLP over gRPC.
const DEFAULT_PORT: u16 = 4317;

const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_has_a_scheme_a_host_and_perhaps_a_port() {
        let address =
            |endpoint| CollectorAddress::parse(endpoint).map(|address| (address.authority(), address.is_encrypted));

        for (endpoint, authority, is_encrypted) in [
            ("http://127.0.0.1:4317", "127.0.0.1:4317", false),
            ("http://collector", "collector:4317", false),
            ("https://collector.example:443/", "collector.example:443", true),
            ("http://[::1]:1", "[::1]:1", false),
        ] {
            assert_eq!(address(endpoint), Some((authority.to_owned(), is_encrypted)), "{endpoint}");
        }
        for wrong in [
            "collector:4317",
            "grpc://collector:4317",
            "http://",
            "http://:4317",
            "http://user:word@collector:4317",
            "http://collector:4317/v1/traces",
            "http://collector:4317?a=b",
            "http://collector:0",
            "http://collector:99999",
            "http://collector:",
        ] {
            assert_eq!(address(wrong), None, "{wrong}");
        }
    }
}
