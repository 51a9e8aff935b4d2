//! What the service tells about itself. Logs so far.
//!
//! Nothing here knows what a session is; what is told is chosen where it happens.

mod level;
mod log;
mod queue;
mod seldom;

pub use level::{Level, LevelError};
pub use log::{Format, InitError, Logs, Settings, init};
pub use seldom::Seldom;
