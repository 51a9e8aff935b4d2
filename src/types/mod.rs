//! Types for every layer: app names, time, random bytes, secrets, files, and the text form of errors, durations and times.
//!
//! Depends on no other module.

mod app_name;
mod causes;
mod clock;
mod config_key;
mod counted;
pub mod duration;
pub mod listen_address;
mod no_pipe;
pub mod random;
pub mod secret;
mod setting_error;
pub mod timestamp;

pub use app_name::{AppName, AppNameError};
pub use causes::with_causes;
pub use clock::{Clock, ManualClock, SystemClock, Time};
pub use config_key::ConfigKey;
pub use counted::{counted, noun};
pub use no_pipe::open_no_pipe;
pub use secret::Secret;
pub use setting_error::{SettingError, check_duration};
