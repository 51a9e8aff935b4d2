//! The settings of metrics that are exported.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::collector_settings::CollectorSettings;
use crate::types::{SettingError, check_duration, duration};

/// The `[metrics]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsSettings {
    /// The collector that gets the metrics, by OTLP over gRPC: `http://host:4317`, or `https://` for TLS. Empty: none.
    ///
    /// The page `/metrics` has them in any case.
    pub endpoint: String,
    /// The time from one export to the next. 1 second to 1 hour.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// The authorities that sign the certificate of the collector, in PEM. Not set: the public ones.
    pub ca_file: Option<PathBuf>,
    /// A file with headers for each request, one on each line, such as `authorization: Bearer ...`.
    pub headers_file: Option<PathBuf>,
    /// How long one export may take. 10 ms to 1 minute.
    #[serde(with = "duration")]
    pub timeout: Duration,
}

impl Default for MetricsSettings {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            interval: Duration::from_secs(60),
            ca_file: None,
            headers_file: None,
            timeout: Duration::from_secs(10),
        }
    }
}

impl MetricsSettings {
    /// Checks the values, without reading a file.
    pub fn check(&self) -> Result<(), SettingError> {
        check_duration("interval", self.interval, INTERVALS)?;
        self.collector().check()
    }

    /// Reads the files and checks them.
    pub fn check_files(&self) -> Result<(), SettingError> {
        self.collector().check_files()
    }

    pub(super) fn collector(&self) -> CollectorSettings {
        let Self { endpoint, ca_file, headers_file, timeout, .. } = self.clone();
        CollectorSettings { table: "metrics", endpoint, ca_file, headers_file, timeout }
    }
}

const INTERVALS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60 * 60);
