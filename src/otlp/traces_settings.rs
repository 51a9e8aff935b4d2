//! The settings of traces.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::collector_settings::CollectorSettings;
use crate::telemetry::spans::SampleRatio;
use crate::types::{SettingError, duration};

/// The `[traces]` table.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TracesSettings {
    /// The collector that gets the spans, by OTLP over gRPC: `http://host:4317`, or `https://` for TLS. Empty: no traces.
    pub endpoint: String,
    /// Of the calls whose caller names no trace: the share that begins one. 0 to 1.
    ///
    /// A call whose caller names a trace follows it: it has a span if the caller's is sampled.
    pub sample_ratio: SampleRatio,
    /// The `service.name` of all spans, and of the metrics that are exported.
    pub service_name: String,
    /// The authorities that sign the certificate of the collector, in PEM. Not set: the public ones.
    pub ca_file: Option<PathBuf>,
    /// A file with headers for each request, one on each line, such as `authorization: Bearer ...`.
    pub headers_file: Option<PathBuf>,
    /// How long one export may take. 10 ms to 1 minute.
    #[serde(with = "duration")]
    pub timeout: Duration,
}

impl Default for TracesSettings {
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

impl TracesSettings {
    /// Checks the values, without reading a file.
    pub fn check(&self) -> Result<(), SettingError> {
        if !(1..=255).contains(&self.service_name.len()) || self.service_name.chars().any(char::is_control) {
            return Err(SettingError::new("service_name", "it has to be 1 to 255 bytes of text on one line"));
        }
        self.collector().check()
    }

    /// Reads the files and checks them.
    pub fn check_files(&self) -> Result<(), SettingError> {
        self.collector().check_files()
    }

    pub(super) fn collector(&self) -> CollectorSettings {
        let Self { endpoint, ca_file, headers_file, timeout, .. } = self.clone();
        CollectorSettings { table: "traces", endpoint, ca_file, headers_file, timeout }
    }
}
