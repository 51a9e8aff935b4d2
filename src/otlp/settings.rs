//! The settings of traces.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderMap, Uri};
use serde::{Deserialize, Serialize};

use super::collector::Collector;
use super::headers;
use crate::telemetry::spans::SampleRatio;
use crate::tls;
use crate::types::{SettingError, check_duration, duration};

/// The `[traces]` table.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The collector that gets the spans, by OTLP over gRPC: `http://host:4317`, or `https://` for TLS. Empty: no traces.
    pub endpoint: String,
    /// Of the calls whose caller names no trace: the share that begins one. 0 to 1.
    ///
    /// A call whose caller names a trace follows it: it has a span if the caller's is sampled.
    pub sample_ratio: SampleRatio,
    /// The `service.name` of all spans.
    pub service_name: String,
    /// The authorities that sign the certificate of the collector, in PEM. Not set: the public ones.
    pub ca_file: Option<PathBuf>,
    /// A file with headers for each request, one on each line, such as `authorization: Bearer ...`.
    pub headers_file: Option<PathBuf>,
    /// How long one export may take. 10 ms to 1 minute.
    #[serde(with = "duration")]
    pub timeout: Duration,
}

/// The address of a collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) is_encrypted: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            sample_ratio: SampleRatio::default(),
            service_name: "cloakroom".to_owned(),
            ca_file: None,
            headers_file: None,
            timeout: Duration::from_secs(10),
        }
    }
}

impl Settings {
    /// Checks the values, without reading a file.
    pub fn check(&self) -> Result<(), SettingError> {
        let target = self.target()?;
        if self.ca_file().is_some() && target.is_some_and(|target| !target.is_encrypted) {
            return Err(SettingError::new(
                "ca_file",
                "it is for an endpoint that begins with https://; remove one of the two",
            ));
        }
        if !(1..=255).contains(&self.service_name.len()) || self.service_name.chars().any(char::is_control) {
            return Err(SettingError::new("service_name", "it has to be 1 to 255 bytes of text on one line"));
        }
        check_duration("timeout", self.timeout, SHORTEST..=LONGEST).map(drop)
    }

    /// Reads the files and checks them.
    pub fn check_files(&self) -> Result<(), SettingError> {
        Collector::open(self).map(drop)
    }

    /// Whether the headers would cross the network unencrypted.
    pub(super) fn exposes_headers(&self) -> bool {
        let is_exposed = |target: Target| !target.is_encrypted && !target.is_on_this_machine();
        self.headers_file().is_some() && self.target().ok().flatten().is_some_and(is_exposed)
    }

    /// Returns the address of the collector. `None`: there are no traces.
    pub(super) fn target(&self) -> Result<Option<Target>, SettingError> {
        if self.endpoint.is_empty() {
            return Ok(None);
        }
        match Target::parse(&self.endpoint) {
            Some(target) => Ok(Some(target)),
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

impl Target {
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
        let target = |endpoint| Target::parse(endpoint).map(|target| (target.authority(), target.is_encrypted));

        for (endpoint, authority, is_encrypted) in [
            ("http://127.0.0.1:4317", "127.0.0.1:4317", false),
            ("http://collector", "collector:4317", false),
            ("https://collector.example:443/", "collector.example:443", true),
            ("http://[::1]:1", "[::1]:1", false),
        ] {
            assert_eq!(target(endpoint), Some((authority.to_owned(), is_encrypted)), "{endpoint}");
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
            assert_eq!(target(wrong), None, "{wrong}");
        }
    }
}
