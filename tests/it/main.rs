//! The tests of the whole: real sockets, real stores, real files, and a clock that is moved by hand.
#![expect(clippy::unwrap_used, reason = "a test that can not go on has failed")]

mod changes;
mod cli;
mod config;
mod conformance;
mod cookie_writes;
mod cookies;
mod counters;
mod crash;
mod creation;
mod destroying;
mod emptying;
mod errors;
mod flask;
mod gone;
mod lifetimes;
mod limits;
mod marks;
mod opening;
mod outage;
mod privilege;
mod races;
mod reflection;
mod renewal;
mod replays;
mod request_ids;
mod rotating;
mod saving;
mod server;
mod subjects;
mod support;
mod tokens;
mod touching;
mod watching;
mod watching_events;
