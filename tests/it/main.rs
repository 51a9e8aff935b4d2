//! The tests of the whole, over real sockets.

mod cookies;
mod flask;
mod opening;
mod saving;
mod support;
mod tokens;
