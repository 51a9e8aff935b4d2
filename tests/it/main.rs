//! The tests of the whole, over real sockets.

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
mod subjects;
mod support;
mod touching;
