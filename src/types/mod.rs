//! Types that every layer uses: names, time, random bytes, secrets, and how settings write durations and times.
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
