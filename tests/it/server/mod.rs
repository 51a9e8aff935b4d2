//! The server from outside, with a service behind it that does as it is told.

pub(crate) mod authority;
mod callers;
mod calls;
mod caps;
mod client;
mod departing;
mod drain;
mod echo;
mod expiry;
mod hostile;
mod large_requests;
mod lifetime;
mod listening;
mod open_files;
mod pages;
mod raw;
mod secured;
mod services;
mod settings;
mod test_server;
mod tls;
mod workers;
