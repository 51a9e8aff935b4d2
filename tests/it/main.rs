//! The tests of the whole: real sockets, real stores, real files, and a clock that is moved by hand.
#![expect(clippy::unwrap_used, reason = "a test that can not go on has failed")]

#[macro_use(apply)]
extern crate macro_rules_attribute;

#[macro_use]
mod support;

mod admin;
mod admin_index;
mod admin_races;
mod anonymous;
mod authentication;
mod changes;
mod cli;
mod config;
mod conformance;
mod cookie_kind;
mod cookie_writes;
mod cookies;
mod counters;
mod crash;
mod creation;
mod destroying;
mod emptying;
mod errors;
mod flask;
mod flask_differential;
mod flask_signer;
mod flask_vectors;
mod gone;
mod life;
mod lifetimes;
mod limits;
mod marks;
mod model;
mod moving;
mod nist;
mod opening;
mod outage;
mod overtaking;
mod pages;
mod privilege;
mod races;
mod reflection;
mod renewal;
mod replays;
mod request_ids;
mod rotating;
mod saving;
mod secrets;
mod server;
mod subject_limits;
mod subjects;
mod tokens;
mod touching;
mod watch_events;
mod watching;
mod watching_events;
