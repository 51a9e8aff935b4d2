//! What the service tells about itself: logs and metrics.
//!
//! Nothing here knows what a session is; what is told is chosen where it happens.

mod call_context;
mod level;
mod line;
mod log;
mod log_throttle;
pub mod metrics;
mod queue;
mod trace;

pub use call_context::{CallContext, CallId};
pub use level::{Level, LevelError};
pub use log::{InitError, LogFormat, Logs, Settings, init};
pub use log_throttle::LogThrottle;
