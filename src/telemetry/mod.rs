//! What the service tells about itself: logs and metrics.
//!
//! Nothing here knows what a session is; what is told is chosen where it happens.

mod call;
mod level;
mod line;
mod log;
pub mod metrics;
mod queue;
mod seldom;
mod trace;

pub use call::{Call, CallId};
pub use level::{Level, LevelError};
pub use log::{Format, InitError, Logs, Settings, init};
pub use seldom::Seldom;
