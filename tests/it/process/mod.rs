//! A running `cloakroom serve`: reload, stop, restart, and what callers notice.

mod audit;
mod audit_log;
mod caller_changes;
mod certificate_expiry;
pub(crate) mod child;
mod connect_client;
#[cfg(target_os = "linux")]
mod failing_disk;
mod full_disk;
mod key_rotation;
mod load;
mod lock_timeout;
mod log_causes;
mod reload;
mod rolling_restart;
mod secrets;
mod stop;
mod store_migration;
mod store_outage;
mod store_password;
mod watch;
