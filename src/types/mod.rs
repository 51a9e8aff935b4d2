//! Types for every layer: app names, time, random bytes, secrets, and the text form of durations and times in settings.
//!
//! Depends on no other module.

mod app_name;
mod clock;
pub mod duration;
pub mod listen_address;
pub mod random;
pub mod secret;
pub mod timestamp;

pub use app_name::{AppName, AppNameError};
pub use clock::{Clock, ManualClock, SystemClock, Time};
pub use secret::Secret;
