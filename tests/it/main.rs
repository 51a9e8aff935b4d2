//! The tests of the whole: real sockets, real stores, real files, and a clock that is moved by hand.
#![expect(clippy::unwrap_used, reason = "a test that can not go on has failed")]

mod cli;
mod config;
mod conformance;
mod crash;
mod saving;
mod server;
mod support;
