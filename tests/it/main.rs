//! The tests of the whole, over real sockets.
#![expect(clippy::unwrap_used, reason = "a test that can not go on has failed")]

mod changes;
mod cookie_writes;
mod counters;
mod creation;
mod destroying;
mod emptying;
mod gone;
mod lifetimes;
mod privilege;
mod renewal;
mod replays;
mod request_ids;
mod rotating;
mod saving;
mod server;
mod subjects;
mod support;
mod touching;
