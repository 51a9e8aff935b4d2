//! The tests of the whole, over real sockets.
#![expect(clippy::unwrap_used, reason = "a test that can not go on has failed")]

mod cookies;
mod errors;
mod flask;
mod limits;
mod opening;
mod saving;
mod server;
mod support;
mod tokens;
