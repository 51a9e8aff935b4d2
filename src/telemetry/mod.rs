//! Logs, metrics and spans: how they are written.
//!
//! Knows nothing about sessions. Each module logs and counts its own events.

mod call_context;
mod level;
mod line;
mod log;
mod log_throttle;
pub mod metrics;
mod queue;
pub mod spans;
mod trace;
mod unique_number;

pub use call_context::{CallContext, CallId};
pub use level::{Level, LevelError};
#[cfg(test)]
pub use log::capture;
pub use log::{Colors, InitError, LogFormat, Logs, Settings, init};
pub use log_throttle::LogThrottle;
