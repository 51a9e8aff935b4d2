//! Tests of the whole service: real sockets, real stores, real files, and a clock that tests set by hand.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[macro_use(apply)]
extern crate macro_rules_attribute;

#[macro_use]
mod support;

// Sessions.
mod idempotency;
mod sessions;
mod subjects;
mod tokens;
mod watch_events;
mod watch_session;

// What clients use.
mod admin;
mod connect;
mod cookie_headers;
mod django;
mod errors;
mod express;
mod external;
mod flask;
mod metrics;
mod migration;
mod reflection;
mod scs;
mod traces;

// Stores.
mod conformance;
mod crash;
mod export;
mod model;
mod redis_store;
mod upgrade;

// Server and process.
mod attacks;
mod cli;
mod config;
mod fuzz;
mod nist_800_63b;
mod process;
mod server;
