//! The server from outside, with a service behind it that does as it is told.

mod calls;
mod caps;
mod client;
mod drain;
mod echo;
mod hostile;
mod house;
mod lifetime;
mod listening;
mod open_files;
mod raw;
mod services;
mod settings;
mod workers;
