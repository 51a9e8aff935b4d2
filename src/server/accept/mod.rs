//! From the listeners to the workers: accepts connections, limits their number, and gives each to one worker thread.

mod acceptor;
mod backoff;
mod connection_limits;
mod listeners;
mod misuse;
mod refusals;
mod socket_file;
mod worker_loop;
mod workers;

pub(super) use acceptor::Acceptor;
#[cfg(test)]
pub(super) use connection_limits::ConnectionLimits;
pub(super) use connection_limits::{ConnectionControl, ConnectionPermit};
pub use listeners::BindError;
pub(super) use listeners::{Listeners, Socket};
pub(super) use workers::{Workers, worker_count};
