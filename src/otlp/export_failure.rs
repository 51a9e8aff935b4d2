//! Why an export fails, and whether it may succeed later.

use std::error::Error;
use std::fmt;

use tonic::{Code, Status, transport};

use crate::types::SettingError;

/// Why a collector does not have an export.
#[derive(Debug)]
pub(super) enum ExportFailure {
    Settings(SettingError),
    NotConnected(transport::Error),
    Refused(Status),
    TimedOut,
}

impl ExportFailure {
    /// Whether the same request may succeed later, by the rules of OTLP.
    pub(super) fn may_pass(&self) -> bool {
        use Code::{
            Aborted, Cancelled, DataLoss, DeadlineExceeded, OutOfRange, ResourceExhausted, Unavailable, Unknown,
        };

        match self {
            Self::Settings(_) | Self::NotConnected(_) | Self::TimedOut => true,
            // `Unknown` is how tonic calls a connection that broke.
            Self::Refused(status) => matches!(
                status.code(),
                Aborted
                    | Cancelled
                    | DataLoss
                    | DeadlineExceeded
                    | OutOfRange
                    | ResourceExhausted
                    | Unavailable
                    | Unknown
            ),
        }
    }
}

impl fmt::Display for ExportFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(error) => write!(f, "{error}"),
            Self::NotConnected(_) => f.write_str("no connection to the collector"),
            // Without the text of the collector, which could repeat a header.
            Self::Refused(status) => write!(f, "the collector answers {:?}", status.code()),
            Self::TimedOut => f.write_str("the collector does not answer in time"),
        }
    }
}

impl Error for ExportFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Settings(_) | Self::TimedOut => None,
            Self::NotConnected(error) => error.source(),
            Self::Refused(status) => status.source(),
        }
    }
}
