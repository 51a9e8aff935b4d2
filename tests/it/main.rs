//! The tests of the whole, over real sockets.

mod changes;
mod cookie_writes;
mod counters;
mod creation;
mod emptying;
mod gone;
mod replays;
mod request_ids;
mod saving;
mod support;
