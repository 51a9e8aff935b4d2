//! From the listeners to the workers: accepts connections, limits their number, and gives each to one worker thread.

mod acceptor;
mod backoff;
mod listeners;
mod refusals;
mod socket_file;
mod worker_loop;
mod workers;

pub(super) use acceptor::Acceptor;
pub(super) use listeners::Listeners;
pub(super) use workers::Workers;
