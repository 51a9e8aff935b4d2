//! From a listener to a worker: accepts connections, limits their number, and gives each to one thread.

mod acceptor;
mod backoff;
mod connection_limits;
mod listeners;
mod socket_file;
mod worker_loop;
mod workers;

pub(crate) use acceptor::Acceptor;
pub use listeners::BindError;
pub(crate) use listeners::{Listeners, Socket};
pub(crate) use workers::Workers;
