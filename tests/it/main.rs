//! The tests of the whole, over real sockets.

mod changes;
mod counters;
mod emptying;
mod saving;
mod support;
