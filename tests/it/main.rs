//! The tests of the whole, over real sockets.

mod cookies;
mod saving;
mod support;
mod tokens;
